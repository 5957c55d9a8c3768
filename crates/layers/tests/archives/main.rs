//! Layers into files and back: through stores, against hostile files, and against other programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hostile;
mod place;
mod round_trip;
mod stores;
