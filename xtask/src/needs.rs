//! What the tests need of the machine, and the Debian packages that bring it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{python, step};

/// How one sees that a package is there. Programs may have come another way than from the package.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Program(&'static str),
    File(&'static str),
    PythonModule(&'static str),
}

const TESTS: &[(Sign, &str)] = &[
    (Sign::Program("bsdtar"), "libarchive-tools"),
    (Sign::Program("buildah"), "buildah"),
    (Sign::Program("cc"), "build-essential"),
    (Sign::Program("chromium"), "chromium"),
    (Sign::Program("docker-registry"), "docker-registry"),
    (Sign::Program("dpkg-deb"), "dpkg"),
    (Sign::Program("fish"), "fish"),
    (Sign::Program("git"), "git"),
    (Sign::Program("gpg"), "gnupg"),
    (Sign::Program("htpasswd"), "apache2-utils"),
    (Sign::Program("jq"), "jq"),
    (Sign::Program("mkfs.ext4"), "e2fsprogs"),
    (Sign::Program("mmdebstrap"), "mmdebstrap"),
    (Sign::Program("mosquitto"), "mosquitto"),
    (Sign::Program("newuidmap"), "uidmap"),
    (Sign::Program("node"), "nodejs"),
    (Sign::Program("npm"), "npm"),
    (Sign::Program("openssl"), "openssl"),
    (Sign::Program("python3"), "python3"),
    (Sign::Program("qemu-aarch64-static"), "qemu-user-static"),
    (Sign::Program("runc"), "runc"),
    (Sign::Program("script"), "bsdutils"),
    (Sign::Program("timeout"), "coreutils"),
    (Sign::Program("setpriv"), "util-linux"),
    (Sign::Program("shellcheck"), "shellcheck"),
    (Sign::Program("skopeo"), "skopeo"),
    (Sign::Program("umoci"), "umoci"),
    (Sign::Program("useradd"), "passwd"),
    (Sign::Program("xz"), "xz-utils"),
    (Sign::Program("zsh"), "zsh"),
    (Sign::Program("zstd"), "zstd"),
    (Sign::File("/bin/busybox"), "busybox-static"),
    (Sign::File("/etc/ssl/certs/ca-certificates.crt"), "ca-certificates"),
    (Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg"), "debian-archive-keyring"),
    (Sign::PythonModule("ensurepip"), "python3-venv"),
];

const BENCHES: &[(Sign, &str)] = &[
    (Sign::Program("arch-test"), "arch-test"),
    (Sign::Program("bwrap"), "bubblewrap"),
    (Sign::Program("debootstrap"), "debootstrap"),
    (Sign::Program("umoci"), "umoci"),
];

/// Makes sure that everything the tests need is there.
pub(crate) fn for_tests() -> Result<(), String> {
    provide(TESTS)?;
    python::validators()
}

/// Makes sure that everything the benchmarks need is there.
pub(crate) fn for_benches() -> Result<(), String> {
    provide(&[TESTS, BENCHES].concat())
}

/// Installs what is missing when that is allowed, and says how to do it when it is not.
fn provide(needs: &[(Sign, &'static str)]) -> Result<(), String> {
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    let line = format!("apt-get {} {}", install.join(" "), packages.join(" "));
    if !rustix::process::geteuid().is_root() || !has_program("apt-get") {
        return Err(format!("these Debian packages are missing; install them and run this again:\n  {line}"));
    }
    step::run(&mut apt(&["update"]))?;
    step::run(apt(&install).args(&packages))?;
    match missing(needs) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("`{line}` did not bring what was expected of {}", left.join(", "))),
    }
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["--quiet", "-o", "Acquire::Retries=3"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn missing(needs: &[(Sign, &'static str)]) -> Vec<&'static str> {
    let packages: BTreeSet<&str> =
        needs.iter().filter(|(sign, _)| !is_there(*sign)).map(|(_, name)| *name).collect();
    packages.into_iter().collect()
}

fn is_there(sign: Sign) -> bool {
    match sign {
        Sign::Program(name) => has_program(name),
        Sign::File(path) => Path::new(path).exists(),
        Sign::PythonModule(name) => {
            let mut python = Command::new("python3");
            python.args(["-c", &format!("import {name}")]).stdout(Stdio::null()).stderr(Stdio::null());
            python.status().is_ok_and(|status| status.success())
        }
    }
}

/// Whether a program is in `PATH` or among the system programs, which ordinary users seldom have there.
fn has_program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| Path::new(folder).join(name).is_file())
}
