//! Keys and signatures made by GnuPG, the tool that archives sign with.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A GnuPG home of its own.
pub(crate) struct Gpg {
    home: TempDir,
}

impl Gpg {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::Builder::new().prefix("gpg").tempdir().unwrap() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs gpg, which must succeed, with `input`.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.try_run("gpg", arguments, input);
        assert!(
            output.status.success(),
            "gpg {arguments:?}: {} (the Debian package `gnupg` is needed)",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub(crate) fn try_run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.home()).env("LC_ALL", "C").args(["--quiet"]);
        if program == "gpg" {
            command.args(["--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]);
            command.args(["--trust-model", "always"]);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the Debian packages `gnupg` and `gpgv` are needed");
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Makes a key; `kind` as gpg's `--quick-generate-key` knows it.
    pub(crate) fn make_key(&self, name: &str, kind: &str, more: &[&str]) {
        let mut arguments = more.to_vec();
        arguments.extend(["--quick-generate-key", name, kind, "sign", "never"]);
        self.run(&arguments, b"");
    }

    /// Clear-signs a text.
    pub(crate) fn sign(&self, name: &str, text: &str, more: &[&str]) -> Vec<u8> {
        let mut arguments = vec!["--local-user", name];
        arguments.extend(more);
        arguments.push("--clear-sign");
        self.run(&arguments, text.as_bytes())
    }

    pub(crate) fn export(&self, name: &str) -> Vec<u8> {
        self.run(&["--export", name], b"")
    }

    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys", name], b"")).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // gpg leaves an agent behind for each home.
        let _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).status();
    }
}

/// One key that signs the archives of all tests: its keyring, and a function that signs.
pub(crate) struct Signer {
    pub(crate) keyring: Vec<u8>,
    seckey: Vec<u8>,
}

/// The signer. Its home is gone before a test begins (statics are not dropped, and its agent would stay), so the secret
/// key is kept, and each signature has a home of its own.
pub(crate) fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let gpg = Gpg::new();
        gpg.make_key("archive", "ed25519", &["--faked-system-time", "20200101T000000!"]);
        Signer { keyring: gpg.export("archive"), seckey: gpg.run(&["--export-secret-keys", "archive"], b"") }
    })
}

impl Signer {
    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        let gpg = Gpg::new();
        gpg.run(&["--import"], &self.seckey);
        gpg.sign("archive", text, &[])
    }
}
