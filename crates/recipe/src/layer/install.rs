//! From a lock and the cache to the tree of a layer.

use std::fs::File;

use cache::{Cache, Digest};
use deps::npm::{self, Selected};
use deps::python::{self, Requested, Scheme, WheelName};
use deps::{Files, Machine};
use rootfs::Scripts;
use tree::Root;

use super::building::{build_wheel, run_scripts};
use super::inputs::{Inputs, Node};
use super::lock::{LayerLock, Npm, Parent, Program, Wheel};
use super::target_of;
use crate::Error;

/// Installs packages into one layer.
pub(super) struct Installer<'a> {
    pub(super) lock: &'a LayerLock,
    pub(super) parent: &'a Parent,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) cache: &'a Cache,
    pub(super) root: &'a Root,
    pub(super) epoch: i64,
    /// Runs programs in the root, where the recipe allows packages to have some.
    pub(super) scripts: &'a Scripts,
}

impl Installer<'_> {
    /// Installs everything that the lock has for the parent. The answer has the programs for other machines.
    pub(super) fn install(&self) -> Result<Vec<Program>, Error> {
        let machine = Machine::of_architecture(&self.parent.architecture);
        let mut checked = Checked { machine, others: Vec::new() };
        for wheel in self.lock.wheels.iter().filter(|wheel| self.is_here(&wheel.architectures)) {
            self.wheel(wheel, &mut checked)?;
        }
        for (step, node) in self.inputs.node.iter().enumerate() {
            self.node(step, node, &mut checked)?;
        }
        Ok(checked.others)
    }

    fn is_here(&self, architectures: &[String]) -> bool {
        architectures.contains(&self.parent.architecture)
    }

    /// Installs a wheel, which is built first where the lock has its source.
    fn wheel(&self, wheel: &Wheel, checked: &mut Checked) -> Result<(), Error> {
        let mut files = Files::new(self.root, self.epoch);
        let requested = if wheel.requested { Requested::ByName } else { Requested::ByOthers };
        let scheme = scheme(self.parent)?;
        let contents = contents(self.cache, &wheel.sha256, &wheel.file)?;
        let is_any = match WheelName::parse(&wheel.file) {
            Some(name) => {
                python::install(&wheel.file, contents, &scheme, requested, &mut files)?;
                name.is_any()
            }
            None => {
                let built = build_wheel(wheel, &contents, self.root, self.scripts)?;
                python::install(&built.file, built.contents, &scheme, requested, &mut files)?;
                false
            }
        };
        checked.add(&wheel.file, is_any, &mut files)
    }

    /// Installs the packages of one step, and runs the scripts of those that may.
    fn node(&self, step: usize, node: &Node<'_>, checked: &mut Checked) -> Result<(), Error> {
        let mut files = Files::new(self.root, self.epoch);
        let of_step = |npm: &&Npm| npm.step == step && self.is_here(&npm.architectures);
        let packages: Vec<&Npm> = self.lock.npm.iter().filter(of_step).collect();
        let into = node.step.into();
        for npm in &packages {
            let Some(sha256) = &npm.sha256 else { continue };
            let name = format!("{}@{}", npm.package.name, npm.package.version);
            npm::install(&npm.package, contents(self.cache, sha256, &name)?, into, &mut files)?;
            checked.add(&name, !npm.package.is_native, &mut files)?;
        }
        let packages: Vec<Selected> = packages.into_iter().map(|npm| npm.package.clone()).collect();
        npm::link_programs(&packages, into, node.step.programs(), &files)?;
        let is_there = |name: &&String| packages.iter().any(|package| package.name == **name);
        let names: Vec<&str> = node.step.scripts.iter().filter(is_there).map(String::as_str).collect();
        if names.is_empty() { Ok(()) } else { run_scripts(&names, into, self.root, self.scripts) }
    }
}

fn contents(cache: &Cache, sha256: &Digest, what: &str) -> Result<File, Error> {
    cache.file(sha256)?.ok_or_else(|| Error::NotFetched { what: what.to_owned() })
}

/// Where Debian's pip puts packages when it runs as root.
fn scheme(parent: &Parent) -> Result<Scheme, Error> {
    let (major, minor) = target_of(parent)?.python;
    Ok(Scheme {
        library: format!("usr/local/lib/python{major}.{minor}/dist-packages"),
        scripts: "usr/local/bin".into(),
        data: "usr/local".into(),
        headers: format!("usr/local/include/python{major}.{minor}"),
        python: "/usr/bin/python3".into(),
    })
}

/// Looks at the programs that archives bring.
struct Checked {
    machine: Option<Machine>,
    others: Vec<Program>,
}

impl Checked {
    /// What is for one architecture must be for this one; what is for all may bring programs for others.
    fn add(&mut self, from: &str, is_any: bool, files: &mut Files<'_>) -> Result<(), Error> {
        for program in files.take_programs() {
            if Some(program.machine) == self.machine {
                continue;
            }
            let (path, machine) = (program.path.to_string(), program.machine.to_string());
            if !is_any {
                return Err(Error::OtherMachine { from: from.to_owned(), path, machine });
            }
            self.others.push(Program {
                from: from.to_owned(),
                path,
                machine,
                sha256: Digest(program.sha256),
            });
        }
        Ok(())
    }
}
