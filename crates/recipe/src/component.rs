//! The programs that an image carries: from a Cargo workspace, or from files.

mod cargo;
mod cross;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cache::Hasher;
use sandbox::IdMap;

use crate::Error;
use crate::build::{Options, Session};
use crate::distro::machine_architecture;
use crate::find::Found;

/// What stands for the architecture in the path of a program.
const ARCHITECTURE: &str = "{arch}";

/// What the sources of official releases begin with.
const RELEASE: &str = "github:";

/// A program that is there.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What it is called.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its version; of a file, its digest.
    pub(crate) version: String,
}

/// Where a program comes from.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    /// A package of a Cargo workspace in this folder.
    Workspace(PathBuf),
    /// A file.
    File(PathBuf),
}

/// Provides the programs of `found` for `architecture`, in the order of their names.
///
/// # Errors
/// [`Error::Component`].
pub(crate) fn provide(
    session: &Session,
    found: &Found,
    options: &Options,
    architecture: &str,
    ids: &IdMap,
) -> Result<Vec<Program>, Error> {
    let unknown = options.components.keys().find(|name| !found.recipe.component.contains_key(*name));
    if let Some(name) = unknown {
        let message = format!("recipe `{}` has no such component", found.called());
        return Err(Error::Component { name: name.clone(), message });
    }
    let provide_one = |(name, source): (&String, &String)| {
        // What the command line says starts from the current folder.
        let (source, folder) = match options.components.get(name) {
            Some(given) => (given, PathBuf::new()),
            None => (source, found.folder()),
        };
        let failed = |message: String| Error::Component { name: name.clone(), message };
        match origin(source, &folder, architecture).map_err(failed)? {
            Origin::File(path) => of_file(name, path),
            Origin::Workspace(folder) if architecture == machine_architecture() => {
                cargo::build(&folder, name)
            }
            Origin::Workspace(folder) => cross::build(session, options, &folder, name, architecture, ids),
        }
    };
    found.recipe.component.iter().map(provide_one).collect()
}

/// What `source` means, whose paths start from `folder`.
fn origin(source: &str, folder: &Path, architecture: &str) -> Result<Origin, String> {
    if let Some(release) = source.strip_prefix(RELEASE) {
        return Err(format!(
            "the release `{release}` is not fetched by a build: fetch it first, and give the path of its program, with \
             {ARCHITECTURE} for the architecture"
        ));
    }
    let path = folder.join(source.replace(ARCHITECTURE, architecture));
    if path.is_file() {
        return Ok(Origin::File(path));
    }
    if path.join("Cargo.toml").is_file() {
        return Ok(Origin::Workspace(path));
    }
    Err(format!(
        "`{}` is neither a program nor a folder with a Cargo workspace: say where it is with `--component`",
        path.display()
    ))
}

/// A file says nothing of its version, and is not run to ask it.
fn of_file(name: &str, path: PathBuf) -> Result<Program, Error> {
    let mut hasher = Hasher::new();
    let mut file = File::open(&path).map_err(Error::io("open", &path))?;
    io::copy(&mut file, &mut hasher).map_err(Error::io("read", &path))?;
    Ok(Program { name: name.to_owned(), path, version: format!("sha256:{}", hasher.finish()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_or_a_workspace() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("arm64-tool"), "").expect("a file");
        std::fs::create_dir(at("source")).expect("a folder");
        std::fs::write(at("source/Cargo.toml"), "").expect("a file");
        let origin = |source: &str| origin(source, folder.path(), "arm64");
        assert_eq!(origin("{arch}-tool"), Ok(Origin::File(at("arm64-tool"))));
        assert_eq!(origin("source"), Ok(Origin::Workspace(at("source"))));
        for (source, word) in [("nothing", "neither a program"), ("github:a/b@v1", "`a/b@v1` is not fetched")]
        {
            let message = origin(source).expect_err("refused");
            assert!(message.contains(word), "{source}: {message}");
        }
    }
}
