//! Ubuntu's shape: an archive on the loopback interface that is laid out and signed like Ubuntu's builds by the same code.
//!
//! It has two hosts (arm64 is among the ports), a release with updates and security fixes, components, and packages whose
//! members are compressed with zstd. The packages themselves are Debian's, for both are made alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{
    Compression, DebBuilder, MirrorSubset, Package, Program, Rootfs, Server, SigningKey, UbuntuSite,
    machine_architecture, run, tool,
};

/// Where the packages come from.
const SUITE: &str = "trixie";

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Packages of the root that the site has in a newer version: one in the updates, one in the security fixes.
const UPDATED: &str = "tzdata";
const FIXED: &str = "debian-archive-keyring";

#[test]
fn an_archive_like_ubuntus_builds_both_architectures() {
    let key = SigningKey::generate_rsa(4096);
    let folder = tempfile::tempdir().expect("a folder");
    let root_packages = MirrorSubset::minbase(SUITE).with(&["zsh"]);
    UbuntuSite::new("noble", "24.04")
        .release(root_packages.packages(Some(Compression::Zstd)))
        .release(emulator())
        .updates([newer(UPDATED, "2099a-0ubuntu0.24.04.1"), newer(FIXED, "2098.1")])
        .security([newer(FIXED, "2099.1")])
        .write(folder.path(), &key);
    let keyring = folder.path().join("key.gpg");
    key.write_public(&keyring);
    let server = Server::start(folder.path());

    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    let url = server.url();
    program.succeed([
        "build",
        "base-rootfs",
        "--suite",
        "noble",
        "--mirror",
        &format!("{url}/ubuntu"),
        "--mirror",
        &format!("arm64={url}/ubuntu-ports"),
        "--keyring",
        &keyring.display().to_string(),
    ]);

    assert_eq!(server.count("/ubuntu/*_arm64.deb"), 0, "the ports are elsewhere");
    assert_eq!(server.count("/ubuntu-ports/*_amd64.deb"), 0, "the ports alone are there");
    let lock = fs::read_to_string(program.dist().join("base-rootfs.lock")).expect("the lock");
    for architecture in ARCHITECTURES {
        let root = Rootfs::extract(&program.dist().join(format!("{architecture}-rootfs.tar")));
        has_packages(&root.path(), &root_packages.clone().architectures(&[architecture]).fetch());
        has_sources(&root.path(), architecture, &server.address().to_string());
        runs_zsh(&root, architecture);
        assert!(!lock.contains(&server.address().to_string()), "the lock names the mirror");
    }
    for suite in ["noble", "noble-updates", "noble-security"] {
        assert!(lock.contains(&format!("suite = \"{suite}\"")), "{suite} in the lock:\n{lock}");
    }
}

/// A later version of a package, which is not to be mistaken for the one in the release.
fn newer(name: &str, version: &str) -> Package {
    let deb = DebBuilder::new(name, version)
        .architecture("all")
        .field("Priority", "required")
        .field("Multi-Arch", "foreign")
        .compression(Compression::Zstd)
        .file(&format!("usr/share/doc/{name}/version"), version);
    Package::from_deb(deb.build())
}

/// The packages that hold this machine's emulators. They are large, and so left as they are.
fn emulator() -> Vec<Package> {
    let subset =
        MirrorSubset::minbase(SUITE).with(&["qemu-user-static"]).architectures(&[machine_architecture()]);
    let is_emulator =
        |package: &Package| package.field("Package").is_some_and(|name| name.starts_with("qemu-user"));
    let packages: Vec<Package> = subset.packages(None).into_iter().filter(is_emulator).collect();
    assert!(!packages.is_empty(), "no emulator among the packages");
    packages
}

/// The root has what apt chose from the same packages, all of it configured, in the newest version of all suites.
fn has_packages(root: &Path, chosen: &[std::path::PathBuf]) {
    let mut expected = BTreeMap::new();
    for path in chosen {
        let control = run(Command::new(tool("dpkg-deb"))
            .args(["--showformat", "${Package} ${Version}", "--show"])
            .arg(path));
        let control = String::from_utf8_lossy(&control).into_owned();
        let (name, version) = control.trim().split_once(' ').expect("name and version");
        expected.insert(name.to_owned(), format!("{version} install ok installed"));
    }
    expected.insert(UPDATED.to_owned(), "2099a-0ubuntu0.24.04.1 install ok installed".to_owned());
    expected.insert(FIXED.to_owned(), "2099.1 install ok installed".to_owned());
    let status = run(Command::new(tool("dpkg-query"))
        .arg(format!("--admindir={}", root.join("var/lib/dpkg").display()))
        .args(["--show", "--showformat", "${Package} ${Version} ${Status}\n"]));
    let status = String::from_utf8_lossy(&status).into_owned();
    let found: BTreeMap<String, String> = status
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect();
    assert_eq!(found, expected);
    let version =
        fs::read_to_string(root.join(format!("usr/share/doc/{FIXED}/version"))).expect("a file of the fix");
    assert_eq!(version, "2099.1");
}

/// The sources inside are Ubuntu's own; nothing in the root remembers the mirror.
fn has_sources(root: &Path, architecture: &str, mirror: &str) {
    let sources =
        fs::read_to_string(root.join("etc/apt/sources.list.d/ubuntu.sources")).expect("apt sources");
    let values = |name: &str| -> Vec<String> {
        sources
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(values("Suites"), ["noble noble-updates", "noble-security"]);
    assert_eq!(values("Components"), ["main universe", "main universe"]);
    let ending = if architecture == "arm64" { "/ubuntu-ports" } else { "/ubuntu" };
    let uris = values("URIs");
    assert!(
        uris.iter().all(|uri| uri.contains(".ubuntu.") && uri.ends_with(ending)),
        "{architecture}: {uris:?}"
    );
    let found = testkit::output(Command::new(tool("grep")).args(["-rlF", mirror]).arg(root));
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files that name the mirror");
}

/// zsh runs, by itself or by the machine's emulator.
fn runs_zsh(root: &Rootfs, architecture: &str) {
    let script = "print -r -- ${(U):-it runs}";
    let mut command = if architecture == machine_architecture() {
        let mut command = root.chroot("/bin/zsh");
        command.args(["-fc", script]);
        command
    } else {
        let cpu = if architecture == "arm64" { "aarch64" } else { "x86_64" };
        let mut command = Command::new(tool(&format!("qemu-{cpu}-static")));
        command.arg("-L").arg(root.path()).arg(root.path().join("usr/bin/zsh")).args(["-fc", script]);
        command
    };
    assert_eq!(String::from_utf8_lossy(&run(&mut command)), "IT RUNS\n", "{architecture}");
}
