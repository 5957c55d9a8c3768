//! The archives that the builder lays out, used by the machine's own apt.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use ovmlayer_testkit::{
    ArchiveBuilder, Compression, DebBuilder, MirrorSubset, Package, Server, SignatureForm, SigningKey,
    SuiteBuilder, UbuntuSite, output, run, tool,
};

/// apt with a state of its own that knows one source.
struct Apt {
    folder: tempfile::TempDir,
    architecture: &'static str,
}

impl Apt {
    fn new(source: &str, key: &SigningKey, architecture: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lists/partial", "archives/partial", "parts", "download"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("status"), "").unwrap();
        key.write_public(&folder.path().join("key.gpg"));
        let keyring = folder.path().join("key.gpg");
        let source = source.replace("deb ", &format!("deb [signed-by={}] ", keyring.display()));
        fs::write(folder.path().join("sources.list"), source).unwrap();
        Self { folder, architecture }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let set = |name: &str, path: &str| format!("-o{name}={}", self.folder.path().join(path).display());
        output(
            Command::new(tool("apt-get"))
                .args(["-oAPT::Sandbox::User=root", "-oDebug::NoLocking=true", "-oAcquire::Languages=none"])
                // Some machines switch this off for old archives of their own.
                .args([
                    "-oAPT::Update::Error-Mode=any",
                    "-oAcquire::Check-Valid-Until=true",
                    "-oAcquire::Check-Date=true",
                ])
                .arg(format!("-oAPT::Architecture={}", self.architecture))
                .arg(format!("-oAPT::Architectures={}", self.architecture))
                .args([
                    set("Dir::State::Lists", "lists"),
                    set("Dir::State::status", "status"),
                    set("Dir::Cache", ""),
                ])
                .args([set("Dir::Etc::SourceList", "sources.list"), set("Dir::Etc::SourceParts", "parts")])
                .args(arguments)
                .current_dir(self.folder.path().join("download")),
        )
    }

    fn downloaded(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.folder.path().join("download")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }
}

fn assert_done(result: &Output) {
    let text = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{}{text}", String::from_utf8_lossy(&result.stdout));
}

fn hello() -> Package {
    Package::from_deb(DebBuilder::new("hello", "2:1.0").file("usr/bin/hello", "hello\n").build())
}

#[test]
fn apt_updates_and_downloads() {
    let key = SigningKey::generate();
    let cases = [
        ("by hash, both forms of signature", SuiteBuilder::new("trixie")),
        ("by name", SuiteBuilder::new("trixie").by_hash(false)),
        ("only InRelease", SuiteBuilder::new("trixie").signature(SignatureForm::Inline)),
        ("only Release.gpg", SuiteBuilder::new("trixie").signature(SignatureForm::Detached)),
        ("indices in zstd", SuiteBuilder::new("trixie").index_formats(&[Compression::Zstd])),
        ("plain indices", SuiteBuilder::new("trixie").index_formats(&[Compression::None])),
    ];
    for (summary, suite) in cases {
        let folder = tempfile::tempdir().unwrap();
        let suite = suite.component("main", [hello()]).component("contrib", []);
        ArchiveBuilder::new().suite(suite).write(&folder.path().join("debian"), &key);
        let server = Server::start(folder.path());
        let apt = Apt::new(&format!("deb {}/debian trixie main contrib\n", server.url()), &key, "amd64");
        assert_done(&apt.run(&["update"]));
        assert_done(&apt.run(&["download", "hello"]));
        let [deb] = &apt.downloaded()[..] else { panic!("{summary}: {:?}", apt.downloaded()) };
        assert_eq!(fs::read(deb).unwrap(), hello().body(), "{summary}");
    }
}

#[test]
fn apt_refuses_what_must_be_refused() {
    let key = SigningKey::generate();
    let past = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
    let expired = SuiteBuilder::new("trixie").date(past).valid_until(past + Duration::from_secs(3600));
    let cases = [
        ("not signed", SuiteBuilder::new("trixie").signature(SignatureForm::Unsigned), "is not signed"),
        ("no longer valid", expired, "is expired"),
        (
            "outdated digest",
            SuiteBuilder::new("trixie").sign_options(&["--digest-algo", "SHA1"]),
            "is not signed",
        ),
    ];
    for (summary, suite, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        ArchiveBuilder::new().suite(suite.component("main", [hello()])).write(folder.path(), &key);
        let server = Server::start(folder.path());
        let result = Apt::new(&format!("deb {} trixie main\n", server.url()), &key, "amd64").run(&["update"]);
        let text = String::from_utf8_lossy(&result.stderr);
        assert!(!result.status.success() && text.contains(expected), "{summary}:\n{text}");
    }
}

#[test]
fn apt_refuses_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let suite = SuiteBuilder::new("trixie").component("main", [hello()]);
    ArchiveBuilder::new().suite(suite).write(folder.path(), &SigningKey::generate());
    let server = Server::start(folder.path());
    let apt =
        Apt::new(&format!("deb {} trixie main\n", server.url()), &SigningKey::generate_rsa(2048), "amd64");
    let result = apt.run(&["update"]);
    assert!(!result.status.success());
    assert!(String::from_utf8_lossy(&result.stderr).contains("NO_PUBKEY"));
}

#[test]
fn ubuntu_has_two_hosts_and_three_suites() {
    let key = SigningKey::generate_rsa(4096);
    let folder = tempfile::tempdir().unwrap();
    let package = |version: &str, architecture: &str| {
        let deb = DebBuilder::new("hello", version).architecture(architecture).compression(Compression::Zstd);
        Package::from_deb(deb.build())
    };
    UbuntuSite::new("noble", "24.04")
        .release([package("1.0", "amd64"), package("1.0", "arm64")])
        .updates([package("1.1", "amd64")])
        .security([package("1.2", "arm64")])
        .write(folder.path(), &key);
    let server = Server::start(folder.path());
    for (root, architecture, version) in [("ubuntu", "amd64", "1.1"), ("ubuntu-ports", "arm64", "1.2")] {
        let source = |suffix: &str| format!("deb {}/{root} noble{suffix} main universe\n", server.url());
        let sources = [source(""), source("-updates"), source("-security")].concat();
        let apt = Apt::new(&sources, &key, architecture);
        assert_done(&apt.run(&["update"]));
        assert_done(&apt.run(&["download", "hello"]));
        let [deb] = &apt.downloaded()[..] else { panic!("{:?}", apt.downloaded()) };
        let field = |name: &str| run(Command::new(tool("dpkg-deb")).arg("-f").arg(deb).arg(name));
        assert_eq!(field("Version"), format!("{version}\n").as_bytes());
        assert_eq!(field("Architecture"), format!("{architecture}\n").as_bytes());
    }
}

#[test]
fn real_packages_are_fetched_and_published_again() {
    let minbase = MirrorSubset::minbase("trixie").architectures(&["amd64"]);
    let files = minbase.fetch();
    let names: Vec<&str> =
        files.iter().filter_map(|path: &PathBuf| Path::file_name(path)?.to_str()).collect();
    for expected in ["apt_", "base-files_", "dpkg_", "libc6_"] {
        assert!(names.iter().any(|name| name.starts_with(expected)), "no {expected} among {names:?}");
    }
    let key = SigningKey::generate();
    let folder = tempfile::tempdir().unwrap();
    let packages = minbase.packages(Some(Compression::Zstd));
    let debianutils =
        packages.iter().find(|package| package.field("Package") == Some("debianutils")).unwrap().clone();
    UbuntuSite::new("noble", "24.04").release(packages).write(folder.path(), &key);
    let server = Server::start(folder.path());
    let apt = Apt::new(&format!("deb {}/ubuntu noble main\n", server.url()), &key, "amd64");
    assert_done(&apt.run(&["update"]));
    assert_done(&apt.run(&["download", "debianutils"]));
    assert_eq!(fs::read(&apt.downloaded()[0]).unwrap(), debianutils.body());
}
