//! Versions in tags, and their order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version, ordered as Semantic Versioning 2.0.0, section 11, says; it may have fewer or more numbers than three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: Vec<u64>,
    /// What follows a hyphen; empty for a release.
    pre: Vec<Identifier>,
    text: String,
}

/// A part of what follows a hyphen: numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    /// Whether it comes before the release of the same numbers.
    #[must_use]
    pub fn is_pre_release(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // What follows a plus has no say in the order.
        let (version, _) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, pre) = match version.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (version, None),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = |part: &str| if digits(part) { part.parse::<u64>().map_err(drop) } else { Err(()) };
        let numbers = numbers.split('.').map(number).collect::<Result<Vec<_>, ()>>()?;
        let identifier = |part: &str| match number(part) {
            Ok(number) => Ok(Identifier::Number(number)),
            Err(()) if part.is_empty() => Err(()),
            Err(()) => Ok(Identifier::Word(part.to_owned())),
        };
        let pre = pre.map_or(Ok(Vec::new()), |pre| pre.split('.').map(identifier).collect())?;
        Ok(Self { numbers, pre, text: text.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let number = |version: &Self, place| version.numbers.get(place).copied().unwrap_or(0);
        let numbers = (0..length).map(|place| number(self, place).cmp(&number(other, place)));
        numbers
            .fold(Ordering::Equal, Ordering::then)
            .then_with(|| self.pre.is_empty().cmp(&other.pre.is_empty()))
            .then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_semantic_versioning() {
        let ordered = [
            "0.6",
            "0.6.1",
            "0.27.9",
            "0.27.18",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.1",
            "10.0.0",
        ];
        for pair in ordered.windows(2) {
            let [one, other] = [pair[0], pair[1]].map(|text| text.parse::<Version>().unwrap());
            assert!(one < other, "{one} comes before {other}");
        }
        assert!("1.0.0-rc.1".parse::<Version>().unwrap().is_pre_release());
        for text in ["", "v1", "1.", "1..2", "1.x", "-1", "1.0-", "latest", "99999999999999999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text:?} is no version");
        }
    }
}
