//! The stack that one executor runs in (`oocana.md` of the contract, section 8).

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::create::{missing, quote};
use crate::names::is_plain;
use crate::ovmlayer::Run;
use crate::{Bind, Claim, Error, Layers, PackageLayer, Result, Surroundings};

/// A merge point with the layers of a package and one on top that goes with it.
#[derive(Debug)]
pub struct Runtime {
    layer: String,
    point: String,
}

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub struct Inside<'i> {
    /// The stack.
    pub runtime: &'i Runtime,
    /// The layers in it.
    pub package: &'i PackageLayer,
    /// The folder of the machine for what blocks of the package keep.
    pub data: &'i Path,
}

impl Runtime {
    /// The one that goes by `name`.
    ///
    /// # Errors
    /// [`Error::NotThere`] for a name that `ovmlayer` could take for something else.
    pub fn named(name: &str) -> Result<Self> {
        if !is_plain(name) {
            return Err(Error::NotThere(name.to_owned()));
        }
        Ok(Self { layer: format!("tmp_layer_{name}"), point: format!("merge_{name}") })
    }
}

impl Layers {
    /// Claims a runtime that is going to be made: it goes with the claim.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn claim_runtime(&self, runtime: &Runtime) -> Result<Claim> {
        let mut claim = self.claim()?;
        claim.layer(&runtime.layer)?;
        claim.merge_point(&runtime.point)?;
        Ok(claim)
    }

    /// Makes a runtime, which its owner has claimed, with what a flow has injected above the layers of the package.
    ///
    /// # Errors
    /// [`Error::Program`].
    pub fn merge_runtime(
        &self,
        runtime: &Runtime,
        package: &PackageLayer,
        injected: Option<&str>,
    ) -> Result<()> {
        self.ovmlayer.create(&runtime.layer)?;
        let mut stack = self.stack(package)?;
        stack.extend(injected.map(str::to_owned));
        stack.push(runtime.layer.clone());
        self.ovmlayer.merge(&stack.iter().map(String::as_str).collect::<Vec<_>>(), &runtime.point)
    }

    /// The command that runs `words` in a runtime, in the folder of the package; `variables` are let in beside those of `with`.
    #[must_use]
    pub fn command_in(
        &self,
        inside: &Inside<'_>,
        words: &[OsString],
        variables: &[(OsString, OsString)],
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
    ) -> Command {
        let mut mounts = with.mounts(&mut |bind| warn(&missing(bind)));
        mounts.push(Bind::same(inside.data).to_mount());
        let mut all = with.variables();
        all.extend(variables.iter().cloned());
        let run = Run {
            point: &inside.runtime.point,
            mounts,
            workdir: Some(&inside.package.package_path),
            variables: all,
            env_file: with.env_file.as_deref(),
        };
        let line: Vec<OsString> = words.iter().map(quote).collect();
        self.ovmlayer.shell(&run, &line.join(" ".as_ref()))
    }
}
