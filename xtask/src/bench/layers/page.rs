//! The section with the results.

use crate::bench::contest::{Outcome, table};
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
    page.push_str(&table(outcomes));
    page.push_str(METHOD);
    page
}

const METHOD: &str = "
### How layers are measured

- A time is that of whole processes, from start to end; a first round that fills caches is not counted.
- The programs take turns, and all work on the same file system, as root, with what they read in the page cache.
- *run*: the root is a Debian base with 3 layers over it, mounted once; every program enters that same mount. `unshare` and `chroot` mount nothing, neither `/proc` nor `/dev`.
- *export* and *import*: an uncompressed archive, except for umoci, which knows gzip only. Import makes the layer durable before it is there; GNU tar does not, so it has a second row with `sync`.
- buildah writes and reads an OCI layout without compression.
";
