//! Who gets a file that two packages hold (Debian Policy, 7.6.1).

use crate::database::Control;

/// What becomes of a file that is there already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The package being unpacked replaces the owner: it gets the file.
    TakeOver,
    /// The owner replaces the package being unpacked: the file stays.
    Keep,
    /// Neither replaces the other: an error.
    Refuse,
}

/// Decides between the package being unpacked and the one that has the file.
pub(crate) fn settle(mine: &Control, theirs: &Control) -> Settlement {
    if mine.replaces(theirs) {
        Settlement::TakeOver
    } else if theirs.replaces(mine) {
        Settlement::Keep
    } else {
        Settlement::Refuse
    }
}
