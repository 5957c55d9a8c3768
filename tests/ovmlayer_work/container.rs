//! A stand-in for a container with its volumes: a mount namespace in which some folders are its own and stay from one
//! start to the next.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use testkit::{base_rootfs, output, tool};

use crate::stage::{PROGRAM, text, well};
use crate::watch;

/// What every start does first: `$1` is the folder of the container, the program lies in sudo's own path.
const ENTER: &str = "set -e
for name in opt root srv; do mount --bind \"$1/$name\" /$name; done
mount --bind \"$1/bin\" /usr/local/bin
mount --bind \"$2\" /srv/rootfs
cd /root
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash \"$1/script\"
";

/// Folders `/opt`, `/root` and `/srv` of its own, `ovmlayer` in `/usr/local/bin`, the base root filesystem in
/// `/srv/rootfs` and as `/root/rootfs.tar`.
pub(crate) struct Container {
    folder: TempDir,
}

impl Container {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-container").tempdir().expect("a folder");
        for name in ["opt", "root", "srv/rootfs", "bin"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder of a container");
        }
        fs::copy(PROGRAM, folder.path().join("bin/ovmlayer")).expect("a copy of the program");
        let tar = folder.path().join("root/rootfs.tar");
        if let Err(error) = fs::hard_link(&base_rootfs().tar, &tar) {
            assert_eq!(error.kind(), ErrorKind::CrossesDevices, "{error}");
            fs::copy(&base_rootfs().tar, &tar).expect("a copy of the root filesystem");
        }
        Self { folder }
    }

    /// Where a path inside lies.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside.trim_start_matches('/'))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new start: its mounts are those of the machine, and none of an earlier start.
    pub(crate) fn start(&self, script: &str) -> Output {
        self.unshare(&[], script)
    }

    /// A new start with process numbers of its own, as containers have them.
    pub(crate) fn start_with_own_processes(&self, script: &str) -> Output {
        self.unshare(&["--pid", "--fork", "--mount-proc", "--kill-child"], script)
    }

    /// A start that must end well; gives its standard output.
    pub(crate) fn run(&self, script: &str) -> String {
        let result = self.start_with_own_processes(script);
        assert!(result.status.success(), "{}", text(&result.stderr));
        well(&result)
    }

    fn unshare(&self, more: &[&str], script: &str) -> Output {
        fs::write(self.folder().join("script"), script).expect("a script");
        let mut command = Command::new(tool("unshare"));
        command.args(["--mount", "--propagation", "private"]).args(more);
        command.arg("bash").args(["-c", ENTER, "bash"]).arg(self.folder()).arg(&base_rootfs().folder);
        output(command.stdin(Stdio::null()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            watch::end_processes_of(self.folder());
        }
    }
}
