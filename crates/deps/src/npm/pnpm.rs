//! Reads `pnpm-lock.yaml` (lockfile version 9), and where pnpm puts what it names.
//!
//! Which folder a package goes to when there are no links between packages (`node-linker=hoisted`) is not in the lock: pnpm
//! decides it, and notes it in `node_modules/.modules.yaml`. [`Places`] is that note.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Integrity, Selected, Target, yaml};
use crate::Error;

/// What pnpm locked.
#[derive(Debug, Clone)]
pub struct PnpmLock {
    /// What messages call the file.
    name: String,
    document: Document,
}

/// What `package.json` and the lock say of the packages that are asked for, each with its range.
type Wanted = BTreeMap<String, String>;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    lockfile_version: String,
    #[serde(default)]
    overrides: BTreeMap<String, String>,
    #[serde(default)]
    patched_dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    importers: BTreeMap<String, Importer>,
    #[serde(default)]
    packages: BTreeMap<String, Package>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Importer {
    dependencies: BTreeMap<String, Dependency>,
    dev_dependencies: BTreeMap<String, Dependency>,
    optional_dependencies: BTreeMap<String, Dependency>,
}

#[derive(Debug, Clone, Deserialize)]
struct Dependency {
    specifier: String,
    version: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Package {
    #[serde(default)]
    resolution: Resolution,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    cpu: Vec<String>,
    #[serde(default)]
    libc: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Resolution {
    integrity: Option<String>,
    tarball: Option<String>,
    repo: Option<String>,
    directory: Option<String>,
}

/// What `package.json` says that the lock repeats.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Manifest {
    dependencies: Wanted,
    dev_dependencies: Wanted,
    optional_dependencies: Wanted,
}

/// Where pnpm puts packages: the folders of each, by its name in the lock.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Places {
    #[serde(default)]
    hoisted_locations: BTreeMap<String, Vec<String>>,
}

impl Places {
    /// Reads pnpm's `.modules.yaml`; `name` is what messages call it.
    ///
    /// # Errors
    /// [`Error::NpmLock`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        parse(name, text)
    }
}

impl PnpmLock {
    /// Reads the lock `text`, made for the package.json `manifest`; `name` is what messages call it.
    ///
    /// # Errors
    /// [`Error::NpmLock`] with the line, [`Error::NpmStale`], [`Error::NpmSource`].
    pub fn parse(name: &str, text: &str, manifest: &str) -> Result<Self, Error> {
        let wrong = |message: String| Error::NpmLock { name: name.to_owned(), message };
        let document: Document = parse(name, text)?;
        if document.lockfile_version.split('.').next() != Some("9") {
            let version = &document.lockfile_version;
            return Err(wrong(format!(
                "lockfile version {version} is not known: 9 is, which pnpm 9 and 10 write"
            )));
        }
        if let Some(folder) = document.importers.keys().find(|folder| *folder != ".") {
            let message =
                format!("it is for a workspace: `{folder}` is in it, too. Only the folder itself may be");
            return Err(wrong(message));
        }
        if let Some(package) = document.patched_dependencies.keys().next() {
            return Err(Error::NpmSource {
                package: package.clone(),
                what: "a patch of this machine".to_owned(),
            });
        }
        let lock = Self { name: name.to_owned(), document };
        lock.check_sources()?;
        let manifest: Manifest = serde_json::from_str(manifest).map_err(|error| Error::NpmLock {
            name: "package.json".to_owned(),
            message: format!("beside {name}: {error}"),
        })?;
        match lock.difference(&manifest) {
            Some(what) => {
                Err(Error::NpmStale { name: name.to_owned(), what, tool: "pnpm install --lockfile-only" })
            }
            None => Ok(lock),
        }
    }

    fn importer(&self) -> Option<&Importer> {
        self.document.importers.get(".")
    }

    /// Everything comes from a registry, with a hash.
    fn check_sources(&self) -> Result<(), Error> {
        let elsewhere = |package: &str, what: &str| Error::NpmSource {
            package: package.to_owned(),
            what: what.to_owned(),
        };
        let importer = self.importer().cloned().unwrap_or_default();
        let own = [&importer.dependencies, &importer.dev_dependencies, &importer.optional_dependencies];
        for (name, dependency) in own.into_iter().flatten() {
            if dependency.version.starts_with("link:") {
                return Err(elsewhere(name, "a folder of this machine"));
            }
        }
        for (key, package) in &self.document.packages {
            let source = &package.resolution;
            if source.repo.is_some() {
                return Err(elsewhere(key, "a repository"));
            }
            if source.directory.is_some() {
                return Err(elsewhere(key, "a folder of this machine"));
            }
            // An address of the registry's own may stand beside the hash; a version that is an address is elsewhere.
            let is_release = split(key).is_some_and(|(_, version)| !version.contains([':', '/']));
            if !is_release {
                return Err(elsewhere(key, source.tarball.as_deref().map_or("somewhere", |_| "an address")));
            }
            if source.integrity.as_deref().and_then(Integrity::parse).is_none() {
                return Err(elsewhere(key, "somewhere"));
            }
        }
        Ok(())
    }

    fn difference(&self, manifest: &Manifest) -> Option<String> {
        // Overrides change what the lock has of package.json; then pnpm alone can tell.
        if !self.document.overrides.is_empty() {
            return None;
        }
        let importer = self.importer().cloned().unwrap_or_default();
        let mut dependencies = manifest.dependencies.clone();
        let mut development = manifest.dev_dependencies.clone();
        dependencies.retain(|name, _| !manifest.optional_dependencies.contains_key(name));
        development.retain(|name, _| {
            !manifest.optional_dependencies.contains_key(name) && !manifest.dependencies.contains_key(name)
        });
        for (wanted, locked) in [
            (&dependencies, &importer.dependencies),
            (&development, &importer.dev_dependencies),
            (&manifest.optional_dependencies, &importer.optional_dependencies),
        ] {
            let differs =
                |name: &&String| wanted.get(*name) != locked.get(*name).map(|locked| &locked.specifier);
            if let Some(name) = wanted.keys().chain(locked.keys()).find(differs) {
                return Some(format!("`{name}` is another one"));
            }
        }
        None
    }

    /// The packages in the `places` that pnpm chose for `target`. What only their archives say of them, programs and scripts,
    /// is not known yet.
    ///
    /// # Errors
    /// [`Error::NpmLock`] when one is not in the lock, [`Error::NpmPlatform`].
    pub fn select(&self, target: &Target, places: &Places) -> Result<Vec<Selected>, Error> {
        let mut selected = BTreeMap::new();
        for (snapshot, folders) in &places.hoisted_locations {
            // What stands in brackets are the versions of peers.
            let key = snapshot.split('(').next().unwrap_or(snapshot);
            for folder in folders {
                selected.insert(folder.clone(), self.selected(target, key, folder)?);
            }
        }
        Ok(selected.into_values().collect())
    }

    fn selected(&self, target: &Target, key: &str, place: &str) -> Result<Selected, Error> {
        let wrong = |message: String| Error::NpmLock { name: self.name.clone(), message };
        let package = self.document.packages.get(key);
        let package = package.ok_or_else(|| wrong(format!("pnpm installs `{key}`, which is not in it")))?;
        let (name, version) = split(key).ok_or_else(|| wrong(format!("`{key}` is no package")))?;
        super::check_place(&self.name, place)?;
        if !target.fits_lists(&package.os, &package.cpu, &package.libc) {
            return Err(target.refusal(name, version, [&package.os, &package.cpu, &package.libc]));
        }
        let importer = self.importer();
        let alias = place.strip_prefix("node_modules/").unwrap_or(place);
        Ok(Selected {
            place: place.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            integrity: package.resolution.integrity.as_deref().and_then(Integrity::parse),
            is_native: !package.cpu.is_empty(),
            direct: importer.is_some_and(|own| {
                own.dependencies.contains_key(alias) || own.optional_dependencies.contains_key(alias)
            }),
            programs: BTreeMap::new(),
        })
    }
}

/// Reads YAML into what it should be.
fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    let wrong = |message: String| Error::NpmLock { name: name.to_owned(), message };
    let value = yaml::read(text).map_err(wrong)?;
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// Name and version of a package in the lock.
fn split(key: &str) -> Option<(&str, &str)> {
    let at = key.get(1..)?.find('@')? + 1;
    Some((&key[..at], &key[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "lockfileVersion: '9.0'\n\
        importers:\n  .:\n    dependencies:\n      '@s/a':\n        specifier: ^1.0.0\n        version: 1.0.0(b@2.0.0)\n\
        packages:\n  '@s/a@1.0.0':\n    resolution: {integrity: HASH}\n    hasBin: true\n  b@2.0.0:\n    resolution: {integrity: HASH}\n  \
        b-arm64@2.0.0:\n    resolution: {integrity: HASH}\n    cpu: [arm64]\n    os: [linux]\n\
        snapshots:\n  '@s/a@1.0.0(b@2.0.0)':\n    dependencies:\n      b: 2.0.0\n  b@2.0.0: {}\n";
    const HASH: &str = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    const MANIFEST: &str = r#"{"dependencies": {"@s/a": "^1.0.0"}}"#;
    const PLACES: &str = "hoistedLocations:\n  '@s/a@1.0.0(b@2.0.0)': [node_modules/@s/a]\n  \
        b@2.0.0: [node_modules/b, node_modules/@s/a/node_modules/b]\n  b-arm64@2.0.0: [node_modules/b-arm64]\n";

    fn lock(text: &str, manifest: &str) -> Result<PnpmLock, Error> {
        PnpmLock::parse("pnpm-lock.yaml", &text.replace("HASH", HASH), manifest)
    }

    #[test]
    fn packages_are_in_pnpms_places() {
        let lock = lock(LOCK, MANIFEST).expect("a lock");
        let places = Places::parse(".modules.yaml", PLACES).expect("places");
        let target = |architecture: &str| Target { architecture: architecture.to_owned() };
        let selected = lock.select(&target("arm64"), &places).expect("packages");
        let found: Vec<_> = selected.iter().map(|package| (package.place.as_str(), package.direct)).collect();
        let nested = "node_modules/@s/a/node_modules/b";
        let expected = [
            ("node_modules/@s/a", true),
            (nested, false),
            ("node_modules/b", false),
            ("node_modules/b-arm64", false),
        ];
        assert_eq!(found, expected);
        assert_eq!((selected[0].name.as_str(), selected[0].version.as_str()), ("@s/a", "1.0.0"));
        assert!(selected[3].is_native && !selected[2].is_native);
        let message = lock.select(&target("amd64"), &places).expect_err("refused").to_string();
        assert!(
            message.contains("`b-arm64` 2.0.0 is not for linux, x64") && message.contains("cpu arm64"),
            "{message}"
        );
    }

    #[test]
    fn bad_places_are_refused() {
        let lock = lock(LOCK, MANIFEST).expect("a lock");
        let target = Target { architecture: "arm64".to_owned() };
        for (place, words) in [("b@2.0.0: [../b]", "no place"), ("c@1.0.0: [node_modules/c]", "`c@1.0.0`")] {
            let places = Places::parse("m", &format!("hoistedLocations:\n  {place}\n")).expect("places");
            let message = lock.select(&target, &places).expect_err("refused").to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn locks_that_cannot_be_installed_are_named() {
        let cases = [
            ("another version", LOCK.replace("'9.0'", "'6.0'"), MANIFEST, "lockfile version 6.0"),
            ("no version", LOCK.replace("lockfileVersion", "version"), MANIFEST, "lockfileVersion"),
            ("no YAML", LOCK.replace("packages:", "packages: ["), MANIFEST, "line "),
            ("a workspace", LOCK.replace("  .:\n", "  .: {}\n  web:\n"), "{}", "`web` is in it"),
            (
                "another range",
                LOCK.to_owned(),
                r#"{"dependencies": {"@s/a": "^2"}}"#,
                "`@s/a` is another one",
            ),
            (
                "one more",
                LOCK.to_owned(),
                r#"{"dependencies": {"@s/a": "^1.0.0", "c": "1"}}"#,
                "`c` is another one",
            ),
            (
                "no hash",
                LOCK.replace("{integrity: HASH}", "{}"),
                MANIFEST,
                "`@s/a@1.0.0` comes from somewhere",
            ),
            (
                "an address",
                LOCK.replace("  b@2.0.0:\n", "  b@https://x/b.tgz:\n")
                    .replace("{integrity: HASH}", "{integrity: HASH, tarball: x}"),
                MANIFEST,
                "`b@https://x/b.tgz` comes from an address",
            ),
            (
                "a repository",
                LOCK.replace("{integrity: HASH}", "{commit: a, repo: x, type: git}"),
                MANIFEST,
                "comes from a repository",
            ),
            (
                "a folder",
                LOCK.replace("version: 1.0.0(b@2.0.0)", "version: link:../a"),
                MANIFEST,
                "a folder of this",
            ),
            ("a patch", format!("{LOCK}patchedDependencies:\n  b: {{hash: x}}\n"), MANIFEST, "a patch"),
        ];
        for (summary, text, manifest, words) in cases {
            let message = lock(&text, manifest).expect_err(summary).to_string();
            assert!(message.contains(words), "{summary}: {message}");
        }
    }
}
