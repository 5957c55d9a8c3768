//! Trees against the tools that define the truth: GNU tar, bsdtar, Python's `tarfile`, gzip, xz, zstd, and the kernel.
//!
//! Needs the Debian packages tar, libarchive-tools, python3, gzip, xz-utils, zstd and util-linux, and root for the tests
//! that give files to others.

#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test is to fail the test")]

extern crate ovmlayer_tree as tree;

mod codecs;
mod layers;
mod listing;
mod root;
mod samples;
mod scan;
mod sparse;
mod tar_reader;
mod tar_writer;
