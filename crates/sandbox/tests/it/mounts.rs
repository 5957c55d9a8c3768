//! Mounts: what they show, and that they leave nothing in a root or beside it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{for_everyone, user_id};

#[test]
fn mounts_show_what_was_asked_and_leave_nothing() {
    for_everyone(|root| {
        let shared = root.beside().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("file"), "from outside\n").unwrap();
        fs::write(root.path().join("etc/resolv.conf"), "original\n").unwrap();
        symlink("../run/link", root.path().join("etc/linked")).unwrap();
        root.give_to_owner();
        std::os::unix::fs::chown(&shared, Some(user_id()), Some(user_id())).unwrap();
        let shared = shared.to_str().unwrap();
        let file = format!("{shared}/file");
        let before = root.listing();
        let options = [
            ["--memory", "/run", "755"],
            ["--memory", "/tmp", "1777"],
            ["--bind", shared, "/run/deep/rw"],
            ["--bind-ro", shared, "/run/ro"],
            ["--bind-ro", &file, "/run/file"],
            ["--file", "/etc/resolv.conf", "given\n"],
            ["--file", "/run/link", "through a link\n"],
        ];
        let script = "cat /run/file /etc/resolv.conf /etc/linked; stat -c %a /tmp; touch /tmp/x /run/y; \
                      echo new >/run/deep/rw/new; ! touch /run/ro/z 2>/dev/null && \
                      ! touch /etc/resolv.conf 2>/dev/null && ls /sys | grep -q block; echo $?";
        let options = options.concat();
        let command = ["--sys", "--env", "PATH=/bin", "ROOT", "sh", "-c", script];
        let out = root.run(&[&options, &command[..]].concat()).ok();
        assert_eq!(out, "from outside\ngiven\nthrough a link\n1777\n0\n");
        assert_eq!(fs::read_to_string(format!("{shared}/new")).unwrap(), "new\n");
        assert_eq!(root.listing(), before);
    });
}

#[test]
fn a_target_that_is_missing_is_made_only_if_asked_for() {
    for_everyone(|root| {
        let before = root.listing();
        let err = root.run(&["--file", "/etc/new", "x", "ROOT", "/bin/true"]).err;
        assert!(
            err.contains("cannot mount onto /etc/new of the root; the root must have it already"),
            "{err}"
        );
        assert_eq!(root.listing(), before);
        let arguments = ["--create-targets", "--file", "/etc/a/new", "x", "ROOT", "/bin/cat", "/etc/a/new"];
        assert_eq!(root.run(&arguments).ok(), "x");
        assert_eq!(fs::metadata(root.path().join("etc/a/new")).unwrap().len(), 0);
    });
}

#[test]
fn links_in_a_root_lead_nowhere_outside() {
    for_everyone(|root| {
        let outside = root.beside().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&outside, root.path().join("absolute")).unwrap();
        symlink("../../outside", root.path().join("relative")).unwrap();
        for link in ["absolute", "relative"] {
            let target = format!("/{link}/file");
            let outcome = root.run(&["--create-targets", "--file", &target, "x", "ROOT", "/bin/true"]);
            assert_eq!(outcome.code, Some(125), "{outcome:?}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        // Where `/proc` or `/dev` is a link, it is followed within the root as well.
        fs::remove_dir(root.path().join("dev")).unwrap();
        symlink(&outside, root.path().join("dev")).unwrap();
        assert_eq!(root.shell("true").code, Some(125));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    });
}

#[test]
fn the_root_can_be_read_only() {
    for_everyone(|root| {
        let arguments = ["--read-only", "--memory", "/tmp", "1777", "--env", "PATH=/bin", "ROOT", "sh", "-c"];
        let script = "touch /tmp/fine && ! touch /etc/x 2>/dev/null && echo refused";
        assert_eq!(root.run(&[&arguments[..], &[script]].concat()).ok(), "refused\n");
    });
}
