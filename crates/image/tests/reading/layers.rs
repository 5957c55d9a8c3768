//! What each thing that a layer can say does to the layers below it, beside `umoci`.

use testkit::{Member, MemberKind};

use crate::made::{Made, entries, same_as_umoci};

pub(crate) fn dir(name: &str) -> Member {
    Member::new(name, MemberKind::Directory)
}

pub(crate) fn file(name: &str, contents: &str) -> Member {
    Member::file(name, contents)
}

pub(crate) fn link(name: &str, target: &str) -> Member {
    Member::new(name, MemberKind::HardLink(target.into()))
}

pub(crate) fn symlink(name: &str, target: &str) -> Member {
    Member::new(name, MemberKind::Symlink(target.into()))
}

fn at(mut member: Member, time: u64) -> Member {
    member.mtime = time;
    member
}

fn with(mut member: Member, name: &str, value: &[u8]) -> Member {
    member.pax.push((format!("SCHILY.xattr.{name}"), value.to_vec()));
    member
}

/// A lower layer with something of everything.
fn base() -> Vec<Member> {
    vec![
        dir("etc/"),
        file("etc/passwd", "root"),
        file("etc/group", "root").owner(0, 42).mode(0o640),
        dir("usr/").mode(0o750),
        dir("usr/lib/"),
        file("usr/lib/one", "1"),
        file("usr/lib/two", "2"),
        dir("usr/lib/deep/"),
        file("usr/lib/deep/three", "3"),
        symlink("lib", "usr/lib"),
        symlink("absolute", "/usr/lib/deep"),
        link("usr/hard", "etc/passwd"),
        dir("empty/"),
    ]
}

#[test]
fn whiteouts_and_replacements() {
    let nothing = "";
    let table: Vec<(&str, Vec<Member>)> = vec![
        ("a file goes", vec![file("etc/.wh.passwd", nothing)]),
        ("a directory goes", vec![file("usr/.wh.lib", nothing)]),
        ("a link goes, not what it points to", vec![file(".wh.lib", nothing)]),
        ("what is not there goes", vec![file("usr/.wh.none", nothing), file("none/.wh.none", nothing)]),
        ("a whiteout before its successor", vec![file("etc/.wh.passwd", nothing), file("etc/passwd", "new")]),
        ("a whiteout after its successor", vec![file("etc/passwd", "new"), file("etc/.wh.passwd", nothing)]),
        (
            "a directory's whiteout after some of it",
            vec![dir("usr/lib/"), file("usr/lib/new", "n"), file("usr/.wh.lib", nothing)],
        ),
        (
            "a directory's whiteout after a file deep in it",
            vec![file("usr/lib/deep/new", "n"), file("usr/.wh.lib", nothing)],
        ),
        (
            "an opaque directory, the mark first",
            vec![file("usr/lib/.wh..wh..opq", nothing), file("usr/lib/new", "n")],
        ),
        (
            "the mark last",
            vec![dir("usr/lib/"), file("usr/lib/new", "n"), file("usr/lib/.wh..wh..opq", nothing)],
        ),
        (
            "the mark in between",
            vec![
                file("usr/lib/deep/new", "n"),
                file("usr/lib/.wh..wh..opq", nothing),
                file("usr/lib/deep/newer", "n"),
            ],
        ),
        ("an opaque root", vec![file(".wh..wh..opq", nothing), file("only", "this")]),
        ("an opaque directory that is not there", vec![file("none/.wh..wh..opq", nothing)]),
        ("a file over a directory", vec![file("usr/lib", "a file")]),
        ("a link over a directory", vec![symlink("usr/lib", "../etc")]),
        ("a directory over a file", vec![dir("usr/lib/one/"), file("usr/lib/one/inside", "x")]),
        ("a directory over a link", vec![dir("lib/"), file("lib/inside", "x")]),
        ("a directory over a directory", vec![dir("usr/lib/").mode(0o700).owner(5, 6)]),
        ("through a link", vec![file("lib/new", "n"), file("lib/deep/new", "n")]),
        ("through an absolute link", vec![file("absolute/new", "n")]),
        ("a whiteout through a link", vec![file("lib/.wh.one", nothing)]),
        ("an opaque directory through a link", vec![file("lib/.wh..wh..opq", nothing)]),
        ("through a link that leads out", vec![symlink("out", "../../../etc"), file("out/new", "n")]),
        ("through a link to nowhere", vec![symlink("nowhere", "not/there"), file("nowhere/new", "n")]),
        ("a hard link to a lower file", vec![link("etc/again", "usr/lib/one")]),
        ("a hard link through a link", vec![link("etc/again", "lib/one")]),
        ("a hard link to a link", vec![link("etc/again", "lib")]),
        ("a hard link whose first name goes", vec![link("a", "etc/passwd"), file("etc/.wh.passwd", nothing)]),
        ("one name of a lower file is replaced", vec![file("etc/passwd", "new")]),
        ("a file without its directory", vec![file("srv/a/b/c", "x")]),
        ("a name that comes twice", vec![file("etc/passwd", "one"), file("etc/passwd", "two")]),
        ("a directory that comes twice", vec![dir("srv/"), file("srv/a", ""), dir("srv/").mode(0o711)]),
        ("the root itself", vec![dir("./").mode(0o711).owner(1, 2)]),
        (
            "modes, owners and times",
            vec![
                at(file("times", "x").mode(0o4755).owner(70000, 100_000), 1_234_567_890),
                dir("sticky/").mode(0o1777),
            ],
        ),
        (
            "every kind",
            vec![
                Member::new("null", MemberKind::CharDevice { major: 1, minor: 3 }).mode(0o666),
                Member::new("disk", MemberKind::BlockDevice { major: 8, minor: 1 }),
                Member::new("pipe", MemberKind::Fifo),
                link("null-again", "null"),
            ],
        ),
        (
            "attributes and capabilities",
            vec![
                with(file("user", "x"), "user.comment", b"with\0zero"),
                with(dir("both/"), "user.a", b"1"),
                with(
                    file("capable", "x"),
                    "security.capability",
                    b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                ),
                with(file("replaced", "x"), "user.old", b"1"),
                file("replaced", "without"),
            ],
        ),
        (
            "attributes of another machine",
            vec![with(file("labelled", "x"), "security.selinux", b"system_u\0")],
        ),
    ];
    for (summary, upper) in table {
        same_as_umoci(&Made::new(&[base(), upper.clone()]), summary);
        // What goes must also go, and come again, between other layers.
        same_as_umoci(&Made::new(&[base(), upper, vec![file("usr/last", "l"), dir("etc/")]]), summary);
    }
}

#[test]
fn files_of_aufs_are_passed_over() {
    let upper = vec![
        dir(".wh..wh.plnk/"),
        file(".wh..wh.plnk/12.34", "x"),
        file(".wh..wh.aufs", ""),
        dir(".wh..wh.orph/"),
        file("kept", "x"),
    ];
    let made = Made::new(&[base(), upper]);
    let names: Vec<String> =
        entries(&made.flatten().unwrap()).iter().map(|entry| entry.path.to_string()).collect();
    assert!(
        names.contains(&"kept".to_owned()) && !names.iter().any(|name| name.contains(".wh.")),
        "{names:?}"
    );
}

#[test]
fn marks_of_overlays_do_not_come_through() {
    let upper = vec![
        with(dir("etc/"), "trusted.overlay.opaque", b"y"),
        with(with(file("etc/new", "x"), "user.overlay.redirect", b"/etc/shadow"), "user.kept", b"1"),
    ];
    let made = Made::new(&[base(), upper]);
    let entries = entries(&made.flatten().unwrap());
    let attributes: Vec<String> = entries
        .iter()
        .flat_map(|entry| entry.metadata.xattrs.keys())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    assert_eq!(attributes, ["user.kept"]);
}

#[test]
fn links_to_what_is_not_there_are_refused_as_umoci_does() {
    for (summary, upper, word) in [
        ("to nothing", vec![link("a", "none")], "which is not there"),
        ("to a directory", vec![link("a", "usr")], "which is a directory"),
        ("to itself through a link", vec![link("usr/lib/one", "lib/one")], "which is not there"),
        (
            "to what this layer has removed",
            vec![file("etc/.wh.passwd", ""), link("a", "etc/passwd")],
            "not there",
        ),
        ("into a file", vec![file("etc/passwd/inside", "x")], "is a file"),
        (
            "through links in a circle",
            vec![symlink("x", "y"), symlink("y", "x"), file("x/z", "")],
            "symbolic links",
        ),
    ] {
        let made = Made::new(&[base(), upper]);
        let error = made.flatten().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(word), "{summary}: {cause}");
        assert!(!crate::made::umoci_takes(&made), "{summary}: umoci takes it");
    }
}
