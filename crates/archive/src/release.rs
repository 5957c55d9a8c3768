//! Release files: what an archive's `InRelease` says, and whether it is the one that was asked for.
//!
//! What enters: text that a [`Verifier`](crate::keyring::Verifier) has found to be signed, and what the reader expects.
//! What leaves: a [`Release`], or the [`ReleaseProblem`] that makes it useless. Pure: no clock, no network.

mod problem;

use std::collections::BTreeMap;

use cache::Digest;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

use crate::deb822::stanzas;
pub use problem::ReleaseProblem;

/// A release file dated further ahead than this is refused. apt allows ten seconds; a day also bears a machine whose
/// clock is set to local time, and gives nothing to an attacker, who cannot sign.
const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// Debian's largest release file lists some 2,000 files.
const FILE_LIMIT: usize = 200_000;

/// A file that the archive vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// The content of a release file (Debian repository format, "Release" files).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who made it, such as `Debian`.
    pub origin: Option<String>,
    /// What is in it, such as `Debian-Security`.
    pub label: Option<String>,
    /// A name that moves, such as `stable`, or Ubuntu's `noble-updates`.
    pub suite: Option<String>,
    /// A name that stays, such as `trixie`.
    pub codename: Option<String>,
    /// The version of the distribution, such as `13.1`.
    pub version: Option<String>,
    /// When it was made.
    pub date: Timestamp,
    /// When it ceases to count; some archives set no end.
    pub valid_until: Option<Timestamp>,
    /// The architectures it has, `all` perhaps among them.
    pub architectures: Vec<String>,
    /// The components it has.
    pub components: Vec<String>,
    /// Whether files can be fetched by their digest, so that an update of the mirror does not come between.
    pub acquire_by_hash: bool,
    /// Whether its packages are installed only when asked for by name (`NotAutomatic`), as in experimental.
    pub not_automatic: bool,
    /// Whether those that are installed are kept up to date all the same (`ButAutomaticUpgrades`), as in backports.
    pub but_automatic_upgrades: bool,
    /// Whether `Packages` of each architecture list the packages of architecture `all` too.
    pub all_in_each: bool,
    /// The files it vouches for, by path relative to itself.
    pub files: BTreeMap<String, ReleaseFile>,
}

/// What a reader asked for.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// The suite or codename; one that ends in `/` names a flat archive, whose release file may say anything.
    pub suite: &'a str,
    /// The components that will be read.
    pub components: &'a [String],
    /// The moment at which it must be valid.
    pub moment: Timestamp,
    /// Whether `moment` is a pinned one: then nothing newer than it may be used.
    pub pinned: bool,
}

impl Release {
    /// Parses the text of a release file. Unknown fields are passed over.
    ///
    /// # Errors
    /// [`ReleaseProblem::Syntax`] or [`ReleaseProblem::NoSha256`].
    pub fn parse(text: &str) -> Result<Self, ReleaseProblem> {
        let syntax = |detail: String| ReleaseProblem::Syntax { detail };
        let mut found = stanzas(text);
        let (Some(stanza), None) = (found.next(), found.next()) else {
            return Err(syntax("expected exactly one stanza".to_owned()));
        };
        if let Some(line) = stanza.malformed_line() {
            return Err(syntax(format!(
                "the line `{}` is no field",
                line.chars().take(80).collect::<String>()
            )));
        }
        let get = |name| stanza.get(name);
        let text = |name| get(name).map(str::to_owned);
        let yes = |name| get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let words = |name| -> Vec<String> {
            get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let date = get("Date").ok_or_else(|| syntax("it has no field `Date`".to_owned()))?;
        Ok(Self {
            origin: text("Origin"),
            label: text("Label"),
            suite: text("Suite"),
            codename: text("Codename"),
            version: text("Version"),
            date: parse_date(date)?,
            valid_until: get("Valid-Until").map(parse_date).transpose()?,
            architectures: words("Architectures"),
            components: words("Components"),
            acquire_by_hash: yes("Acquire-By-Hash"),
            not_automatic: yes("NotAutomatic"),
            but_automatic_upgrades: yes("ButAutomaticUpgrades"),
            all_in_each: words("No-Support-for-Architecture-all").iter().any(|kind| kind == "Packages"),
            files: parse_files(get("SHA256").ok_or(ReleaseProblem::NoSha256)?)?,
        })
    }

    /// Checks that this is what was asked for, at a time when it counts.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ReleaseProblem> {
        self.check_name(expected.suite)?;
        self.check_times(expected)?;
        for component in expected.components {
            self.check_component(component)?;
        }
        Ok(())
    }

    /// Whether it has packages for `architecture` (those for `all` count for each).
    #[must_use]
    pub fn has_architecture(&self, architecture: &str) -> bool {
        // Old and small archives do not say; then the index decides.
        self.architectures.is_empty() || self.architectures.iter().any(|one| one == architecture)
    }

    fn check_name(&self, asked: &str) -> Result<(), ReleaseProblem> {
        let names = [self.suite.as_deref(), self.codename.as_deref()];
        let fits = asked.ends_with('/') || names.contains(&Some(asked));
        if fits {
            return Ok(());
        }
        Err(ReleaseProblem::OtherSuite {
            asked: asked.to_owned(),
            suite: self.suite.clone().unwrap_or_default(),
            codename: self.codename.clone().unwrap_or_default(),
        })
    }

    fn check_times(&self, expected: &Expected<'_>) -> Result<(), ReleaseProblem> {
        let moment = expected.moment;
        if expected.pinned && self.date > moment {
            return Err(ReleaseProblem::NewerThanSnapshot { date: self.date, snapshot: moment });
        }
        if self.date > moment.checked_add(FUTURE_TOLERANCE).unwrap_or(Timestamp::MAX) {
            return Err(ReleaseProblem::FromTheFuture { date: self.date, now: moment });
        }
        match self.valid_until {
            Some(end) if end < moment => {
                Err(ReleaseProblem::Expired { date: self.date, valid_until: end, now: moment })
            }
            _ => Ok(()),
        }
    }

    fn check_component(&self, asked: &str) -> Result<(), ReleaseProblem> {
        // Debian's security archive says `updates/main` and means `main`, as apt understands it.
        let fits = |one: &String| one == asked || one.rsplit('/').next() == Some(asked);
        if self.components.is_empty() || self.components.iter().any(fits) {
            return Ok(());
        }
        Err(ReleaseProblem::NoComponent { asked: asked.to_owned(), components: self.components.join(" ") })
    }
}

/// Dates are those of RFC 2822, except that the zone is written `UTC` (Debian Policy has `+0000`).
fn parse_date(value: &str) -> Result<Timestamp, ReleaseProblem> {
    let bare = value.trim_end_matches("UTC").trim_end_matches("GMT").trim_end();
    let text = if bare.len() == value.len() { value.to_owned() } else { format!("{bare} +0000") };
    DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(&text)
        .map_err(|error| ReleaseProblem::Syntax { detail: format!("`{value}` is not a date: {error}") })
}

fn parse_files(value: &str) -> Result<BTreeMap<String, ReleaseFile>, ReleaseProblem> {
    let mut files = BTreeMap::new();
    for line in value.lines() {
        let syntax = || ReleaseProblem::Syntax {
            detail: format!(
                "`{}` is not a SHA-256, a size and a relative path",
                line.chars().take(200).collect::<String>()
            ),
        };
        if files.len() == FILE_LIMIT {
            return Err(ReleaseProblem::Syntax { detail: format!("it lists more than {FILE_LIMIT} files") });
        }
        let mut words = line.split_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(syntax());
        };
        let file = ReleaseFile {
            size: size.parse().map_err(|_| syntax())?,
            sha256: digest.parse().map_err(|_| syntax())?,
        };
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(syntax());
        }
        files.insert(path.to_owned(), file);
    }
    Ok(files)
}
