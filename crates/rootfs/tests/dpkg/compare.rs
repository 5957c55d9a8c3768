//! Two roots, one by us and one by dpkg, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cache::Cache;
use ovmlayer_rootfs_build::{self as rootfs, Build, Interrupt, Options, Package, Progress};
use tempfile::TempDir;
use testkit::{DebBuilder, machine_architecture, run, tool};

/// Files of the database that say nothing about packages: dpkg makes them anew at every run, or keeps them as copies.
const NOT_COMPARED: &[&str] = &[
    "available",
    "diversions-old",
    "lock",
    "lock-frontend",
    "status-old",
    "statoverride",
    "triggers/Lock",
    // Activations by packages that are merely unpacked: dpkg passes them over when it reads them.
    "triggers/Unincorp",
];

struct Silent;

impl Progress for Silent {
    fn unpacked(&self, _: usize, _: usize) {}
    fn configuring(&self, _: &str, _: usize, _: usize) {}
    fn output(&self, _: &str) {}
}

/// A root in a temporary folder.
pub(crate) struct Root {
    folder: TempDir,
}

impl Root {
    fn new() -> Self {
        let root = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(root.path()).expect("a root");
        root
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

/// Our root of `debs`, and the error that ended the build, if one did.
pub(crate) fn ours(debs: &[DebBuilder]) -> (Root, Option<rootfs::Error>) {
    let root = Root::new();
    let cache = Cache::open(&root.folder.path().join("cache")).expect("a cache");
    let packages: Vec<Package> = debs.iter().map(|deb| keep(&cache, deb)).collect();
    let (path, staging) = (root.path(), root.folder.path().join("staging"));
    fs::create_dir(&staging).expect("a folder");
    let options = Options {
        root: &path,
        staging: &staging,
        architecture: machine_architecture(),
        cache: &cache,
        jobs: 2,
        epoch: 1_704_067_200,
        interrupt: Interrupt::new().expect("an interrupt"),
        progress: Arc::new(Silent),
    };
    let error = Build::install(options, &packages).err();
    (root, error)
}

fn keep(cache: &Cache, deb: &DebBuilder) -> Package {
    let body = deb.build();
    let mut writer = cache.insert().expect("room in the cache");
    std::io::Write::write_all(&mut writer, &body).expect("the package is written");
    let digest = writer.commit(None).expect("the package is kept");
    let control = deb.control();
    let field = |name: &str| {
        let value = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_default().to_owned()
    };
    Package {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        digest,
        size: body.len() as u64,
        essential: field("Essential") == "yes",
    }
}

/// dpkg's root of `debs`: each list of arguments is one run of it, in which `{}` stands for all packages.
pub(crate) fn theirs(debs: &[DebBuilder], runs: &[&[&str]]) -> Root {
    let root = Root::new();
    let files: Vec<PathBuf> = debs.iter().map(|deb| deb.write_to(root.folder.path())).collect();
    for folder in ["bin", "lib", "lib64", "sbin"] {
        // What a merged /usr has before the first package comes.
        if folder != "lib64" || machine_architecture() == "amd64" {
            fs::create_dir_all(root.path().join("usr").join(folder)).expect("a folder");
            std::os::unix::fs::symlink(format!("usr/{folder}"), root.path().join(folder)).expect("a link");
        }
    }
    for folder in ["info", "updates", "triggers", "parts", "alternatives"] {
        fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).expect("a folder");
    }
    for (name, text) in [("status", ""), ("diversions", ""), ("info/format", "1\n")] {
        fs::write(root.path().join("var/lib/dpkg").join(name), text).expect("a database");
    }
    for arguments in runs {
        let mut dpkg = Command::new(tool("dpkg"));
        dpkg.arg(format!("--root={}", root.path().display()));
        dpkg.args(["--force-unsafe-io", "--force-depends", "--force-confold", "--no-triggers"]);
        for argument in *arguments {
            match argument.strip_prefix('#') {
                _ if *argument == "{}" => dpkg.args(&files),
                Some(number) => dpkg.arg(&files[number.parse::<usize>().expect("a number")]),
                None => dpkg.arg(argument),
            };
        }
        run(dpkg.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8"));
    }
    root
}

/// Compares both databases file by file, the status by fields, and everything else in the roots.
pub(crate) fn assert_same(summary: &str, ours: &Root, theirs: &Root) {
    let [mut left, mut right] = [ours, theirs].map(|root| database(&root.path()));
    let status = |files: &mut BTreeMap<String, String>| stanzas(&files.remove("status").unwrap_or_default());
    let (our_status, their_status) = (status(&mut left), status(&mut right));
    assert_eq!(our_status, their_status, "{summary}: status (left ours, right dpkg's)");
    assert_eq!(left, right, "{summary}: database (left ours, right dpkg's)");
    let [left, right] = [ours, theirs].map(|root| listing(&root.path()));
    let differences: Vec<&String> = left.symmetric_difference(&right).collect();
    assert!(differences.is_empty(), "{summary}: only in one of the trees: {differences:#?}");
}

/// The files of a database with their modes and contents.
fn database(root: &Path) -> BTreeMap<String, String> {
    let admin = root.join("var/lib/dpkg");
    let names = run(Command::new(tool("find")).arg(&admin).args(["-type", "f", "-printf", "%m %P\n"]));
    let mut files = BTreeMap::new();
    for line in String::from_utf8_lossy(&names).lines() {
        let (mode, name) = line.split_once(' ').expect("mode and name");
        if NOT_COMPARED.contains(&name) {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(admin.join(name)).expect("a file")).into_owned();
        match name {
            "status" => files.insert(name.to_owned(), text),
            // Interests are a set.
            _ if name.starts_with("triggers/") => {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                (!lines.is_empty()).then(|| files.insert(name.to_owned(), lines.join("\n"))).flatten()
            }
            _ => files.insert(format!("{name} {mode}"), text),
        };
    }
    files
}

/// The stanzas of a status file by package, each by its fields; dpkg writes fields in an order of its own.
fn stanzas(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let stanzas = text.split("\n\n").filter(|stanza| !stanza.trim().is_empty());
    let fields = stanzas.map(|stanza| {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut current = String::new();
        for line in stanza.trim_matches('\n').lines() {
            match line.split_once(':').filter(|_| !line.starts_with(' ')) {
                Some((name, value)) => {
                    name.clone_into(&mut current);
                    fields.insert(current.clone(), value.trim().to_owned());
                }
                None => {
                    let value = fields.entry(current.clone()).or_default();
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
        fields
    });
    fields.map(|fields| (format!("{} {}", fields["Package"], fields["Architecture"]), fields)).collect()
}

/// Everything outside the database: kind, mode, owner, links, size, and times of what is no folder.
fn listing(root: &Path) -> BTreeSet<String> {
    let format = "%y %m %U:%G %n %P -> %l";
    let text = run(Command::new(tool("find"))
        .arg(root)
        .args(["-path", "*/var/lib/dpkg", "-prune", "-o", "-type", "d", "-printf"])
        .arg("d %m %U:%G %P\n")
        .args(["-o", "-printf"])
        .arg(format!("{format} %s %T@\n")));
    // What is there before the first package: the folders above the database and the links of a merged /usr.
    let ours_to_make = [" var", " var/lib", "0:0 "];
    let is_packaged = |line: &&str| {
        let merged =
            line.starts_with("l 777 0:0 1 ") && line.contains(" -> usr/") && !line[12..].starts_with("usr");
        !merged && !ours_to_make.iter().any(|ending| line.ends_with(ending))
    };
    String::from_utf8_lossy(&text).lines().filter(is_packaged).map(str::to_owned).collect()
}
