//! From a lock and the cache to the tree of a layer.

use cache::{Cache, Digest};
use deps::python::{Requested, Scheme, WheelName};
use deps::{Files, Machine, npm, python};
use tree::Root;

use super::inputs::Inputs;
use super::lock::{LayerLock, Npm, Parent, Program};
use super::target_of;
use crate::Error;

/// Installs what `lock` has for `parent` into `root`. The answer are the programs for other machines.
pub(super) fn install(
    lock: &LayerLock,
    parent: &Parent,
    inputs: &Inputs<'_>,
    cache: &Cache,
    root: &Root,
    epoch: i64,
) -> Result<Vec<Program>, Error> {
    let mut files = Files::new(root, epoch);
    let mut checked = Checked { machine: Machine::of_architecture(&parent.architecture), others: Vec::new() };
    let here = |architectures: &[String]| architectures.contains(&parent.architecture);
    for wheel in lock.wheels.iter().filter(|wheel| here(&wheel.architectures)) {
        let contents = contents(cache, &wheel.sha256, &wheel.file)?;
        let requested = if wheel.requested { Requested::ByName } else { Requested::ByOthers };
        python::install(&wheel.file, contents, &scheme(parent)?, requested, &mut files)?;
        let is_any = WheelName::parse(&wheel.file).is_some_and(|name| name.is_any());
        checked.add(&wheel.file, is_any, &mut files)?;
    }
    for (step, node) in inputs.node.iter().enumerate() {
        let of_step = |npm: &&Npm| npm.step == step && here(&npm.architectures);
        let packages: Vec<&Npm> = lock.npm.iter().filter(of_step).collect();
        for npm in &packages {
            let Some(sha256) = &npm.sha256 else { continue };
            let name = format!("{}@{}", npm.package.name, npm.package.version);
            npm::install(&npm.package, contents(cache, sha256, &name)?, node.step.into(), &mut files)?;
            checked.add(&name, !npm.package.is_native, &mut files)?;
        }
        let packages: Vec<npm::Selected> = packages.into_iter().map(|npm| npm.package.clone()).collect();
        npm::link_programs(&packages, node.step.into(), node.step.programs(), &files)?;
    }
    Ok(checked.others)
}

fn contents(cache: &Cache, sha256: &Digest, what: &str) -> Result<std::fs::File, Error> {
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
