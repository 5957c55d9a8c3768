//! `package.json` of what npm and its like install.

use serde::Deserialize;
use serde::de::IgnoredAny;
use tree::EntryPath;

use super::{Ecosystem, Licence, Package};

/// Folders that hold packages: npm's own name, and where Debian puts them.
const FOLDERS: [&[u8]; 2] = [b"node_modules", b"nodejs"];

/// What is read of it. Fields have been of other types than they are now, so none is insisted on.
#[derive(Debug, Deserialize)]
struct Manifest {
    name: Option<Text>,
    version: Option<Text>,
    license: Option<Named>,
    licenses: Option<Several>,
    homepage: Option<Text>,
    author: Option<Person>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Text(String),
    /// As it was before licence expressions.
    Object {
        r#type: String,
    },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Several {
    List(Vec<Named>),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Person {
    Text(String),
    Object { name: String, email: Option<String> },
    Other(IgnoredAny),
}

/// Whether a `package.json` at this place is that of a package: packages have others inside.
pub(super) fn is_package(path: &EntryPath) -> bool {
    let mut parts = path.components().rev();
    if parts.next() != Some(b"package.json") || parts.next().is_none() {
        return false;
    }
    let folder = match parts.next() {
        Some(scope) if scope.starts_with(b"@") => parts.next(),
        folder => folder,
    };
    match folder {
        Some(b"nodejs") => parts.next() == Some(b"share"),
        folder => folder.is_some_and(|folder| FOLDERS.contains(&folder)),
    }
}

/// The package that a `package.json` describes; none without a name and a version.
pub(super) fn parse(bytes: &[u8], location: &EntryPath) -> Option<Package> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let text = |text: Option<Text>| match text {
        Some(Text::Text(text)) if !text.is_empty() => Some(text),
        Some(Text::Text(_) | Text::Other(IgnoredAny)) | None => None,
    };
    let licence = manifest.license.and_then(spelled).or_else(|| only(manifest.licenses?));
    Some(Package {
        maintainer: manifest.author.and_then(|person| match person {
            Person::Text(text) => Some(text),
            Person::Object { name, email: Some(email) } => Some(format!("{name} <{email}>")),
            Person::Object { name, email: None } => Some(name),
            Person::Other(IgnoredAny) => None,
        }),
        homepage: text(manifest.homepage),
        licence: licence.map(|text| Licence::of_npm(&text)).unwrap_or_default(),
        ..Package::new(Ecosystem::Npm, text(manifest.name)?, text(manifest.version)?, location.clone())
    })
}

fn spelled(licence: Named) -> Option<String> {
    match licence {
        Named::Text(text) | Named::Object { r#type: text } => Some(text),
        Named::Other(IgnoredAny) => None,
    }
}

/// What an old list of licences says; of several it does not say what it means.
fn only(licences: Several) -> Option<String> {
    match licences {
        Several::List(list) if list.len() == 1 => list.into_iter().next().and_then(spelled),
        Several::List(_) | Several::Other(IgnoredAny) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_packages() {
        for (path, expected) in [
            ("usr/lib/node_modules/npm/package.json", true),
            ("app/node_modules/@scope/name/package.json", true),
            ("app/node_modules/a/node_modules/b/package.json", true),
            ("usr/share/nodejs/semver/package.json", true),
            ("usr/share/nodejs/@types/node/package.json", true),
            ("app/node_modules/a/dist/package.json", false),
            ("app/node_modules/@scope/name/esm/package.json", false),
            ("app/node_modules/package.json", false),
            ("home/nodejs/x/package.json", false),
            ("package.json", false),
            ("app/node_modules/a/package.json/x", false),
        ] {
            assert_eq!(is_package(&path.parse().unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn packages_of_manifests() {
        let parse = |text: &str| parse(text.as_bytes(), &"node_modules/x/package.json".parse().unwrap());
        let found = parse(
            r#"{"name":"@a/b","version":"1.2.3","license":"MIT","author":{"name":"A","email":"a@b.example"},"x":[[{}]]}"#,
        );
        let found = found.unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("@a/b", "1.2.3"));
        assert_eq!(found.licence.expression.as_deref(), Some("MIT"));
        assert_eq!(found.maintainer.as_deref(), Some("A <a@b.example>"));
        for (summary, text, expression) in [
            ("an object", r#"{"name":"a","version":"1","license":{"type":"ISC","url":"x"}}"#, Some("ISC")),
            (
                "a list",
                r#"{"name":"a","version":"1","licenses":[{"type":"BSD-2-Clause"}]}"#,
                Some("BSD-2-Clause"),
            ),
            ("two", r#"{"name":"a","version":"1","licenses":["MIT","ISC"]}"#, None),
            ("a number", r#"{"name":"a","version":"1","license":7,"author":[],"homepage":{}}"#, None),
            ("a byte order mark", "\u{feff}{\"name\":\"a\",\"version\":\"1\"}", None),
        ] {
            assert_eq!(parse(text).unwrap().licence.expression.as_deref(), expression, "{summary}");
        }
        let deep = format!("{{\"name\":\"a\",\"version\":\"1\",\"x\":{}", "[".repeat(100_000));
        for text in ["", "{}", r#"{"name":"a"}"#, r#"{"name":7,"version":"1"}"#, "[]", &deep] {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(40)]);
        }
    }
}
