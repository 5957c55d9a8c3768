//! Seccomp profiles in the JSON form that container engines share.
//!
//! The form is `linux.seccomp` of the OCI runtime specification (config-linux.md), with the additions of Docker's
//! profiles: `archMap`, and `includes` and `excludes` by capability, architecture and kernel version.

use std::str::FromStr as _;

use rustix::thread::CapabilitySet;
use serde::Deserialize;

use crate::Error;
use crate::filter::{Comparison, Condition, Rule, action};

/// Which system calls a command may make.
///
/// The first entry of the profile that matches a call decides. Names that an architecture does not have are passed
/// over, as by other engines.
#[derive(Clone, Debug)]
pub struct SeccompProfile {
    profile: Profile,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "or_default")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    arch_map: Vec<ArchitectureMap>,
    #[serde(default, deserialize_with = "or_default")]
    syscalls: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchitectureMap {
    architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    sub_architectures: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    name: Option<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default, deserialize_with = "or_default")]
    args: Vec<Argument>,
    #[serde(default, deserialize_with = "or_default")]
    includes: Circumstances,
    #[serde(default, deserialize_with = "or_default")]
    excludes: Circumstances,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// When an entry counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Circumstances {
    #[serde(default, deserialize_with = "or_default")]
    caps: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// Go writes `null` for what is empty.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What the choice of entries depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) capabilities: CapabilitySet,
    /// As Go names it.
    pub(crate) architecture: &'a str,
    pub(crate) kernel: (u32, u32),
}

/// A calling convention: the kernel's token for it, and how to find its numbers.
#[derive(Clone, Copy)]
pub(crate) struct Abi {
    pub(crate) token: u32,
    number: fn(&str) -> Option<u32>,
}

macro_rules! numbers {
    ($architecture:ident) => {
        |name| syscalls::$architecture::Sysno::from_str(name).ok().and_then(|n| u32::try_from(n.id()).ok())
    };
}

/// By the names of libseccomp; tokens as in linux/audit.h.
fn abi(name: &str) -> Option<Abi> {
    let (token, number): (u32, fn(&str) -> Option<u32>) = match name {
        "SCMP_ARCH_X86_64" => (0xC000_003E, numbers!(x86_64)),
        "SCMP_ARCH_X86" => (0x4000_0003, numbers!(x86)),
        "SCMP_ARCH_AARCH64" => (0xC000_00B7, numbers!(aarch64)),
        "SCMP_ARCH_ARM" => (0x4000_0028, numbers!(arm)),
        "SCMP_ARCH_RISCV64" => (0xC000_00F3, numbers!(riscv64)),
        _ => return None,
    };
    Some(Abi { token, number })
}

fn wrong(what: impl Into<String>) -> Error {
    Error::Profile { what: what.into() }
}

impl SeccompProfile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`Error::Profile`] for what is no profile, and for actions, comparisons and arguments unknown here, which
    /// includes `SCMP_ACT_NOTIFY`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let profile: Profile = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        action(&profile.default_action, profile.default_errno_ret).map_err(wrong)?;
        for entry in &profile.syscalls {
            entry.rules(&|_| None).map_err(wrong)?;
        }
        Ok(Self { profile })
    }

    /// The program for these surroundings.
    pub(crate) fn compile(
        &self,
        surroundings: Surroundings<'_>,
    ) -> Result<Vec<crate::raw::Instruction>, Error> {
        let Self { profile } = self;
        let default = action(&profile.default_action, profile.default_errno_ret).map_err(wrong)?;
        let chosen: Vec<_> = profile.syscalls.iter().filter(|entry| entry.counts(surroundings)).collect();
        let mut blocks = Vec::new();
        for abi in self.abis(surroundings) {
            let mut rules = Vec::new();
            for entry in &chosen {
                rules.extend(entry.rules(&abi.number).map_err(wrong)?);
            }
            blocks.push((abi.token, rules));
        }
        let program = crate::filter::compile(default, &blocks);
        // BPF_MAXINSNS of the kernel.
        if program.len() > 4096 { Err(wrong("it has too many entries for the kernel")) } else { Ok(program) }
    }

    /// The calling conventions of this machine that the profile is for.
    fn abis(&self, surroundings: Surroundings<'_>) -> Vec<Abi> {
        let native = match surroundings.architecture {
            "arm64" => "SCMP_ARCH_AARCH64",
            "riscv64" => "SCMP_ARCH_RISCV64",
            "arm" => "SCMP_ARCH_ARM",
            "386" => "SCMP_ARCH_X86",
            _ => "SCMP_ARCH_X86_64",
        };
        let mapped = self.profile.arch_map.iter().find(|map| map.architecture == native);
        let others = mapped.map_or(&self.profile.architectures, |map| &map.sub_architectures);
        let others = others.iter().map(String::as_str).filter(|name| *name != native);
        [native].into_iter().chain(others).filter_map(abi).collect()
    }
}

impl Entry {
    fn counts(&self, surroundings: Surroundings<'_>) -> bool {
        let Surroundings { capabilities, architecture, kernel } = surroundings;
        let holds = |name: &String| capability(name).is_some_and(|one| capabilities.contains(one));
        let here = |name: &String| name == architecture;
        let new_enough =
            |wanted: &Option<String>| wanted.as_deref().is_none_or(|text| version(text) <= kernel);
        let Self { includes, excludes, .. } = self;
        includes.caps.iter().all(holds)
            && (includes.arches.is_empty() || includes.arches.iter().any(here))
            && new_enough(&includes.min_kernel)
            && !excludes.caps.iter().any(holds)
            && !excludes.arches.iter().any(here)
            && !(excludes.min_kernel.is_some() && new_enough(&excludes.min_kernel))
    }

    /// The rules of this entry, with the numbers of one calling convention.
    fn rules(&self, number: &dyn Fn(&str) -> Option<u32>) -> Result<Vec<Rule>, String> {
        let action = action(&self.action, self.errno_ret)?;
        let conditions = self.args.iter().map(Argument::condition).collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<_> = self.names.iter().chain(&self.name).filter_map(|name| number(name)).collect();
        // Two conditions on one argument are alternatives, as in other engines; otherwise all have to hold.
        let mut indices: Vec<_> = conditions.iter().map(|condition| condition.index).collect();
        indices.sort_unstable();
        indices.dedup();
        if indices.len() == conditions.len() {
            return Ok(vec![Rule { numbers, conditions, action }]);
        }
        let alone = |condition| Rule { numbers: numbers.clone(), conditions: vec![condition], action };
        Ok(conditions.into_iter().map(alone).collect())
    }
}

impl Argument {
    fn condition(&self) -> Result<Condition, String> {
        if self.index > 5 {
            return Err(format!("a system call has no argument {}", self.index));
        }
        let (comparison, value) = match self.op.as_str() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, self.value),
            "SCMP_CMP_LT" => (Comparison::Less, self.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (Comparison::Equal, self.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, self.value),
            "SCMP_CMP_GT" => (Comparison::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (Comparison::Masked(self.value), self.value_two),
            other => return Err(format!("`{other}` is not a known comparison")),
        };
        Ok(Condition { index: self.index, comparison, value })
    }
}

fn capability(name: &str) -> Option<CapabilitySet> {
    CapabilitySet::from_name(name.strip_prefix("CAP_")?)
}

/// Major and minor number of a kernel.
pub(crate) fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests;
