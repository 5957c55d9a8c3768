//! A registry on the loopback interface: Debian's `docker-registry`, with accounts, TLS and tokens on request.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::tool::{run, tool};

/// A certificate that is an authority's would not be taken for a server's.
const CONFIG: &str = "[req]\ndistinguished_name = name\nx509_extensions = server\n[name]\n[server]\n\
                      basicConstraints = CA:FALSE\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n";

/// A certificate for `localhost` and 127.0.0.1 that signs itself, and its key.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Panics
    /// When `openssl` fails.
    #[must_use]
    pub fn generate() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("openssl.cnf");
        fs::write(&config, CONFIG).expect("a configuration");
        let mut command = Command::new(tool("openssl"));
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        command.arg("-config").arg(config).arg("-keyout").arg(folder.path().join("key.pem"));
        command.arg("-out").arg(folder.path().join("cert.pem")).stderr(Stdio::null());
        run(&mut command);
        Self { folder }
    }

    /// The certificate in PEM form.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The key in PEM form.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

/// How a registry is set up.
#[derive(Debug, Default)]
pub struct RegistrySetup<'a> {
    /// The only account, by user and password; everybody may do everything when there is none.
    pub account: Option<(&'a str, &'a str)>,
    /// What it speaks TLS with.
    pub certificate: Option<&'a Certificate>,
    /// Where tokens come from, and the certificate that they are signed with.
    pub tokens: Option<(&'a str, &'a Certificate)>,
}

/// A registry that lives as long as this value, on a port of its own.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: SocketAddr,
    log: Option<JoinHandle<()>>,
    /// What it holds goes with it.
    _folder: TempDir,
}

impl Registry {
    /// Starts an empty registry.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(setup: &RegistrySetup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.yml");
        fs::write(&config, configuration(folder.path(), setup)).expect("a configuration");
        let mut process = Command::new(tool("docker-registry"))
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is started");
        let mut lines = BufReader::new(process.stderr.take().expect("its log")).lines();
        let mut seen = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("docker-registry did not start:\n{seen}") };
            if let Some(address) = listening(&line) {
                break address;
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        // It must always find somebody who reads.
        let log = std::thread::spawn(move || lines.for_each(drop));
        Self { process, address, log: Some(log), _folder: folder }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A name for it in references: `127.0.0.1:PORT`.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

/// The address in the line of the log that tells it.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

fn configuration(folder: &Path, setup: &RegistrySetup<'_>) -> String {
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
         delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n  secret: one\n",
        folder.join("data").display()
    );
    if let Some(certificate) = setup.certificate {
        let (path, key) = (certificate.path(), certificate.key());
        text.push_str(&format!("  tls:\n    certificate: {}\n    key: {}\n", path.display(), key.display()));
    }
    if let Some((user, password)) = setup.account {
        let path = folder.join("htpasswd");
        let line = run(Command::new(tool("htpasswd")).args(["-Bbn", user, password]));
        fs::write(&path, line).expect("an account");
        text.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display()));
    }
    if let Some((realm, certificate)) = setup.tokens {
        text.push_str(&format!(
            "auth:\n  token:\n    realm: {realm}\n    service: registry\n    issuer: test\n    rootcertbundle: {}\n",
            certificate.path().display()
        ));
    }
    text
}
