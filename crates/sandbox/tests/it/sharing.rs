//! What a sandbox can share with the machine when it is told to.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Command;

use crate::support::{Root, Who, for_everyone, user_id};

fn run(root: &Root, options: &[&str], script: &str) -> String {
    root.run(&[options, &["--env", "PATH=/bin", "ROOT", "sh", "-c", script]].concat()).ok()
}

#[test]
fn what_is_mounted_below_a_source_comes_only_with_a_recursive_bind() {
    for_everyone(|root| {
        let folder = root.beside().join("source");
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::create_dir(root.path().join("mnt")).unwrap();
        let source = folder.to_str().unwrap();
        root.give_to_owner();
        let below = folder.join("below");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "mode=777", "x"]).arg(&below).status();
        assert!(mounted.unwrap().success());
        fs::write(below.join("file"), "").unwrap();
        let recursive = run(&root, &["--bind", source, "/mnt"], "ls /mnt/below");
        let read_only = run(&root, &["--bind-ro", source, "/mnt"], "touch /mnt/below/x 2>/dev/null; echo $?");
        let plain = run(&root, &["--bind-plain", source, "/mnt"], "ls /mnt/below");
        assert!(Command::new("umount").arg(&below).status().unwrap().success());
        assert_eq!((recursive.as_str(), read_only.as_str()), ("file\n", "1\n"));
        // The kernel does not let an ordinary user look beneath root's mounts, and root in a user namespace is one.
        assert_eq!(plain, "file\n", "{:?}", root.who);
    });
    let root = Root::new(Who::Root);
    let folder = root.beside().join("source");
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::create_dir(root.path().join("mnt")).unwrap();
    let script = format!(
        "mount -t tmpfs x {0}/below && touch {0}/below/file && \
         exec \"$0\" --here --bind-plain {0} /mnt \"$@\"",
        folder.display()
    );
    let arguments = [root.path().to_str().unwrap().to_owned(), "/bin/ls".into(), "/mnt/below".into()];
    assert_eq!(crate::support::in_surroundings(&script, &arguments).ok(), "");
}

#[test]
fn the_machines_devices_and_sys_can_be_had() {
    for_everyone(|root| {
        let outside = fs::metadata("/dev").unwrap();
        let script = "stat -c %d:%i /dev; echo x >/dev/null && echo writable";
        let expected = format!("{}:{}\nwritable\n", outside.dev(), outside.ino());
        assert_eq!(run(&root, &["--all-devices"], script), expected);
        let flags = "awk '$5 == \"/sys\" { print substr($6, 1, 2) }' /proc/self/mountinfo";
        assert_eq!(run(&root, &["--sys"], flags), "ro\n");
        let outside = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let outside = outside.lines().find(|line| line.split(' ').nth(4) == Some("/sys")).unwrap();
        let flags_outside = outside.split(' ').nth(5).unwrap().split(',').next().unwrap();
        assert_eq!(run(&root, &["--sys-writable"], flags), format!("{flags_outside}\n"));
    });
}

#[test]
fn namespaces_limits_and_proc_are_the_machines_when_asked_for() {
    for_everyone(|root| {
        let script = "for n in uts ipc cgroup net mnt pid; do readlink /proc/self/ns/$n; done; hostname";
        let inside = run(&root, &["--shared", "--host-network"], script);
        let outside =
            |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        let lines: Vec<_> = inside.lines().collect();
        for (index, name) in ["uts", "ipc", "cgroup", "net"].into_iter().enumerate() {
            assert_eq!(lines[index], outside(name));
        }
        assert!(lines[4] != outside("mnt") && lines[5] != outside("pid"));
        assert_eq!(lines[6], fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
        assert_eq!(run(&root, &["--keep-limits"], "ulimit -n"), format!("{limit}\n"));
        let mounts = "grep -c ' /proc/' /proc/self/mountinfo";
        assert_ne!(root.shell(mounts).out, "0\n");
        let whole = root.run(&["--whole-proc", "--env", "PATH=/bin", "ROOT", "sh", "-c", mounts]);
        assert_eq!(whole.out, "0\n");
    });
}

#[test]
fn names_are_looked_up_as_outside() {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let outside = read("/etc/resolv.conf") + &read("/etc/hosts");
    let script = "cat /etc/resolv.conf /etc/hosts; echo x 2>/dev/null >/etc/hosts || echo read-only";
    for_everyone(|root| {
        // An empty file as containers leave it, and a link to a service that does not run.
        fs::write(root.path().join("etc/hosts"), "").unwrap();
        symlink("../run/systemd/resolve/stub-resolv.conf", root.path().join("etc/resolv.conf")).unwrap();
        let before = root.listing();
        assert_eq!(run(&root, &["--resolver"], script), format!("{outside}read-only\n"));
        assert_eq!(root.listing(), before);
        // Nothing there at all.
        for name in ["hosts", "resolv.conf"] {
            fs::remove_file(root.path().join("etc").join(name)).unwrap();
        }
        root.give_to_owner();
        let made = "missing: /etc/resolv.conf\nmissing: /etc/hosts\n";
        let out = run(&root, &["--resolver", "--placeholders"], script);
        assert_eq!(out, format!("{made}{outside}read-only\n"));
        assert_eq!(fs::read_dir(root.path().join("etc")).unwrap().count(), 0);
    });
}

#[test]
fn placeholders_go_when_they_are_no_longer_needed() {
    for_everyone(|root| {
        let folder = root.beside().join("source");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "content\n").unwrap();
        std::os::unix::fs::chown(&folder, Some(user_id()), Some(user_id())).unwrap();
        fs::create_dir(root.path().join("etc/there")).unwrap();
        symlink("/nowhere/at/all", root.path().join("etc/dangling")).unwrap();
        root.give_to_owner();
        let names = |root: &Root| -> Vec<String> {
            root.listing().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
        };
        let before = names(&root);
        let (source, file) = (folder.to_str().unwrap(), format!("{}/file", folder.display()));
        let options = [
            &["--placeholders"][..],
            &["--bind-plain", source, "/a/deep/folder"],
            &["--bind-plain", &file, "/a/deep/with space"],
            &["--bind-plain", &file, "/a/deep/folder/inside"],
            &["--bind-plain", &file, "/etc/dangling"],
            &["--bind-plain", &file, "/etc/there/file"],
        ];
        let script = "cat '/a/deep/with space' /a/deep/folder/file /a/deep/folder/inside /etc/dangling \
                      /etc/there/file; stat -c %a /a; touch /a/kept";
        let missing = ["/a", "/a/deep", "/a/deep/folder", "/a/deep/with space", "/etc/there/file"];
        let missing: String = missing.iter().map(|path| format!("missing: {path}\n")).collect();
        let out = run(&root, &options.concat(), script);
        assert_eq!(out, format!("{missing}{}755\n", "content\n".repeat(5)));
        let kept: Vec<_> = names(&root).into_iter().filter(|name| !before.contains(name)).collect();
        let path = root.path();
        assert_eq!(kept, [path.join("a").display().to_string(), path.join("a/kept").display().to_string()]);
        // Made in the source, where the root had nothing to do with it.
        assert_eq!(fs::read_to_string(folder.join("inside")).unwrap(), "");
    });
}
