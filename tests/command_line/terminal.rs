//! On a terminal: a bar that leaves a clean screen, and colours unless they are not wanted.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use testkit::{Program, tool};

use crate::{OFFLINE, locked, program};

/// Runs the program on a terminal of its own and gives what the terminal got.
fn on_terminal(program: &Program<'_>, arguments: &[&str]) -> String {
    // `script` takes a command line for the shell.
    let command = program.command(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(quoted).collect();
    let mut script = Command::new(tool("script"));
    script.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    script.current_dir(program.folder()).stdin(Stdio::null());
    String::from_utf8_lossy(&testkit::output(&mut script).stdout).into_owned()
}

fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// What is left on the screen: of each line what came after it was last cleared.
fn screen(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let line = line.rsplit("\u{1b}[2K").next().unwrap_or_default();
        line.trim_matches('\r').to_owned()
    });
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_bar_is_shown_and_taken_away() {
    let program = locked().env("TERM", "xterm");
    let text = on_terminal(&program, &OFFLINE);
    assert!(text.contains("unpacking packages") || text.contains("unpacked"), "no bar: {text:?}");
    assert!(text.contains("\u{1b}[2K"), "no line is ever cleared: {text:?}");
    let left = screen(&text);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|line| line.starts_with("dist/") && line.contains("sha256:")), "{left:?}");
}

#[test]
fn plain_progress_on_a_terminal_has_no_bar() {
    let program = locked().env("TERM", "xterm");
    let text = on_terminal(&program, &[&OFFLINE[..], &["--progress", "plain"]].concat());
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn colours_are_left_out_when_not_wanted() {
    let cases = [(None, true), (Some("1"), false), (Some(""), true)];
    for (no_color, coloured) in cases {
        let mut program = program().env("TERM", "xterm");
        if let Some(value) = no_color {
            program = program.env("NO_COLOR", value);
        }
        let text = on_terminal(&program, &["build", "nothing"]);
        assert!(text.contains("error:") && text.contains("there is no recipe `nothing`"), "{text:?}");
        assert_eq!(text.contains("\u{1b}[1;31merror:"), coloured, "NO_COLOR={no_color:?}: {text:?}");
        let help = on_terminal(&program, &["--help"]);
        assert_eq!(help.contains('\u{1b}'), coloured, "NO_COLOR={no_color:?}: {help:?}");
    }
}
