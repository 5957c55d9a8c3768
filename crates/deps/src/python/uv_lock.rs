//! Checks `uv.lock` (version 1) before uv reads it: uv itself tells of these things late, or not by the package's name.

use serde::Deserialize;

use crate::Error;

#[derive(Deserialize)]
struct Document {
    version: u64,
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    source: toml::Table,
    #[serde(default)]
    wheels: Vec<toml::Table>,
}

/// Refuses what cannot be installed from the lock `text`; `name` is what messages call it.
///
/// # Errors
/// [`Error::PythonLock`] with the line, [`Error::PythonSource`].
pub fn check_uv_lock(name: &str, text: &str) -> Result<(), Error> {
    let refuse = |message: String| Error::PythonLock { name: name.to_owned(), message };
    let document: Document =
        toml::from_str(text).map_err(|error| refuse(super::lock::at_line(text, &error)))?;
    if document.version != 1 {
        let version = document.version;
        return Err(refuse(format!("lock version {version} is not known: 1 is, run `uv lock`")));
    }
    for package in document.package {
        let from = |kind: &str| package.source.get(kind).and_then(toml::Value::as_str);
        // The project itself, of which only the dependencies are installed.
        let is_project = ["virtual", "editable"].iter().any(|kind| from(kind) == Some("."));
        let others = [
            ("git", "a repository"),
            ("url", "an address"),
            ("path", "a file of this machine"),
            ("directory", "a folder"),
            ("editable", "a folder"),
            ("virtual", "a folder"),
        ];
        if let Some((_, what)) = others.into_iter().find(|(kind, _)| !is_project && from(kind).is_some()) {
            return Err(Error::PythonSource { package: package.name, what });
        }
        if let Some(wheel) = package.wheels.iter().find(|wheel| !has_sha256(wheel)) {
            let file =
                wheel.get("url").or(wheel.get("path")).and_then(toml::Value::as_str).unwrap_or_default();
            return Err(refuse(format!("package `{}` has a wheel without a SHA-256: {file}", package.name)));
        }
    }
    Ok(())
}

fn has_sha256(wheel: &toml::Table) -> bool {
    let hash = wheel.get("hash").and_then(toml::Value::as_str);
    hash.is_some_and(|hash| hash.starts_with("sha256:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 1\nrevision = 3\n[[package]]\nname = \"app\"\nsource = { virtual = \".\" }\n\
        [[package]]\nname = \"six\"\nversion = \"1.17.0\"\nsource = { registry = \"https://example.org/simple\" }\n\
        wheels = [{ url = \"https://example.org/six.whl\", hash = \"sha256:00\", size = 1 }]\n";

    #[test]
    fn what_cannot_be_installed_is_named() {
        check_uv_lock("uv.lock", LOCK).expect("a lock");
        let cases = [
            ("another version", LOCK.replace("version = 1\n", "version = 2\n"), "uv.lock: lock version 2"),
            ("no version", LOCK.replace("version = 1\n", ""), "missing field `version`"),
            ("no TOML", LOCK.replace("revision = 3", "revision 3"), "uv.lock: line 2"),
            ("a repository", LOCK.replace("registry", "git"), "`six` comes from a repository"),
            ("an address", LOCK.replace("registry", "url"), "`six` comes from an address"),
            ("a folder", LOCK.replace("virtual = \".\"", "editable = \"../x\""), "`app` comes from a folder"),
            ("no hash", LOCK.replace("hash = \"sha256:00\", ", ""), "`six` has a wheel without a SHA-256"),
        ];
        for (summary, text, words) in cases {
            let message = check_uv_lock("uv.lock", &text).expect_err(summary).to_string();
            assert!(message.contains(words), "{summary}: {message}");
        }
    }
}
