//! `OVMLAYER_LOG` (contract 1.4).

use std::fs;
use std::process::Stdio;

use crate::Stage;

#[test]
fn what_happens_is_appended_one_line_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("ovmlayer.log");
    fs::write(&log, "before\n").expect("a log");
    let stage = Stage::logging(&log);
    stage.does("create l");
    stage.does("merge -l l -m m");
    let secret = ["run", "--env", "TOKEN=secret", "--merged-point=m", "sh", "-c", "echo secret >/dev/null"];
    assert_eq!(stage.ok(secret), "", "nothing of it on stdout");
    let errors = stage.refuses("delete l");
    assert!(errors.contains("merge point `m` uses it"), "errors are shown as well: {errors}");
    let quiet = stage.try_run(["unmerge", "none"]);
    assert!(quiet.stderr.is_empty(), "notes are not, when there is a log");
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.starts_with("before\n"), "{text}");
    for part in [
        "created layer `l`",
        "merged 1 layers at `m`",
        "running `sh` in `m`",
        "ended: exit status: 0",
        "uses it",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
    for line in text.lines().skip(1) {
        let time = line.split(' ').next().expect("a word");
        assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
    }
}

#[test]
fn writers_side_by_side_do_not_mix() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("ovmlayer.log");
    let stage = Stage::logging(&log);
    let children: Vec<_> = (0..24)
        .map(|number| {
            let mut command = stage.program.command(["delete", &format!("{}{number}", "x".repeat(150))]);
            command.stdout(Stdio::null()).spawn().expect("the program starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("an end").success());
    }
    let text = fs::read_to_string(&log).expect("a log");
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.contains("set up")), "{text}");
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 24, "{text}");
    for line in lines {
        assert!(line.ends_with("` to delete") && line.matches('`').count() == 2, "{line}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_no_error() {
    for log in ["/none/at/all.log", "relative.log", "/", ""] {
        let stage = Stage::logging(log.as_ref());
        stage.does("create l");
        let result = stage.try_run(["unmerge", "none"]);
        assert!(result.status.success() && result.stdout.is_empty());
        assert_eq!(
            String::from_utf8_lossy(&result.stderr),
            "there is no merge point `none`\n",
            "{log}: the terminal"
        );
        assert!(!stage.path("relative.log").exists());
    }
}
