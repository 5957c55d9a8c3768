//! Makes programs of a foreign architecture run in this program's namespace.

use std::os::fd::AsFd;

use cache::Cache;
use sandbox::IdMap;
use sandbox::foreign::{Registration, Support, register, support};

use crate::lock::Package;
use crate::{Error, emulator};

/// How programs of an architecture run here.
#[derive(Debug)]
pub(crate) struct Emulation {
    /// Ours; it goes when this is dropped.
    _registration: Option<Registration>,
}

impl Emulation {
    /// Whether programs of `architecture` need an emulator of ours.
    pub(crate) fn needs_package(architecture: &str, ids: &IdMap) -> Result<bool, Error> {
        let support = support(parse(architecture)?, ids).required(parse(architecture)?)?;
        Ok(support == Support::OwnNamespace)
    }

    /// From now on programs of `architecture` run, by an emulator out of one of `tools` if need be.
    pub(crate) fn start(
        cache: &Cache,
        architecture: &str,
        tools: &[&Package],
        ids: &IdMap,
    ) -> Result<Self, Error> {
        let parsed = parse(architecture)?;
        if support(parsed, ids).required(parsed)? != Support::OwnNamespace {
            return Ok(Self { _registration: None });
        }
        let tool = tools.iter().find(|tool| emulator::PACKAGES.contains(&tool.name.as_str()));
        let tool = tool.ok_or_else(|| Error::CannotRun {
            architecture: architecture.to_owned(),
            reason: "the lock names no package with an emulator: refresh it with `--update`".into(),
        })?;
        let interpreter = emulator::interpreter(cache, tool, architecture)?;
        Ok(Self { _registration: Some(register(parsed, interpreter.as_fd(), ids)?) })
    }
}

fn parse(architecture: &str) -> Result<sandbox::Architecture, Error> {
    sandbox::Architecture::from_name(architecture).ok_or_else(|| Error::UnknownArchitecture {
        name: architecture.to_owned(),
        known: crate::distro::ARCHITECTURES.join(", "),
    })
}
