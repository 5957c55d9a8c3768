//! Which of two versions is the later: npm's by Semantic Versioning 2.0.0 (section 11), Python's by the version specifiers
//! of the packaging user guide (PEP 440). Debian's are for those who know Debian.

use std::cmp::Ordering;

/// Compares versions of npm's packages; nothing when one is no version.
#[must_use]
pub fn npm(a: &str, b: &str) -> Option<Ordering> {
    Some(Semantic::parse(a)?.cmp(&Semantic::parse(b)?))
}

/// Compares versions of Python's packages; nothing when one is no version.
#[must_use]
pub fn python(a: &str, b: &str) -> Option<Ordering> {
    Some(Python::parse(a)?.cmp(&Python::parse(b)?))
}

/// Part of a version between dots. The order is that of the variants: what ends sooner is earlier, numbers come before
/// words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn part(text: &str) -> Part {
    number(text).map_or_else(|| Part::Word(text.to_owned()), Part::Number)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Semantic {
    numbers: [u64; 3],
    /// A version that is finished comes after those that lead to it.
    is_finished: bool,
    before: Vec<Part>,
}

impl Semantic {
    fn parse(text: &str) -> Option<Self> {
        let text = text.split_once('+').map_or(text, |(version, _build)| version);
        let (numbers, before) =
            text.split_once('-').map_or((text, None), |(numbers, rest)| (numbers, Some(rest)));
        let mut parts = numbers.split('.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        if parts.next().is_some() {
            return None;
        }
        let before: Vec<Part> = before.into_iter().flat_map(|rest| rest.split('.')).map(part).collect();
        Some(Self { numbers, is_finished: before.is_empty(), before })
    }
}

/// A version in the order of its fields.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Python {
    epoch: u64,
    /// Without the zeros at its end, which mean nothing.
    release: Vec<u64>,
    stage: Stage,
    /// Nothing is before the first.
    post: Option<u64>,
    dev: Dev,
    /// Words come before numbers here.
    local: Vec<Local>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// In development, before there is anything else.
    Dev,
    Alpha(u64),
    Beta(u64),
    Candidate(u64),
    Finished,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Number(u64),
    None,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Word(String),
    Number(u64),
}

impl Python {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix('v').unwrap_or(&text);
        let (text, local) = text.split_once('+').map_or((text, None), |(text, local)| (text, Some(local)));
        let (epoch, text) = match text.split_once('!') {
            Some((epoch, rest)) => (number(epoch)?, rest),
            None => (0, text),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers = text[..end].trim_end_matches('.');
        let mut release = numbers.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        while release.last() == Some(&0) {
            release.pop();
        }
        let mut rest = Rest(&text[numbers.len()..]);
        let stage = rest.stage();
        let post = rest.post();
        let dev = rest.number_after(&["dev"]);
        if !rest.0.is_empty() {
            return None;
        }
        let stage = match (stage, post, dev) {
            (Some(stage), ..) => stage,
            (None, None, Some(_)) => Stage::Dev,
            (None, ..) => Stage::Finished,
        };
        let local =
            local.into_iter().flat_map(|local| local.split(['.', '-', '_'])).map(|text| match part(text) {
                Part::Number(number) => Local::Number(number),
                Part::Word(word) => Local::Word(word),
            });
        let local = local.collect();
        Some(Self { epoch, release, stage, post, dev: dev.map_or(Dev::None, Dev::Number), local })
    }
}

/// What follows the numbers of a release.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn stage(&mut self) -> Option<Stage> {
        // The longer words first: some begin with others.
        let alpha = self.number_after(&["alpha", "a"]).map(Stage::Alpha);
        let beta = || self.number_after(&["beta", "b"]).map(Stage::Beta);
        alpha
            .or_else(beta)
            .or_else(|| self.number_after(&["preview", "pre", "rc", "c"]).map(Stage::Candidate))
    }

    fn post(&mut self) -> Option<u64> {
        self.number_after(&["post", "rev", "r"]).or_else(|| {
            // `1.0-1` is an old way to say it.
            let rest = self.0.strip_prefix('-')?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let found = number(&rest[..end])?;
            self.0 = &rest[end..];
            Some(found)
        })
    }

    /// The number after one of these words, 0 without one.
    fn number_after(&mut self, words: &[&str]) -> Option<u64> {
        const SEPARATORS: [char; 3] = ['.', '-', '_'];
        let start = self.0.strip_prefix(SEPARATORS).unwrap_or(self.0);
        let rest = words.iter().find_map(|word| start.strip_prefix(word))?;
        let digits = rest.strip_prefix(SEPARATORS).unwrap_or(rest);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        match number(&digits[..end]) {
            Some(found) => {
                self.0 = &digits[end..];
                Some(found)
            }
            None => {
                self.0 = rest;
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is earlier than the next, and the same as itself.
    fn in_order(compare: fn(&str, &str) -> Option<Ordering>, versions: &[&str]) {
        for (number, a) in versions.iter().enumerate() {
            for (other, b) in versions.iter().enumerate() {
                assert_eq!(compare(a, b), Some(number.cmp(&other)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn versions_of_npm() {
        // The example of the specification, and numbers of several digits.
        in_order(
            npm,
            &[
                "0.9.10",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "1.9.0",
                "1.10.0",
                "2.0.0-0-x",
            ],
        );
        assert_eq!(npm("1.0.0+a", "1.0.0+b"), Some(Ordering::Equal));
        for bad in ["", "1", "1.0", "1.0.0.0", "1.x.0", "latest", "1.0.99999999999999999999"] {
            assert_eq!(npm(bad, "1.0.0"), None, "{bad}");
        }
    }

    #[test]
    fn versions_of_python() {
        // The example of the specification, and what it says elsewhere.
        in_order(
            python,
            &[
                "1.dev0",
                "1.0.dev456",
                "1.0a1",
                "1.0a2.dev456",
                "1.0a12.dev456",
                "1.0a12",
                "1.0b1.dev456",
                "1.0b2",
                "1.0b2.post345.dev456",
                "1.0b2.post345",
                "1.0rc1.dev456",
                "1.0rc1",
                "1.0",
                "1.0+abc.5",
                "1.0+abc.7",
                "1.0+5",
                "1.0.post456.dev34",
                "1.0.post456",
                "1.0.15",
                "1.1.dev1",
                "1.9",
                "1.10",
                "2024.1",
                "1!0.1",
            ],
        );
        for (a, b) in [
            ("1.0", "1"),
            ("v1.0ALPHA1", "1a1"),
            ("1.0-rc.1", "1.0c1"),
            ("1.0-1", "1.0.post1"),
            ("1.0.rev2", "1.0-r2"),
            ("1.0a", "1.0a0"),
            ("1.0+a-1", "1.0+a.1"),
        ] {
            assert_eq!(python(a, b), Some(Ordering::Equal), "{a} and {b}");
        }
        for bad in ["", "x", "1.0x", "1..0", "1.0a1b1", "!1", "1.0.postx"] {
            assert_eq!(python(bad, "1"), None, "{bad}");
        }
    }
}
