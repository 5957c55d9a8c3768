//! The engine at work: as root in this process, as an ordinary user and in other namespaces through its example program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod basics;
mod concurrency;
mod external;
mod file_systems;
mod killed;
mod namespaces;
mod place;
mod restarts;
mod setup;
mod users;
