//! Reads `pylock.toml` (PEP 751) as uv writes it for one target.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::name::normalized;
use super::{Tags, Target, WheelName};
use crate::Error;

/// A package, and the wheel of it that fits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// The project's name, in its one spelling.
    pub name: String,
    /// The version.
    pub version: String,
    /// The wheel's file name.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    /// Choices of the user that markers may ask for.
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    wheels: Vec<Wheel>,
    sdist: Option<Wheel>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<toml::Table>,
}

#[derive(Deserialize)]
struct Wheel {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    hashes: Hashes,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// The packages in the lock `text`, each with the wheel that fits `target` best, or for those in `from_source` with the source;
/// `name` is what messages call the lock.
///
/// # Errors
/// [`Error::PythonLock`], [`Error::PythonSource`], [`Error::NoWheel`].
pub fn read_lock(
    name: &str,
    text: &str,
    target: &Target,
    from_source: &[String],
) -> Result<Vec<Locked>, Error> {
    let document = Document::parse(name, text)?;
    let tags = Tags::of(target);
    let mut locked = document
        .packages
        .iter()
        .map(|package| match from_source.contains(&normalized(&package.name)) {
            true => package.source(),
            false => package.choose(target, &tags),
        })
        .collect::<Result<Vec<_>, _>>()?;
    locked.sort();
    Ok(locked)
}

/// The requirements that a lock for any target comes to, with its markers and the hashes of its wheels; of packages in
/// `from_source` with that of the source.
///
/// # Errors
/// [`Error::PythonLock`], [`Error::PythonSource`].
pub fn requirements_of_lock(name: &str, text: &str, from_source: &[String]) -> Result<String, Error> {
    let mut requirements = String::new();
    for package in Document::parse(name, text)?.packages {
        let is_built = from_source.contains(&normalized(&package.name));
        requirements.push_str(&package.requirement(name, is_built)?);
    }
    Ok(requirements)
}

/// What is wrong with TOML, and where.
pub(super) fn at_line(text: &str, error: &toml::de::Error) -> String {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
    format!("line {}: {}", 1 + before.matches('\n').count(), error.message())
}

impl Document {
    fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let refuse = |message: String| Error::PythonLock { name: name.to_owned(), message };
        let document: Self = toml::from_str(text).map_err(|error| refuse(at_line(text, &error)))?;
        if document.lock_version.split('.').next() != Some("1") {
            return Err(refuse(format!("lock version {} is not known: 1 is", document.lock_version)));
        }
        if let Some(choice) = document.extras.iter().chain(&document.dependency_groups).next() {
            let message =
                format!("it leaves a choice (`{choice}`): make a lock without extras and dependency groups");
            return Err(refuse(message));
        }
        Ok(document)
    }
}

impl Package {
    /// Only what comes from an index has files with digests.
    fn check_source(&self) -> Result<(), Error> {
        let sources =
            [("a repository", &self.vcs), ("a folder", &self.directory), ("an address", &self.archive)];
        match sources.into_iter().find(|(_, source)| source.is_some()) {
            Some((what, _)) => Err(Error::PythonSource { package: self.name.clone(), what }),
            None => Ok(()),
        }
    }

    /// The archive of its source.
    fn source(&self) -> Result<Locked, Error> {
        self.check_source()?;
        let sdist = self.sdist.as_ref();
        let found = sdist.and_then(|sdist| Some((sdist.file_name()?, sdist.hashes.sha256.clone()?)));
        let (file, sha256) = found.ok_or_else(|| Error::PythonNoSource { package: self.name.clone() })?;
        Ok(Locked {
            name: normalized(&self.name),
            version: self.version.clone().unwrap_or_default(),
            file,
            sha256: sha256.to_ascii_lowercase(),
        })
    }

    /// A line of requirements. Nothing in it may be taken for something else there.
    fn requirement(&self, lock: &str, is_built: bool) -> Result<String, Error> {
        self.check_source()?;
        let wrong = |message: &str| Error::PythonLock {
            name: lock.to_owned(),
            message: format!("package `{}` {message}", self.name.escape_debug()),
        };
        let is_word = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !is_word(&self.name, "-_.") || !self.name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(wrong("has a name that no package can have"));
        }
        let version = self.version.as_deref().filter(|version| is_word(version, "!+-_."));
        let version = version.ok_or_else(|| wrong("has no version"))?;
        let mut line = format!("{}=={version}", self.name);
        if let Some(marker) = &self.marker {
            if marker.contains(|c: char| c.is_control() || "#\\".contains(c)) || marker.contains(" --") {
                return Err(wrong("has a marker that is none"));
            }
            line.push_str(&format!(" ; {marker}"));
        }
        let files = if is_built { self.sdist.as_slice() } else { &self.wheels };
        let hashes: Vec<&String> = files.iter().filter_map(|file| file.hashes.sha256.as_ref()).collect();
        // What has a marker may well be for others.
        if hashes.is_empty() && self.marker.is_none() {
            let message = format!("has no wheel with a SHA-256: {}", self.found());
            return Err(wrong(&message));
        }
        for sha256 in hashes {
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong(&format!("has `{}`, which is no SHA-256", sha256.escape_debug())));
            }
            line.push_str(&format!(" --hash=sha256:{sha256}"));
        }
        line.push('\n');
        Ok(line)
    }

    fn choose(&self, target: &Target, tags: &Tags) -> Result<Locked, Error> {
        self.check_source()?;
        let version = self.version.clone().unwrap_or_default();
        let mut best: Option<((usize, std::cmp::Reverse<u64>), Locked)> = None;
        for wheel in &self.wheels {
            let (Some(file), Some(sha256)) = (wheel.file_name(), &wheel.hashes.sha256) else { continue };
            let Some(parsed) = WheelName::parse(&file) else { continue };
            let Some(place) = tags.place(&parsed) else { continue };
            let place = (place, std::cmp::Reverse(parsed.build));
            if best.as_ref().is_none_or(|(known, _)| place < *known) {
                let (name, sha256) = (normalized(&self.name), sha256.to_ascii_lowercase());
                best = Some((place, Locked { name, version: version.clone(), file, sha256 }));
            }
        }
        best.map(|(_, locked)| locked).ok_or_else(|| Error::NoWheel {
            package: self.name.clone(),
            version,
            target: target.to_string(),
            found: self.found(),
        })
    }

    fn found(&self) -> String {
        match (self.wheels.len(), &self.sdist) {
            (0, Some(_)) => "only its source is there".to_owned(),
            (0, None) => "nothing is there".to_owned(),
            (1, _) => "one for others is there".to_owned(),
            (count, _) => format!("{count} for others are there"),
        }
    }
}

impl Wheel {
    fn file_name(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        let place = self.url.as_deref().or(self.path.as_deref())?;
        let place = place.split(['#', '?']).next()?;
        let last = place.rsplit('/').next()?;
        Some(percent_decode_str(last).decode_utf8().ok()?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "Simple_Json"
version = "4.3"
sdist = { url = "https://example.org/s.tar.gz", hashes = { sha256 = "00" } }
wheels = [
    { url = "https://example.org/x/simple_json-4.3-py3-none-any.whl", size = 1, hashes = { sha256 = "AA" } },
    { url = "https://example.org/x/simple_json-4.3-cp313-cp313-manylinux2014_aarch64.whl?a#b", hashes = { sha256 = "bb" } },
]
"#;

    fn target(architecture: &str) -> Target {
        Target { architecture: architecture.into(), python: (3, 13), glibc: (2, 41) }
    }

    #[test]
    fn each_target_gets_its_wheel() {
        let read = |architecture| read_lock("pylock.toml", LOCK, &target(architecture), &[]).expect("a lock");
        let (amd64, arm64) = (read("amd64"), read("arm64"));
        assert_eq!((amd64[0].name.as_str(), amd64[0].sha256.as_str()), ("simple-json", "aa"));
        assert_eq!(arm64[0].file, "simple_json-4.3-cp313-cp313-manylinux2014_aarch64.whl");
    }

    #[test]
    fn a_source_is_taken_where_it_is_asked_for() {
        let allowed = ["simple-json".to_owned()];
        let read = |text: &str| read_lock("pylock.toml", text, &target("arm64"), &allowed);
        let locked = read(LOCK).expect("a lock");
        assert_eq!((locked[0].file.as_str(), locked[0].sha256.as_str()), ("s.tar.gz", "00"));
        let message = read(&LOCK.replace("sdist =", "other =")).expect_err("refused").to_string();
        assert!(message.contains("`Simple_Json` has no source"), "{message}");
    }

    #[test]
    fn a_lock_comes_to_requirements() {
        let (one, two) = ("A1".repeat(32), "b2".repeat(32));
        let text = LOCK.replace("\"AA\"", &format!("\"{one}\"")).replace("\"bb\"", &format!("\"{two}\""));
        let marked = text.replace("version = \"4.3\"", "version = \"4.3\"\nmarker = \"a == 'b'\"");
        let requirements = requirements_of_lock("pylock.toml", &marked, &[]).expect("requirements");
        assert_eq!(
            requirements,
            format!("Simple_Json==4.3 ; a == 'b' --hash=sha256:{one} --hash=sha256:{two}\n")
        );
        let cases = [
            (
                "a name with an option",
                text.replace("Simple_Json", "a\\n--index-url x"),
                "a name that no package",
            ),
            ("a version with one", text.replace("4.3\"", "4.3 --no-index\""), "has no version"),
            ("no version", text.replace("version = \"4.3\"\n", ""), "has no version"),
            ("a marker with one", marked.replace("a == 'b'", "a == 'b' --pre"), "a marker that is none"),
            ("another hash", text.replace(&two, "sha256"), "which is no SHA-256"),
            (
                "only source",
                LOCK.split("wheels").next().unwrap_or_default().to_owned(),
                "only its source is there",
            ),
            ("a choice", format!("extras = [\"gui\"]\n{text}"), "leaves a choice (`gui`)"),
        ];
        for (summary, text, words) in cases {
            let message = requirements_of_lock("pylock.toml", &text, &[]).expect_err(summary).to_string();
            assert!(message.contains(words), "{summary}: {message}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |text: &str| {
            read_lock("pylock.toml", text, &target("arm64"), &[]).expect_err("refused").to_string()
        };
        let cases = [
            ("another version", LOCK.replace("\"1.0\"", "\"2.0\""), "lock version 2.0"),
            (
                "no wheel",
                LOCK.replace("any.whl", "win32.whl").replace("aarch64", "i686"),
                "`Simple_Json` 4.3",
            ),
            ("only source", LOCK.split("wheels").next().unwrap_or_default().to_owned(), "only its source"),
            (
                "a repository",
                "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nvcs = { url = \"x\" }\n".to_owned(),
                "`a` comes from a repository",
            ),
            ("no lock", "a = 1\n".to_owned(), "lock-version"),
        ];
        for (summary, text, word) in cases {
            let message = message(&text);
            assert!(message.contains(word), "{summary}: {message}");
        }
    }
}
