//! Signing by the program `cosign`, where the machine has it.
//!
//! Keys, identities and transparency logs are its business: it takes them from its own options, environment and
//! configuration. What this module is for is that it signs a digest, never a name that may mean something else meanwhile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Reference, Result};

const PROGRAM: &str = "cosign";

/// The arguments that make `cosign` sign `image`, with the key at `key`, or with the identity it finds.
///
/// # Errors
/// [`Error::Program`] for a reference without a digest.
pub fn arguments(image: &Reference, key: Option<&str>) -> Result<Vec<OsString>> {
    if image.digest.is_none() {
        return Err(failed(format!(
            "`{image}` has no digest: sign `REPOSITORY@sha256:…`, which cannot change"
        )));
    }
    // It asks otherwise, and nobody answers.
    let mut arguments: Vec<OsString> = ["sign", "--yes"].map(OsString::from).into();
    if let Some(key) = key {
        arguments.extend(["--key", key].map(OsString::from));
    }
    let by_digest = Reference { tag: None, ..image.clone() };
    arguments.push(by_digest.to_string().into());
    Ok(arguments)
}

/// Where `cosign` is, looked up in `path`, a list of folders as in the variable `PATH`.
#[must_use]
pub fn find(path: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
}

/// Runs `program` with [`arguments`]. Its words go to this program's standard error, for standard output is for results.
///
/// # Errors
/// [`Error::Program`].
pub fn sign(program: &Path, image: &Reference, key: Option<&str>) -> Result<()> {
    let arguments = arguments(image, key)?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .stdout(Stdio::piped())
        .output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let said: String = said.trim().chars().filter(|c| !c.is_control()).take(500).collect();
    Err(failed(
        format!("it ended with {}; what it wrote above says why {said}", output.status).trim().to_owned(),
    ))
}

fn failed(message: String) -> Error {
    Error::Program { program: PROGRAM.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image() -> Reference {
        format!("localhost:5000/app:1@{DIGEST}").parse().unwrap()
    }

    /// A `cosign` that writes down how it was called.
    fn fake(folder: &Path, status: u8) -> PathBuf {
        let (script, path) = (folder.join("script"), folder.join("cosign"));
        let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}/argv'\nexit {status}\n", folder.display());
        fs::write(&script, text).unwrap();
        // By another process: a child that a test beside this one forks must not have it open for writing, because then
        // it cannot be run.
        let installed = Command::new("install").args(["-m", "755"]).args([&script, &path]).status().unwrap();
        assert!(installed.success());
        path
    }

    #[test]
    fn cosign_is_found_and_called() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path().as_os_str()), None);
        let program = fake(folder.path(), 0);
        let path = std::env::join_paths([Path::new("relative"), folder.path()]).unwrap();
        assert_eq!(find(&path), Some(program.clone()));
        let argv = || fs::read_to_string(folder.path().join("argv")).unwrap();
        sign(&program, &image(), None).unwrap();
        assert_eq!(argv(), format!("sign\n--yes\nlocalhost:5000/app@{DIGEST}\n"));
        sign(&program, &image(), Some("a key")).unwrap();
        assert_eq!(argv(), format!("sign\n--yes\n--key\na key\nlocalhost:5000/app@{DIGEST}\n"));
    }

    #[test]
    fn what_fails_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let program = fake(folder.path(), 3);
        let error = sign(&program, &image(), None).unwrap_err().to_string();
        assert!(error.starts_with("cannot run `cosign`: it ended with exit status: 3"), "{error}");
        let tag: Reference = "localhost:5000/app:1".parse().unwrap();
        fs::remove_file(folder.path().join("argv")).unwrap();
        let error = sign(&program, &tag, None).unwrap_err().to_string();
        assert!(error.contains("has no digest"), "{error}");
        assert!(!folder.path().join("argv").exists(), "a tag is not signed");
        assert!(sign(&folder.path().join("none"), &image(), None).is_err());
    }
}
