//! `ovmlayer` as its callers meet it: every argv that they use, with what it must do, and what they silently assume.
//!
//! Scenarios run twice: as root, and as an ordinary user without any privilege. They work on a small root filesystem made
//! of the machine's own shells.

mod archive;
mod argv;
mod cp;
mod help;
mod log;
mod merge;
mod order;
mod run;
mod setup;
mod show;
mod signals;
mod stage;

use stage::Stage;

/// A test of each scenario as root, and one as an ordinary user.
macro_rules! scenarios {
    ($($scenario:ident),* $(,)?) => {
        mod as_root {
            $(#[test] fn $scenario() { super::$scenario(&crate::Stage::ready()); })*
        }
        mod as_user {
            $(#[test] fn $scenario() {
                let user = testkit::TestUser::create();
                super::$scenario(&crate::Stage::ready_for(&user));
            })*
        }
    };
}
pub(crate) use scenarios;
