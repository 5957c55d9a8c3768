//! Reads `package-lock.json` (lockfile version 3).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Error;

/// What npm locked.
#[derive(Debug, Clone)]
pub struct PackageLock {
    /// What messages call the file.
    pub(super) name: String,
    /// Each package by its place, such as `node_modules/a/node_modules/b`; that of the folder itself is empty.
    pub(super) packages: BTreeMap<String, Entry>,
}

/// One package in one place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// The package's name, where it is not the one that its place says.
    pub name: Option<String>,
    /// Its version.
    pub version: String,
    /// The hash of its archive.
    pub integrity: Option<String>,
    /// Whether those that need it can do without.
    pub optional: bool,
    /// Whether it wants to run programs when it is installed.
    pub has_install_script: bool,
    /// Whether it comes in the archive of the package above it.
    pub in_bundle: bool,
    /// Programs, each with its file in the package.
    #[serde(deserialize_with = "programs")]
    pub bin: BTreeMap<String, String>,
    pub(super) resolved: Option<String>,
    pub(super) link: bool,
    #[serde(deserialize_with = "words")]
    pub(super) os: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub(super) cpu: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub(super) libc: Vec<String>,
    pub(super) dependencies: BTreeMap<String, String>,
    pub(super) dev_dependencies: BTreeMap<String, String>,
    pub(super) optional_dependencies: BTreeMap<String, String>,
    pub(super) peer_dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    lockfile_version: u64,
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
}

/// What `package.json` says that a lock repeats.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Manifest {
    dependencies: BTreeMap<String, String>,
    dev_dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
}

impl PackageLock {
    /// Reads the lock `text`, made for the package.json `manifest`; `name` is what messages call it.
    ///
    /// # Errors
    /// [`Error::NpmLock`] with the line, [`Error::NpmStale`].
    pub fn parse(name: &str, text: &str, manifest: &str) -> Result<Self, Error> {
        let wrong = |file: &str, message: String| Error::NpmLock { name: file.to_owned(), message };
        let document: Document =
            serde_json::from_str(text).map_err(|error| wrong(name, error.to_string()))?;
        if document.lockfile_version != 3 {
            let version = document.lockfile_version;
            let message = format!(
                "lockfile version {version} is not known: run `npm install --package-lock-only --lockfile-version 3`"
            );
            return Err(wrong(name, message));
        }
        let manifest: Manifest = serde_json::from_str(manifest)
            .map_err(|error| wrong("package.json", format!("beside {name}: {error}")))?;
        let lock = Self { name: name.to_owned(), packages: document.packages };
        match lock.difference(&manifest) {
            Some(what) => {
                let tool = "npm install --package-lock-only";
                Err(Error::NpmStale { name: name.to_owned(), what, tool })
            }
            None => Ok(lock),
        }
    }

    fn difference(&self, manifest: &Manifest) -> Option<String> {
        let Some(own) = self.packages.get("") else { return Some("it says nothing of it".to_owned()) };
        // npm takes what is optional out of the dependencies when it reads a package.json.
        let mut dependencies = manifest.dependencies.clone();
        dependencies.retain(|name, _| !manifest.optional_dependencies.contains_key(name));
        for (wanted, locked) in [
            (&dependencies, &own.dependencies),
            (&manifest.dev_dependencies, &own.dev_dependencies),
            (&manifest.optional_dependencies, &own.optional_dependencies),
            (&manifest.peer_dependencies, &own.peer_dependencies),
        ] {
            let differs = |name: &&String| wanted.get(*name) != locked.get(*name);
            if let Some(name) = wanted.keys().chain(locked.keys()).find(differs) {
                return Some(format!("`{name}` is another one"));
            }
        }
        None
    }
}

/// The package's name that a place says.
pub(super) fn name_of(place: &str) -> &str {
    place.rsplit_once("node_modules/").map_or(place, |(_, name)| name)
}

/// A list, or the only word of one.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = |value: Value| value.as_str().map(str::to_owned);
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(words) => words.into_iter().filter_map(text).collect(),
        word => text(word).into_iter().collect(),
    })
}

/// Programs by their names; one without a name is called like the package, which [`Entry`] does not know, so it has none.
fn programs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Object(programs) => {
            programs.into_iter().filter_map(|(name, file)| Some((name, file.as_str()?.to_owned()))).collect()
        }
        Value::String(file) => [(String::new(), file)].into(),
        _ => BTreeMap::new(),
    })
}
