//! The section with the results.

use std::time::Duration;

use super::Outcome;
use super::spread;
use crate::machine;

/// The section's heading.
pub(super) const HEADING: &str = "Layers";

/// The section's text.
pub(super) fn section(outcomes: &[Outcome]) -> String {
    let mut page = String::from("Written by `cargo xtask bench layers`.\n\n");
    page.push_str(&machine::facts(&[
        ("bwrap", &["--version"]),
        ("runc", &["--version"]),
        ("tar", &["--version"]),
        ("buildah", &["--version"]),
        ("umoci", &["--version"]),
    ]));
    page.push_str("\n| situation | program | median | least – most | runs | against ours |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for outcome in outcomes {
        page.push_str(&row(outcome, outcomes));
    }
    page.push_str(METHOD);
    page
}

fn row(outcome: &Outcome, all: &[Outcome]) -> String {
    let Some((median, least, most)) = spread(&outcome.times) else { return String::new() };
    // The first of a situation is ours.
    let ours = all.iter().find(|other| other.situation == outcome.situation);
    let ratio = ours
        .and_then(|ours| spread(&ours.times))
        .map_or_else(String::new, |(ours, ..)| format!("{:.2}×", median.as_secs_f64() / ours.as_secs_f64()));
    let [median, least, most] =
        [median, least, most].map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    let (situation, program, runs) = (&outcome.situation, outcome.program, outcome.times.len());
    format!("| {situation} | {program} | {median} | {least} – {most} | {runs} | {ratio} |\n")
}

/// A time, of which most here are short.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

const METHOD: &str = "
### How layers are measured

- A time is that of whole processes, from start to end; a first round that fills caches is not counted.
- The programs take turns, and all work on the same file system, as root, with what they read in the page cache.
- *run*: the root is a Debian base with 3 layers over it, mounted once; every program enters that same mount. `unshare` and `chroot` mount nothing, neither `/proc` nor `/dev`.
- *export* and *import*: an uncompressed archive, except for umoci, which knows gzip only. Import makes the layer durable before it is there; GNU tar does not, so it has a second row with `sync`.
- buildah writes and reads an OCI layout without compression.
";
