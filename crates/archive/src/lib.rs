//! Placeholder.

pub mod deb;
