//! How the command itself is started.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;

use rustix::thread::CapabilitySet;

use crate::profile::{Surroundings, version};
use crate::raw::{Instruction, Strings};
use crate::sandbox::{Sandbox, c_string};
use crate::{Error, seccomp, signals};

/// What the process that becomes the command needs.
#[derive(Debug)]
pub(crate) struct Command {
    /// Where the program may be, tried in order.
    pub(crate) programs: Vec<CString>,
    pub(crate) argv: Strings,
    pub(crate) env: Strings,
    /// Seccomp filters, in the order in which they are installed.
    pub(crate) filters: Vec<Vec<Instruction>>,
    pub(crate) capabilities: CapabilitySet,
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) no_new_privileges: bool,
    pub(crate) keep_session: bool,
    pub(crate) keep_limits: bool,
    /// Signals that it is to ignore if the caller does.
    pub(crate) ignored: Vec<i32>,
}

impl Command {
    pub(crate) fn new(sandbox: &Sandbox, command: &[&OsStr]) -> Result<Self, Error> {
        let Some(program) = command.first() else {
            return Err(Error::Plan { what: "the command is empty".into() });
        };
        let argv = command.iter().map(|word| c_string("argument", word)).collect::<Result<_, _>>()?;
        let env = sandbox.env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?;
        Ok(Self {
            programs: programs(sandbox, program)?,
            argv: Strings::new(argv),
            env: Strings::new(env),
            filters: filters(sandbox)?,
            capabilities: sandbox.capabilities.set(),
            user: sandbox.user,
            no_new_privileges: sandbox.no_new_privileges,
            keep_session: sandbox.keep_session,
            keep_limits: sandbox.keep_limits,
            ignored: if sandbox.grace.is_some() { signals::ignored_ends() } else { Vec::new() },
        })
    }
}

fn filters(sandbox: &Sandbox) -> Result<Vec<Vec<Instruction>>, Error> {
    let mut filters = Vec::new();
    if sandbox.deferred_fsync {
        filters.push(seccomp::deferred_fsync());
    }
    if let Some(profile) = &sandbox.seccomp {
        let system = rustix::system::uname();
        let architecture = match system.machine().to_bytes() {
            b"aarch64" => "arm64",
            b"riscv64" => "riscv64",
            _ => "amd64",
        };
        let kernel = version(&system.release().to_string_lossy());
        let capabilities = sandbox.capabilities.set();
        filters.push(profile.compile(Surroundings { capabilities, architecture, kernel })?);
    }
    Ok(filters)
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, Error> {
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return Err(Error::Plan { what: format!("{name:?} is not a name of a variable") });
    }
    let mut both = name.to_os_string();
    both.push("=");
    both.push(value);
    c_string("variable", both)
}

/// The places where `program` may be: itself if it names a path, else one per directory of `PATH`.
fn programs(sandbox: &Sandbox, program: &OsStr) -> Result<Vec<CString>, Error> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string("program", program)?]);
    }
    let path = sandbox.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| c_string("program", directory.join(program)))
        .collect()
}
