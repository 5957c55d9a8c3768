//! What cannot be installed is named, and nothing is left.

use std::fs;

use testkit::{Program, WheelBuilder};

use crate::{HEAD, PROGRAM, files, give};

const REQUIREMENTS: &str = "python = { file = \"requirements.txt\" }\n";
const PYLOCK: &str = "python = { file = \"pylock.toml\" }\n";
const UV: &str = "python = { file = \"uv.lock\" }\n";
const NODE: &str = "node = { folder = \".\" }\n";

/// One recipe that must fail: its step, and files beside those of the tests' locks, by their names.
struct Case<'a> {
    summary: &'a str,
    step: &'a str,
    files: Vec<(&'a str, String)>,
    words: &'a [&'a str],
}

fn case<'a>(
    summary: &'a str,
    step: &'a str,
    name: &'a str,
    text: impl Into<String>,
    words: &'a [&'a str],
) -> Case<'a> {
    Case { summary, step, files: vec![(name, text.into())], words }
}

impl Case<'_> {
    fn check(&self, program: &Program<'_>) {
        program.write("l.toml", format!("{HEAD}[[steps]]\n{}", self.step));
        give(program, "locks", &["pyproject.toml", "package.json"]);
        for (name, text) in &self.files {
            program.write(name, text);
        }
        let message = program.fail(["build", "l.toml", "--distro", "debian", "--arch", "arm64"]);
        for word in self.words {
            assert!(message.contains(word), "{}: {message}", self.summary);
        }
        let left = fs::read_dir(program.dist()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{}: something is left in dist", self.summary);
    }
}

fn text(name: &str) -> String {
    fs::read_to_string(files().join("locks").join(name)).expect("a lock")
}

/// Each of these is found before anything is fetched or run.
#[test]
fn what_is_wrong_is_found_by_reading() {
    let (pylock, uv, pnpm) = (text("pylock.toml"), text("uv.lock"), text("pnpm-lock.yaml"));
    let npm = "{\"lockfileVersion\": 3, \"packages\": {}}";
    let cases = [
        case(
            "versions that conflict",
            "python = { file = \"a.txt\" }\n[[steps]]\npython = { file = \"requirements.txt\" }\n",
            "requirements.txt",
            "\nSix==1.17.0\n",
            &["requirements.txt:2: `six==1.17.0`", "a.txt:1 asks for 1.16.0"],
        ),
        case(
            "no SHA-256",
            REQUIREMENTS,
            "requirements.txt",
            "six==1 --hash=md5:00\n",
            &["requirements.txt:1", "`md5:00`"],
        ),
        case(
            "a pylock of another version",
            PYLOCK,
            "pylock.toml",
            pylock.replace("\"1.0\"", "\"2.0\""),
            &["pylock.toml", "lock version 2.0"],
        ),
        case(
            "no pylock",
            PYLOCK,
            "pylock.toml",
            pylock.replace("version = \"3.0.2\"", "version = 3"),
            &["pylock.toml: line 6"],
        ),
        case(
            "a pylock with an option in it",
            PYLOCK,
            "pylock.toml",
            pylock.replace("3.0.2\"\nsdist", "3.0.2 --pre\"\nsdist"),
            &["pylock.toml", "`markupsafe` has no version"],
        ),
        case(
            "a uv.lock of another version",
            UV,
            "uv.lock",
            uv.replace("version = 1\n", "version = 9\n"),
            &["uv.lock", "lock version 9"],
        ),
        case(
            "a repository in a uv.lock",
            UV,
            "uv.lock",
            uv.replace("source = { registry", "source = { git"),
            &["`colorama` comes from a repository"],
        ),
        case(
            "a pnpm lock of another version",
            NODE,
            "pnpm-lock.yaml",
            pnpm.replace("'9.0'", "'5.4'"),
            &["pnpm-lock.yaml", "lockfile version 5.4"],
        ),
        case(
            "a pnpm lock of another package.json",
            NODE,
            "pnpm-lock.yaml",
            pnpm.replace("specifier: 2.0.0", "specifier: 2.1.0"),
            &["pnpm-lock.yaml", "`ms` is another one", "pnpm install --lockfile-only"],
        ),
        case(
            "no YAML",
            NODE,
            "pnpm-lock.yaml",
            pnpm.replace("importers:", "importers: ["),
            &["pnpm-lock.yaml: line "],
        ),
        Case {
            summary: "two locks",
            step: NODE,
            files: vec![("pnpm-lock.yaml", pnpm.clone()), ("package-lock.json", npm.to_owned())],
            words: &["package-lock.json` and `", "pnpm-lock.yaml` both"],
        },
        case(
            "an unknown key",
            "python = { file = \"requirements.txt\", index = \"x\" }\n",
            "x",
            "",
            &["l.toml:", "`index`"],
        ),
        case(
            "an unknown key of a node step",
            "node = { folder = \".\", script = [] }\n",
            "x",
            "",
            &["l.toml:", "`script`"],
        ),
    ];
    for case in cases {
        let program = Program::new(PROGRAM).shared_cache();
        program.write("a.txt", "six==1.16.0\n");
        case.check(&program);
    }
}

/// What only the tools or the archives tell. The wheels are of a folder of this machine.
#[test]
fn what_is_wrong_is_found_on_the_way() {
    let index = tempfile::tempdir().expect("a folder");
    let put =
        |name: &str, wheel: WheelBuilder| fs::write(index.path().join(name), wheel.build()).expect("a wheel");
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    program.extend([62, 0, 1, 0, 0, 0]);
    let native = |project: &str| WheelBuilder::new(project, "1.0").file("native.so", program.clone());
    put("ovmlayer_test_elf-1.0-py3-none-manylinux2014_aarch64.whl", native("ovmlayer_test_elf"));
    put("ovmlayer_test_one-1.0-py3-none-manylinux2014_x86_64.whl", native("ovmlayer_test_one"));
    let script = "    dependencies:\n      bufferutil:\n        specifier: 4.1.0\n        version: 4.1.0\n";
    let with_script = format!(
        "lockfileVersion: '9.0'\nimporters:\n  .:\n{script}packages:\n  bufferutil@4.1.0:\n    resolution: {{integrity: {BUFFERUTIL}}}\nsnapshots:\n  bufferutil@4.1.0: {{}}\n"
    );
    let cases = [
        case(
            "a program for another machine",
            REQUIREMENTS,
            "requirements.txt",
            "ovmlayer-test-elf==1.0\n",
            &["ovmlayer_test_elf-1.0-py3-none-manylinux2014_aarch64.whl brings", "native.so for amd64"],
        ),
        case(
            "no wheel for the target",
            REQUIREMENTS,
            "requirements.txt",
            "ovmlayer-test-one==1.0\n",
            &["resolve Python packages", "ovmlayer-test-one==1.0"],
        ),
        case(
            "another hash",
            REQUIREMENTS,
            "requirements.txt",
            format!("ovmlayer-test-elf==1.0 --hash=sha256:{}\n", "00".repeat(32)),
            &["ovmlayer_test_elf-1.0-py3-none-manylinux2014_aarch64.whl", "is not what the requirements say"],
        ),
        Case {
            summary: "a lifecycle script that only the archive tells of",
            step: NODE,
            files: vec![
                ("package.json", "{\"dependencies\": {\"bufferutil\": \"4.1.0\"}}".to_owned()),
                ("pnpm-lock.yaml", with_script),
            ],
            words: &["`bufferutil` 4.1.0 runs a script", "`without-scripts`"],
        },
    ];
    for case in cases {
        let program = Program::new(PROGRAM).shared_cache().env("PIP_FIND_LINKS", index.path());
        case.check(&program);
    }
}

const BUFFERUTIL: &str =
    "sha512-ZMANVnAixE6AWWnPzlW2KpUrxhm9woycYvPOo67jWHyFowASTEd9s+QN1EIMsSDtwhIxN4sWE1jotpuDUIgyIw==";
