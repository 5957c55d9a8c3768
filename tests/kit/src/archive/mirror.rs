//! Real packages, fetched by the machine's own apt from the Debian mirror that the machine's apt sources name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Package;
use crate::compression::Compression;
use crate::program::shared_folder;
use crate::tool::{run, tool};

/// A Debian archive that this machine's apt is set up to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineArchive {
    /// Base address, without a slash at the end.
    pub uri: String,
    /// The suite it is used for.
    pub suite: String,
}

/// The archives named by the machine's apt sources, by asking apt itself, so every form of source counts.
///
/// # Panics
/// When `apt-get` fails.
#[must_use]
pub fn machine_archives() -> Vec<MachineArchive> {
    let listing =
        run(Command::new(tool("apt-get")).args(["-oDebug::NoLocking=true", "update", "--print-uris"]));
    let mut found: Vec<MachineArchive> = Vec::new();
    // Each line begins with the address of a release file, 'BASE/dists/SUITE/InRelease'.
    for line in String::from_utf8_lossy(&listing).lines() {
        let address = line.trim_start_matches('\'').split('\'').next().unwrap_or_default();
        let Some((base, rest)) = address.split_once("/dists/") else { continue };
        let Some(suite) = rest.strip_suffix("/InRelease") else { continue };
        let archive = MachineArchive { uri: base.to_owned(), suite: suite.to_owned() };
        if !found.contains(&archive) {
            found.push(archive);
        }
    }
    found
}

/// A set of real Debian packages with everything they need, kept in a folder between runs.
#[derive(Debug, Clone)]
pub struct MirrorSubset {
    suite: String,
    architectures: Vec<String>,
    packages: Vec<String>,
}

impl MirrorSubset {
    /// What `minbase` holds of this Debian suite (essential and required packages and apt), for amd64 and arm64.
    #[must_use]
    pub fn minbase(suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            architectures: ["amd64", "arm64"].map(str::to_owned).to_vec(),
            packages: vec!["apt".to_owned()],
        }
    }

    /// Adds packages by name, with their dependencies and without what they recommend.
    #[must_use]
    pub fn with(mut self, packages: &[&str]) -> Self {
        self.packages.extend(packages.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Sets the architectures.
    #[must_use]
    pub fn architectures(mut self, architectures: &[&str]) -> Self {
        self.architectures = architectures.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Fetches what is not there yet and gives the paths of all packages, those for `all` once.
    ///
    /// Test programs that run side by side wait for each other here.
    ///
    /// # Panics
    /// When the machine's apt sources name no Debian mirror, or apt fails.
    #[must_use]
    pub fn fetch(&self) -> Vec<PathBuf> {
        let cache = shared_folder();
        let lock = File::create(cache.join("lock")).expect("lock of the package cache");
        lock.lock().expect("lock of the package cache");
        let mut found = Vec::new();
        for architecture in &self.architectures {
            let root = AptRoot::new(&cache.join(format!("{}-{architecture}", self.suite)), architecture);
            root.use_mirror(&self.suite);
            root.run(&["update"]);
            let mut wanted = root.required();
            wanted.extend(self.packages.iter().cloned());
            found.extend(root.download(&wanted));
        }
        found.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
        found.dedup_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
        found
    }

    /// The same as packages to publish, their members compressed another way when asked. What was compressed once is
    /// kept too.
    #[must_use]
    pub fn packages(&self, repacked: Option<Compression>) -> Vec<Package> {
        let files = self.fetch();
        let Some(compression) = repacked else {
            return files.iter().map(|path| Package::from_file(path, None)).collect();
        };
        let folder = shared_folder().join(format!("repacked{}", compression.extension()));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot create {folder:?}: {error}"));
        files.iter().map(|path| kept_repacked(path, compression, &folder)).collect()
    }
}

/// A repacked package, from the folder when it is there. The name of a package file says which one it is.
fn kept_repacked(path: &Path, compression: Compression, folder: &Path) -> Package {
    let kept = folder.join(path.file_name().expect("name of a package file"));
    if let Ok(body) = fs::read(&kept) {
        return Package::from_deb(body);
    }
    let package = Package::from_file(path, Some(compression));
    let temporary = tempfile::NamedTempFile::new_in(folder).expect("temporary file in the package cache");
    fs::write(temporary.path(), package.body()).expect("repacked package in the package cache");
    temporary.persist(&kept).expect("repacked package under its name");
    package
}

/// A folder with a dpkg database of its own, empty, in which apt only solves and downloads.
struct AptRoot {
    folder: PathBuf,
    architecture: String,
}

impl AptRoot {
    fn new(folder: &Path, architecture: &str) -> Self {
        for name in ["lists/partial", "archives/partial", "parts"] {
            fs::create_dir_all(folder.join(name)).expect("folder of the package cache");
        }
        fs::write(folder.join("status"), "").expect("empty dpkg status");
        Self { folder: folder.to_owned(), architecture: architecture.to_owned() }
    }

    /// The address that the machine's apt uses for Debian's main archive, whatever suite it follows there.
    fn use_mirror(&self, suite: &str) {
        let archives = machine_archives();
        let mirror = archives.iter().map(|archive| archive.uri.as_str()).find(|uri| uri.ends_with("/debian"));
        let mirror = mirror.unwrap_or_else(|| {
            panic!("this test needs a Debian mirror, but the machine's apt sources name only {archives:?}")
        });
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        assert!(Path::new(keyring).exists(), "this test needs `apt-get install debian-archive-keyring`");
        let source = format!("deb [signed-by={keyring}] {mirror} {suite} main\n");
        fs::write(self.folder.join("sources.list"), source).expect("apt source of the package cache");
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let set = |name: &str, value: &Path| format!("-o{name}={}", value.display());
        run(Command::new(tool("apt-get"))
            .arg(format!("-oAPT::Architecture={0}", self.architecture))
            .arg(format!("-oAPT::Architectures={0}", self.architecture))
            .arg("-oAPT::Sandbox::User=root")
            .arg("-oAcquire::Languages=none")
            .arg("-oDebug::NoLocking=true")
            .arg("-oAcquire::Retries=3")
            .arg(set("Dir::State::Lists", &self.folder.join("lists")))
            .arg(set("Dir::State::status", &self.folder.join("status")))
            .arg(set("Dir::State::extended_states", &self.folder.join("extended_states")))
            .arg(set("Dir::Cache", &self.folder))
            // Images of containers switch these off; apt then reads its index again at every call.
            .args(["-oDir::Cache::pkgcache=pkgcache.bin", "-oDir::Cache::srcpkgcache=srcpkgcache.bin"])
            .arg(set("Dir::Etc::SourceList", &self.folder.join("sources.list")))
            .arg(set("Dir::Etc::SourceParts", &self.folder.join("parts")))
            .arg(set("Dir::Etc::Preferences", Path::new("/dev/null")))
            .arg(set("Dir::Etc::PreferencesParts", &self.folder.join("parts")))
            .args(arguments))
    }

    /// Names of the packages that are essential or of required priority.
    fn required(&self) -> Vec<String> {
        let listing = self.run(&["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"]);
        let mut names = Vec::new();
        for path in String::from_utf8_lossy(&listing).lines() {
            let index = run(Command::new("/usr/lib/apt/apt-helper").args(["cat-file", path]));
            let index = String::from_utf8_lossy(&index).into_owned();
            for stanza in index.split("\n\n") {
                let has = |line: &str| stanza.lines().any(|found| found == line);
                if has("Essential: yes") || has("Priority: required") {
                    names.extend(
                        stanza.lines().find_map(|line| line.strip_prefix("Package: ")).map(str::to_owned),
                    );
                }
            }
        }
        assert!(!names.is_empty(), "no required packages in the index of {}", self.folder.display());
        names
    }

    /// Downloads packages and what they depend on; gives the paths of exactly those.
    fn download(&self, packages: &[String]) -> Vec<PathBuf> {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(packages.iter().map(String::as_str));
        let simulated = self.run(&[&["--simulate"], arguments.as_slice()].concat());
        self.run(&[&["--download-only"], arguments.as_slice()].concat());
        let simulated = String::from_utf8_lossy(&simulated).into_owned();
        let installed = simulated.lines().filter_map(|line| line.strip_prefix("Inst "));
        installed.map(|line| self.archive_path(line)).collect()
    }

    /// From `NAME (VERSION ORIGIN [ARCHITECTURE])` to the file that apt keeps.
    fn archive_path(&self, line: &str) -> PathBuf {
        let mut words = line.split([' ', '(', ')', '[', ']']).filter(|word| !word.is_empty());
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = name.split(':').next().unwrap_or(name);
        let version = version.replace(':', "%3a");
        let candidates = ["all", &self.architecture].map(|architecture| {
            self.folder.join("archives").join(format!("{name}_{version}_{architecture}.deb"))
        });
        let found = candidates.into_iter().find(|path| path.exists());
        found
            .unwrap_or_else(|| panic!("apt did not keep a package for {line:?} in {}", self.folder.display()))
    }
}
