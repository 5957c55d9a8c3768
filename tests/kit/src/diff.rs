//! Two root filesystem tars, compared entry by entry.

use std::path::Path;
use std::process::Command;

use crate::tool::{output, tool};

/// What `tests/rootfs-diff` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Entries that are in both and not the same.
    pub differing: usize,
    /// Entries that only the first has.
    pub only_in_a: usize,
    /// Entries that only the second has.
    pub only_in_b: usize,
    /// Entries that are the same in both.
    pub equal: usize,
    /// One line for each difference, as the program printed it.
    pub lines: Vec<String>,
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.differing == 0 && self.only_in_a == 0 && self.only_in_b == 0
    }
}

/// Compares two tars by `tests/rootfs-diff`: type, mode, owner, link target, device, xattrs, size and content of every
/// path, but for those that match one of the globs in `ignore`.
///
/// # Panics
/// When a tar cannot be read.
#[must_use]
pub fn rootfs_diff(a: &Path, b: &Path, ignore: &[&str]) -> Difference {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs-diff");
    let mut command = Command::new(tool("python3"));
    command.arg(program).args([a, b]).args(["--limit", "1000000"]);
    command.args(ignore.iter().flat_map(|glob| ["--ignore", glob]));
    let result = output(&mut command);
    let text = String::from_utf8_lossy(&result.stdout).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let summary = lines.pop().unwrap_or_default();
    let counts: Vec<usize> =
        summary.split(", ").filter_map(|part| part.split(' ').next()?.parse().ok()).collect();
    let [differing, only_in_a, only_in_b, equal] = counts[..] else {
        panic!(
            "rootfs-diff of {a:?} and {b:?} gave no summary:\n{text}{}",
            String::from_utf8_lossy(&result.stderr)
        );
    };
    Difference { differing, only_in_a, only_in_b, equal, lines }
}
