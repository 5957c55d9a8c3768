//! `inspect`, `diff` and `sbom` as a user meets them: what they say is what dpkg, pip, npm, sha256sum and the validators of
//! those who define the documents say, and the page is looked at by a browser.
//!
//! Needs root, the Debian packages chromium, docker-registry, dpkg, npm, skopeo, tar, umoci and zstd, and the validators that
//! `cargo xtask test` sets up.

mod changes;
mod documents;
mod forms;
mod installed;
mod page;
mod stage;
