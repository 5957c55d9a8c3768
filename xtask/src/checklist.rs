//! What others count on: names of workflows, what starts them, and what the files are called that they release.
//!
//! Consumers download by these names, so a workflow that is renamed or changed without this list is a mistake.

use std::fs;

use crate::release::archive_name;
use crate::step::root;

/// A workflow, and what its text must have.
struct Row {
    /// Its file in `.github/workflows`, without the ending; its `name` is the same.
    workflow: &'static str,
    /// What starts it, as it is written there.
    triggers: &'static [&'static str],
    /// Files that it puts on a release, inputs that it takes and the like.
    words: &'static [&'static str],
}

const WORKFLOWS: &[Row] = &[
    Row { workflow: "ci", triggers: &["push:", "branches: [main]", "pull_request:"], words: &[".ci/run"] },
    Row {
        workflow: "rootfs-base",
        triggers: &["tags: [\"base-rootfs*\"]", "workflow_dispatch:", "pull_request:"],
        words: &["amd64-rootfs.tar", "arm64-rootfs.tar", "base-rootfs.lock", "SHA256SUMS"],
    },
    Row {
        workflow: "rootfs-server",
        triggers: &["tags: [\"server-base*\"]", "workflow_dispatch:", "pull_request:"],
        words: &["amd64-server-base.tar", "arm64-server-base.tar", "server-base.lock", "SHA256SUMS"],
    },
    Row {
        workflow: "layer-executor",
        triggers: &["tags: [\"executor-layer*\"]", "workflow_dispatch:", "pull_request:"],
        words: &[
            "amd64-executor.tar",
            "arm64-executor.tar",
            "versions.json",
            "executor-layer.lock",
            "SHA256SUMS",
            "--notes-file NOTES.md",
        ],
    },
    Row {
        workflow: "layer-package",
        triggers: &["workflow_call:"],
        words: &[
            "package-name:",
            "version:",
            "registry:",
            "oocana:",
            "ovmlayer:",
            "rootfs:",
            "token:",
            "${{ matrix.arch }}-layer.zip",
            "id-token: write",
        ],
    },
    Row {
        workflow: "image-runtime",
        triggers: &[
            "branches: [main]",
            "tags: [\"oocana-runtime@*\"]",
            "workflow_dispatch:",
            "pull_request:",
        ],
        words: &[":latest", "oocana-runtime", "ghcr.io/${{ github.repository_owner }}/oocana-runtime"],
    },
    Row { workflow: "test-actions", triggers: &["workflow_dispatch:", "pull_request:"], words: &[] },
    Row {
        workflow: "release",
        triggers: &["tags: [\"v*\"]", "workflow_dispatch:", "pull_request:"],
        words: &["cargo xtask dist", "SHA256SUMS"],
    },
];

/// The actions that workflows here and elsewhere use, and their inputs.
const ACTIONS: &[(&str, &[&str])] = &[
    ("arch-detect", &["arch:"]),
    ("setup", &["version:", "token:"]),
    (
        "fetch",
        &["token:", "architecture:", "destination:", "oocana:", "ovmlayer:", "rootfs:", "rootfs_version:"],
    ),
    ("build-context", &["token:", "architectures:", "oocana:", "ovmlayer:", "rootfs:"]),
    ("setup-ovmlayer-runner", &["token:", "architecture:", "oocana:", "ovmlayer:", "rootfs:"]),
];

/// Checks that everything is there.
pub(crate) fn check() -> Result<(), String> {
    let mut problems = Vec::new();
    for row in WORKFLOWS {
        let path = format!(".github/workflows/{}.yml", row.workflow);
        let name = format!("name: {}", row.workflow);
        let wanted = [name.as_str()].into_iter().chain(row.triggers.iter().chain(row.words).copied());
        problems.extend(missing(&path, wanted));
    }
    for (action, words) in ACTIONS {
        let name = format!("name: {action}");
        let wanted = [name.as_str()].into_iter().chain(words.iter().copied());
        problems.extend(missing(&format!(".github/actions/{action}/action.yml"), wanted));
    }
    let archives = ["amd64", "arm64"].map(archive_name);
    problems.extend(missing(".github/workflows/release.yml", archives.iter().map(String::as_str)));
    problems.extend(unlisted()?);
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// What of `wanted` does not stand in a file, outside of its comments.
fn missing<'a>(path: &str, wanted: impl Iterator<Item = &'a str>) -> Vec<String> {
    let Ok(text) = fs::read_to_string(root().join(path)) else { return vec![format!("{path} is not there")] };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let has = |word: &str| lines.iter().any(|line| has_word(line, word));
    wanted.filter(|word| !has(word)).map(|word| format!("{path} has no `{word}`")).collect()
}

/// Whether a line holds `word`, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let ends = |letter: Option<char>| letter.is_none_or(|letter| !is_name(letter));
        (ends(before.chars().next_back()) || !word.starts_with(is_name))
            && (ends(after.chars().next()) || !word.ends_with(is_name))
    })
}

/// Workflows that are not in the list.
fn unlisted() -> Result<Vec<String>, String> {
    let folder = root().join(".github/workflows");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let known = |name: &str| WORKFLOWS.iter().any(|row| name == format!("{}.yml", row.workflow));
    Ok(names
        .filter(|name| !known(name))
        .map(|name| format!(".github/workflows/{name} is not in xtask/src/checklist.rs"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_count_on_is_there() {
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn words_are_whole_ones() {
        for (line, word, expected) in [
            ("  files: amd64-rootfs.tar x", "amd64-rootfs.tar", true),
            ("  files: amd64-rootfs.tar.zst", "amd64-rootfs.tar", false),
            ("  files: my-amd64-rootfs.tar", "amd64-rootfs.tar", false),
            ("  sub-version: 1", "version:", false),
            ("  version: 1", "version:", true),
            ("name: release-notes", "name: release", false),
        ] {
            assert_eq!(has_word(line, word), expected, "{word} in {line}");
        }
    }
}
