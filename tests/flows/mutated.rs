//! Damaged manifests: each gives an error with a place, or loads; none makes the program panic or hang.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use testkit::{Random, number};

use crate::corpus::flows;
use crate::stage::{Stage, corpus};

/// What is put in the place of something else.
const WORDS: [&str; 16] = [
    "[",
    "{",
    "}",
    "- ",
    ": ",
    "&x ",
    "*x",
    "!!int ",
    "null",
    "-1",
    "\t",
    "\"",
    "task:",
    "from_node: []",
    "1e999",
    "\u{2028}",
];

fn damaged(random: &mut Random, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = usize::try_from(random.below(bytes.len() as u64 + 1)).expect("small");
        let end = (at + usize::try_from(random.below(12)).expect("small")).min(bytes.len());
        let word = WORDS[usize::try_from(random.below(WORDS.len() as u64)).expect("small")];
        match random.below(3) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, word.bytes())),
            _ => drop(bytes.splice(at..end, word.bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Puts links to all that flows need into the package `p`, so that they are found to be right but for the damage.
fn place(stage: &Stage, flows: &[PathBuf]) {
    let package = stage.path().join("p");
    fs::create_dir_all(package.join("flows")).expect("a folder");
    for name in ["blocks", "packages", "services", "slotflows", "subflows", "tasks"] {
        symlink(corpus().join(name), package.join(name)).expect("a link");
    }
    for flow in flows {
        let copy = package.join("flows").join(flow.file_name().expect("a name"));
        fs::create_dir(&copy).expect("a folder");
        let entries = fs::read_dir(flow).expect("a flow").map(|entry| entry.expect("an entry"));
        for entry in entries.filter(|entry| entry.file_name() != "flow.oo.yaml") {
            symlink(entry.path(), copy.join(entry.file_name())).expect("a link");
        }
    }
}

#[test]
fn damaged_manifests_give_errors_with_places() {
    let (count, seed) = (number("OOCANA_MUTATED", 100), number("OOCANA_MUTATED_SEED", 1));
    let stage = Stage::new();
    let mut random = Random::new(seed);
    let flows = flows();
    place(&stage, &flows);
    let mut refused = 0;
    for round in 0..count {
        let flow = &flows[usize::try_from(random.below(flows.len() as u64)).expect("small")];
        let text = fs::read_to_string(flow.join("flow.oo.yaml")).expect("a flow");
        let damaged = damaged(&mut random, &text);
        let name = flow.file_name().expect("a name").to_string_lossy();
        let path = stage.write(&format!("p/flows/{name}/flow.oo.yaml"), &damaged);
        let output = stage
            .bounded(&["check", "--search-paths", "p/packages"])
            .arg(&path)
            .output()
            .expect("the program starts");
        let found =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let status = output.status.code();
        assert!(matches!(status, Some(0 | 1)), "seed {seed}, round {round}: {status:?}\n{found}\n{damaged}");
        if status == Some(1) {
            refused += 1;
            assert!(found.contains("oo.yaml"), "seed {seed}, round {round}: no place\n{found}\n{damaged}");
        }
    }
    assert!(refused < count, "no damage was harmless: flows are refused for another reason");
    println!("soak: mutated manifests: {count}, {refused} with mistakes, seed {seed}");
}
