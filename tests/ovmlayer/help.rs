//! Help, version, completions, and what is wrong usage.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{run, tool};

use crate::Stage;

const COMMANDS: [&str; 24] = [
    "setup",
    "start",
    "test",
    "test system",
    "create",
    "delete",
    "list",
    "list layers",
    "list merged-points",
    "merge",
    "unmerge",
    "run",
    "cp",
    "export",
    "import",
    "move",
    "inspect",
    "diff",
    "du",
    "flatten",
    "fsck",
    "gc",
    "completions",
    "help",
];

/// The reference is what the program says, so it cannot be out of date.
#[test]
fn the_reference_is_what_help_prints() {
    let stage = Stage::bare();
    let mut page = String::from(
        "# Command line of `ovmlayer`\n\nWhat `--help` prints; `OVMLAYER_BLESS=1 cargo test -p ovmlayer --test ovmlayer \
         help` writes this page. [ovmlayer.md](ovmlayer.md) tells how to use it.\n",
    );
    let main = (String::from("ovmlayer"), vec!["--help"]);
    let others = COMMANDS
        .iter()
        .filter(|command| **command != "help")
        .map(|command| (format!("ovmlayer {command}"), command.split(' ').chain(["--help"]).collect()));
    for (title, arguments) in std::iter::once(main).chain(others) {
        let help = stage.ok(arguments);
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ovmlayer-command-line.md");
    if std::env::var_os("OVMLAYER_BLESS").is_some() {
        fs::write(&path, &page).expect("the page is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, page,
        "docs/ovmlayer-command-line.md is out of date: run this test with OVMLAYER_BLESS=1"
    );
}

#[test]
fn every_command_has_short_help_with_one_dash_or_two() {
    let stage = Stage::bare();
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        for flag in ["-h", "-help", "--help"] {
            let help = stage.ok(command.split(' ').chain([flag]));
            assert!(help.contains("Usage: ovmlayer"), "{command} {flag}: {help}");
        }
    }
}

#[test]
fn version() {
    let expected = format!("ovmlayer {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-version", "-V"] {
        assert_eq!(Stage::bare().ok([flag]), expected);
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let stage = Stage::bare();
    for shell in ["bash", "zsh", "fish"] {
        let script = stage.ok(["completions", shell]);
        for command in COMMANDS {
            assert!(
                script.contains(command.split(' ').next_back().expect("a word")),
                "`{command}` in {shell}"
            );
        }
        let path = stage.program.write(shell, script);
        run(Command::new(tool(shell)).arg("-n").arg(path));
    }
}

#[test]
fn exit_statuses_and_messages() {
    let stage = Stage::bare();
    let cases: [(&str, &[&str], i32, &str); 12] = [
        ("nothing to do", &[], 2, "Usage:"),
        ("an unknown command", &["bake"], 2, "unrecognized subcommand 'bake'"),
        ("an unknown flag", &["create", "-colour", "x"], 2, "unexpected argument"),
        ("a flag without its value", &["merge", "-l"], 2, "a value is required"),
        ("a bad name", &["create", "../x"], 2, "cannot be the name of a layer"),
        ("a bad bind", &["run", "--mount=dst=/x", "-m", "m", "true"], 2, "`src=` is missing"),
        ("not set up", &["create", "x"], 1, "ovmlayer setup"),
        ("not set up", &["list", "layers"], 1, "ovmlayer setup"),
        ("not set up", &["test", "system"], 1, "ovmlayer setup"),
        ("not set up, in a run", &["run", "-m", "m", "true"], 125, "ovmlayer setup"),
        ("too little to set up", &["setup", "--runtime", "R"], 1, "--rootfs-path DIR is missing"),
        (
            "no root filesystem",
            &["setup", "--runtime", "R", "--rootfs-path", "P"],
            1,
            "no root filesystem in",
        ),
    ];
    for (summary, arguments, status, message) in cases {
        let result = stage.try_run(arguments);
        let errors = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(status), "{summary}: {errors}");
        assert!(errors.contains(message), "{summary}: {errors}");
        assert!(result.stdout.is_empty(), "{summary}: stdout is for results");
        assert!(!errors.contains('\u{1b}'), "{summary}: colours without a terminal");
    }
}
