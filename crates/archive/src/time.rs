//! The clock, which a test wants to hold in its hand.

use jiff::Timestamp;

/// Where "now" comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The clock of this machine.
    #[default]
    System,
    /// Always the same moment.
    Fixed(Timestamp),
}

impl Clock {
    /// The present moment.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Fixed(moment) => moment,
        }
    }
}
