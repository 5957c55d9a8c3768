//! What a user asks to be installed.

use std::str::FromStr;

use super::Unsatisfiable;
use super::explain::similar_names;
use crate::universe::{NameId, Package, PackageId, Priority, Universe};

/// What is to be installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Packages by name, in the order given, which may matter to the choice of others.
    pub items: Vec<Item>,
    /// Adds every package that is `Essential: yes`, before the items, as apt's `?essential` does, which counts `apt` as one.
    pub essential: bool,
    /// Adds every package of `Priority: required`, after the essential ones.
    pub required: bool,
}

/// One package that is asked for, or that must not be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name of a package, or one that a single package provides.
    pub name: String,
    /// The architecture after the colon, if one was given.
    pub architecture: Option<String>,
    /// Which version.
    pub choice: Choice,
    /// Whether it must stay out (`name-`).
    pub exclude: bool,
}

/// Which version of a package is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The candidate of the universe.
    #[default]
    Candidate,
    /// Exactly this one (`name=version`).
    Version(String),
    /// The one in this suite (`name/suite`).
    Suite(String),
}

/// A text that asks for no package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no package name; write `name`, `name=version`, `name/suite`, `name:arch` or `name-`")]
pub struct ItemError(String);

impl Item {
    /// The candidate of a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), architecture: None, choice: Choice::Candidate, exclude: false }
    }
}

impl FromStr for Item {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let error = || ItemError(text.to_owned());
        let (rest, choice) = match text.find(['=', '/']) {
            Some(at) if text[at + 1..].is_empty() => return Err(error()),
            Some(at) if text[at..].starts_with('=') => {
                (&text[..at], Choice::Version(text[at + 1..].to_owned()))
            }
            Some(at) => (&text[..at], Choice::Suite(text[at + 1..].to_owned())),
            None => (text, Choice::Candidate),
        };
        let (rest, exclude) = match rest.strip_suffix('-') {
            Some(rest) if choice == Choice::Candidate => (rest, true),
            _ => (rest, false),
        };
        let (name, architecture) = match rest.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (rest, None),
        };
        let plain = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        };
        if !plain(name) || !architecture.as_deref().is_none_or(plain) {
            return Err(error());
        }
        Ok(Self { name: name.to_owned(), architecture, choice, exclude })
    }
}

/// A request in terms of the universe.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What to install, in order, each name once.
    pub(super) packages: Vec<PackageId>,
    /// What must stay out.
    pub(super) excluded: Vec<NameId>,
    /// Of what was asked for by suite: the package and the suite, to be followed through its dependencies.
    pub(super) from_suite: Vec<(PackageId, String)>,
}

impl Request {
    /// A request for the candidates of some names, beside the essential packages.
    #[must_use]
    pub fn with_essential<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { items: names.into_iter().map(Item::named).collect(), essential: true, required: false }
    }

    pub(super) fn resolve(&self, universe: &Universe) -> Result<Wanted, Unsatisfiable> {
        let mut wanted = Wanted::default();
        let candidates =
            || universe.names_in_order().filter_map(|name| Some((name, universe.candidate_of(name)?)));
        if self.essential {
            wanted
                .packages
                .extend(candidates().filter(|(name, _)| universe.is_essential(*name)).map(|found| found.1));
        }
        if self.required {
            let required = |id: &PackageId| universe.package(*id).priority() == Some(Priority::Required);
            wanted.packages.extend(candidates().map(|found| found.1).filter(required));
        }
        for item in &self.items {
            item.resolve(universe, &mut wanted)?;
        }
        let mut seen = std::collections::HashSet::new();
        wanted.packages.retain(|id| seen.insert(*id));
        Ok(wanted)
    }
}

impl Item {
    fn resolve(&self, universe: &Universe, wanted: &mut Wanted) -> Result<(), Unsatisfiable> {
        let native = |arch: &str| {
            arch == universe.architecture() || arch == "all" || arch == "native" || arch == "any"
        };
        if let Some(architecture) = self.architecture.as_deref().filter(|architecture| !native(architecture))
        {
            return Err(Unsatisfiable::Architecture {
                name: self.name.clone(),
                wanted: architecture.to_owned(),
                ours: universe.architecture().to_owned(),
            });
        }
        if self.exclude {
            let name = universe.name_id(&self.name).ok_or_else(|| self.unknown(universe))?;
            wanted.excluded.push(name);
            return Ok(());
        }
        let package = self.find(universe)?;
        wanted.packages.push(package.id());
        if let Choice::Suite(suite) = &self.choice {
            wanted.from_suite.push((package.id(), suite.clone()));
        }
        Ok(())
    }

    fn find<'u>(&self, universe: &'u Universe) -> Result<Package<'u>, Unsatisfiable> {
        if universe.versions(&self.name).next().is_none() {
            return self.find_provider(universe);
        }
        let fits = |package: &Package<'u>| match &self.choice {
            Choice::Candidate => universe.candidate(&self.name) == Some(*package),
            Choice::Version(version) => package.version() == version,
            Choice::Suite(suite) => universe.origins_of(package.id()).any(|origin| origin.answers_to(suite)),
        };
        universe.versions(&self.name).find(fits).ok_or_else(|| Unsatisfiable::NoSuchVersion {
            name: self.name.clone(),
            wanted: match &self.choice {
                Choice::Candidate => "that may be installed".to_owned(),
                Choice::Version(version) => version.clone(),
                Choice::Suite(suite) => format!("in {suite}"),
            },
            known: universe
                .versions(&self.name)
                .map(|p| format!("{} ({})", p.version(), p.origin().id))
                .collect(),
        })
    }

    /// A virtual name will do when one package alone provides it.
    fn find_provider<'u>(&self, universe: &'u Universe) -> Result<Package<'u>, Unsatisfiable> {
        let candidate = |package: &Package<'u>| universe.candidate(package.name()) == Some(*package);
        let mut providers: Vec<_> = universe.providers(&self.name).filter(candidate).collect();
        providers.sort_by_key(|package| package.name());
        providers.dedup();
        match providers[..] {
            [] => Err(self.unknown(universe)),
            [provider] => Ok(provider),
            _ => Err(Unsatisfiable::Virtual {
                name: self.name.clone(),
                providers: providers.iter().map(|package| package.name().to_owned()).collect(),
            }),
        }
    }

    fn unknown(&self, universe: &Universe) -> Unsatisfiable {
        Unsatisfiable::NoSuchPackage { name: self.name.clone(), similar: similar_names(universe, &self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read() {
        let item = Item::named("zsh");
        for (summary, text, expected) in [
            ("name", "zsh", Some(item.clone())),
            ("plus signs", "g++", Some(Item::named("g++"))),
            (
                "version",
                "zsh=5.9-8+b1",
                Some(Item { choice: Choice::Version("5.9-8+b1".into()), ..item.clone() }),
            ),
            (
                "suite",
                "zsh/trixie-updates",
                Some(Item { choice: Choice::Suite("trixie-updates".into()), ..item.clone() }),
            ),
            ("architecture", "zsh:arm64", Some(Item { architecture: Some("arm64".into()), ..item.clone() })),
            ("excluded", "zsh-", Some(Item { exclude: true, ..item })),
            ("nothing", "", None),
            ("no version", "zsh=", None),
            ("a pattern", "?essential", None),
            ("a path", "./zsh.deb", None),
        ] {
            assert_eq!(text.parse::<Item>().ok(), expected, "{summary}");
        }
    }
}
