//! Package layers by the whole program, with the real `ovmlayer` over a base root filesystem of Debian. They need root.

mod exchange;
mod packages;
mod place;
mod run;
mod user;
