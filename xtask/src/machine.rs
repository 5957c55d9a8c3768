//! What a page of measurements says about where and when it was made.

use std::fs;
use std::process::Command;

use crate::step::root;

/// Lines of a list in Markdown: revision, date, machine, kernel, toolchain, and the versions of these programs.
pub(crate) fn facts(programs: &[(&str, &[&str])]) -> String {
    let mut facts = vec![
        ("revision", revision()),
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("machine", machine()),
        ("system", format!("{}, Linux {}", distribution(), read("/proc/sys/kernel/osrelease"))),
        ("Rust", first_line("rustc", &["--version"])),
    ];
    facts.extend(programs.iter().map(|(name, arguments)| (*name, first_line(name, arguments))));
    facts.into_iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
}

/// The commit, and whether the files differ from it.
fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    // The page that is being written does not count.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]);
    if changed.is_empty() { commit } else { format!("{commit} with local changes") }
}

fn machine() -> String {
    let text = read("/proc/cpuinfo");
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let threads = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let gigabytes = memory.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_000_000;
    format!("{threads} threads of {}, {gigabytes} GB", model.unwrap_or(std::env::consts::ARCH))
}

fn distribution() -> String {
    let text = read("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
