//! The program `ovmlayer` at work: as its callers use it, on a real root filesystem, as root and as an ordinary user.
//!
//! What the kernel forbids an ordinary user stands in [`round_trip::FORBIDDEN`], each with its errno; a test shows
//! that it is so, and nothing else is left out.

mod binds;
mod compare;
mod container;
mod executors;
mod network;
mod oocana;
mod real_work;
mod round_trip;
mod settings;
mod stage;
mod tree;
mod watch;
