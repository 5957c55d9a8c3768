//! Commands: how they start, what they print, how they end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use crate::support::{Who, first_subordinate_id, for_everyone, user_id};

#[test]
fn exit_codes_and_signals_come_through() {
    for_everyone(|root| {
        for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
            assert_eq!(root.shell(script).code, Some(code), "{script}");
        }
    });
}

#[test]
fn programs_that_cannot_start_are_named() {
    for_everyone(|root| {
        fs::write(root.path().join("bin/not-executable"), "").unwrap();
        let tests = [
            (127, vec!["ROOT", "nowhere"], "cannot run `nowhere` in ", "No such file or directory"),
            (
                126,
                vec!["ROOT", "/bin/not-executable"],
                "cannot run `/bin/not-executable` in ",
                "Permission denied",
            ),
            (
                125,
                vec!["--work-in", "/nowhere", "ROOT", "true"],
                "cannot change to directory /nowhere",
                "No such file",
            ),
            (125, vec!["--work-in", "..", "ROOT", "true"], ".. is not an absolute path", ""),
            (125, vec!["/nowhere", "true"], "cannot bind /nowhere", "No such file or directory"),
            (125, vec!["ROOT"], "the command is empty", ""),
        ];
        for (code, arguments, what, why) in tests {
            let outcome = root.run(&arguments);
            assert_eq!(outcome.code, Some(code), "{arguments:?}");
            assert!(
                outcome.err.contains(what) && outcome.err.contains(why),
                "{arguments:?}: {}",
                outcome.err
            );
        }
        fs::remove_dir(root.path().join("proc")).unwrap();
        let err = root.shell("true").err;
        assert!(err.contains("cannot mount onto /proc of the root; the root must have it already"), "{err}");
    });
}

#[test]
fn the_environment_is_what_was_given() {
    for_everyone(|root| {
        let arguments = ["--env", "A=first", "--env", "B=x y", "--env", "A=1", "ROOT", "/bin/env"];
        assert_eq!(root.run(&arguments).ok(), "B=x y\nA=1\n");
    });
}

#[test]
fn a_command_starts_with_a_clean_slate() {
    for_everyone(|root| {
        let script = "umask; pwd; hostname; id -u; id -G; ls /proc/self/fd | wc -l; ulimit -n";
        assert_eq!(root.shell(script).ok(), "0022\n/\nlocalhost\n0\n0\n4\n1024\n");
        let pattern = "^(SigBlk|SigIgn|NoNewPrivs|Seccomp):";
        let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n";
        let status = root.run(&["ROOT", "/bin/grep", "-E", pattern, "/proc/self/status"]);
        assert_eq!(status.ok(), expected);
    });
}

#[test]
fn processes_left_behind_end_with_the_command() {
    for_everyone(|root| {
        // Standard output reaches its end only when the last process that has it is gone.
        assert_eq!(root.shell("(setsid sleep 1000 &) & echo done").ok(), "done\n");
    });
}

#[test]
fn a_killed_caller_leaves_nothing() {
    for_everyone(|root| {
        let marker = format!("{}", 1_000_000 + std::process::id());
        let script = "setsid sleep 1000 & echo ready; sleep 1000";
        let mut command = root.command(&["--env", "PATH=/bin", "ROOT", "sh", "-c", script, &marker]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let seen = process_with(&marker);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen, "the marker cannot be seen");
        // All that were inside hold the other end; this returns when the last of them is gone.
        output.read_to_string(&mut line).unwrap();
        assert!(!process_with(&marker), "a process is left");
        // Other programs of the machine may mount meanwhile.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(root.path().to_str().unwrap()), "a mount is left: {mounts}");
        fs::remove_dir_all(root.path()).unwrap();
    });
}

/// Whether a process has this word in its command line.
fn process_with(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
    })
}

#[test]
fn every_id_of_a_debian_root_can_be_used() {
    let tests = [(0, 0), (1, 1), (1000, 1000), (65534, 65534), (65535, 65535)];
    for_everyone(|root| {
        for (uid, gid) in tests {
            let script =
                format!("touch /tmp/{uid} && chown {uid}:{gid} /tmp/{uid} && stat -c %u:%g /tmp/{uid}");
            assert_eq!(root.shell(&script).ok(), format!("{uid}:{gid}\n"));
            let outside = fs::metadata(root.path().join(format!("tmp/{uid}"))).unwrap().uid();
            let expected = match (root.who, uid) {
                (Who::Root, uid) => uid,
                (Who::User, 0) => user_id(),
                (Who::User, uid) => first_subordinate_id() + uid - 1,
            };
            assert_eq!(outside, expected, "{:?} {uid}", root.who);
        }
        let script = "id -u; id -G; echo here >/dev/stdout";
        let arguments = ["--lines", "--user", "1000:1001", "--env", "PATH=/bin", "ROOT", "sh", "-c", script];
        assert_eq!(root.run(&arguments).ok(), "| 1000\n| 1001\n| here\n");
    });
}

#[test]
fn output_comes_in_lines_and_input_in_bytes() {
    for_everyone(|root| {
        let script = "read line; echo got $line; echo error >&2; printf last";
        let arguments = ["--lines", "--input", "in\n", "--env", "PATH=/bin", "ROOT", "sh", "-c", script];
        assert_eq!(root.run(&arguments).ok(), "| got in\n| error\n| last\n");
        let arguments = ["--lines", "--env", "PATH=/bin", "ROOT", "seq", "1", "30000"];
        let expected: String = (1..=30000).map(|n| format!("| {n}\n")).collect();
        assert_eq!(root.run(&arguments).ok(), expected);
    });
}

#[test]
fn a_run_can_be_cancelled() {
    for_everyone(|root| {
        for script in ["echo go; sleep 1000", "trap '' TERM INT; while :; do echo go; done"] {
            let arguments =
                ["--lines", "--cancel-on", "go", "--env", "PATH=/bin", "ROOT", "sh", "-c", script];
            let outcome = root.run(&arguments);
            assert_eq!((outcome.code, outcome.err.as_str()), (Some(125), "sandbox: cancelled\n"), "{script}");
        }
    });
}

#[test]
fn many_threads_can_run_sandboxes() {
    for_everyone(|root| {
        let arguments = ["--threads", "8", "--times", "10", "--lines", "ROOT", "/bin/echo", "x"];
        assert_eq!(root.run(&arguments).ok(), "| x\n".repeat(80));
    });
}
