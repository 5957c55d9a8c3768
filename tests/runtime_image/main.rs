//! Images that carry a store and programs: what is in them, and how containers of them start.
//!
//! Needs root, and runc. Containers lie on an overlay of their own above the unpacked image, as those of container engines do.

mod contents;
mod programs;
mod small;
mod stage;
mod starts;
mod whole;
