//! One suite of an archive: its indices and its signed release file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::package::sha256;
use super::{Package, SigningKey, put};
use crate::compression::Compression;

/// Which signed files a suite has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureForm {
    /// `InRelease`, and `Release` with `Release.gpg`, as mirrors have.
    Both,
    /// `InRelease` alone.
    Inline,
    /// `Release` and `Release.gpg` alone.
    Detached,
    /// `Release` and nothing that signs it.
    Unsigned,
}

/// Makes a suite.
///
/// Without further words it is a suite like Debian's: amd64 and arm64, indices in gz and xz, found by hash, dated now
/// and valid for a week.
#[derive(Debug, Clone)]
pub struct SuiteBuilder {
    folder: String,
    fields: Vec<(String, String)>,
    architectures: Vec<String>,
    components: BTreeMap<String, Vec<Package>>,
    formats: Vec<Compression>,
    by_hash: bool,
    form: SignatureForm,
    sign_options: Vec<String>,
}

impl SuiteBuilder {
    /// A suite in the folder `dists/FOLDER`, with that name as `Suite` and `Codename`.
    #[must_use]
    pub fn new(folder: &str) -> Self {
        let now = SystemTime::now();
        let suite = Self {
            folder: folder.to_owned(),
            fields: Vec::new(),
            architectures: ["amd64", "arm64"].map(str::to_owned).to_vec(),
            components: BTreeMap::new(),
            formats: vec![Compression::Gzip, Compression::Xz],
            by_hash: true,
            form: SignatureForm::Both,
            sign_options: Vec::new(),
        };
        let suite = suite.field("Origin", "Debian").field("Label", "Debian");
        let suite = suite.field("Suite", folder).field("Codename", folder);
        suite.date(now).valid_until(now + Duration::from_secs(7 * 24 * 3600))
    }

    /// Sets a field of the release file (`Origin`, `Suite`, `Codename`, `Version` …), or replaces it.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => value.clone_into(&mut field.1),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Leaves a field of the release file out; Ubuntu's release files have no `Valid-Until`.
    #[must_use]
    pub fn without_field(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    /// Sets `Date`.
    #[must_use]
    pub fn date(self, time: SystemTime) -> Self {
        self.field("Date", &release_date(time))
    }

    /// Sets `Valid-Until`.
    #[must_use]
    pub fn valid_until(self, time: SystemTime) -> Self {
        self.field("Valid-Until", &release_date(time))
    }

    /// Sets the architectures.
    #[must_use]
    pub fn architectures(mut self, architectures: &[&str]) -> Self {
        self.architectures = architectures.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Adds packages to a component; one without packages is listed too. Packages of an architecture that the suite
    /// does not have are left out, those for `all` go into every index.
    #[must_use]
    pub fn component(mut self, name: &str, packages: impl IntoIterator<Item = Package>) -> Self {
        self.components.entry(name.to_owned()).or_default().extend(packages);
        self
    }

    /// The compressions in which the indices are there.
    #[must_use]
    pub fn index_formats(mut self, formats: &[Compression]) -> Self {
        self.formats = formats.to_vec();
        self
    }

    /// Whether indices are found by hash (`Acquire-By-Hash`).
    #[must_use]
    pub const fn by_hash(mut self, by_hash: bool) -> Self {
        self.by_hash = by_hash;
        self
    }

    /// Which signed files there are.
    #[must_use]
    pub const fn signature(mut self, form: SignatureForm) -> Self {
        self.form = form;
        self
    }

    /// Further options of `gpg`, for signatures that must be refused.
    #[must_use]
    pub fn sign_options(mut self, options: &[&str]) -> Self {
        self.sign_options = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }

    /// The release file that belongs to these indices, each given by its path, length and digest.
    fn release(&self, indices: &BTreeMap<String, (usize, String)>) -> String {
        let mut text: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        if self.by_hash {
            text.push_str("Acquire-By-Hash: yes\n");
        }
        text.push_str(&format!("Architectures: {}\n", self.architectures.join(" ")));
        let components: Vec<&str> = self.components.keys().map(String::as_str).collect();
        text.push_str(&format!("Components: {}\nSHA256:\n", components.join(" ")));
        for (path, (size, digest)) in indices {
            text.push_str(&format!(" {digest} {size:>16} {path}\n"));
        }
        text
    }

    pub(super) fn write(&self, root: &Path, key: &SigningKey) {
        let dists = root.join("dists").join(&self.folder);
        let mut indices = BTreeMap::new();
        for (component, packages) in &self.components {
            let mut pool = BTreeSet::new();
            for architecture in &self.architectures {
                let belongs = |package: &&Package| {
                    package.field("Architecture").is_some_and(|name| name == architecture || name == "all")
                };
                let members: Vec<&Package> = packages.iter().filter(belongs).collect();
                let index: String = members.iter().map(|package| package.stanza(component)).collect();
                let path = format!("{component}/binary-{architecture}/Packages");
                self.write_index(&dists, &path, index.as_bytes(), &mut indices);
                for package in members {
                    let path = package.pool_path(component);
                    if pool.insert(path.clone()) {
                        put(&root.join(path), package.body());
                    }
                }
            }
        }
        self.write_release(&dists, key, self.release(&indices).as_bytes());
    }

    /// The release file lists the plain index whether or not it is there, as the distributions' do.
    fn write_index(
        &self,
        dists: &Path,
        path: &str,
        index: &[u8],
        indices: &mut BTreeMap<String, (usize, String)>,
    ) {
        indices.insert(path.to_owned(), (index.len(), sha256(index)));
        for format in &self.formats {
            let content = format.compress(index);
            let path = format!("{path}{}", format.extension());
            let digest = sha256(&content);
            if self.by_hash {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                put(&dists.join(format!("{folder}/by-hash/SHA256/{digest}")), &content);
            }
            put(&dists.join(&path), &content);
            indices.insert(path, (content.len(), digest));
        }
    }

    fn write_release(&self, dists: &Path, key: &SigningKey, release: &[u8]) {
        let sign = |form: &[&str]| {
            let options: Vec<&str> =
                self.sign_options.iter().map(String::as_str).chain(form.iter().copied()).collect();
            key.sign(release, &options)
        };
        for stale in ["InRelease", "Release", "Release.gpg"] {
            let _ = std::fs::remove_file(dists.join(stale));
        }
        if matches!(self.form, SignatureForm::Both | SignatureForm::Inline) {
            put(&dists.join("InRelease"), &sign(&["--clear-sign"]));
        }
        if self.form != SignatureForm::Inline {
            put(&dists.join("Release"), release);
        }
        if matches!(self.form, SignatureForm::Both | SignatureForm::Detached) {
            put(&dists.join("Release.gpg"), &sign(&["--armor", "--detach-sign"]));
        }
    }
}

/// A time as release files write it: `Sat, 17 May 2025 09:00:00 UTC`.
fn release_date(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).expect("time within the range of a calendar");
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
