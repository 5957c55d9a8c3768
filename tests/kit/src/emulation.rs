//! The machine's own emulation of the other architecture, for programs that cannot bring theirs.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// How the kernel knows programs of the other architecture: name, interpreter, and the head of an ELF file that the
/// kernel's documentation of binfmt_misc calls magic: here its last part, the type of machine.
const FOREIGN: (&str, &str, &str) = if cfg!(target_arch = "x86_64") {
    ("qemu-aarch64", "/usr/bin/qemu-aarch64-static", "\\xb7\\x00")
} else {
    ("qemu-x86_64", "/usr/bin/qemu-x86_64-static", "\\x3e\\x00")
};

/// The machine's table of interpreters, with or without one for the other architecture, until the value is dropped:
/// then it is as it was. Holders of all processes wait for each other; what a killed one left is restored by the next.
///
/// Only root can change the table.
#[derive(Debug)]
pub struct MachineEmulation {
    mounted: bool,
    /// What is written to which entry at the end.
    restore: Option<(PathBuf, &'static str)>,
    /// Held while the table is changed; it says how to restore it.
    lock: File,
}

impl MachineEmulation {
    /// Programs of the other architecture run on this machine, in any root.
    ///
    /// # Panics
    /// When the kernel refuses the registration or qemu's static emulator is not there.
    #[must_use]
    pub fn present() -> Self {
        let (name, interpreter, machine) = FOREIGN;
        assert!(
            Path::new(interpreter).exists(),
            "this needs {interpreter}: install it with `apt-get install qemu-user-static`, or run `cargo xtask test`"
        );
        let mut emulation = Self::open();
        let entry = Path::new(FOLDER).join(name);
        if entry.exists() {
            return emulation;
        }
        let magic = format!("\\x7fELF\\x02\\x01\\x01{}\\x02\\x00{machine}", "\\x00".repeat(9));
        // The system interface byte may be anything, and the type may be 2 or 3: fixed or position-independent.
        let mask = format!("{}\\x00{}\\xfe\\xff\\xff\\xff", "\\xff".repeat(7), "\\xff".repeat(8));
        // `O` and `C` open the program with its own rights, `F` opens the interpreter now, so that it works in any root.
        let rule = format!(":{name}:M:0:{magic}:{mask}:{interpreter}:OCF");
        fs::write(Path::new(FOLDER).join("register"), rule)
            .unwrap_or_else(|error| panic!("cannot register {name} with the kernel: {error}"));
        emulation.restore_later(entry, "-1");
        emulation
    }

    /// Programs of the other architecture do not run on this machine.
    ///
    /// # Panics
    /// When a registration that is there cannot be switched off.
    #[must_use]
    pub fn absent() -> Self {
        let mut emulation = Self::open();
        let entry = Path::new(FOLDER).join(FOREIGN.0);
        let text = fs::read_to_string(&entry).unwrap_or_default();
        if text.starts_with("enabled") {
            fs::write(&entry, "0").unwrap_or_else(|error| panic!("cannot switch {entry:?} off: {error}"));
            emulation.restore_later(entry, "1");
        }
        emulation
    }

    /// The command that restores the table when the process that holds this was killed.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        self.restore.as_ref().map(|(entry, text)| format!("echo {text} > {}", entry.display()))
    }

    fn open() -> Self {
        let path = std::env::temp_dir().join("ovmtest-binfmt.lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .unwrap_or_else(|error| panic!("cannot open {path:?}: {error}"));
        lock.lock().unwrap_or_else(|error| panic!("cannot lock {path:?}: {error}"));
        let mounted = !Path::new(FOLDER).join("register").exists();
        if mounted {
            mount("binfmt_misc", FOLDER, "binfmt_misc", MountFlags::empty(), c"")
                .unwrap_or_else(|error| panic!("cannot mount {FOLDER}, which only root can: {error}"));
        }
        let mut left = String::new();
        lock.read_to_string(&mut left).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
        if let Some((text, entry)) = left.split_once(' ') {
            // The entry may be gone by now.
            let _ = fs::write(Path::new(FOLDER).join(entry), text);
        }
        lock.set_len(0).unwrap_or_else(|error| panic!("cannot empty {path:?}: {error}"));
        Self { mounted, restore: None, lock }
    }

    fn restore_later(&mut self, entry: PathBuf, text: &'static str) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        self.lock
            .write_all_at(format!("{text} {name}").as_bytes(), 0)
            .unwrap_or_else(|error| panic!("cannot note how to restore {entry:?}: {error}"));
        self.restore = Some((entry, text));
    }
}

impl Drop for MachineEmulation {
    fn drop(&mut self) {
        // A drop must not panic during another panic; what could not be restored is seen by the next test that looks.
        if let Some((entry, text)) = &self.restore {
            let _ = fs::write(entry, text).and_then(|()| self.lock.set_len(0));
        }
        if self.mounted {
            let _ = unmount(FOLDER, UnmountFlags::empty());
        }
    }
}
