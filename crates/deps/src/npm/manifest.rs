//! What the `package.json` in a package's archive says, for locks that do not repeat it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use serde_json::{Map, Value};
use tree::Kind;

use super::Selected;
use super::archive::{inner_path, open};
use crate::Error;

/// The greatest size of a `package.json`, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// Scripts that are run when a package is installed.
const SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];

/// The file itself. What it says is for npm to read, which passes over what makes no sense.
struct Document(Map<String, Value>);

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Programs, each with its file in the package.
    pub programs: BTreeMap<String, String>,
    /// Whether the package wants to run programs when it is installed.
    pub runs_scripts: bool,
}

impl Manifest {
    /// Reads the one in the archive of `package`, whose contents have been verified.
    ///
    /// # Errors
    /// [`Error::NpmArchive`] when it is no archive of a package.
    pub fn of_archive(package: &Selected, contents: File) -> Result<Self, Error> {
        let wrong = |message: String| Error::NpmArchive { package: package.name.clone(), message };
        let mut reader = open(&package.name, contents)?;
        let (mut names, mut document) = (BTreeSet::new(), None);
        while let Some(member) = reader.next().map_err(|error| wrong(error.to_string()))? {
            let Kind::File { size } = member.entry.kind else { continue };
            let Some(inner) = inner_path(&member.entry.path) else { continue };
            if inner == "package.json" {
                if size > MAX_SIZE {
                    return Err(wrong(format!("its package.json is larger than {MAX_SIZE} bytes")));
                }
                let mut text = String::new();
                let read = reader.data().read_to_string(&mut text);
                read.map_err(|error| wrong(format!("its package.json cannot be read: {error}")))?;
                document = Some(text);
            }
            names.insert(inner);
        }
        let document = document.ok_or_else(|| wrong("it has no package.json".to_owned()))?;
        // Some begin with a mark of the byte order, which npm passes over.
        let document = serde_json::from_str(document.trim_start_matches('\u{feff}'))
            .map(Document)
            .map_err(|error| wrong(format!("its package.json: {error}")))?;
        let has_script = |name: &&str| document.inner("scripts", name).is_some_and(|text| !text.is_empty());
        Ok(Self {
            runs_scripts: SCRIPTS.iter().any(has_script) || names.contains("binding.gyp"),
            programs: document.programs(&package.name, &names),
        })
    }
}

impl Document {
    /// The text of a key in a map in it.
    fn inner(&self, map: &str, key: &str) -> Option<&str> {
        self.0.get(map)?.get(key)?.as_str()
    }

    /// Programs by their names; one without a name is called like the package.
    fn programs(&self, package: &str, names: &BTreeSet<String>) -> BTreeMap<String, String> {
        let unscoped = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        match self.0.get("bin") {
            Some(Value::String(file)) => return [(unscoped(package), file.clone())].into(),
            Some(Value::Object(programs)) => {
                let text =
                    |(name, file): (&String, &Value)| Some((unscoped(name), file.as_str()?.to_owned()));
                return programs.iter().filter_map(text).collect();
            }
            _ => {}
        }
        let Some(folder) = self.inner("directories", "bin") else { return BTreeMap::new() };
        let folder = format!("{}/", folder.trim_start_matches("./").trim_end_matches('/'));
        let inside = names.iter().filter(|name| name.starts_with(&folder));
        inside.map(|name| (unscoped(name), name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_scripts() {
        let cases = [
            (r#"{"bin": "./a.js"}"#, &["a=./a.js"][..]),
            (r#"{"bin": {"x": "x.js", "@s/y": "y.js", "z": 1}}"#, &["x=x.js", "y=y.js"]),
            (r#"{"directories": {"bin": "./bin"}}"#, &["one=bin/one"]),
            (r#"{"bin": 1, "scripts": []}"#, &[]),
        ];
        let names = BTreeSet::from(["bin/one".to_owned(), "binding.js".to_owned()]);
        for (text, expected) in cases {
            let document = Document(serde_json::from_str(text).expect("JSON"));
            let programs = document.programs("@s/a", &names);
            let found: Vec<String> = programs.iter().map(|(name, file)| format!("{name}={file}")).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
