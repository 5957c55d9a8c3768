//! `doctor`: each thing that does not work comes with what to do.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Program, TestUser, run, tool};

use crate::program;

/// The checks of `doctor --json`, whose exit status must fit.
fn checks(program: &Program<'_>) -> Vec<Value> {
    let Output { status, stdout, stderr } = program.run(["doctor", "--json"]);
    assert_eq!(String::from_utf8_lossy(&stderr), "", "nothing but results");
    let checks: Vec<Value> = serde_json::from_slice(&stdout).expect("JSON");
    let failed = checks.iter().any(|check| check["state"] == "FAIL");
    assert_eq!(status.code(), Some(i32::from(failed)), "{checks:#?}");
    for check in &checks {
        assert!(["ok", "warn", "FAIL"].iter().any(|state| check["state"] == *state), "{check}");
        let works = check["state"] == "ok";
        assert!(works || check["remedy"].is_string(), "nothing to do about {check}");
    }
    checks
}

fn state<'c>(checks: &'c [Value], name: &str) -> &'c Value {
    let check = checks.iter().find(|check| check["name"] == name);
    &check.unwrap_or_else(|| panic!("no check of {name}: {checks:#?}"))["state"]
}

/// The text says the same as the JSON.
fn same_in_words(program: &Program<'_>, checks: &[Value]) {
    let text = String::from_utf8_lossy(&program.run(["doctor"]).stdout).into_owned();
    for check in checks {
        let (state, name) =
            (check["state"].as_str().expect("a state"), check["name"].as_str().expect("a name"));
        let line =
            text.lines().find(|line| line.split_whitespace().next() == Some(state) && line.contains(name));
        assert!(line.is_some(), "{state} {name} is not in:\n{text}");
        if let Some(remedy) = check["remedy"].as_str() {
            assert!(text.contains(&format!("hint: {remedy}")), "`{remedy}` is not in:\n{text}");
        }
    }
}

#[test]
fn root_can_build() {
    let program = program();
    let checks = checks(&program);
    for name in ["kernel", "user namespace", "sandbox"] {
        assert_ne!(state(&checks, name), "FAIL", "{checks:#?}");
    }
    same_in_words(&program, &checks);
}

#[test]
fn an_ordinary_user_can_build() {
    let user = TestUser::create();
    let program = program().as_user(&user);
    let checks = checks(&program);
    for name in ["newuidmap", "subordinate ids", "user namespace", "sandbox"] {
        assert_eq!(state(&checks, name), "ok", "{checks:#?}");
    }
    same_in_words(&program, &checks);
}

#[test]
fn a_user_without_subordinate_ids_is_told_how_to_get_them() {
    let user = TestUser::create();
    for (file, option) in [("/etc/subuid", "--del-subuids"), ("/etc/subgid", "--del-subgids")] {
        let text = fs::read_to_string(file).expect("ranges of ids");
        for line in text.lines().filter(|line| line.starts_with(&format!("{}:", user.name()))) {
            let numbers: Vec<u32> =
                line.split(':').skip(1).map(|field| field.parse().expect("a number")).collect();
            let range = format!("{}-{}", numbers[0], numbers[0] + numbers[1] - 1);
            run(Command::new(tool("usermod")).args([option, &range, user.name()]));
        }
    }
    let program = program().as_user(&user);
    let checks = checks(&program);
    assert_eq!(state(&checks, "subordinate ids"), "FAIL");
    let remedy = |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| &check["remedy"]);
    let command = remedy("subordinate ids").and_then(Value::as_str).expect("a remedy");
    assert!(command.contains("usermod") && command.contains(user.name()), "{command}");
    let errors = program.fail(["build", "base-rootfs"]);
    assert!(errors.contains("usermod"), "a build says the same:\n{errors}");
}
