//! A finished root filesystem in which a test runs commands.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tool::{output, run, tool};

/// What a command in a root can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing: a network of its own.
    None,
    /// What the machine reaches, names included.
    Host,
}

/// A tar unpacked into a temporary folder, as root.
#[derive(Debug)]
pub struct Rootfs {
    folder: TempDir,
}

impl Rootfs {
    /// Unpacks a tar with its owners, modes and xattrs, by GNU tar.
    ///
    /// # Panics
    /// When this process is not root or the tar cannot be unpacked.
    #[must_use]
    pub fn extract(tar: &Path) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test unpacks a root with its owners: run it as root"
        );
        let folder =
            tempfile::Builder::new().prefix("rootfs").tempdir().expect("temporary folder for a root");
        let rootfs = Self { folder };
        fs::create_dir(rootfs.path()).expect("folder of a root");
        unpack(tar, &rootfs.path());
        rootfs
    }

    /// Packs the root into a tar with owners by number and xattrs, by GNU tar.
    ///
    /// # Panics
    /// When it cannot be packed.
    pub fn pack(&self, tar: &Path) {
        let options =
            ["--create", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"];
        run(Command::new(tool("tar")).args(options).arg(tar).arg("--directory").arg(self.path()).arg("."));
    }

    /// Where the root lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// A command beneath the root by plain `chroot`, without `/proc` and `/dev`.
    #[must_use]
    pub fn chroot(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(tool("chroot"));
        command.arg(self.path()).arg(program).env_clear().env("PATH", PATH).env("HOME", "/root");
        command
    }

    /// Runs a command in a container by `runc run`.
    ///
    /// # Panics
    /// When `runc` cannot be started; a command that fails is seen in the result.
    #[must_use]
    pub fn runc(&self, network: Network, command: &[&str]) -> Output {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let config = config(network, command).to_string();
        fs::write(self.folder.path().join("config.json"), config).expect("config.json of a bundle");
        let name = format!("ovmtest{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut runc = Command::new(tool("runc"));
        runc.arg("--root").arg(self.folder.path().join("state")).args(["run", "--bundle"]);
        output(runc.arg(self.folder.path()).arg(name))
    }
}

/// Unpacks a tar into a folder with its owners, modes and xattrs, by GNU tar.
pub(crate) fn unpack(tar: &Path, folder: &Path) {
    let options =
        ["--extract", "--numeric-owner", "--same-permissions", "--xattrs", "--xattrs-include=*", "--file"];
    run(Command::new(tool("tar")).args(options).arg(tar).arg("--directory").arg(folder));
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What apt and maintainer scripts need: the set that container engines give by default, and no more.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A bundle's `config.json` (OCI runtime specification 1.0). No limits on resources: a container that runs the tests
/// may not be allowed to raise them.
fn config(network: Network, command: &[&str]) -> Value {
    let mut namespaces = vec![
        json!({"type": "pid"}),
        json!({"type": "ipc"}),
        json!({"type": "uts"}),
        json!({"type": "mount"}),
    ];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]}),
    ];
    match network {
        Network::None => namespaces.push(json!({"type": "network"})),
        Network::Host => mounts.extend(["/etc/resolv.conf", "/etc/hosts"].map(
            |path| json!({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}),
        )),
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": command,
            "env": [format!("PATH={PATH}"), "HOME=/root", "DEBIAN_FRONTEND=noninteractive"],
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "rootfs",
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    })
}
