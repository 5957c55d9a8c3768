//! Roots in which the real pip and npm install from the registries that this machine's pip and npm use.

use std::fs;
use std::path::PathBuf;

use crate::rootfs::{Network, Rootfs};

/// A recipe of a root with Python, Node.js, pip and npm of Debian, `{arch}-native.tar`.
pub const PIP_AND_NPM: &str = r#"format = 1
kind = "rootfs"
description = "Python, Node.js, pip and npm"
architectures = ["amd64", "arm64"]
output = "{arch}-native.tar"
distro = "debian"
[[steps]]
packages = ["python3", "python3-pip", "nodejs", "npm"]
[[steps]]
run = { script = "rm /usr/lib/python3*/EXTERNALLY-MANAGED" }
"#;

impl Rootfs {
    /// Gives the root what this machine's pip and npm are told about their registries.
    ///
    /// # Panics
    /// When a file cannot be copied.
    pub fn know_registries(&self) {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for (from, to) in [
            (PathBuf::from("/etc/pip.conf"), "etc/pip.conf"),
            (PathBuf::from("/etc/ssl/certs/ca-certificates.crt"), "etc/ssl/certs/ca-certificates.crt"),
            (home.join(".config/pip/pip.conf"), "root/.config/pip/pip.conf"),
            (home.join(".npmrc"), "root/.npmrc"),
        ] {
            if from.is_file() {
                let to = self.path().join(to);
                fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
                fs::copy(from, to).expect("a copy");
            }
        }
    }

    /// Runs a script of the shell in the root, with the network and what this machine says of proxies and indexes.
    ///
    /// # Panics
    /// When it fails; the message carries both of its outputs.
    pub fn install_by(&self, script: &str) {
        let is_meant = |name: &str| {
            name.to_lowercase().ends_with("_proxy") || matches!(name, "PIP_INDEX_URL" | "PIP_EXTRA_INDEX_URL")
        };
        let variables = std::env::vars().filter(|(name, _)| is_meant(name));
        let exports: String = variables.map(|(name, value)| format!("export {name}='{value}'; ")).collect();
        let result = self.runc(Network::Host, &["/bin/sh", "-ec", &format!("{exports}{script}")]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(result.status.success(), "{script}\n{}{}", text(&result.stdout), text(&result.stderr));
    }
}
