//! `ovmlayer`: layers over a root filesystem. Parses, calls, prints, exits.

mod cli;
mod spelling;

fn main() {}
