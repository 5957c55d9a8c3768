//! Which packages of a lock a target needs, and where they go: what `npm ci --omit=dev --os … --cpu … --libc …` installs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Integrity;
use super::lock::{Entry, PackageLock, name_of};
use crate::Error;

/// What Node.js packages run on: Linux with glibc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The architecture, by Debian's name.
    pub architecture: String,
}

impl Target {
    /// The architecture as packages call it.
    #[must_use]
    pub fn cpu(&self) -> &str {
        match self.architecture.as_str() {
            "amd64" => "x64",
            other => other,
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        self.fits_lists(&entry.os, &entry.cpu, &entry.libc)
    }

    /// Whether it is among what a package is for.
    pub(super) fn fits_lists(&self, os: &[String], cpu: &[String], libc: &[String]) -> bool {
        allows(os, "linux") && allows(cpu, self.cpu()) && allows(libc, "glibc")
    }

    /// Says that a package is for others: those in its lists of systems, processors and C libraries.
    pub(super) fn refusal(&self, package: &str, version: &str, lists: [&Vec<String>; 3]) -> Error {
        let lists = ["os", "cpu", "libc"].into_iter().zip(lists).filter(|(_, list)| !list.is_empty());
        let allowed: Vec<String> =
            lists.map(|(word, list)| format!("{word} {}", list.join(" or "))).collect();
        Error::NpmPlatform {
            package: package.to_owned(),
            version: version.to_owned(),
            target: self.to_string(),
            allowed: allowed.join(", "),
        }
    }
}

/// Refuses what is no place of a package, such as `node_modules/a`; `lock` is what messages call the lock.
pub(super) fn check_place(lock: &str, place: &str) -> Result<(), Error> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    if place.starts_with("node_modules/") && place.split('/').all(is_plain) {
        return Ok(());
    }
    let message = format!("`{place}` is no place of a package");
    Err(Error::NpmLock { name: lock.to_owned(), message })
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "linux, {}, glibc", self.cpu())
    }
}

/// Whether a list of what is allowed, or with `!` is not, has a place for `word`.
fn allows(list: &[String], word: &str) -> bool {
    let mut positive = list.iter().filter(|entry| !entry.starts_with('!')).peekable();
    let refused = list.iter().any(|entry| entry.strip_prefix('!') == Some(word));
    !refused && (positive.peek().is_none() || positive.any(|entry| entry == word || entry == "any"))
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Selected {
    /// Where it goes, such as `node_modules/a`.
    pub place: String,
    /// Its name in the registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash of its archive; none when it comes in that of the package above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
    /// Whether it says itself that it is for some architectures only.
    pub is_native: bool,
    /// Whether `package.json` itself names it.
    pub direct: bool,
    /// Programs, each with its file in the package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, String>,
}

impl PackageLock {
    /// The packages for `target`, by their places. Packages that run scripts must be among `without_scripts`.
    ///
    /// # Errors
    /// [`Error::NpmLock`] when one is missing, [`Error::NpmPlatform`], [`Error::NpmScript`], [`Error::NpmSource`].
    pub fn select(&self, target: &Target, without_scripts: &[String]) -> Result<Vec<Selected>, Error> {
        let mut reached = BTreeSet::new();
        let mut open = vec![String::new()];
        while let Some(place) = open.pop() {
            for wanted in self.needs(&place)? {
                let entry = &self.packages[&wanted];
                if !target.fits(entry) {
                    if entry.optional {
                        continue;
                    }
                    let lists = [&entry.os, &entry.cpu, &entry.libc];
                    return Err(target.refusal(name_of(&wanted), &entry.version, lists));
                }
                if reached.insert(wanted.clone()) {
                    open.push(wanted);
                }
            }
        }
        let direct: BTreeSet<String> = self.needs("")?.into_iter().collect();
        let selected = reached.iter().map(|place| {
            let mut selected = self.selected(place, without_scripts)?;
            selected.direct = direct.contains(place);
            Ok(selected)
        });
        selected.collect()
    }

    /// The places of what the package in `place` needs and can use.
    fn needs(&self, place: &str) -> Result<Vec<String>, Error> {
        let entry = self.packages.get(place).cloned().unwrap_or_default();
        let (optional, peers) = (&entry.optional_dependencies, &entry.peer_dependencies);
        let mut places = Vec::new();
        for name in entry.dependencies.keys().chain(optional.keys()).chain(peers.keys()) {
            match self.resolve(place, name) {
                Some(found) => places.push(found),
                // Peers may be optional, and npm may be told not to install any.
                None if optional.contains_key(name) || peers.contains_key(name) => {}
                None => {
                    let by = if place.is_empty() { "package.json" } else { place };
                    let message = format!("{by} needs `{name}`, which is not in it");
                    return Err(Error::NpmLock { name: self.name.clone(), message });
                }
            }
        }
        Ok(places)
    }

    /// Where Node.js finds `name` for what is in `place`: in the nearest folder `node_modules`.
    fn resolve(&self, place: &str, name: &str) -> Option<String> {
        let mut folder = place;
        loop {
            let slash = if folder.is_empty() { "" } else { "/" };
            let found = format!("{folder}{slash}node_modules/{name}");
            if self.packages.contains_key(&found) {
                return Some(found);
            }
            if folder.is_empty() {
                return None;
            }
            folder = folder.rsplit_once("node_modules/").map_or("", |(above, _)| above.trim_end_matches('/'));
        }
    }

    fn selected(&self, place: &str, without_scripts: &[String]) -> Result<Selected, Error> {
        let entry = &self.packages[place];
        let name = entry.name.clone().unwrap_or_else(|| name_of(place).to_owned());
        check_place(&self.name, place)?;
        let elsewhere = |what: &str| Error::NpmSource { package: name.clone(), what: what.to_owned() };
        if entry.link {
            return Err(elsewhere("a folder of this machine"));
        }
        if entry.has_install_script && !without_scripts.contains(&name) {
            return Err(Error::NpmScript { package: name, version: entry.version.clone() });
        }
        let integrity = entry.integrity.as_deref().and_then(Integrity::parse);
        if integrity.is_none() && !entry.in_bundle {
            let resolved = entry.resolved.as_deref().unwrap_or_default();
            let what = if resolved.starts_with("git") { "a repository" } else { "somewhere" };
            return Err(elsewhere(what));
        }
        let unscoped = name.rsplit('/').next().unwrap_or(&name);
        let called =
            |program: &String| if program.is_empty() { unscoped.to_owned() } else { program.clone() };
        Ok(Selected {
            place: place.to_owned(),
            version: entry.version.clone(),
            integrity: integrity.filter(|_| !entry.in_bundle),
            is_native: !entry.cpu.is_empty(),
            programs: entry.bin.iter().map(|(program, file)| (called(program), file.clone())).collect(),
            direct: false,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";

    fn lock(packages: &str) -> String {
        let text = format!(
            "{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{\"dependencies\": {{\"a\": \"1\"}}, \
             \"devDependencies\": {{\"d\": \"1\"}}}}, {packages}}}}}"
        );
        text.replace("HASH", &format!("\"version\": \"1.0.0\", \"integrity\": \"{HASH}\""))
    }

    const MANIFEST: &str = r#"{"dependencies": {"a": "1"}, "devDependencies": {"d": "1"}}"#;

    const PACKAGES: &str = r#"
        "node_modules/a": {HASH, "hasInstallScript": true, "bin": {"a": "bin/a"},
            "dependencies": {"b": "1"},
            "optionalDependencies": {"a-x64": "1", "a-arm64": "1", "a-musl": "1", "a-wasm": "1"},
            "peerDependencies": {"absent": "1"}},
        "node_modules/a-x64": {HASH, "optional": true, "os": ["linux"], "cpu": ["x64"]},
        "node_modules/a-arm64": {HASH, "optional": true, "os": ["linux"], "cpu": ["arm64"], "libc": ["glibc"]},
        "node_modules/a-musl": {HASH, "optional": true, "libc": ["musl"]},
        "node_modules/a-wasm": {HASH, "optional": true, "cpu": ["wasm32"], "dependencies": {"only-wasm": "1"}},
        "node_modules/only-wasm": {HASH, "optional": true},
        "node_modules/b": {HASH},
        "node_modules/a/node_modules/b": {HASH, "name": "@x/b", "os": ["!win32"], "bin": "b.js"},
        "node_modules/d": {HASH, "dev": true}"#;

    fn places(architecture: &str) -> Vec<String> {
        let lock = PackageLock::parse("package-lock.json", &lock(PACKAGES), MANIFEST).expect("a lock");
        let target = Target { architecture: architecture.to_owned() };
        let selected = lock.select(&target, &["a".to_owned()]).expect("packages");
        selected.into_iter().map(|selected| selected.place).collect()
    }

    #[test]
    fn each_target_gets_what_it_needs() {
        let nested = "node_modules/a/node_modules/b";
        assert_eq!(places("amd64"), ["node_modules/a", "node_modules/a-x64", nested]);
        assert_eq!(places("arm64"), ["node_modules/a", "node_modules/a-arm64", nested]);
    }

    #[test]
    fn names_and_programs() {
        let lock = PackageLock::parse("package-lock.json", &lock(PACKAGES), MANIFEST).expect("a lock");
        let selected = lock.select(&Target { architecture: "amd64".into() }, &["a".to_owned()]).expect("all");
        assert!(selected[0].direct && !selected[1].direct && selected[1].is_native);
        assert_eq!((selected[2].name.as_str(), selected[2].programs["b"].as_str()), ("@x/b", "b.js"));
    }

    #[test]
    fn what_cannot_be_installed_is_named() {
        let cases = [
            ("a script", "\"node_modules/a\": {HASH, \"hasInstallScript\": true}", "`a` 1.0.0 runs a script"),
            ("another machine", "\"node_modules/a\": {HASH, \"cpu\": [\"ia32\"]}", "cpu ia32"),
            ("a missing one", "\"node_modules/x\": {HASH}", "package.json needs `a`"),
            ("a link", "\"node_modules/a\": {\"link\": true}", "a folder of this machine"),
            ("a repository", "\"node_modules/a\": {\"resolved\": \"git+ssh://x\"}", "from a repository"),
            (
                "a bad place",
                "\"node_modules/a\": {HASH, \"dependencies\": {\"../../x\": \"1\"}}, \"node_modules/../../x\": {HASH}",
                "no place of a package",
            ),
        ];
        for (summary, packages, word) in cases {
            let lock = PackageLock::parse("package-lock.json", &lock(packages), MANIFEST).expect("a lock");
            let target = Target { architecture: "amd64".into() };
            let message = lock.select(&target, &[]).expect_err(summary).to_string();
            assert!(message.contains(word), "{summary}: {message}");
        }
    }

    #[test]
    fn a_lock_must_fit_its_package_json() {
        let text = lock(PACKAGES);
        let message = |text: &str, manifest: &str| {
            PackageLock::parse("package-lock.json", text, manifest).expect_err("refused").to_string()
        };
        assert!(message(&text, "{}").contains("`a` is another one"));
        assert!(
            message(&text.replace("Version\": 3", "Version\": 1"), MANIFEST)
                .contains("version 1 is not known")
        );
        assert!(message("{\n,", MANIFEST).contains("line 2"));
    }
}
