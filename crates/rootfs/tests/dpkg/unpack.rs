//! Packages that are unpacked and not configured. The roots hold no dpkg, so our build ends where it would run it.

use testkit::{DebBuilder, Member, MemberKind, machine_architecture};

use crate::compare::{assert_same, ours, theirs};

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0").architecture("all")
}

fn native(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0").architecture(machine_architecture())
}

struct Case {
    summary: &'static str,
    make: fn() -> Vec<DebBuilder>,
}

const fn case(summary: &'static str, make: fn() -> Vec<DebBuilder>) -> Case {
    Case { summary, make }
}

const DATABASE: &[Case] = &[
    case("configuration files", || {
        let simple = deb("simple").conffile("etc/simple.conf", "a").conffile("etc/simple.d/more", "b");
        vec![simple.file("etc/not-one", "c"), deb("plain").file("etc/plain", "d")]
    }),
    case("sums that a package does not bring", || {
        let many = deb("many").file("usr/share/a", "a").file("usr/share/b b", "b").conffile("etc/c", "c");
        let links = deb("links").file("usr/share/one", "x").hard_link("usr/share/two", "usr/share/one");
        vec![many, links.symlink("usr/share/three", "one"), deb("nothing")]
    }),
    case("sums that a package brings", || {
        vec![deb("brings").file("usr/share/a", "a").control_file("md5sums", "0123  usr/share/a\n")]
    }),
    case("all kinds of control files", || {
        let full = deb("full").script("postinst", "#!/bin/sh\n").script("prerm", "#!/bin/sh\n");
        let full =
            full.script("config", "#!/bin/sh\n").control_file("templates", "Template: full/a\nType: note\n");
        vec![
            full.control_file("shlibs", "libfull 1 full\n")
                .control_file("symbols", "libfull.so.1 full #MINVER#\n"),
        ]
    }),
    case("triggers by path and by name", || {
        let first = deb("first").triggers("interest-noawait /usr/share/man\ninterest named\n");
        let second = deb("second").triggers("# a comment\ninterest /usr/share/man\ninterest-await other\n");
        let third = deb("third").triggers("activate-noawait named\n").file("usr/share/man/man1/a.1", "x");
        vec![first, second, third]
    }),
    case("packages of several architectures", || {
        let same = native("libsame").field("Multi-Arch", "same").file("usr/lib/libsame.so", "x");
        let foreign = native("tool").field("Multi-Arch", "foreign").file("usr/bin/tool", "x");
        vec![same.conffile("etc/same", "x").triggers("interest same-named\n"), foreign]
    }),
    case("fields of all sorts", || {
        let rich =
            deb("rich").field("Section", "misc").field("Priority", "optional").field("Homepage", "http://a");
        let rich =
            rich.field("Depends", "a | b (>= 1), c").field("X-Odd", "kept").field("Installed-Size", "7");
        vec![rich.field("Description", "short\n long\n .\n longer").field("Source", "origin (2.0)")]
    }),
];

const TREES: &[Case] = &[
    case("modes, owners, pipes and links", || {
        let odd = deb("odd").file_with("usr/bin/setuid", 0o4755, 0, 0, "x").dir_with("var/odd", 0o1777, 7, 8);
        let odd = odd.file_with("usr/bin/other", 0o640, 5, 6, "x").symlink("usr/bin/link", "nowhere");
        vec![odd.member(Member::new("./usr/pipe", MemberKind::Fifo))]
    }),
    case("a folder that two packages have with other modes", || {
        let first = deb("first").dir_with("opt/shared", 0o700, 1, 1).file("opt/shared/a", "a");
        vec![first, deb("second").dir_with("opt/shared", 0o755, 0, 0).file("opt/shared/b", "b")]
    }),
    case("a folder where an earlier package has a link to one", || {
        let first = deb("first").dir("opt/real").symlink("opt/link", "real");
        vec![first, deb("second").dir("opt/link").file("opt/link/a", "a")]
    }),
    case("folders that are merged into usr", || {
        vec![
            deb("old").file("bin/old", "x").file("lib/old/a", "x").file("sbin/old", "x"),
            deb("new").file("usr/bin/new", "x"),
        ]
    }),
];

const SHARED: &[Case] = &[
    case("the second package replaces the first", || {
        let second =
            deb("second").field("Replaces", "first").file("usr/share/a", "second").file("usr/share/c", "c");
        vec![deb("first").file("usr/share/a", "1").file("usr/share/b", "b"), second]
    }),
    case("the second package replaces an old version of the first", || {
        let second = deb("second").field("Replaces", "other, first (<< 2)").file("usr/share/a", "second");
        vec![deb("first").file("usr/share/a", "1").file("usr/share/b", "b"), second]
    }),
    case("the first package replaces the second", || {
        let first = deb("first").field("Replaces", "second").file("usr/share/a", "first");
        vec![first, deb("second").file("usr/share/a", "2").file("usr/share/b", "b")]
    }),
    case("each replaces the other", || {
        let first =
            deb("first").field("Replaces", "second").file("usr/share/a", "1").file("usr/share/b", "b");
        vec![first, deb("second").field("Replaces", "first").file("usr/share/a", "2")]
    }),
    case("a third package replaces what the second took", || {
        let second = deb("second").field("Replaces", "first").file("usr/share/a", "2");
        let third = deb("third").field("Replaces", "first, second").file("usr/share/a", "3");
        vec![
            deb("first").file("usr/share/a", "1").file("usr/share/b", "b"),
            second.file("usr/share/d", "d"),
            third,
        ]
    }),
    case("a file with sums that dpkg makes is replaced", || {
        let second = deb("second").field("Replaces", "first").file("usr/share/a", "2");
        vec![
            deb("first").file("usr/share/a", "1").symlink("usr/share/l", "a"),
            second.file("usr/share/z", "z"),
        ]
    }),
];

#[test]
fn databases_are_dpkgs() {
    check(DATABASE);
}

#[test]
fn trees_are_dpkgs() {
    check(TREES);
}

#[test]
fn files_of_two_packages_go_where_dpkg_puts_them() {
    check(SHARED);
}

fn check(cases: &[Case]) {
    for case in cases {
        let debs = (case.make)();
        let (root, error) = ours(&debs);
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            message.contains("the root must have it"),
            "{}: the build ended elsewhere: {message}",
            case.summary
        );
        assert_same(case.summary, &root, &theirs(&debs, &[&["--unpack", "{}"]]));
    }
}
