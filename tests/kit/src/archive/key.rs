//! Throw-away OpenPGP keys.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tool::{run, tool};

/// An OpenPGP key pair that lives as long as the value.
///
/// It is made and used by `gpg` in a home of its own, so neither the user's keys nor their agent are touched.
#[derive(Debug)]
pub struct SigningKey {
    home: TempDir,
}

impl SigningKey {
    /// An Ed25519 key that does not expire.
    #[must_use]
    pub fn generate() -> Self {
        Self::with("ed25519", "never", None)
    }

    /// An RSA key of `bits` bits, as the distributions use (4096) or no longer should (1024).
    #[must_use]
    pub fn generate_rsa(bits: u32) -> Self {
        Self::with(&format!("rsa{bits}"), "never", None)
    }

    /// A key that was made in 2020 for a year.
    #[must_use]
    pub fn generate_expired() -> Self {
        Self::with("ed25519", "1y", Some("20200101T000000"))
    }

    fn with(algorithm: &str, expires: &str, time: Option<&str>) -> Self {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("gpg").permissions(private).tempdir();
        let home = home.expect("temporary folder for gpg");
        let key = Self { home };
        let mut command = key.gpg();
        command.args(time.iter().flat_map(|time| ["--faked-system-time", time]));
        command.args(["--passphrase", "", "--quick-generate-key", "Test archive <archive@example.org>"]);
        run(command.args([algorithm, "sign", expires]));
        key
    }

    /// The public key, as it lies in a `.gpg` keyring.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        run(self.gpg().arg("--export"))
    }

    /// The public key, ASCII-armoured, as it lies in an `.asc` file.
    #[must_use]
    pub fn public_armored(&self) -> Vec<u8> {
        run(self.gpg().args(["--armor", "--export"]))
    }

    /// Writes the public key to a file, armoured when its name ends in `.asc`.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write_public(&self, path: &Path) {
        let armored = path.extension().is_some_and(|extension| extension == "asc");
        let key = if armored { self.public_armored() } else { self.public() };
        crate::archive::put(path, &key);
    }

    /// `text` in the clear-signed form of an `InRelease` file.
    #[must_use]
    pub fn clear_sign(&self, text: &[u8]) -> Vec<u8> {
        self.sign(text, &["--clear-sign"])
    }

    /// A detached, armoured signature, as in `Release.gpg`.
    #[must_use]
    pub fn detach_sign(&self, text: &[u8]) -> Vec<u8> {
        self.sign(text, &["--armor", "--detach-sign"])
    }

    /// What `gpg` makes of `text` with these options, for signatures that must be refused: an outdated digest
    /// (`--digest-algo SHA1`), another time (`--faked-system-time`).
    ///
    /// # Panics
    /// When `gpg` fails.
    #[must_use]
    pub fn sign(&self, text: &[u8], options: &[&str]) -> Vec<u8> {
        let mut child = self
            .gpg()
            .args(["--passphrase", ""])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gpg starts");
        child
            .stdin
            .take()
            .expect("standard input was asked for")
            .write_all(text)
            .expect("gpg reads its input");
        let result = child.wait_with_output().expect("gpg ends");
        assert!(result.status.success(), "gpg {options:?} failed with {}", result.status);
        result.stdout
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new(tool("gpg"));
        command.env("GNUPGHOME", self.home.path());
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"]);
        command
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        // The agent of this home would otherwise outlive the test.
        let _ = Command::new(tool("gpgconf"))
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}
