//! Archives of npm packages.

use std::collections::BTreeMap;

use ovmlayer_deps::npm::{Manifest, Selected, install, link_programs};
use ovmlayer_deps::{Error, Files};
use testkit::{Compression, Content, Member, MemberKind, TarBuilder};
use tree::{Links, Root};

use crate::{contents, file};

fn package(programs: &[(&str, &str)]) -> Selected {
    Selected {
        place: "node_modules/@s/pkg".into(),
        name: "@s/pkg".into(),
        version: "1.0.0".into(),
        integrity: None,
        is_native: false,
        direct: true,
        programs: programs.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect(),
    }
}

/// Installs an archive into a folder inside another one; what there is in the outer one then.
fn installed(archive: &[u8], programs: &[(&str, &str)]) -> (Result<(), Error>, BTreeMap<String, String>) {
    let outside = tempfile::tempdir().expect("a folder");
    let inside = outside.path().join("root");
    std::fs::create_dir(&inside).expect("a folder");
    let root = Root::open(&inside, Links::Refuse).expect("a root");
    let package = package(programs);
    let mut files = Files::new(&root, 0);
    let result = install(&package, file(archive), "lib", &mut files)
        .and_then(|()| link_programs(&[package], "lib", Some("bin"), &files));
    (result, contents(outside.path()))
}

fn gzip(members: impl IntoIterator<Item = Member>) -> Vec<u8> {
    let tar = members.into_iter().fold(TarBuilder::new(), TarBuilder::member);
    Compression::Gzip.compress(&tar.build())
}

#[test]
fn a_good_archive_is_installed() {
    let archive = gzip([
        Member::file("package/package.json", "{}"),
        Member::file("Package/Run.js", "#!/usr/bin/env node\n").mode(0o6777),
        Member::file("package/run.js", "old\n"),
        Member::file("package/run.js", "the last one counts\n"),
        Member::file("package/.gitignore", "x"),
    ]);
    let (result, found) = installed(&archive, &[("run", "./run.js")]);
    result.expect("installed");
    assert_eq!(found["root/lib/node_modules/@s/pkg/run.js"], "the last one counts\n");
    assert_eq!(found["root/lib/node_modules/.bin/run"], "-> ../@s/pkg/run.js");
    assert_eq!(found["root/bin/run"], "-> ../lib/node_modules/@s/pkg/run.js");
    assert!(found.contains_key("root/lib/node_modules/@s/pkg/Run.js"), "cases differ: {found:?}");
    assert!(found.contains_key("root/lib/node_modules/@s/pkg/.npmignore"), "{found:?}");
}

#[test]
fn what_leads_outside_is_refused() {
    let cases = [
        ("above", Member::file("package/../../../../outside", "x")),
        ("absolute", Member::file("/etc/outside", "x")),
        ("above, in a header of its own", {
            let mut member = Member::file("package/a", "x");
            member.pax = vec![("path".into(), b"package/../../../../outside".to_vec())];
            member
        }),
        ("a name that is too long", Member::file(format!("package/{}outside", "d/".repeat(3000)), "x")),
        ("a component that is too long", Member::file(format!("package/{}outside", "d".repeat(300)), "x")),
        ("a size beyond everything", {
            let mut member = Member::file("package/outside", "x");
            member.claimed_size = Some(u64::MAX / 2);
            member
        }),
        ("a sparse file", {
            let mut member = Member::file("package/outside", "x");
            member.pax = vec![
                ("GNU.sparse.major".into(), b"1".to_vec()),
                ("GNU.sparse.minor".into(), b"0".to_vec()),
                ("GNU.sparse.realsize".into(), b"99999999999".to_vec()),
            ];
            member
        }),
        ("a header that is too large", {
            let mut member = Member::file("package/outside", "x");
            member.pax = vec![("comment".into(), vec![b'x'; 2 << 20])];
            member
        }),
    ];
    for (summary, member) in cases {
        let (result, found) = installed(&gzip([member]), &[]);
        let message = result.expect_err(summary).to_string();
        assert!(message.contains("@s/pkg"), "{summary}: {message}");
        assert!(!found.keys().any(|path| path.contains("outside")), "{summary}: {found:?}");
    }
}

/// Links and devices are not installed by npm either; so nothing can be written through them.
#[test]
fn links_and_devices_are_left_out() {
    let link = |kind: MemberKind| Member::new("package/link", kind);
    let archive = gzip([
        link(MemberKind::Symlink(b"/etc".to_vec())),
        Member::file("package/link/outside", "x"),
        Member::new("package/hard", MemberKind::HardLink(b"package/package.json".to_vec())),
        Member::new("package/null", MemberKind::CharDevice { major: 1, minor: 3 }),
        Member::new("package/pipe", MemberKind::Fifo),
    ]);
    let (result, found) = installed(&archive, &[]);
    result.expect("installed");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["root/lib/node_modules/@s/pkg/link/outside"]);
}

/// Programs are files of the package itself, and have names.
#[test]
fn programs_stay_inside() {
    let archive = gzip([Member::file("package/run.js", "x"), Member::file("package/node_modules/o/x", "x")]);
    let programs = [
        ("above", "../../../../../etc/passwd"),
        ("beside", "../other/run.js"),
        ("gone", "gone.js"),
        ("../../name", "run.js"),
        (".hidden", "run.js"),
        ("", "run.js"),
        ("folder", "node_modules"),
    ];
    for program in programs {
        let (_, found) = installed(&archive, &[program]);
        assert!(!found.values().any(|text| text.starts_with("->")), "{program:?}: {found:?}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = MemberKind::File(Content::Repeat { byte: 0, size: 65 << 20 });
    let archive = gzip([Member::new("package/zeros", zeros)]);
    assert!(archive.len() < 1 << 20, "little bytes");
    let (result, found) = installed(&archive, &[]);
    let message = result.expect_err("too large").to_string();
    assert!(message.contains("@s/pkg"), "{message}");
    assert!(found.is_empty(), "nothing of it is there");
    let many = (0..200_001).map(|number| Member::new(format!("package/{number}"), MemberKind::Directory));
    let (result, _) = installed(&gzip(many), &[]);
    assert!(result.expect_err("too many").to_string().contains("@s/pkg"));
}

#[test]
fn what_is_no_archive_is_named() {
    let good = gzip([Member::file("package/package.json", "{\"bin\": \"x\"}")]);
    let cases = [
        ("no gzip", b"hello".to_vec()),
        ("cut off", good[..good.len() / 2].to_vec()),
        ("no tar", Compression::Gzip.compress(&[1; 2048])),
    ];
    for (summary, archive) in cases {
        let message = installed(&archive, &[]).0.expect_err(summary).to_string();
        assert!(message.contains("@s/pkg"), "{summary}: {message}");
    }
    let manifest = |archive: &[u8]| Manifest::of_archive(&package(&[]), file(archive));
    let found = manifest(&good).expect("a manifest");
    assert_eq!((found.programs["pkg"].as_str(), found.runs_scripts), ("x", false));
    let gyp = gzip([Member::file("package/package.json", "{}"), Member::file("package/binding.gyp", "{}")]);
    assert!(manifest(&gyp).expect("a manifest").runs_scripts, "node-gyp is run");
    for (text, words) in [("{", "its package.json"), ("[]", "its package.json")] {
        let message =
            manifest(&gzip([Member::file("package/package.json", text)])).expect_err(text).to_string();
        assert!(message.contains(words) && message.contains("@s/pkg"), "{message}");
    }
    let message = manifest(&gzip([Member::file("package/a", "x")])).expect_err("none").to_string();
    assert!(message.contains("no package.json"), "{message}");
}
