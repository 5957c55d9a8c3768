//! Small archives made up at random, full of conflicts, alternatives and virtual packages.
//!
//! Real suites are so consistent that apt hardly ever needs its problem resolver or its second solver; these archives
//! make it use both.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::sample::Random;

/// How many names of packages and of virtual packages there are.
const PACKAGES: usize = 18;
const VIRTUALS: usize = 4;

/// A `Packages` file.
pub(crate) fn index(random: &mut Random) -> String {
    let mut text = String::new();
    // With this package the universe knows which apt it is to agree with.
    text.push_str("Package: apt\nVersion: 3.0.4\nArchitecture: amd64\nPriority: required\nDepends: p0\n");
    finish(&mut text, random);
    for number in 0..PACKAGES {
        let version = 1 + random.below(2);
        package(&mut text, random, number, version);
        if random.below(6) == 0 {
            package(&mut text, random, number, version + 1);
        }
    }
    text
}

/// One to four names to ask for.
pub(crate) fn request(random: &mut Random) -> Vec<String> {
    let count = 1 + random.below(4);
    let names: BTreeSet<_> = (0..count).map(|_| format!("p{}", 1 + random.below(PACKAGES - 1))).collect();
    let mut names: Vec<_> = names.into_iter().collect();
    // The order of the request is part of it.
    for last in (1..names.len()).rev() {
        let other = random.below(last + 1);
        names.swap(last, other);
    }
    names
}

fn package(text: &mut String, random: &mut Random, number: usize, version: usize) {
    let pick = |random: &mut Random, all: &[&'static str]| all[random.below(all.len())];
    let priority =
        pick(random, &["required", "important", "standard", "optional", "optional", "optional", "extra"]);
    writeln!(text, "Package: p{number}\nVersion: {version}\nArchitecture: amd64\nPriority: {priority}")
        .unwrap();
    let multi_arch = pick(random, &["", "", "", "same", "foreign", "allowed"]);
    if !multi_arch.is_empty() {
        writeln!(text, "Multi-Arch: {multi_arch}").unwrap();
    }
    if number == 0 {
        // It is needed in any case, so it must be possible to install it.
        text.push_str("Essential: yes\n");
        finish(text, random);
        return;
    }
    if random.below(9) == 0 {
        writeln!(text, "Source: s{} ({})", random.below(3), 1 + random.below(3)).unwrap();
    }
    for (field, chance, alternatives) in [
        ("Pre-Depends", 8, 2),
        ("Depends", 2, 4),
        ("Recommends", 4, 2),
        ("Suggests", 6, 1),
        ("Replaces", 6, 1),
        ("Enhances", 9, 1),
    ] {
        if random.below(chance) == 0 {
            let groups: Vec<_> = (0..1 + random.below(3)).map(|_| group(random, alternatives)).collect();
            writeln!(text, "{field}: {}", groups.join(", ")).unwrap();
        }
    }
    for (field, chance) in [("Conflicts", 4), ("Breaks", 7)] {
        if random.below(chance) == 0 {
            let groups: Vec<_> = (0..1 + random.below(2)).map(|_| group(random, 1)).collect();
            writeln!(text, "{field}: {}", groups.join(", ")).unwrap();
        }
    }
    if random.below(2) == 0 {
        writeln!(text, "Provides: {}", provided(random)).unwrap();
    }
    finish(text, random);
}

fn group(random: &mut Random, most: usize) -> String {
    let alternatives: Vec<_> = (0..1 + random.below(most)).map(|_| target(random)).collect();
    alternatives.join(" | ")
}

fn target(random: &mut Random) -> String {
    let mut target = match random.below(5) {
        0 => format!("v{}", random.below(VIRTUALS)),
        _ => format!("p{}", 1 + random.below(PACKAGES)),
    };
    match random.below(20) {
        0 => target.push_str(":any"),
        1 => {
            // No version with this one: in the version asked for, apt before 3.1.12 mistakes the version of a provider
            // for the version in which it provides the name (Debian bug 1120463). We do not follow it there.
            target.push_str(":amd64");
            return target;
        }
        _ => {}
    }
    if random.below(10) == 0 {
        let relation = ["<<", "<=", "=", ">=", ">>"][random.below(5)];
        write!(target, " ({relation} {})", 1 + random.below(3)).unwrap();
    }
    target
}

fn provided(random: &mut Random) -> String {
    let name = match random.below(4) {
        0 => format!("p{}", 1 + random.below(PACKAGES)),
        _ => format!("v{}", random.below(VIRTUALS)),
    };
    if random.below(3) == 0 { format!("{name} (= {})", 1 + random.below(3)) } else { name }
}

/// The fields that make a package one that could be downloaded.
fn finish(text: &mut String, random: &mut Random) {
    let digest: String = (0..64).map(|_| char::from(b"0123456789abcdef"[random.below(16)])).collect();
    writeln!(text, "Filename: ./{digest}.deb\nSize: 1\nSHA256: {digest}\n").unwrap();
}
