//! Packages that a correctly signed archive serves and that no root may get: each is refused with its name and the path in
//! question, nothing outside the root is touched, nothing is written to the output folder, and the build folder is clean.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::LazyLock;

use testkit::{
    Compression, DebBuilder, Member, MemberKind, Package, Program, Rootfs, SigningKey, TinySite, toolbox,
};

/// The packages of a case, made for a folder outside the root that they aim at.
type Make = fn(&Path) -> Vec<Package>;

struct Case {
    summary: &'static str,
    make: Make,
    /// What the message must say: the package and the path.
    words: &'static [&'static str],
}

const fn case(summary: &'static str, make: Make, words: &'static [&'static str]) -> Case {
    Case { summary, make, words }
}

static TOOLBOX: LazyLock<Package> = LazyLock::new(|| Package::from_deb(toolbox().build()));

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0").architecture("all")
}

fn packed(debs: &[DebBuilder]) -> Vec<Package> {
    debs.iter().map(|deb| Package::from_deb(deb.build())).collect()
}

fn symlink(name: &str, target: &Path) -> Member {
    Member::new(name, MemberKind::Symlink(target.display().to_string().into_bytes()))
}

fn hard_link(name: &str, target: impl Into<Vec<u8>>) -> Member {
    Member::new(name, MemberKind::HardLink(target.into()))
}

/// A way up from any folder, then down to `path`.
fn up(path: &Path) -> String {
    format!("{}{}", "../".repeat(20), path.display().to_string().trim_start_matches('/'))
}

const NAMES: &[Case] = &[
    case(
        "a name that climbs",
        |outside| packed(&[deb("evil").member(Member::file(up(&outside.join("planted")), "x"))]),
        &["`evil`", "../planted-or-not"],
    ),
    case(
        "a name that climbs in its midst",
        |_| packed(&[deb("evil").member(Member::file("./usr/lib/../../../planted", "x"))]),
        &["`evil`", "./usr/lib/../../../planted"],
    ),
    case(
        "an absolute name",
        |outside| {
            packed(&[deb("evil").member(Member::file(outside.join("planted").display().to_string(), "x"))])
        },
        &["`evil`", "/outside/planted"],
    ),
    case(
        "an absolute folder",
        |_| packed(&[deb("evil").member(Member::new("/planted/", MemberKind::Directory))]),
        &["`evil`", "/planted"],
    ),
    case(
        "a file twice",
        |_| packed(&[deb("evil").file("usr/lib/a", "1").file("usr/lib/a", "2")]),
        &["`evil`", "usr/lib/a"],
    ),
];

const LINKS: &[Case] = &[
    case(
        "a link out of the root, then a file through it",
        |outside| {
            let link = symlink("./usr/lib/way", outside);
            packed(&[deb("evil")
                .dir("usr/lib")
                .member(link)
                .member(Member::file("./usr/lib/way/planted", "x"))])
        },
        &["`evil`", "usr/lib/way"],
    ),
    case(
        "a link that climbs out of the root, then a file through it",
        |outside| {
            let link = symlink("./usr/lib/way", Path::new(&up(outside)));
            packed(&[deb("evil")
                .dir("usr/lib")
                .member(link)
                .member(Member::file("./usr/lib/way/planted", "x"))])
        },
        &["`evil`", "usr/lib/way"],
    ),
    case(
        "a link in one package, a file through it in another",
        |outside| {
            let link = deb("way").dir("usr/lib").member(symlink("./usr/lib/way", outside));
            packed(&[link, deb("evil").depends("way").file("usr/lib/way/planted", "x")])
        },
        &["`evil`", "usr/lib/way"],
    ),
    case(
        "a file through a link at the top",
        |outside| {
            let link = symlink("./opt", outside);
            packed(&[deb("evil").member(link).member(Member::file("./opt/planted", "x"))])
        },
        &["`evil`", "opt"],
    ),
    case(
        "another link in the place of a merged folder",
        |outside| packed(&[deb("evil").member(symlink("./sbin", outside))]),
        &["`evil`", "`sbin`"],
    ),
    case(
        "a file in the place of a merged folder",
        |_| packed(&[deb("evil").member(Member::file("./lib", "x"))]),
        &["`evil`", "`lib`"],
    ),
    case(
        "a hard link that climbs",
        |outside| packed(&[deb("evil").member(hard_link("./stolen", up(&outside.join("sentinel"))))]),
        &["`evil`", "outside/sentinel"],
    ),
    case(
        "a hard link to an absolute name",
        |outside| {
            packed(&[
                deb("evil").member(hard_link("./stolen", outside.join("sentinel").display().to_string()))
            ])
        },
        &["`evil`", "outside/sentinel"],
    ),
    case(
        "a hard link through a link",
        |outside| {
            let deb = deb("evil").dir("usr").member(symlink("./usr/way", outside));
            packed(&[deb.member(hard_link("./usr/stolen", "./usr/way/sentinel"))])
        },
        &["`evil`", "usr/way/sentinel"],
    ),
    case(
        "a hard link to what is not there",
        |_| packed(&[deb("evil").dir("usr").member(hard_link("./usr/a", "./usr/b"))]),
        &["`evil`", "usr/a"],
    ),
];

const KINDS: &[Case] = &[
    case(
        "a character device",
        |_| {
            packed(&[
                deb("evil").member(Member::new("./dev/mem", MemberKind::CharDevice { major: 1, minor: 1 }))
            ])
        },
        &["`evil`", "`dev/mem`", "a device node"],
    ),
    case(
        "a block device",
        |_| {
            packed(&[
                deb("evil").member(Member::new("./dev/sda", MemberKind::BlockDevice { major: 8, minor: 0 }))
            ])
        },
        &["`evil`", "`dev/sda`", "a device node"],
    ),
    case(
        "a file where another package has a folder",
        |_| {
            let folder = deb("folder").file("usr/share/thing/a", "x");
            packed(&[folder, deb("evil").depends("folder").file("usr/share/thing", "x")])
        },
        &["`evil`", "`folder`", "usr/share/thing"],
    ),
    case(
        "a folder where another package has a file",
        |_| {
            let file = deb("file").file("usr/share/thing", "x");
            packed(&[file, deb("evil").depends("file").dir("usr/share/thing")])
        },
        &["`evil`", "`file`", "usr/share/thing"],
    ),
    case(
        "a file below what is a file in another package",
        |_| {
            let file = deb("file").file("usr/share/thing", "x");
            packed(&[file, deb("evil").depends("file").file("usr/share/thing/a", "x")])
        },
        &["`evil`", "`file`", "usr/share/thing"],
    ),
    case(
        "the same file in two packages",
        |_| packed(&[deb("first").file("usr/share/thing", "1"), deb("evil").file("usr/share/thing", "2")]),
        &["`evil`", "`first`", "`/usr/share/thing`", "neither replaces the other"],
    ),
];

const CONTENTS: &[Case] = &[
    case(
        "a member that expands without end",
        |_| packed(&[deb("evil").compression(Compression::Zstd).expanding_file("usr/share/bomb", 8 << 30)]),
        &["`evil`", "usr/share/bomb", "expands to more than"],
    ),
    case(
        "a control file of 100 MB",
        |_| vec![Package::new(&deb("evil").control(), deb("evil").huge_control(100_000_000).build())],
        &["`evil`", "`control`", "100000"],
    ),
    case(
        "another version than promised",
        |_| vec![Package::from_deb(deb("evil").build()).with_field("Version", "2.0")],
        &["`evil`", "1.0", "2.0"],
    ),
    case(
        "another package than promised",
        |_| vec![Package::from_deb(deb("good").build()).with_field("Package", "evil")],
        &["`evil`", "good"],
    ),
    case(
        "a control file with a second package in it",
        |_| {
            let smuggled =
                "package made for a test\n\nPackage: smuggled\nStatus: install ok installed\nVersion: 1";
            let body = deb("evil").field("Description", smuggled).build();
            vec![Package::new(&deb("evil").control(), body)]
        },
        &["`evil`", "control"],
    ),
    case(
        "a control member that is no plain file",
        |_| {
            let link = Member::new("./postinst", MemberKind::Symlink(b"/bin/true".to_vec()));
            packed(&[deb("evil").control_member(link)])
        },
        &["`evil`", "control.tar"],
    ),
    case(
        "a control member elsewhere",
        |_| packed(&[deb("evil").control_member(Member::file("../../status", "x"))]),
        &["`evil`", "../../status"],
    ),
    case(
        "a trigger that is a path out of the database",
        |_| packed(&[deb("evil").triggers("interest ../../../planted\n")]),
        &["`evil`", "../../../planted"],
    ),
    case(
        "a trigger called like a file of the database",
        |_| packed(&[deb("evil").triggers("interest File\n")]),
        &["`evil`", "`File`"],
    ),
    case(
        "bytes that are no package",
        |_| vec![Package::new(&deb("evil").control(), b"not a package".to_vec())],
        &["`evil`", "no Debian package"],
    ),
    case(
        "a package that ends early",
        |_| {
            let mut body = deb("evil").compression(Compression::None).file("usr/a", vec![0; 10_000]).build();
            body.truncate(5_000);
            vec![Package::new(&deb("evil").control(), body)]
        },
        &["`evil`", "usr/a", "cut off"],
    ),
];

#[test]
fn names() {
    check(NAMES);
}

#[test]
fn links() {
    check(LINKS);
}

#[test]
fn kinds() {
    check(KINDS);
}

#[test]
fn contents() {
    check(CONTENTS);
}

fn check(cases: &[Case]) {
    let key = SigningKey::generate();
    for case in cases {
        let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
        let outside = program.folder().join("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("sentinel"), "untouched").expect("a sentinel");
        let mut packages = (case.make)(&outside);
        packages.push(TOOLBOX.clone());
        let site = TinySite::new(packages, &key);
        program.write("tiny.toml", TinySite::recipe(&["evil"]));
        let mut arguments = vec!["build".to_owned(), "./tiny.toml".to_owned()];
        arguments.extend(site.options());
        // Two packages that meet only because both are asked for.
        if case.words.contains(&"`first`") {
            program.write("tiny.toml", TinySite::recipe(&["first", "evil"]));
        }
        let message = program.fail(arguments);
        let message = message.replace(&up(&outside.join("planted")), "../planted-or-not");
        for word in case.words {
            assert!(message.contains(word), "{}: no {word} in: {message}", case.summary);
        }
        untouched(case.summary, &program, &outside);
    }
}

fn untouched(summary: &str, program: &Program<'_>, outside: &Path) {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(outside), ["sentinel"], "{summary}");
    let sentinel = outside.join("sentinel");
    assert_eq!(fs::read(&sentinel).expect("the sentinel"), b"untouched", "{summary}");
    let metadata = fs::metadata(&sentinel).expect("the sentinel");
    assert_eq!((metadata.nlink(), metadata.mode() & 0o7777), (1, 0o644), "{summary}");
    assert_eq!(names(&program.dist()), [] as [&str; 0], "{summary}: in the output folder");
    let build = program.cache().join("ovmlayer-rootfs/build");
    assert_eq!(names(&build), [] as [&str; 0], "{summary}: in the build folder");
}

/// What looks odd and is not: privileged modes, odd owners, pipes, links into the root, a file through a link that another
/// package has and that stays within the root.
#[test]
fn what_is_odd_but_fine() {
    let key = SigningKey::generate();
    let odd = deb("odd")
        .depends("way")
        .file_with("usr/bin/setuid", 0o4755, 0, 0, "x")
        .file_with("usr/bin/setgid", 0o2755, 0, 42, "x")
        .dir_with("var/odd", 0o1777, 1000, 1000)
        .member(Member::new("./var/pipe", MemberKind::Fifo))
        .member(Member::new("./var/absolute", MemberKind::Symlink(b"/etc".to_vec())))
        .member(Member::new("./var/climbs", MemberKind::Symlink(b"../../../../../etc".to_vec())))
        .file("usr/lib/way/planted", "inside");
    let way = deb("way").member(Member::new("./opt/", MemberKind::Directory)).symlink("usr/lib/way", "/opt");
    let mut packages = packed(&[odd, way]);
    packages.push(TOOLBOX.clone());
    let site = TinySite::new(packages, &key);
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    program.write("tiny.toml", TinySite::recipe(&["odd"]));
    let mut arguments = vec!["build".to_owned(), "./tiny.toml".to_owned()];
    arguments.extend(site.options());
    program.succeed(arguments);
    let root = Rootfs::extract(&program.dist().join("out.tar"));
    let metadata = |path: &str| {
        fs::symlink_metadata(root.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for (path, mode, uid, gid) in
        [("usr/bin/setuid", 0o4755, 0, 0), ("usr/bin/setgid", 0o2755, 0, 42), ("var/odd", 0o1777, 1000, 1000)]
    {
        let found = metadata(path);
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (mode, uid, gid), "{path}");
    }
    assert!(metadata("var/pipe").file_type().is_fifo());
    assert_eq!(
        fs::read_link(root.path().join("var/climbs")).expect("a link"),
        Path::new("../../../../../etc")
    );
    assert_eq!(fs::read(root.path().join("opt/planted")).expect("the file through the link"), b"inside");
}
