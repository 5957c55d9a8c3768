//! Limits: by control groups, in whichever version this machine has them, and of system calls.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Root, Who, for_everyone};

#[test]
fn what_is_used_is_limited() {
    let root = Root::new(Who::Root);
    let shell = ["--env", "PATH=/bin", "ROOT", "sh", "-c"];
    let script = "for i in 1 2 3 4 5 6; do sleep 1000 & done";
    let outcome = root.run(&[&["--pids", "5"], &shell[..], &[script]].concat());
    assert!(outcome.err.contains("can't fork"), "{outcome:?}");
    assert_eq!(root.run(&[&["--pids", "20"], &shell[..], &[script]].concat()).ok(), "");
    // dd takes a buffer of this size and fills it.
    let command = ["ROOT", "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", "status=none"];
    assert_eq!(root.run(&[&["--memory-limit", "16777216"], &command[..]].concat()).code, Some(137));
    assert_eq!(root.run(&[&["--memory-limit", "268435456"], &command[..]].concat()).code, Some(0));
    let groups = "cat /proc/self/cgroup";
    let own = root.run(&[&["--shared"], &shell[..], &[groups]].concat()).ok();
    let limited = root.run(&[&["--shared", "--cpus", "0.5"], &shell[..], &[groups]].concat()).ok();
    let changed: Vec<_> = limited.lines().filter(|line| !own.lines().any(|other| other == *line)).collect();
    assert!(changed.len() == 1 && changed[0].contains("/ovmlayer-"), "{limited}");
    assert_eq!(root.run(&[&["--cpus", "0"], &shell[..], &["true"]].concat()).code, Some(125));
}

#[test]
fn groups_are_removed_even_after_a_kill() {
    let root = Root::new(Who::Root);
    let shell = ["--pids", "50", "--shared", "--env", "PATH=/bin", "ROOT", "sh", "-c"];
    let script = "grep -o 'ovmlayer-.*' /proc/self/cgroup; sleep 1000";
    let mut child = root.command(&[&shell[..], &[script]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut name = String::new();
    output.read_line(&mut name).unwrap();
    let name = name.trim();
    assert_eq!(groups_named(Path::new("/sys/fs/cgroup"), name).len(), 1, "{name}");
    child.kill().unwrap();
    child.wait().unwrap();
    // All that were inside are gone when their output has ended.
    assert_eq!(output.read_line(&mut String::new()).unwrap(), 0);
    let mut second = String::new();
    // The kernel empties a group a moment after the last process has gone.
    while !groups_named(Path::new("/sys/fs/cgroup"), name).is_empty() {
        second = root.run(&[&shell[..], &["grep -o 'ovmlayer-.*' /proc/self/cgroup"]].concat()).ok();
    }
    assert!(second.starts_with("ovmlayer-"), "{second}");
    assert!(groups_named(Path::new("/sys/fs/cgroup"), second.trim()).is_empty());
}

#[test]
fn who_may_not_limit_is_told() {
    let root = Root::new(Who::User);
    let outcome = root.run(&["--pids", "5", "ROOT", "/bin/true"]);
    assert_eq!(outcome.code, Some(125));
    assert!(outcome.err.contains("cannot limit pids: no control group can be made in "), "{}", outcome.err);
    assert!(outcome.err.contains("Permission denied"), "{}", outcome.err);
}

#[test]
fn system_calls_are_those_of_the_profile() {
    let profile = r#"{
      "defaultAction": "SCMP_ACT_ALLOW",
      "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122 },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }] },
        { "names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS" },
        { "names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "excludes": { "caps": ["CAP_CHOWN"] } }
      ]
    }"#;
    for_everyone(|root| {
        let file = root.beside().join("profile.json");
        fs::write(&file, profile).unwrap();
        let options = ["--seccomp", file.to_str().unwrap(), "--env", "PATH=/bin", "ROOT", "sh", "-c"];
        let script = "mkdir /tmp/x; chmod 700 /tmp && kill -0 $$ && kill -USR1 $$; trap : USR2; kill -USR2 $$; echo $?";
        let outcome = root.run(&[&options[..], &[script]].concat());
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), "0\n"), "{outcome:?}");
        assert!(
            outcome.err.contains("uota exceeded") && outcome.err.contains("not permitted"),
            "{outcome:?}"
        );
        let killed = root.run(&[&["--all-capabilities"], &options[..], &["exec hostname x"]].concat());
        assert_eq!(killed.code, Some(128 + 31));
        fs::write(&file, "{}").unwrap();
        let refused = root.run(&[&options[..], &["true"]].concat());
        assert!(refused.err.contains("cannot use the seccomp profile: missing field"), "{}", refused.err);
    });
}

/// The groups of this name in any hierarchy.
fn groups_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let directories = fs::read_dir(folder).into_iter().flatten().flatten();
    let directories = directories.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .flat_map(|entry| {
            let own = (entry.file_name() == name).then(|| entry.path());
            own.into_iter().chain(groups_named(&entry.path(), name))
        })
        .collect()
}
