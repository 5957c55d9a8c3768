//! Roots, comparisons of roots, and users.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]

use std::fs;
use std::path::Path;

use ovmlayer_testkit::{Member, MemberKind, Network, Rootfs, TarBuilder, TestUser, output, rootfs_diff, run};

/// A root with one program: the machine's own busybox or shell with the libraries it is linked to.
fn root_with_shell(tar: &Path) {
    let mut members = vec!["/bin/sh".to_owned(), "/usr/bin/id".to_owned(), "/bin/cat".to_owned()];
    for program in members.clone() {
        let libraries = run(std::process::Command::new("ldd").arg(&program));
        let libraries = String::from_utf8(libraries).unwrap();
        members.extend(libraries.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    members.sort();
    members.dedup();
    let folders = ["proc", "dev", "sys", "etc"].into_iter();
    let builder = folders.fold(TarBuilder::new(), |tar, name| {
        tar.member(Member::new(format!("{name}/"), MemberKind::Directory))
    });
    let builder = members.iter().fold(builder, |tar, path| {
        tar.member(Member::file(path.trim_start_matches('/'), fs::read(path).unwrap()).mode(0o755))
    });
    let builder = ["etc/resolv.conf", "etc/hosts"]
        .iter()
        .fold(builder, |tar, name| tar.member(Member::file(*name, "")));
    fs::write(tar, builder.build()).unwrap();
}

#[test]
fn commands_run_by_chroot_and_by_runc() {
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("root.tar");
    root_with_shell(&tar);
    let rootfs = Rootfs::extract(&tar);
    assert_eq!(run(rootfs.chroot("/bin/sh").args(["-c", "id -u"])), b"0\n");
    let script = "id -u; cat /proc/sys/kernel/hostname; cat /proc/net/dev | { n=0; while read x; do n=$((n+1)); done; echo $n; }";
    let result = rootfs.runc(Network::None, &["/bin/sh", "-c", script]);
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    assert!(result.status.success(), "{text}{}", String::from_utf8_lossy(&result.stderr));
    assert!(text.starts_with("0\nrootfs\n"), "{text}");
    let result = rootfs.runc(Network::Host, &["/bin/cat", "/etc/resolv.conf"]);
    assert_eq!(result.stdout, fs::read("/etc/resolv.conf").unwrap());
    assert_eq!(rootfs.runc(Network::None, &["/bin/sh", "-c", "exit 7"]).status.code(), Some(7));
}

#[test]
fn differences_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, builder: TarBuilder| {
        let path = folder.path().join(name);
        fs::write(&path, builder.build()).unwrap();
        path
    };
    let common = TarBuilder::new().member(Member::file("same", "x"));
    let a = write("a.tar", common.clone().member(Member::file("other", "1")).member(Member::file("a", "")));
    let b = write("b.tar", common.member(Member::file("other", "2")).member(Member::file("log/b", "")));
    let found = rootfs_diff(&a, &b, &[]);
    assert_eq!((found.differing, found.only_in_a, found.only_in_b, found.equal), (1, 1, 1, 1), "{found:?}");
    assert_eq!(found.lines.len(), 3);
    assert!(!found.is_empty());
    assert!(rootfs_diff(&a, &b, &["/other", "/a", "/log/*"]).is_empty());
}

#[test]
fn a_user_is_made_and_removed() {
    let user = TestUser::create();
    let name = user.name().to_owned();
    let id = run(&mut with(user.command("sh"), "id -u; id -un; pwd; echo $HOME; touch here"));
    let home = user.home().display().to_string();
    assert_eq!(String::from_utf8(id).unwrap(), format!("{}\n{name}\n{home}\n{home}\n", user.uid()));
    let map = "unshare --user --map-auto --map-root-user cat /proc/self/uid_map";
    let map = String::from_utf8(run(&mut with(user.command("sh"), map))).unwrap();
    assert!(
        map.split_whitespace().any(|word| word.parse::<u64>().is_ok_and(|count| count >= 65_000)),
        "{map}"
    );
    let shadow = output(&mut with(user.command("sh"), "cat /etc/shadow"));
    assert!(!shadow.status.success(), "an ordinary user reads no secrets");
    drop(user);
    for file in ["/etc/passwd", "/etc/subuid", "/etc/subgid"] {
        assert!(!fs::read_to_string(file).unwrap().contains(&name), "{file}");
    }
}

fn with(mut command: std::process::Command, script: &str) -> std::process::Command {
    command.args(["-c", script]);
    command
}
