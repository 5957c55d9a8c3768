//! What exactly is asked for: a recipe joined with the command line, and where its packages come from.

use std::path::PathBuf;
use std::str::FromStr;

use cache::Digest;

use crate::Error;
use crate::distro::{ARCHITECTURES, Distro};
use crate::find::Found;
use crate::format::Variant;

/// What the command line says about where packages come from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The architectures; the recipe's when empty.
    pub architectures: Vec<String>,
    /// The distribution; the recipe's when none.
    pub distro: Option<Distro>,
    /// The suite; the distribution's current one when none.
    pub suite: Option<String>,
    /// The base of the main archive, for all architectures or for one; the last one that fits best counts.
    pub mirror: Vec<Base>,
    /// The base of the security archive, likewise.
    pub security_mirror: Vec<Base>,
    /// A file of keys that sign the archive.
    pub keyring: Option<PathBuf>,
    /// A point in time for a snapshot archive.
    pub snapshot: Option<String>,
    /// Use the cache alone.
    pub offline: bool,
    /// After how many seconds without a byte a server is given up.
    pub timeout: Option<u64>,
}

/// Where an archive is. Ubuntu keeps architectures at different places, so it can be said for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The architecture that it is for; none for all that have no base of their own.
    pub architecture: Option<String>,
    /// The address.
    pub url: String,
}

impl FromStr for Base {
    type Err = Error;

    /// Reads `URL` or `ARCH=URL`.
    fn from_str(text: &str) -> Result<Self, Error> {
        // An address may well hold an equals sign, but not before its scheme.
        let named = text.split_once('=').filter(|(name, _)| !name.contains([':', '/', '?']));
        let Some((name, url)) = named else { return Ok(Self { architecture: None, url: text.to_owned() }) };
        known_architecture(name)?;
        Ok(Self { architecture: Some(name.to_owned()), url: url.to_owned() })
    }
}

impl Base {
    /// The address for `architecture` among `bases`.
    #[must_use]
    pub fn choose<'b>(bases: &'b [Self], architecture: &str) -> Option<&'b str> {
        let last = |wanted| bases.iter().rev().find(|base| base.architecture.as_deref() == wanted);
        last(Some(architecture)).or_else(|| last(None)).map(|base| base.url.as_str())
    }
}

/// The role of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// The distribution's main archive: the release and its updates.
    Main,
    /// The distribution's security archive.
    Security,
    /// A further archive of the recipe.
    Extra,
}

/// One archive that packages come from.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Its name in the lock: `main`, `security`, or the recipe's own.
    pub name: String,
    /// Its role.
    pub kind: ArchiveKind,
    /// The distribution that it belongs to.
    pub distro: Distro,
    /// Its suites.
    pub suites: Vec<String>,
    /// Its components.
    pub components: Vec<String>,
    /// The address that the recipe gives; it is then also the one inside the root.
    pub recipe_address: Option<String>,
    /// The key file of a further archive.
    pub signed_by: Option<PathBuf>,
}

/// A recipe joined with the command line.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The recipe's name.
    pub recipe: String,
    /// The distribution.
    pub distro: Distro,
    /// The suite.
    pub suite: String,
    /// The architectures to build.
    pub architectures: Vec<String>,
    /// The archives, the main one first.
    pub archives: Vec<Archive>,
    /// What the root starts from.
    pub variant: Variant,
    /// The packages that the steps name.
    pub packages: Vec<String>,
}

impl Plan {
    /// Joins a recipe with the command line.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`].
    pub fn new(found: &Found, origin: &Origin) -> Result<Self, Error> {
        let recipe = &found.recipe;
        let distro = origin.distro.unwrap_or(recipe.distro);
        let settings = recipe.distros.get(&distro).cloned().unwrap_or_default();
        let suite = origin
            .suite
            .clone()
            .or_else(|| settings.suite.clone())
            .unwrap_or_else(|| distro.facts().suite.into());
        let components = settings.components.clone().unwrap_or_else(|| {
            distro.facts().components.iter().map(|&component| component.to_owned()).collect()
        });
        let mut archives = vec![Archive {
            name: "main".into(),
            kind: ArchiveKind::Main,
            distro,
            suites: main_suites(&suite),
            components: components.clone(),
            recipe_address: settings.mirror.clone(),
            signed_by: None,
        }];
        if has_pockets(&suite) {
            archives.push(Archive {
                name: "security".into(),
                kind: ArchiveKind::Security,
                distro,
                suites: vec![format!("{suite}-security")],
                components,
                recipe_address: settings.security_mirror.clone(),
                signed_by: None,
            });
        }
        archives.extend(settings.archives.iter().map(|extra| Archive {
            name: extra.name.clone(),
            kind: ArchiveKind::Extra,
            distro,
            suites: extra.suites.clone(),
            components: extra.components.clone(),
            recipe_address: Some(extra.uri.clone()),
            signed_by: Some(found.folder().join(&extra.signed_by)),
        }));
        let packages = recipe.packages(distro);
        let architectures = architectures(found, origin)?;
        Ok(Self {
            recipe: found.name.clone(),
            distro,
            suite,
            architectures,
            archives,
            variant: recipe.variant,
            packages,
        })
    }

    /// A digest of everything that decides which packages are chosen, apart from the archive's state. Changing its form is
    /// a change of the lock's format.
    #[must_use]
    pub fn request(&self) -> Digest {
        let mut text = format!("request 1\n{} {} {:?}\n", self.distro, self.suite, self.variant);
        for archive in &self.archives {
            text.push_str(&format!("{} {:?} {:?}\n", archive.name, archive.suites, archive.components));
        }
        for package in &self.packages {
            text.push_str(&format!("{package}\n"));
        }
        Digest::of(text.as_bytes())
    }

    /// The archive called `name`.
    #[must_use]
    pub fn archive(&self, name: &str) -> Option<&Archive> {
        self.archives.iter().find(|archive| archive.name == name)
    }
}

/// Whether a suite has updates and security beside it: releases have, the development suite has not.
fn has_pockets(suite: &str) -> bool {
    !matches!(suite, "sid" | "unstable" | "experimental")
}

fn main_suites(suite: &str) -> Vec<String> {
    let mut suites = vec![suite.to_owned()];
    if has_pockets(suite) {
        suites.push(format!("{suite}-updates"));
    }
    suites
}

/// The architectures to build, each once: those of the command line, else the recipe's.
pub(crate) fn architectures(found: &Found, origin: &Origin) -> Result<Vec<String>, Error> {
    let wanted =
        if origin.architectures.is_empty() { &found.recipe.architectures } else { &origin.architectures };
    let mut architectures: Vec<String> = Vec::new();
    for name in wanted {
        known_architecture(name)?;
        if !architectures.contains(name) {
            architectures.push(name.clone());
        }
    }
    Ok(architectures)
}

fn known_architecture(name: &str) -> Result<(), Error> {
    if ARCHITECTURES.contains(&name) {
        return Ok(());
    }
    Err(Error::UnknownArchitecture { name: name.to_owned(), known: ARCHITECTURES.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_for_all_architectures_or_for_one() {
        let cases = [
            ("http://a/ubuntu", None, "http://a/ubuntu"),
            ("arm64=http://a/ports", Some("arm64"), "http://a/ports"),
            ("http://a/?b=c", None, "http://a/?b=c"),
        ];
        for (text, architecture, url) in cases {
            let base = Base { architecture: architecture.map(str::to_owned), url: url.to_owned() };
            assert_eq!(text.parse::<Base>().expect("a base"), base, "{text}");
        }
        assert!("vax=http://a".parse::<Base>().is_err());
    }

    #[test]
    fn the_base_that_fits_best_counts() {
        let bases = ["arm64=ports", "first", "last"].map(|text| text.parse::<Base>().expect("a base"));
        assert_eq!(Base::choose(&bases, "arm64"), Some("ports"));
        assert_eq!(Base::choose(&bases, "amd64"), Some("last"));
        assert_eq!(Base::choose(&bases[..1], "amd64"), None);
    }
}
