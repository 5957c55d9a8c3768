//! Our Debian root equals the one that mmdebstrap makes of the same packages, from the same mirror in the same run.
//!
//! mmdebstrap's tar goes through the normalisation that ours went through, [`rootfs::RULES`], before the two are
//! compared; what is then still different stands in [`DIFFERENT`] with its reason. mmdebstrap takes minutes for a foreign
//! architecture, so its tar is kept for as long as the mirror offers the same packages.
#![expect(clippy::print_stderr, reason = "what was compared is worth reading when the test passes as well")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cache::Digest;
use recipe::Lock;
use rootfs::Normalise;
use testkit::{MachineEmulation, Program, Rootfs, machine_archives, rootfs_diff, run, shared_folder, tool};
use tree::{Links, Root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");
const SUITE: &str = "trixie";

/// Where the roots differ, and why that is meant. Globs of `tests/rootfs-diff`.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "/etc/apt/sources.list.d/debian.sources",
        "only ours: the archive's own address, where mmdebstrap leaves the mirror of the build in sources.list",
    ),
    ("/etc/apt/sources.list", "only theirs: the mirror of the build"),
    ("/etc/fstab", "only theirs: mmdebstrap writes one that says there is nothing to mount"),
    (
        "/var/lib/dpkg/arch",
        "only theirs: written by `dpkg --add-architecture`; without it dpkg takes its own",
    ),
    (
        "/var/lib/apt/lists/partial",
        "apt-get update ran in theirs and gave it to _apt, mode 0700; ours is as apt's package has it",
    ),
    ("/var/cache/apt/archives/partial", "the same"),
];

/// What differs besides in a root with services.
const DIFFERENT_SERVICES: &[(&str, &str)] = &[
    ("/etc/ssh/ssh_host_*", "keys that the package makes at random"),
    ("/etc/machine-id", "empty in both; systemd makes it read-only, mmdebstrap makes it anew"),
    (
        "/etc/systemd/system/timers.target.wants/apt-daily*",
        "by which of two names for one folder a link goes: systemd is not there yet when our apt is configured",
    ),
];

/// Files in which only the order of lines differs, for it is the order in which packages were configured; it is free
/// between packages that do not need each other. They are compared line by line, sorted.
const ANY_ORDER: &[&str] =
    &["etc/group", "etc/gshadow", "etc/passwd", "etc/shadow", "var/lib/dpkg/triggers/File"];

#[test]
fn amd64_equals_mmdebstrap() {
    compare("amd64", &["zsh"], &[], &[]);
}

#[test]
fn arm64_equals_mmdebstrap() {
    compare("arm64", &["zsh"], &[], &[]);
}

/// Packages with `preinst` scripts, diversions, triggers, users of their own and long chains of `Pre-Depends`.
#[test]
fn services_equal_mmdebstrap() {
    let packages = ["zsh", "dbus", "mosquitto", "openssh-server", "systemd"];
    compare("amd64", &packages, DIFFERENT_SERVICES, ANY_ORDER);
}

fn compare(architecture: &str, packages: &[&str], more: &[(&str, &str)], any_order: &[&str]) {
    let program = Program::new(PROGRAM).shared_cache();
    let recipe = program.write("reference.toml", recipe_for(packages));
    program.succeed(["build", "reference.toml", "--arch", architecture]);
    let lock = Lock::load(&program.dist().join("reference.lock")).expect("a lock").expect("the build's lock");
    let ours = program.dist().join(format!("{architecture}-rootfs.tar"));
    let epoch = newest(&ours);
    let theirs = reference(&lock, architecture, packages, epoch);
    let rootfs = Rootfs::extract(&theirs);
    normalise(&rootfs, epoch);
    let normal = recipe.with_file_name("theirs.tar");
    rootfs.pack(&normal);
    let mut ignore: Vec<&str> = DIFFERENT.iter().chain(more).map(|(glob, _)| *glob).collect();
    let unordered: Vec<String> = any_order.iter().map(|path| format!("/{path}")).collect();
    ignore.extend(unordered.iter().map(String::as_str));
    let difference = rootfs_diff(&ours, &normal, &ignore);
    if !any_order.is_empty() {
        same_lines(&Rootfs::extract(&ours), &rootfs, any_order);
    }
    eprintln!(
        "{architecture} with {packages:?}: {} paths equal, {} globs ignored",
        difference.equal,
        ignore.len()
    );
    assert!(difference.is_empty(), "ours (A) and mmdebstrap's (B) differ:\n{}", difference.lines.join("\n"));
    assert!(difference.equal > 2000, "only {} paths compared", difference.equal);
}

fn same_lines(ours: &Rootfs, theirs: &Rootfs, paths: &[&str]) {
    for path in paths {
        let [ours, theirs] = [ours, theirs].map(|root| {
            let text = fs::read_to_string(root.path().join(path)).expect("a text");
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        });
        assert_eq!(ours, theirs, "the lines of {path}");
    }
}

fn recipe_for(packages: &[&str]) -> String {
    format!(
        "format = 1\nkind = \"rootfs\"\ndescription = \"to compare\"\narchitectures = [\"amd64\", \"arm64\"]\n\
         output = \"{{arch}}-rootfs.tar\"\ndistro = \"debian\"\n[distros.debian]\nsuite = \"{SUITE}\"\n\
         [[steps]]\npackages = {packages:?}\n"
    )
}

/// The latest time in a tar, in seconds: what our build called now.
fn newest(tar: &Path) -> i64 {
    let mut reader = tree::tar::Reader::new(fs::File::open(tar).expect("our tar"));
    let mut newest = 0;
    while let Some(member) = reader.next().expect("a member of our tar") {
        newest = newest.max(member.entry.metadata.mtime);
    }
    newest
}

/// mmdebstrap's tar of the packages that `lock` names: the mirror may have no others by now.
fn reference(lock: &Lock, architecture: &str, packages: &[&str], epoch: i64) -> PathBuf {
    let mut key = format!("{architecture} {packages:?} {epoch}\n");
    for package in lock.root(architecture) {
        let _ = writeln!(key, "{} {} {}", package.name, package.version, package.sha256);
    }
    let folder = shared_folder().join("mmdebstrap");
    fs::create_dir_all(&folder).expect("folder of mmdebstrap's tars");
    let name = format!("{}-{architecture}-{}", packages.join("-"), Digest::of(key.as_bytes()));
    let tar = folder.join(format!("{name}.tar"));
    if tar.exists() {
        return tar;
    }
    remove_older(&folder, &format!("{}-{architecture}-", packages.join("-")));
    let unfinished = folder.join(format!("{name}.unfinished.tar"));
    mmdebstrap(architecture, packages, epoch, &unfinished);
    fs::rename(&unfinished, &tar).expect("mmdebstrap's tar under its name");
    tar
}

fn remove_older(folder: &Path, start: &str) {
    for entry in fs::read_dir(folder).expect("folder of mmdebstrap's tars").flatten() {
        if entry.file_name().to_string_lossy().starts_with(start) {
            fs::remove_file(entry.path()).expect("an old tar");
        }
    }
}

fn mmdebstrap(architecture: &str, packages: &[&str], epoch: i64, tar: &Path) {
    let machine = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let _emulation = (architecture != machine).then(MachineEmulation::present);
    let archives = machine_archives();
    let find = |end: &str| {
        let found = archives.iter().find(|archive| archive.uri.ends_with(end));
        &found
            .unwrap_or_else(|| panic!("the machine's apt sources name no archive {end:?}: {archives:?}"))
            .uri
    };
    let (mirror, security) = (find("/debian"), find("/debian-security"));
    run(Command::new(tool("mmdebstrap"))
        .args(["--mode=root", "--variant=minbase", "--quiet"])
        .arg(format!("--include={}", packages.join(",")))
        .arg(format!("--architectures={architecture}"))
        .arg(SUITE)
        .arg(tar)
        .arg(format!("deb {mirror} {SUITE} main"))
        .arg(format!("deb {mirror} {SUITE}-updates main"))
        .arg(format!("deb {security} {SUITE}-security main"))
        .env("SOURCE_DATE_EPOCH", epoch.to_string()));
}

/// What our own tree went through, on an unpacked one of mmdebstrap; and apt's list of marks, in which only the order
/// differs, sorted.
fn normalise(rootfs: &Rootfs, epoch: i64) {
    let root = Root::open(rootfs.path(), Links::WithinRoot).expect("mmdebstrap's root");
    Normalise { root: &root, epoch }.run().expect("mmdebstrap's root, normalised");
    let marks = rootfs.path().join("var/lib/apt/extended_states");
    let text = fs::read_to_string(&marks).expect("apt's marks");
    let mut stanzas: Vec<&str> = text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).collect();
    stanzas.sort_unstable();
    let sorted: String = stanzas.iter().map(|stanza| format!("{stanza}\n\n")).collect();
    fs::write(&marks, sorted).expect("apt's marks, sorted");
}
