//! Emulation for the peers, registered with the kernel for as long as it is needed and then taken back.
//!
//! Our program needs none of this: it registers emulation in a user namespace of its own.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{Error, report};

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// A registration that is taken back when the value is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    mounted: bool,
    name: Option<&'static str>,
}

/// How the kernel knows programs of the other architecture: name, interpreter, and the rule in the form of the
/// kernel's binfmt_misc documentation. The magic is the head of an ELF file: class, byte order, type, machine.
/// The flags: `O` and `C` open the program with its own rights, `F` opens the interpreter now, so that it works in any
/// root.
const FOREIGN: (&str, &str, &str) = if cfg!(target_arch = "x86_64") {
    ("qemu-aarch64", "/usr/bin/qemu-aarch64-static", "\\xb7\\x00")
} else {
    ("qemu-x86_64", "/usr/bin/qemu-x86_64-static", "\\x3e\\x00")
};

/// Makes programs of the other architecture run on this machine, unless they already do.
pub(super) fn register() -> Result<Registration, Error> {
    let (name, interpreter, machine) = FOREIGN;
    let mut registration = Registration { mounted: false, name: None };
    if !Path::new(FOLDER).join("register").exists() {
        mount("binfmt_misc", FOLDER, "binfmt_misc", MountFlags::empty(), c"")
            .map_err(|error| Error::io(format!("mount {FOLDER}"))(error.into()))?;
        registration.mounted = true;
    }
    if Path::new(FOLDER).join(name).exists() {
        return Ok(registration);
    }
    let magic = format!("\\x7fELF\\x02\\x01\\x01{}\\x02\\x00{machine}", "\\x00".repeat(9));
    // The system interface byte may be anything, and the type may be 2 or 3: fixed or position-independent.
    let mask = format!("{}\\x00{}\\xfe\\xff\\xff\\xff", "\\xff".repeat(7), "\\xff".repeat(8));
    let rule = format!(":{name}:M:0:{magic}:{mask}:{interpreter}:OCF");
    fs::write(Path::new(FOLDER).join("register"), rule).map_err(Error::io(format!("register {name}")))?;
    registration.name = Some(name);
    // A signal ends this program without taking anything back.
    report::line(&format!(
        "registered {name} with the kernel; after an interruption: echo -1 > {FOLDER}/{name}"
    ));
    Ok(registration)
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(name) = self.name
            && let Err(error) = fs::write(Path::new(FOLDER).join(name), "-1")
        {
            report::line(&format!("cannot take {name} back: {error}"));
        }
        if self.mounted
            && let Err(error) = unmount(FOLDER, UnmountFlags::empty())
        {
            report::line(&format!("cannot unmount {FOLDER}: {error}"));
        }
    }
}
