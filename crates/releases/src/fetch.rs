//! Everything in order: resolve all, fetch all, then fill the folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cache::{Cache, Digest};
use serde_json::{Map, Value, json};

use crate::component::Form;
use crate::{Asset, Component, Error, Github, Release, Result, asset, download, place};

/// What says what is in a folder.
const VERSIONS: &str = "versions.json";

/// A component that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which.
    pub component: Component,
    /// The repository that has it, `OWNER/NAME`.
    pub repository: String,
    /// The tag of the release; none for the highest version.
    pub tag: Option<String>,
    /// The token that may read the repository.
    pub token: Option<Secret>,
}

/// A token, which is shown nowhere.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` to itself.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What happens meanwhile.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It is known which release is meant.
    Resolved {
        /// The component.
        component: &'static str,
        /// The tag of the release.
        tag: &'a str,
    },
    /// An asset is not in the cache.
    Fetching {
        /// Its name.
        asset: &'a str,
        /// Its length in bytes.
        size: u64,
    },
    /// A download broke off and is tried again.
    Retrying {
        /// Its name.
        asset: &'a str,
        /// Why it broke off.
        failure: &'a str,
    },
}

/// A file that is in the folder now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The component it is of.
    pub component: &'static str,
    /// The release it is of.
    pub tag: String,
    /// The architecture it is for.
    pub architecture: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// An asset that was found for one architecture.
struct Found<'a> {
    wanted: &'a Wanted,
    architecture: &'a str,
    release: &'a Release,
    asset: &'a Asset,
    digest: Digest,
}

/// Fetches what is `wanted` for all `architectures` into `folder`: directly into it for one, into a folder of its own for
/// each of several. Nothing is written before everything is resolved, fetched and verified; `versions.json` comes last, and
/// an old one goes first.
///
/// # Errors
/// Any [`Error`].
pub fn fetch(
    github: &Github,
    wanted: &[Wanted],
    architectures: &[String],
    folder: &Path,
    cache: &Cache,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Vec<Fetched>> {
    let repositories = wanted
        .iter()
        .map(|wanted| {
            github.repository(&wanted.repository, wanted.token.as_ref().map(|token| token.0.as_str()))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut releases = Vec::new();
    for (wanted, repository) in wanted.iter().zip(&repositories) {
        let release = match &wanted.tag {
            Some(tag) => repository.release(tag)?,
            None => repository.latest(&wanted.component)?,
        };
        tell(Event::Resolved { component: wanted.component.name, tag: &release.tag });
        releases.push(release);
    }
    let mut found = Vec::new();
    for ((wanted, repository), release) in wanted.iter().zip(&repositories).zip(&releases) {
        for architecture in architectures {
            let asset = asset::choose(&wanted.component, architecture, &wanted.repository, release)?;
            let digest = download::promised(repository, release, asset)?;
            found.push((repository, Found { wanted, architecture, release, asset, digest }));
        }
    }
    let mut files = Vec::new();
    for (repository, found) in found {
        let file = download::bring(repository, found.asset, &found.digest, cache, tell)?;
        files.push((found, file));
    }
    fill(architectures, folder, files)
}

fn fill(
    architectures: &[String],
    folder: &Path,
    mut files: Vec<(Found<'_>, fs::File)>,
) -> Result<Vec<Fetched>> {
    let mut done = Vec::new();
    for architecture in architectures {
        let folder = if architectures.len() == 1 { folder.to_owned() } else { folder.join(architecture) };
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let versions = folder.join(VERSIONS);
        match fs::remove_file(&versions) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &versions)(error));
            }
            _ => {}
        }
        let mut document = Map::new();
        let mut listed = Map::new();
        for (found, file) in files.iter_mut().filter(|(found, _)| found.architecture == architecture) {
            let component = found.wanted.component;
            let placed = match component.form {
                Form::File(name) => vec![place::keep(file, &folder, name)?],
                Form::Programs(name) => {
                    place::programs(file, &found.asset.name, name, architecture, &folder)?
                }
            };
            document.insert(component.name.to_owned(), found.release.tag.clone().into());
            for placed in placed {
                listed.insert(placed.name.clone(), about(found, &placed));
                done.push(Fetched {
                    component: component.name,
                    tag: found.release.tag.clone(),
                    architecture: architecture.clone(),
                    path: folder.join(&placed.name),
                    size: placed.size,
                    digest: placed.digest,
                });
            }
        }
        document.insert("architecture".to_owned(), architecture.clone().into());
        document.insert("files".to_owned(), listed.into());
        write_versions(&versions, &document.into())?;
    }
    Ok(done)
}

/// Where a file came from, for whoever looks at the folder later.
fn about(found: &Found<'_>, placed: &place::Placed) -> Value {
    json!({
        "component": found.wanted.component.name,
        "size": placed.size,
        "sha256": placed.digest.to_string(),
        "repository": found.wanted.repository,
        "asset": found.asset.name,
        "assetSha256": found.digest.to_string(),
    })
}

fn write_versions(path: &Path, document: &Value) -> Result<()> {
    let temporary = path.with_file_name(format!(".{VERSIONS}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        writeln!(file, "{document:#}")?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path)(error)
    })
}
