//! Python packages that checks and tests use, in virtual environments beneath the build results.
//!
//! They come by pip as the user has set it up, at pinned versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{run, target};

/// What validates bills of materials and provenance: the tools of those who define the forms.
const DOCUMENTS: &[&str] =
    &["spdx-tools==0.8.5", "cyclonedx-python-lib[json-validation]==11.12.0", "in-toto-attestation==0.9.3"];

/// What an environment holds; written when it is whole.
const CONTENTS: &str = "contents.txt";

/// Makes sure that the validators of documents are where the tests look for them: `documents` in `test-tools`.
pub(crate) fn validators() -> Result<(), String> {
    environment(&target().join("test-tools/documents"), DOCUMENTS).map(drop)
}

/// Makes sure that `folder` is an environment with exactly these packages, and gives its folder of programs.
pub(crate) fn environment(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let (programs, contents) = (folder.join("bin"), packages.join("\n"));
    if fs::read_to_string(folder.join(CONTENTS)).is_ok_and(|there| there == contents) {
        return Ok(programs);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = Command::new(programs.join("pip"));
    run(pip.args(["install", "--quiet", "--only-binary", ":all:"]).args(packages))?;
    let path = folder.join(CONTENTS);
    fs::write(&path, contents).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(programs)
}
