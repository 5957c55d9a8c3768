//! Help, version, completions, the list of recipes, exit statuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{run, tool};

use crate::{program, recipe};

const COMMANDS: [&str; 15] = [
    "build",
    "list",
    "lock",
    "pull",
    "push",
    "copy",
    "inspect",
    "diff",
    "sbom",
    "package create",
    "package export",
    "package publish",
    "fetch",
    "doctor",
    "completions",
];

/// The words of a command, and one more.
fn words<'a>(command: &'a str, last: &'a str) -> Vec<&'a str> {
    command.split(' ').chain([last]).collect()
}

/// The reference is what the program says, so it cannot be out of date.
#[test]
fn the_reference_is_what_help_prints() {
    let program = program();
    let mut page = String::from(
        "# Command line\n\nWhat `--help` prints; `OVMLAYER_BLESS=1 cargo test -p ovmlayer-rootfs --test command_line` \
         writes this page.\n",
    );
    let main = (String::from("ovmlayer-rootfs"), vec!["--help"]);
    let others = COMMANDS.map(|command| (format!("ovmlayer-rootfs {command}"), words(command, "--help")));
    for (title, arguments) in std::iter::once(main).chain(others) {
        let help = program.succeed(arguments);
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md");
    if std::env::var_os("OVMLAYER_BLESS").is_some() {
        fs::write(&path, &page).expect("the page is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "docs/command-line.md is out of date: run this test with OVMLAYER_BLESS=1");
}

#[test]
fn every_command_has_short_help() {
    let program = program();
    for command in COMMANDS {
        let help = program.succeed(words(command, "-h"));
        assert!(help.contains("Usage: ovmlayer-rootfs") && help.contains("--progress"), "{command}: {help}");
    }
}

#[test]
fn version() {
    let expected = format!("ovmlayer-rootfs {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(program().succeed(["--version"]), expected);
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let program = program();
    for shell in ["bash", "zsh", "fish"] {
        let script = program.succeed(["completions", shell]);
        for command in COMMANDS.iter().flat_map(|command| command.split(' ')) {
            assert!(script.contains(command), "`{command}` is not completed in {shell}");
        }
        let path = program.write(shell, script);
        run(Command::new(tool(shell)).arg("-n").arg(path));
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let program = program();
    let folder = program.folder().join("manual");
    fs::create_dir(&folder).expect("a folder");
    program.succeed(["manual", "manual"]);
    for command in COMMANDS {
        let name = format!("ovmlayer-rootfs-{}.1", command.replace(' ', "-"));
        let page = fs::read_to_string(folder.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".TH "), "{name}: {page}");
    }
    let message = program.fail(["manual", "nowhere"]);
    assert!(message.contains("cannot write manual pages to nowhere"), "{message}");
}

#[test]
fn list_shows_own_recipes_and_built_in_ones() {
    let program = program();
    fs::create_dir(program.folder().join("recipes")).expect("a folder");
    program.write("recipes/small.toml", recipe());
    let text = program.succeed(["list"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("base-rootfs ") && lines[0].contains("  minimal"), "{text}");
    let own: Vec<&str> = lines.last().expect("a line").splitn(2, "  ").map(str::trim).collect();
    assert_eq!(own, ["small", "a small root for tests"]);
    let list: Value = serde_json::from_str(&program.succeed(["list", "--json"])).expect("JSON");
    assert_eq!(list[0]["name"], "base-rootfs");
    assert_eq!(list[0]["path"], Value::Null, "built in");
    assert_eq!(list[0]["architectures"], serde_json::json!(["amd64", "arm64"]));
    let own = list.as_array().and_then(|list| list.iter().find(|found| found["name"] == "small"));
    let own = own.expect("the recipe in ./recipes");
    assert_eq!(own["path"], "recipes/small.toml");
    assert_eq!(own["description"], "a small root for tests");
}

#[test]
fn exit_statuses_and_messages() {
    let program = program();
    program.write("small.toml", recipe());
    program.write("wrong.toml", recipe() + "colour = \"red\"\n");
    program.write("newer.toml", recipe().replace("format = 1", "format = 2"));
    let cases: [(&str, &[&str], i32, &str); 12] = [
        ("nothing to do", &[], 2, "Usage:"),
        ("an unknown command", &["bake"], 2, "unrecognized subcommand 'bake'"),
        ("an unknown option", &["build", "--colour"], 2, "unexpected argument '--colour'"),
        ("options that exclude each other", &["build", "--locked", "--update"], 2, "cannot be used with"),
        ("no processors", &["build", "--jobs", "0"], 2, "1..=256"),
        ("an unknown distribution", &["build", "--distro", "arch"], 2, "debian"),
        (
            "an unknown recipe",
            &["build", "nothing"],
            2,
            "there is no recipe `nothing`: the known ones are base-rootfs",
        ),
        ("a missing file", &["build", "./no.toml"], 2, "there is no recipe `./no.toml`"),
        ("an unknown key", &["build", "wrong.toml"], 1, "wrong.toml:8: unknown field `colour`"),
        ("a newer format", &["build", "newer.toml"], 1, "newer.toml:1: recipe format 2 is not known"),
        ("no lock", &["build", "small.toml", "--locked"], 1, "ovmlayer-rootfs lock"),
        (
            "an unknown architecture",
            &["build", "small.toml", "--arch", "vax"],
            2,
            "architecture `vax` is not known",
        ),
    ];
    for (summary, arguments, status, message) in cases {
        let result = program.run(arguments);
        let errors = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(status), "{summary}: {errors}");
        assert!(errors.contains(message), "{summary}: {errors}");
        assert!(result.stdout.is_empty(), "{summary}: stdout is for results");
        assert!(!errors.contains('\u{1b}'), "{summary}: colours without a terminal");
    }
}
