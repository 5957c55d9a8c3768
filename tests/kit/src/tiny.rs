//! A whole site of packages made in memory: for tests of what goes wrong, in which a real root would only cost time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::archive::{ArchiveBuilder, Package, SigningKey, SuiteBuilder};
use crate::compression::Compression;
use crate::deb::DebBuilder;
use crate::server::Server;
use crate::tool::{output, tool};

/// The suite of a [`TinySite`].
const SUITE: &str = "tiny";

/// Programs that dpkg wants to find before it configures anything, and what simple scripts use.
const TOOLS: &[&str] = &[
    "dpkg",
    "dpkg-deb",
    "dpkg-divert",
    "dpkg-query",
    "dpkg-split",
    "dpkg-trigger",
    "sh",
    "cat",
    "diff",
    "ldconfig",
    "mkdir",
    "mv",
    "rm",
    "start-stop-daemon",
    "tar",
];

/// An archive laid out like Debian's, `debian` and `debian-security`, with the suites `tiny`, `tiny-updates` and
/// `tiny-security`, served on the loopback interface.
#[derive(Debug)]
pub struct TinySite<'k> {
    folder: TempDir,
    key: &'k SigningKey,
    server: Server,
}

impl<'k> TinySite<'k> {
    /// A site signed by `key` whose release holds `packages`; the other suites are empty.
    ///
    /// # Panics
    /// When it cannot be written or served.
    #[must_use]
    pub fn new(packages: impl IntoIterator<Item = Package>, key: &'k SigningKey) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a site");
        let server = Server::start(folder.path());
        let site = Self { folder, key, server };
        key.write_public(&site.path().join("key.gpg"));
        site.publish(SuiteBuilder::new(SUITE).component("main", packages));
        site.publish(SuiteBuilder::new("tiny-updates").component("main", []));
        let security = ArchiveBuilder::new().suite(SuiteBuilder::new("tiny-security").component("main", []));
        security.write(&site.path().join("debian-security"), key);
        site
    }

    /// Publishes another state of a suite of the main archive.
    pub fn publish(&self, suite: SuiteBuilder) {
        self.publish_signed(suite, self.key);
    }

    /// The same, signed by another key.
    pub fn publish_signed(&self, suite: SuiteBuilder, key: &SigningKey) {
        ArchiveBuilder::new().suite(suite).write(&self.path().join("debian"), key);
    }

    /// The folder that is served, with `debian`, `debian-security` and `key.gpg` in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The options by which a program builds from this site.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let url = self.server.url();
        [
            ("--distro", "debian".to_owned()),
            ("--suite", SUITE.to_owned()),
            ("--mirror", format!("{url}/debian")),
            ("--security-mirror", format!("{url}/debian-security")),
            ("--keyring", self.path().join("key.gpg").display().to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }

    /// A recipe for this site: what is essential there and `packages`, as `out.tar` for this machine's architecture.
    #[must_use]
    pub fn recipe(packages: &[&str]) -> String {
        let architecture = machine_architecture();
        format!(
            "format = 1\nkind = \"rootfs\"\ndescription = \"tiny\"\narchitectures = [\"{architecture}\"]\n\
             output = \"out.tar\"\nvariant = \"essential\"\n\n\
             [distros.debian]\nmirror = \"http://example.org/debian\"\n\
             security-mirror = \"http://example.org/debian-security\"\n\n[[steps]]\npackages = {packages:?}\n"
        )
    }
}

/// This machine's architecture, by Debian's name.
#[must_use]
pub fn machine_architecture() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }
}

/// An essential package with this machine's own dpkg, shell and a few more programs, and the libraries that they need:
/// enough of a root for dpkg to configure packages in.
///
/// # Panics
/// When one of the programs is not there.
#[must_use]
pub fn toolbox() -> DebBuilder {
    let mut files = BTreeSet::new();
    for name in TOOLS {
        let program = tool(name);
        let linked = run_lines(Command::new(tool("ldd")).arg(&program));
        // `NAME => PATH (ADDRESS)`, or the loader's path alone.
        let libraries =
            linked.iter().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
        files.extend(libraries.map(str::to_owned));
        files.insert(program.display().to_string());
    }
    let deb = DebBuilder::new("toolbox", "1.0")
        .architecture(machine_architecture())
        .field("Essential", "yes")
        .field("Priority", "required")
        .field("Installed-Size", "65536")
        .compression(Compression::None);
    // Where a sandbox mounts, and what programs expect of any root.
    let folders = ["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/log"];
    let deb = folders.iter().fold(deb, |deb, folder| deb.dir(folder));
    files.iter().fold(deb, |deb, path| {
        let path = Path::new(path);
        let (folder, name) = (path.parent().expect("a folder"), path.file_name().expect("a name"));
        let folder = fs::canonicalize(folder).unwrap_or_else(|error| panic!("no {folder:?}: {error}"));
        let content = fs::read(path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
        let place = folder.join(name);
        deb.file_with(place.to_string_lossy().trim_start_matches('/'), 0o755, 0, 0, content)
    })
}

/// The lines that a command prints; `ldd` fails on a static program, which has no libraries to name.
fn run_lines(command: &mut Command) -> Vec<String> {
    let text = output(command).stdout;
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}
