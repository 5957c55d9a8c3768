//! Programs of the machine that tests lean on, and the Debian packages they come from.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Which Debian package brings a program.
const PACKAGES: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("busybox", "busybox-static"),
    ("cp", "coreutils"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("dpkg-deb", "dpkg"),
    ("dpkg-query", "dpkg"),
    ("gpg", "gnupg"),
    ("gpgconf", "gnupg"),
    ("htpasswd", "apache2-utils"),
    ("ldd", "libc-bin"),
    ("mkfifo", "coreutils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("newuidmap", "uidmap"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("perl", "perl-base"),
    ("python3", "python3"),
    ("runc", "runc"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("sha256sum", "coreutils"),
    ("skopeo", "skopeo"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
    ("timeout", "coreutils"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
    ("useradd", "passwd"),
    ("userdel", "passwd"),
    ("usermod", "passwd"),
];

/// The path of a program, looked up in `PATH` and in the folders of system programs.
///
/// # Panics
/// When the program is not there; the message names the Debian package that brings it.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .filter(|folder| !folder.is_empty())
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| {
        let package =
            PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
        panic!(
            "this test needs `{name}`: install it with `apt-get install {package}`, or run `cargo xtask test`"
        )
    })
}

/// Runs a command to its end and gives its status and output.
///
/// # Panics
/// When the command cannot be started.
#[must_use]
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// Runs a command that must succeed and gives its standard output.
///
/// # Panics
/// When the command cannot be started or fails; the message carries both of its outputs.
pub fn run(command: &mut Command) -> Vec<u8> {
    let result = output(command);
    assert!(
        result.status.success(),
        "{command:?} failed with {}:\n{}{}",
        result.status,
        String::from_utf8_lossy(&result.stdout),
        String::from_utf8_lossy(&result.stderr)
    );
    result.stdout
}

/// A program among the validators of documents, which `cargo xtask test` sets up beside the build results.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn validator(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let places = test.ancestors().map(|folder| folder.join("test-tools/documents/bin").join(name));
    places.into_iter().find(|place| place.exists()).unwrap_or_else(|| {
        panic!("this test needs `{name}` of the validators of documents: run `cargo xtask test`, which sets them up")
    })
}
