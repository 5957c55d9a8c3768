//! Wheels.

use ovmlayer_deps::python::{Requested, Scheme, install};
use ovmlayer_deps::{Error, Files, Machine};
use testkit::WheelBuilder;
use tree::{Links, Root};

use crate::{contents, file};

const NAME: &str = "pkg-1.0-py3-none-any.whl";

fn scheme() -> Scheme {
    Scheme {
        library: "lib/python".into(),
        scripts: "bin".into(),
        data: "share".into(),
        headers: "include".into(),
        python: "/usr/bin/python3".into(),
    }
}

/// Installs a wheel into a folder inside another one; what there is in the outer one then.
fn installed(name: &str, bytes: &[u8]) -> (Result<(), Error>, std::collections::BTreeMap<String, String>) {
    let outside = tempfile::tempdir().expect("a folder");
    let inside = outside.path().join("root");
    std::fs::create_dir(&inside).expect("a folder");
    let root = Root::open(&inside, Links::Refuse).expect("a root");
    let result = install(name, file(bytes), &scheme(), Requested::ByName, &mut Files::new(&root, 0));
    (result, contents(outside.path()))
}

fn wheel() -> WheelBuilder {
    WheelBuilder::new("pkg", "1.0")
}

#[test]
fn a_good_wheel_is_installed() {
    let wheel = wheel()
        .file("pkg/__init__.py", "x = 1\n")
        .file("Pkg/__init__.py", "in a folder of another case\n")
        .member("pkg-1.0.data/scripts/run", "#!python\nprint()\n", 0o100_755)
        .file("Other.data/data/etc/pkg.conf", "as pip does it\n")
        .file("pkg-1.0.dist-info/entry_points.txt", "[console_scripts]\npkg = pkg:main\n");
    let (result, found) = installed(NAME, &wheel.build());
    result.expect("installed");
    assert_eq!(found["root/bin/run"], "#!/usr/bin/python3\nprint()\n");
    assert_eq!(found["root/share/etc/pkg.conf"], "as pip does it\n");
    assert_eq!(found["root/lib/python/Pkg/__init__.py"], "in a folder of another case\n");
    assert!(found.contains_key("root/bin/pkg"), "{found:?}");
    let listed = &found["root/lib/python/pkg-1.0.dist-info/RECORD"];
    assert!(listed.starts_with("../../bin/pkg,sha256="), "{listed}");
}

#[test]
fn what_leads_outside_is_refused() {
    let cases: &[(&str, &str, &str)] = &[
        ("above", "../../../outside", "`..` component"),
        ("above, from inside", "pkg/../../../../outside", "`..` component"),
        ("absolute", "/etc/outside", "absolute"),
        ("above the data", "pkg-1.0.data/data/../../outside", "`..` component"),
        ("an absolute program", "pkg-1.0.data/scripts//outside", "spelled as no name"),
        ("the folder of its data itself", "pkg-1.0.data/purelib", "for no known place"),
        ("another part", "pkg-1.0.data/stdlib/outside", "for no known place"),
        ("a dot", "./outside", "spelled as no name"),
        ("a line break", "out\nside", "spelled as no name"),
        ("no character", "out\0side", "NUL"),
        ("an escape", "out\u{1b}[2Jside", "spelled as no name"),
    ];
    for (summary, name, words) in cases {
        let (result, found) = installed(NAME, &wheel().file(*name, "x").build());
        let error = result.expect_err(summary);
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message.push_str(&source.to_string());
        }
        assert!(message.contains(words) && message.contains(NAME), "{summary}: {message}");
        assert!(!found.keys().any(|path| path.contains("outside")), "{summary}: {found:?}");
    }
    let long = "d/".repeat(3000) + "f";
    assert!(installed(NAME, &wheel().file(long, "x").build()).0.is_err(), "a path that is too long");
}

/// As pip does it: a link in a wheel is a file with the target in it.
#[test]
fn links_lead_nowhere() {
    let wheel =
        wheel().member("pkg/link", "/etc", 0o120_777).file("pkg/link/passwd", "over the machine's own\n");
    let (result, found) = installed(NAME, &wheel.build());
    result.expect_err("a file is no folder");
    assert_eq!(found["root/lib/python/pkg/link"], "/etc");
    assert!(!found.keys().any(|path| path.contains("passwd")), "{found:?}");
}

#[test]
fn what_it_says_of_itself_must_be_true() {
    let file = || wheel().file("pkg/a.py", "good\n");
    let record = file().true_record();
    let line = record.lines().find(|line| line.starts_with("pkg/a.py")).expect("a line").to_owned();
    let lies = |text: String| file().record(&text).build();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("another hash", lies(record.replace("sha256=", "sha256=A")), "not what its RECORD says"),
        ("no hash", lies(record.replace(&line, "pkg/a.py,,")), "pkg/a.py in it is not what"),
        ("a weak hash", lies(record.replace(&line, "pkg/a.py,md5=x,5")), "pkg/a.py in it is not what"),
        ("not listed", lies(record.replace(&line, "")), "pkg/a.py in it is not what"),
        (
            "listed in another case",
            lies(record.replace("pkg/a.py", "PKG/a.py")),
            "pkg/a.py in it is not what",
        ),
        ("listed twice", lies(format!("{record}pkg/a.py,sha256=x,5\n")), "pkg/a.py in it is not what"),
        ("two files of one name", file().file("pkg/a.py", "bad\n").build(), "have one name"),
        (
            "two files in one place",
            file().file("x.data/purelib/pkg/a.py", "bad\n").build(),
            "are for lib/python/pkg/a.py",
        ),
        (
            "two packages",
            file().file("other-1.dist-info/METADATA", "").build(),
            "several folders `.dist-info`",
        ),
        ("two packages by case", file().file("PKG-1.0.dist-info/WHEEL", "").build(), "several folders"),
        (
            "another package",
            file().information("other-1.0.dist-info").build(),
            "about another package: other-1.0",
        ),
        ("no package", file().information("pkg-1.0.info").build(), "no folder `.dist-info`"),
        (
            "a program that is code",
            file().file("pkg-1.0.dist-info/entry_points.txt", "[console_scripts]\na=b;c:d").build(),
            "entry_points.txt:2",
        ),
        ("no zip", b"PK\x03\x04 and no more".to_vec(), "cannot install pkg"),
    ];
    for (summary, bytes, words) in cases {
        let (result, _) = installed(NAME, bytes);
        let message = result.expect_err(summary).to_string();
        assert!(message.contains(words) && message.contains(NAME), "{summary}: {message}");
    }
}

/// What is listed and is not there does no harm: the new list has what is.
#[test]
fn the_new_list_is_true() {
    let wheel = wheel().file("pkg/a.py", "good\n");
    let record = format!("{}../../../etc/passwd,sha256=x,1\npkg/gone.py,sha256=x,1\n", wheel.true_record());
    let (result, found) = installed(NAME, &wheel.record(&record).build());
    result.expect("installed");
    let listed = &found["root/lib/python/pkg-1.0.dist-info/RECORD"];
    assert!(!listed.contains("gone") && !listed.contains("passwd"), "{listed}");
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; 65 << 20];
    let (result, found) = installed(NAME, &wheel().file("pkg/zeros", zeros).build());
    let message = result.expect_err("too large").to_string();
    assert!(message.contains("larger than 67108864 bytes together"), "{message}");
    assert!(!found.keys().any(|path| path.ends_with("zeros")), "{found:?}");
    // What claims to be small is small: the rest is not read.
    let liar = wheel().file("pkg/zeros", vec![0; 1 << 20]).claiming(10);
    let (result, found) = installed(NAME, &liar.build());
    result.expect_err("it is not what it says");
    assert!(found.get("root/lib/python/pkg/zeros").is_none_or(|zeros| zeros.len() <= 10), "{found:?}");
    let liar = wheel().file("pkg/zeros", "x").claiming(u32::MAX - 1);
    installed(NAME, &liar.build()).0.expect_err("it is not what it says");
}

/// Whoever installs is told of every program, whatever its name and mode.
#[test]
fn programs_for_other_machines_are_seen() {
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    program.extend([62, 0, 1, 0, 0, 0]);
    let bytes = wheel().file("pkg/data.txt", program).build();
    let folder = tempfile::tempdir().expect("a folder");
    let root = Root::open(folder.path(), Links::Refuse).expect("a root");
    let mut files = Files::new(&root, 0);
    install(NAME, file(&bytes), &scheme(), Requested::ByOthers, &mut files).expect("installed");
    let programs = files.take_programs();
    assert_eq!(programs.len(), 1, "{programs:?}");
    assert_eq!(
        (programs[0].machine, programs[0].path.to_string().as_str()),
        (Machine::AMD64, "lib/python/pkg/data.txt")
    );
}
