//! The client half of the crate from outside: sources, mirrors, signatures, and an archive on loopback that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

mod archive;
mod faults;
mod keys;
mod mirrors;
mod properties;
mod releases;
mod server;
mod signatures;
mod sources;
mod transfers;
