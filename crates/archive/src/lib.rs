//! Placeholder.

pub mod deb822;
pub mod dependency;
pub mod solver;
pub mod universe;
pub mod version;
