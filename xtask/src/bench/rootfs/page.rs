//! The section with the results.

use super::super::memory;
use super::super::timing::spread;
use super::contestant::Contestant;
use super::{Options, Outcome, Situation};
use crate::machine;
use crate::step::seconds;

/// The section's heading.
pub(super) const HEADING: &str = "Root filesystems";

/// The section's text.
pub(super) fn section(outcomes: &[Outcome], options: &Options) -> String {
    let mut page = String::from("Written by `cargo xtask bench rootfs`.\n\n");
    page.push_str(&machine::facts(&[
        ("mmdebstrap", &["--version"]),
        ("debootstrap", &["--version"]),
        ("qemu-aarch64-static", &["--version"]),
    ]));
    page.push_str(&format!("- what is built: Debian {}, minbase and zsh\n\n", options.suite));
    page.push_str("| situation | program | median | least – most | runs | against ours | peak memory |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for outcome in outcomes {
        page.push_str(&row(outcome, outcomes));
    }
    page.push_str(&method());
    page
}

fn row(outcome: &Outcome, all: &[Outcome]) -> String {
    let Some((median, least, most)) = spread(&outcome.times) else { return String::new() };
    let ours =
        all.iter().find(|other| is_ours(other, outcome.situation)).and_then(|other| spread(&other.times));
    let ratio = ours
        .map_or_else(String::new, |(ours, ..)| format!("{:.1}×", median.as_secs_f64() / ours.as_secs_f64()));
    format!(
        "| {} | {} | {} | {} – {} | {} | {ratio} | {} MiB |\n",
        outcome.situation.name,
        outcome.contestant,
        seconds(median),
        seconds(least),
        seconds(most),
        outcome.times.len(),
        outcome.peak_memory / 1024,
    )
}

fn is_ours(outcome: &Outcome, situation: Situation) -> bool {
    outcome.contestant == Contestant::Ours && outcome.situation == situation
}

fn method() -> String {
    format!(
        "\n### How root filesystems are measured\n\n\
        - A time is that of the whole process, from its start to its end.\n\
        - The programs take turns: each round runs all of them once. All use the mirror of the machine's apt sources.\n\
        - *Packages cached*: an earlier run has filled the cache. mmdebstrap has the cache that its manual describes \
        (`sync-in` of `/var/cache/apt/archives`, `--skip=essential/unlink`), debootstrap its `--cache-dir`. All three \
        still ask the mirror for its indices.\n\
        - *Nothing cached*: a fresh, empty cache for every run.\n\
        - Our program and mmdebstrap use the release, its updates and its security fixes, and write a tar. debootstrap \
        knows the release alone, and leaves a folder, not a tar.\n\
        - All run as root, mmdebstrap in its root mode. In the foreign situations the peers run under `qemu-user`, \
        registered with the kernel for the time of the run.\n\
        - Peak memory is the highest sum of the proportional set sizes of all processes of a run, sampled every {} ms \
        in a run of its own, which is not timed. Page cache and tmpfs are not in it.\n",
        memory::INTERVAL.as_millis()
    )
}
