//! Packages that are installed whole, by the dpkg in the root and by dpkg from outside.

use testkit::{DebBuilder, toolbox};

use crate::compare::{assert_same, ours, theirs};

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0").architecture("all")
}

/// A package whose `preinst` diverts a file that a later package brings, as dash once did with `/bin/sh`.
fn diverting() -> DebBuilder {
    let divert = "#!/bin/sh\nset -e\ndpkg-divert --package diverter --add --no-rename --divert /usr/bin/thing.real /usr/bin/thing\n";
    deb("diverter").script("preinst", divert).file("usr/bin/thing", "the diverter's")
}

#[test]
fn diversions_are_dpkgs() {
    // `thing` has a preinst that does something, and so is unpacked after the diversion is there.
    let thing = deb("thing")
        .field("Pre-Depends", "diverter")
        .script("preinst", "#!/bin/sh\nset -e\ntest -e /usr/bin/thing\n")
        .file("usr/bin/thing", "the real one")
        .conffile("etc/thing.conf", "x");
    let debs = [toolbox(), diverting(), thing];
    let (root, error) = ours(&debs);
    assert!(error.is_none(), "{error:?}");
    let one_by_one: &[&[&str]] = &[&["--install", "#0"], &["--install", "#1"], &["--install", "#2"]];
    let reference = theirs(&debs, one_by_one);
    assert_same("a diversion", &root, &reference);
    let read = |name: &str| std::fs::read_to_string(root.path().join(name)).expect("a file");
    assert_eq!(
        (read("usr/bin/thing"), read("usr/bin/thing.real")),
        ("the diverter's".into(), "the real one".into())
    );
}

#[test]
fn triggers_run_as_dpkg_runs_them() {
    let log = "#!/bin/sh\nset -e\nif [ \"$1\" = triggered ]; then echo \"$2\" >> /triggered; fi\n";
    let reader =
        deb("reader").triggers("interest-noawait /usr/share/read\ninterest call\n").script("postinst", log);
    let writer = deb("writer").file("usr/share/read/a", "x");
    let caller = deb("caller")
        .field("Pre-Depends", "reader")
        .triggers("activate call\n")
        .script("preinst", "#!/bin/sh\nmkdir -p /var/caller\n");
    let debs = [toolbox(), reader, writer, caller];
    let (root, error) = ours(&debs);
    assert!(error.is_none(), "{error:?}");
    let triggered = std::fs::read_to_string(root.path().join("triggered")).unwrap_or_default();
    assert!(triggered.contains("call"), "triggered: {triggered:?}");
    let audit = testkit::run(
        std::process::Command::new(testkit::tool("dpkg"))
            .arg(format!("--root={}", root.path().display()))
            .arg("--audit"),
    );
    assert_eq!(String::from_utf8_lossy(&audit), "");
}
