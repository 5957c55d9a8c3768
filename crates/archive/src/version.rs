//! Package versions in dpkg's order.
//!
//! A version reads `[epoch:]upstream[-revision]` (Debian Policy 5.6.12). [`compare`] orders any two strings, valid or
//! not, because an index may hold anything; [`Version`] is for versions that people or lock files give us.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The longest version we accept, in bytes; real ones stay below 100.
const MAX_LENGTH: usize = 512;

/// A valid package version, ordered as dpkg orders versions.
///
/// Two versions may be equal without having the same text: `1.0` and `0:1.0-0` are.
#[derive(Clone, Debug)]
pub struct Version(Box<str>);

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing there, or nothing but an epoch or a revision.
    #[error("version `{0}` has no upstream part")]
    Empty(String),
    /// More than 512 bytes.
    #[error("version is {0} bytes long, more than 512")]
    TooLong(usize),
    /// The part before the first colon is not a number that dpkg accepts (below 2³¹).
    #[error("version `{0}` has an epoch that is not a number")]
    Epoch(String),
    /// A character that the policy does not allow in a version.
    #[error("version `{version}` has the character {character:?}, which is not allowed")]
    Character {
        /// The whole text.
        version: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The upstream part does not start with a digit.
    #[error("version `{0}` does not start with a digit")]
    Start(String),
}

impl Version {
    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong(text.len()));
        }
        if let Some((epoch, _)) = text.split_once(':') {
            let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || epoch.parse::<i32>().is_err() {
                return Err(VersionError::Epoch(text.to_owned()));
            }
        }
        let (_, upstream, revision) = split(text);
        if upstream.is_empty() || revision.is_some_and(str::is_empty) {
            return Err(VersionError::Empty(text.to_owned()));
        }
        let bad = |extra: &'static str| {
            move |c: &char| !(c.is_ascii_alphanumeric() || ".+~".contains(*c) || extra.contains(*c))
        };
        let odd = upstream.chars().find(bad("-:")).or_else(|| revision.unwrap_or("").chars().find(bad("")));
        if let Some(character) = odd {
            return Err(VersionError::Character { version: text.to_owned(), character });
        }
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(VersionError::Start(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// Orders two version texts as dpkg does: epoch, then upstream part, then revision.
///
/// A missing epoch or revision counts as `0`. Every string has its place, also those that are no valid version.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a_epoch, a_upstream, a_revision) = split(a);
    let (b_epoch, b_upstream, b_revision) = split(b);
    compare_part(a_epoch, b_epoch)
        .then_with(|| compare_part(a_upstream, b_upstream))
        .then_with(|| compare_part(a_revision.unwrap_or(""), b_revision.unwrap_or("")))
}

/// Splits at the first colon and, in what follows, at the last hyphen.
fn split(version: &str) -> (&str, &str, Option<&str>) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    match rest.rsplit_once('-') {
        Some((upstream, revision)) => (epoch, upstream, Some(revision)),
        None => (epoch, rest, None),
    }
}

/// Compares one part: stretches without digits by [`rank`], stretches of digits as numbers, in turn.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while starts_with_text(a) || starts_with_text(b) {
            match rank(a.first()).cmp(&rank(b.first())) {
                Ordering::Equal => (a, b) = (a.get(1..).unwrap_or(&[]), b.get(1..).unwrap_or(&[])),
                unequal => return unequal,
            }
        }
        let (a_number, a_rest) = take_number(a);
        let (b_number, b_rest) = take_number(b);
        // Without leading zeros the longer number is the larger one, so no number is too large for us.
        match a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(b_number)) {
            Ordering::Equal => (a, b) = (a_rest, b_rest),
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

fn starts_with_text(part: &[u8]) -> bool {
    part.first().is_some_and(|byte| !byte.is_ascii_digit())
}

/// A tilde sorts before the end of the part, the end before letters, letters before everything else.
fn rank(byte: Option<&u8>) -> i16 {
    match byte {
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i16::from(*byte),
        Some(byte) if !byte.is_ascii_digit() => i16::from(*byte) + 256,
        _ => 0,
    }
}

/// The digits at the start without leading zeros, and what follows them.
fn take_number(part: &[u8]) -> (&[u8], &[u8]) {
    let zeros = part.iter().take_while(|byte| **byte == b'0').count();
    let part = &part[zeros..];
    part.split_at(part.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn policy_examples_are_ordered() {
        let sorted = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "1.0~rc1",
            "1.0~rc1-1",
            "1.0",
            "1.0-0.1",
            "1.0-1",
            "1.0-1+b1",
            "1.0+dfsg-1",
            "1.0.1",
            "1.10",
            "1:0.1",
            "2:0",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{} > {}", pair[1], pair[0]);
        }
    }

    #[test]
    fn parsing_names_what_is_wrong() {
        for (summary, text, expected) in [
            ("nothing", "", Some("version `` has no upstream part")),
            ("only an epoch", "1:", Some("version `1:` has no upstream part")),
            ("no revision after hyphen", "1-", Some("version `1-` has no upstream part")),
            ("epoch of letters", "a:1", Some("version `a:1` has an epoch that is not a number")),
            (
                "epoch out of range",
                "4294967296:1",
                Some("version `4294967296:1` has an epoch that is not a number"),
            ),
            ("underscore", "1_2", Some("version `1_2` has the character '_', which is not allowed")),
            (
                "colon in revision",
                "1:2-3:4",
                Some("version `1:2-3:4` has the character ':', which is not allowed"),
            ),
            ("letter first", "v1", Some("version `v1` does not start with a digit")),
            ("all parts", "1:2.0~rc1+dfsg-3-4", None),
        ] {
            let error = text.parse::<Version>().err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{summary}");
        }
    }

    fn dpkg_says(a: &str, relation: &str, b: &str) -> bool {
        let status = Command::new("dpkg")
            .args(["--compare-versions", a, relation, b])
            .status()
            .expect("`dpkg` must run: these tests compare with it (Debian package `dpkg`)");
        status.success()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn agrees_with_dpkg(
            a in "([0-2]:)?[0-9][0-9a-b.+~]{0,5}(-[0-9a-b.+~]{1,3})?",
            b in "([0-2]:)?[0-9][0-9a-b.+~]{0,5}(-[0-9a-b.+~]{1,3})?",
        ) {
            let (a, b): (Version, Version) = (a.parse().unwrap(), b.parse().unwrap());
            let relation = match a.cmp(&b) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            prop_assert!(dpkg_says(a.as_str(), relation, b.as_str()), "{a} {relation} {b}");
        }

        #[test]
        fn any_text_has_its_place(a in ".{0,12}", b in ".{0,12}", c in ".{0,12}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
            let _ = a.parse::<Version>();
        }
    }
}
