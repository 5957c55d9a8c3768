//! `ovmlayer` when many use it at once, when it is killed, when a disk is full, and when something is damaged.
//!
//! * [`concurrency`]: workers side by side, every answer and every content checked against a model.
//! * [`kills`]: commands killed at any moment; nothing that was acknowledged is lost, nothing else stays.
//! * [`full_disk`]: no space left at each write.
//! * [`damage`]: layers, stores and records that someone removed, locked or spoiled.
//! * [`namespaces`]: two containers on one store.
//!
//! Root and an ordinary user get the same tests. What the kernel forbids an ordinary user:
//!
//! | what | errno | where |
//! | --- | --- | --- |
//! | mounting a disk of its own size, a read-only copy, or a loop device in the machine's namespace | EPERM (1) | root mounts it for the user |
//! | a mount namespace without a user namespace, `unshare -m` | EPERM (1) | each live merge point has one of its own |
//!
//! `OVMLAYER_LAYER_OPERATIONS` sets how many operations each worker does, `OVMLAYER_LAYER_KILLS` how many commands
//! are killed, `OVMLAYER_SEED` what chance chooses.

mod concurrency;
mod content;
mod damage;
mod disk;
mod full_disk;
mod kills;
mod namespaces;
mod stage;
