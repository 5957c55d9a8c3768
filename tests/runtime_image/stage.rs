//! Containers of an image, by umoci and runc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{output, run, tool};

/// An image, unpacked by umoci.
pub(crate) struct Unpacked {
    folder: TempDir,
}

impl Unpacked {
    pub(crate) fn new(layout: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let image = format!("{}:latest", layout.display());
        let bundle = folder.path().join("bundle");
        run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
        Self { folder }
    }

    /// A path inside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("bundle/rootfs").join(inside.trim_start_matches('/'))
    }

    /// What umoci makes of the image's settings.
    fn config(&self) -> Value {
        let text = fs::read(self.folder.path().join("bundle/config.json")).expect("umoci's configuration");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// What a container may do and has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings<'a> {
    /// All rights of the machine's root.
    pub(crate) privileged: bool,
    /// A folder at `/opt/ovmlayer`.
    pub(crate) volume: Option<&'a Path>,
    /// The root cannot be written.
    pub(crate) read_only: bool,
    /// More folders of the machine, each with its place.
    pub(crate) binds: &'a [(&'a Path, &'a str)],
}

/// A container, with the root that it keeps from one start to the next.
pub(crate) struct Container {
    folder: TempDir,
    config: Value,
}

impl Container {
    pub(crate) fn new(image: &Unpacked) -> Self {
        let folder = tempfile::Builder::new().prefix("runtimeimage").tempdir().expect("a folder");
        for name in ["upper", "work", "rootfs"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let options = format!(
            "lowerdir={},upperdir={1}/upper,workdir={1}/work",
            image.path("").display(),
            folder.path().display()
        );
        let mut mount = Command::new(tool("mount"));
        run(mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(folder.path().join("rootfs")));
        Self { folder, config: image.config() }
    }

    /// A path in its root.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(inside.trim_start_matches('/'))
    }

    /// A start of it: a command behind the image's entrypoint.
    pub(crate) fn command(&self, settings: Settings<'_>, command: &[&str]) -> Command {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bundle = self.folder.path().join(format!("bundle{number}"));
        fs::create_dir(&bundle).expect("a bundle");
        let config = self.start_config(settings, command).to_string();
        fs::write(bundle.join("config.json"), config).expect("a configuration");
        let mut runc = Command::new(tool("runc"));
        runc.arg("--root").arg(self.folder.path().join("state")).args(["run", "--bundle"]);
        runc.arg(bundle).arg(format!("ovmruntime{}x{number}", std::process::id())).stdin(Stdio::null());
        runc
    }

    /// Starts it, whatever comes of it.
    pub(crate) fn start(&self, settings: Settings<'_>, command: &[&str]) -> Output {
        output(&mut self.command(settings, command))
    }

    /// Starts a script, which must succeed, and gives what it printed on stdout and stderr.
    pub(crate) fn script(&self, settings: Settings<'_>, script: &str) -> (String, String) {
        succeeded(script, &self.start(settings, &["/bin/sh", "-ec", script]))
    }

    fn start_config(&self, settings: Settings<'_>, command: &[&str]) -> Value {
        let process = &self.config["process"];
        let arguments = process["args"].as_array().expect("arguments");
        let end = arguments.iter().position(|word| word == "--").expect("an entrypoint that ends with `--`");
        let command = arguments[..=end].iter().cloned().chain(command.iter().map(|word| json!(word)));
        let rights = capabilities(settings.privileged);
        let bind = |source: &Path, target: &str, options: &[&str]| json!({"destination": target, "type": "bind", "source": source, "options": options});
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}),
            json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777"]}),
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["mode=1777"]}),
            bind(Path::new("/sys"), "/sys", &["rbind", "ro"]),
        ];
        mounts.extend(settings.volume.map(|volume| bind(volume, "/opt/ovmlayer", &["rbind", "rw"])));
        mounts.extend(settings.binds.iter().map(|(source, target)| bind(source, target, &["rbind", "ro"])));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0},
                "args": command.collect::<Vec<_>>(),
                "env": process["env"],
                "cwd": process["cwd"],
                "capabilities": {"bounding": rights, "effective": rights, "permitted": rights},
            },
            "root": {"path": self.path(""), "readonly": settings.read_only},
            "mounts": mounts,
            "linux": {"namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
            ]},
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = output(Command::new(tool("umount")).arg("--lazy").arg(self.folder.path().join("rootfs")));
    }
}

/// What a start printed that must have succeeded.
pub(crate) fn succeeded(what: &str, result: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&result.stdout), text(&result.stderr));
    assert!(result.status.success(), "{what}:\n{out}{errors}");
    (out, errors)
}

/// What container engines give by default, and all that this process has.
fn capabilities(all: bool) -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let own = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("capabilities").trim();
    let own = u64::from_str_radix(own, 16).expect("a number");
    let allowed = |number: &usize| all || DEFAULT.contains(&NAMES[*number]);
    let numbers = (0..NAMES.len()).filter(|number| own & (1 << number) != 0);
    numbers.filter(allowed).map(|number| NAMES[number]).collect()
}

const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// By their numbers (capabilities(7)).
const NAMES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
];
