//! Running programs of another architecture, by an interpreter that the kernel starts for them (binfmt_misc).
//!
//! Since Linux 6.7 every user namespace can have a table of its own, so nothing on the machine changes and nothing
//! on the machine matters: as soon as our namespace has its table, the kernel no longer looks at the machine's. On
//! older kernels the machine's registration is used, if there is one that works inside a root.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::architecture::{Architecture, Magic};
use crate::{Error, IdMap};

/// Where the machine's own table is.
const MACHINE_TABLE: &str = "/proc/sys/fs/binfmt_misc";

/// How programs of an architecture can be run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// By the processor.
    Native,
    /// By an interpreter that is registered in our own namespace with [`register`].
    OwnNamespace,
    /// By the interpreter that the machine has registered.
    MachineRegistration {
        /// Path of the interpreter; the kernel holds the file open, so it need not exist in a root.
        interpreter: String,
        /// The registration's flags.
        flags: String,
    },
    /// Not at all.
    None {
        /// Why not.
        reason: String,
        /// The one thing to do about it.
        remedy: String,
    },
}

impl Support {
    /// The error that says why programs of `architecture` cannot be run, if that is so.
    pub fn required(self, architecture: Architecture) -> Result<Self, Error> {
        match self {
            Self::None { reason, remedy } => {
                Err(Error::Foreign { architecture: architecture.name(), reason, remedy })
            }
            other => Ok(other),
        }
    }
}

/// How programs of `architecture` can be run, in the namespace entered with `ids`.
///
/// To find out, the namespace's own table is made, where that is possible; from then on the machine's
/// registrations no longer hold in it.
#[must_use]
pub fn support(architecture: Architecture, ids: &IdMap) -> Support {
    if architecture.is_native() {
        return Support::Native;
    }
    let own = if ids.is_own() { table().map(drop) } else { Err(Errno::PERM) };
    match own {
        Ok(()) => Support::OwnNamespace,
        Err(errno) => machine_registration(architecture, errno),
    }
}

fn machine_registration(architecture: Architecture, errno: Errno) -> Support {
    let registrations = fs::read_dir(MACHINE_TABLE).into_iter().flatten().flatten();
    let found = registrations
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter_map(|text| Registered::parse(&text))
        .find(|registered| registered.enabled && registered.matches(&architecture.magic()));
    match found {
        Some(Registered { interpreter, flags, .. }) if flags.contains('F') => {
            Support::MachineRegistration { interpreter, flags }
        }
        Some(Registered { interpreter, flags, .. }) => Support::None {
            reason: format!("the machine's registration of {interpreter} has flags `{flags}` but needs `F`"),
            remedy: "install the package `qemu-user-static`".into(),
        },
        None => Support::None {
            reason: format!(
                "the kernel has no binfmt_misc for user namespaces ({}; Linux 6.7 has it) and the machine has \
                 no registration",
                io::Error::from(errno)
            ),
            remedy: "install the package `qemu-user-static`, or use a newer kernel".into(),
        },
    }
}

/// A registration of an interpreter in our own namespace. It lasts until it is dropped; programs that are running
/// then go on.
#[derive(Debug)]
pub struct Registration {
    /// The table; it exists for as long as something holds it, and it is mounted nowhere.
    table: OwnedFd,
    name: String,
}

/// Registers `interpreter`, an open, static `qemu-user` for `architecture`, in the user namespace of our own.
///
/// The kernel keeps the file open (flag `F`), so it need not be visible in a root, nor stay on the disk. The
/// program's own first argument is preserved (`P`), and set-user-id bits count as they would natively (`C`, `O`).
pub fn register(
    architecture: Architecture,
    interpreter: BorrowedFd<'_>,
    ids: &IdMap,
) -> Result<Registration, Error> {
    let fail = |reason: String, remedy: &str| Error::Foreign {
        architecture: architecture.name(),
        reason,
        remedy: remedy.into(),
    };
    if !ids.is_own() {
        let reason = "this process has no user namespace of its own".into();
        return Err(fail(reason, "run it where user namespaces can be created"));
    }
    let kernel = |errno: Errno| {
        let reason =
            format!("the kernel has no binfmt_misc for user namespaces ({})", io::Error::from(errno));
        fail(reason, "use Linux 6.7 or newer with `CONFIG_BINFMT_MISC`")
    };
    let table = table().map_err(kernel)?;
    let registration = Registration { table, name: format!("qemu-{}", architecture.qemu_name()) };
    // Another registration by this process may be in the way; the newest wins.
    registration.remove();
    let line = line(&registration.name, &architecture.magic(), interpreter);
    write(registration.table.as_fd(), "register", line.as_bytes()).map_err(|errno| {
        let reason = format!("the kernel refused the interpreter: {}", io::Error::from(errno));
        fail(reason, "use a static `qemu-user` on a file system that is not mounted `noexec`")
    })?;
    Ok(registration)
}

impl Registration {
    fn remove(&self) {
        // There may be none; and if the namespace is about to end, the table ends with it.
        let _ = write(self.table.as_fd(), &self.name, b"-1");
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Our namespace's table, which is made when first asked for. Before Linux 6.7, permission is denied.
fn table() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(c"binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn write(table: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<(), Errno> {
    let file = rustix::fs::openat(table, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes).map(drop)
}

/// `:name:M:offset:magic:mask:interpreter:flags`
fn line(name: &str, magic: &Magic, interpreter: BorrowedFd<'_>) -> String {
    let escaped = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
            text
        })
    };
    let (value, mask) = (escaped(&magic.value), escaped(&magic.mask));
    format!(":{name}:M::{value}:{mask}:/proc/self/fd/{}:OCPF", interpreter.as_raw_fd())
}

/// An entry of the machine's table, as the kernel prints it.
#[derive(Debug, PartialEq, Eq)]
struct Registered {
    enabled: bool,
    interpreter: String,
    flags: String,
    offset: u32,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Registered {
    /// Reads an entry; `None` for those that go by file name, and for the files `status` and `register`.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let magic = unhex(field("magic ")?)?;
        let mask = match field("mask ") {
            Some(mask) => unhex(mask)?,
            None => vec![0xff; magic.len()],
        };
        Some(Self {
            enabled: text.lines().next() == Some("enabled"),
            interpreter: field("interpreter ")?.to_owned(),
            flags: field("flags:")?.to_owned(),
            offset: field("offset ")?.parse().ok()?,
            magic,
            mask,
        })
    }

    /// Whether it takes programs that begin so.
    fn matches(&self, program: &Magic) -> bool {
        self.offset == 0
            && self.magic.len() <= program.value.len()
            && self.magic.len() == self.mask.len()
            && self.magic.iter().zip(&self.mask).zip(program.value).all(|((m, k), p)| m & k == p & k)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| <[u32; 2]>::try_from(pair).ok()).map(|pair| pair.map(byte)).collect()
}

fn byte([high, low]: [u32; 2]) -> u8 {
    u8::try_from(high << 4 | low).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn entries_of_the_machine_are_read() {
        let entry = Registered::parse(ENTRY).unwrap();
        assert_eq!((entry.enabled, entry.flags.as_str()), (true, "POF"));
        assert_eq!(entry.interpreter, "/usr/libexec/qemu-binfmt/aarch64-binfmt-P");
        for architecture in Architecture::ALL {
            let expected = architecture == Architecture::Arm64;
            assert_eq!(entry.matches(&architecture.magic()), expected, "{architecture}");
        }
        let tests = [
            ("another file of the folder", "enabled\n"),
            ("by file name", "enabled\ninterpreter /x\nflags: \nextension .exe\n"),
            ("odd number of digits", "enabled\ninterpreter /x\nflags: \noffset 0\nmagic 7f4\n"),
            ("no hexadecimal", "enabled\ninterpreter /x\nflags: \noffset 0\nmagic zz\n"),
        ];
        for (summary, text) in tests {
            assert_eq!(Registered::parse(text), None, "{summary}");
        }
    }

    #[test]
    fn a_disabled_entry_is_seen_as_such() {
        let entry = Registered::parse(&ENTRY.replacen("enabled", "disabled", 1)).unwrap();
        assert!(!entry.enabled);
    }
}
