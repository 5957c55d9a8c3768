//! Registries from outside: Debian's `docker-registry`, `skopeo`, and what can go wrong between them and us.

#![expect(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

mod access;
mod faults;
mod parsers;
mod protocol;
mod pull_faults;
mod push_faults;
mod referrers;
mod rounds;
mod stage;
mod transfers;
