//! A date to which packages are pinned.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::MirrorError;

/// A moment whose archives are asked for; displayed as snapshot services want it, `20250520T000000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snapshot(Timestamp);

impl Snapshot {
    /// The moment.
    #[must_use]
    pub fn moment(self) -> Timestamp {
        self.0
    }
}

impl FromStr for Snapshot {
    type Err = MirrorError;

    /// Reads `20250520`, `2025-05-20` (both mean the first second of that day in UTC), `20250520T120000Z` or
    /// `2025-05-20T12:00:00Z`.
    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let refuse = || MirrorError::Date(text.to_owned());
        let compact: String = text.chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
        let (date, time) = match compact.split_once('T') {
            Some((date, time)) => (date, time.strip_suffix('Z').ok_or_else(refuse)?),
            None => (compact.as_str(), "000000"),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if date.len() != 8 || time.len() != 6 || !all_digits(date) || !all_digits(time) {
            return Err(refuse());
        }
        let number = |part: &str| part.parse::<i16>().map_err(|_| refuse());
        let small = |part: &str| part.parse::<i8>().map_err(|_| refuse());
        let day =
            Date::new(number(&date[..4])?, small(&date[4..6])?, small(&date[6..])?).map_err(|_| refuse())?;
        let clock = jiff::civil::Time::new(small(&time[..2])?, small(&time[2..4])?, small(&time[4..])?, 0)
            .map_err(|_| refuse())?;
        let moment = Offset::UTC.to_timestamp(DateTime::from_parts(day, clock)).map_err(|_| refuse())?;
        Ok(Self(moment))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y%m%dT%H%M%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_every_notation() {
        for (text, expected) in [
            ("20250520", "20250520T000000Z"),
            ("2025-05-20", "20250520T000000Z"),
            ("20250520T123456Z", "20250520T123456Z"),
            ("2025-05-20T12:34:56Z", "20250520T123456Z"),
        ] {
            assert_eq!(text.parse::<Snapshot>().unwrap().to_string(), expected, "{text}");
        }
        for text in
            ["", "latest", "20251332", "2025", "20250520T1200Z", "20250520T123456", "２０２５０５２０"]
        {
            assert!(text.parse::<Snapshot>().is_err(), "{text} was taken for a date");
        }
    }
}
