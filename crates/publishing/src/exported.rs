//! One exported zip, read through before anything of it is sent.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cache::{Digest, Hasher};
use serde::Deserialize;
use zip::ZipArchive;

use crate::{Error, PackageId, Result};

/// What an export holds: the archive of all layers, and two documents about it.
const ARCHIVE: &str = "layers.tar";
const ABOUT: &str = "package-layer.json";
const LIST: &str = "layers.json";

/// The most files in an export.
const MAX_FILES: usize = 1000;
/// The most bytes that the files of an export have, unpacked.
const MAX_SIZE: u64 = 256 << 30;
/// The most bytes of a document.
const MAX_DOCUMENT: u64 = 1 << 20;

/// What an export for this architecture is called, in a folder and in a registry.
#[must_use]
pub fn zip_name(architecture: &str) -> String {
    format!("{architecture}-layer.zip")
}

/// A zip that is an export of a package's layers, whole and without damage.
#[derive(Debug)]
pub struct Exported {
    path: PathBuf,
    file: Arc<File>,
    state: State,
    digest: Digest,
    package: Option<PackageId>,
}

/// By what one sees that a file is still the one that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    size: u64,
    modified: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// `package-layer.json`, as far as it matters here.
#[derive(Deserialize)]
struct About {
    name: Option<String>,
    version: Option<String>,
    source_layer: String,
    bootstrap_layer: Option<String>,
}

/// `layers.json`.
#[derive(Deserialize)]
struct List {
    layers: Vec<String>,
}

impl Exported {
    /// Reads the zip at `path` from its beginning to its end: all of it must be there, undamaged, and its documents must agree.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::NotAnExport`].
    pub fn open(path: &Path) -> Result<Self> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let refuse = |why: String| Error::NotAnExport { path: path.to_owned(), why };
        let mut file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(refuse("it is no regular file".to_owned()));
        }
        let mut hasher = Hasher::new();
        io::copy(&mut file, &mut hasher).map_err(read)?;
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let (about, list) = documents(&file).map_err(refuse)?;
        check_layers(&about, &list).map_err(refuse)?;
        let package = match (&about.name, &about.version) {
            (Some(name), Some(version)) => {
                Some(PackageId::new(name, version).map_err(|error| refuse(error.to_string()))?)
            }
            _ => None,
        };
        let state = State::of(&metadata);
        Ok(Self { path: path.to_owned(), file: Arc::new(file), state, digest: hasher.finish(), package })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The digest of the zip.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The open file. Its position is shared: whoever reads it says where.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The package to publish it as: `asked`, which must not be another than the one that the export names.
    ///
    /// # Errors
    /// [`Error::OtherPackage`], [`Error::Unnamed`].
    pub fn package(&self, asked: Option<&PackageId>) -> Result<PackageId> {
        let path = || self.path.clone();
        match (&self.package, asked) {
            (Some(found), Some(asked)) if found != asked => {
                Err(Error::OtherPackage { path: path(), found: found.clone(), asked: asked.clone() })
            }
            (Some(package), _) | (None, Some(package)) => Ok(package.clone()),
            (None, None) => Err(Error::Unnamed { path: path() }),
        }
    }

    /// Makes sure that the file was not written to since it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|source| Error::Read { path: self.path.clone(), source })?;
        if State::of(&now) == self.state { Ok(()) } else { Err(Error::Changed { path: self.path.clone() }) }
    }
}

/// Reads every file of the zip, which checks its sum, and gives the documents.
fn documents(file: &File) -> Result<(About, List), String> {
    let damaged = |name: &str, why: &dyn std::fmt::Display| format!("`{name}` in it cannot be read: {why}");
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    if archive.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} files"));
    }
    let (mut about, mut list, mut has_archive, mut total) = (None, None, false, 0_u64);
    for index in 0..archive.len() {
        let mut member =
            archive.by_index(index).map_err(|error| damaged(&format!("file {index}"), &error))?;
        let name = member.name().map_err(|error| error.to_string())?.into_owned();
        if member.is_dir() {
            continue;
        }
        total = total.saturating_add(member.size());
        if total > MAX_SIZE {
            return Err(format!("its files have more than {MAX_SIZE} bytes together"));
        }
        match name.as_str() {
            ABOUT => about = Some(document(&mut member).map_err(|error| damaged(ABOUT, &error))?),
            LIST => list = Some(document(&mut member).map_err(|error| damaged(LIST, &error))?),
            other => {
                let limit = member.size();
                let length = io::copy(&mut (&mut member).take(limit + 1), &mut io::sink());
                let length = length.map_err(|error| damaged(other, &error))?;
                if length != limit {
                    return Err(damaged(other, &"it has another length than the zip says"));
                }
                has_archive |= other == ARCHIVE && length > 0;
            }
        }
    }
    let missing = |name: &str| format!("it holds no `{name}`");
    if !has_archive {
        return Err(missing(ARCHIVE));
    }
    Ok((about.ok_or_else(|| missing(ABOUT))?, list.ok_or_else(|| missing(LIST))?))
}

fn document<T: for<'de> Deserialize<'de>>(member: &mut impl Read) -> Result<T, String> {
    let mut bytes = Vec::new();
    member.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(format!("it has more than {MAX_DOCUMENT} bytes"));
    }
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// The layers of the package must be among those that are listed.
fn check_layers(about: &About, list: &List) -> Result<(), String> {
    let own = std::iter::once(&about.source_layer).chain(&about.bootstrap_layer);
    match own.into_iter().find(|layer| !list.layers.contains(layer)) {
        Some(layer) => Err(format!("the layer `{layer}` of `{ABOUT}` is not listed in `{LIST}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const ABOUT_ONE: &str = r#"{"name":"@oomol/one","version":"1.0.0","source_layer":"s","bootstrap_layer":"b","package_path":"/x"}"#;
    const LIST_ONE: &str = r#"{"layers":["base","s","b"]}"#;

    /// A file in a zip: its name and text.
    type Text<'a> = (&'a str, &'a str);

    /// A zip of these files in `folder`.
    fn zip(folder: &Path, name: &str, files: &[Text<'_>]) -> PathBuf {
        let path = folder.join(name);
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_is_an_export() {
        let folder = tempfile::tempdir().unwrap();
        let whole = [(ARCHIVE, "a tar"), (ABOUT, ABOUT_ONE), (LIST, LIST_ONE)];
        let other = r#"{"layers":["base","s"]}"#;
        let cases: [(&str, Vec<Text<'_>>, &str); 7] = [
            ("whole", whole.to_vec(), ""),
            ("no archive", whole[1..].to_vec(), "it holds no `layers.tar`"),
            ("an empty archive", vec![(ARCHIVE, ""), whole[1], whole[2]], "it holds no `layers.tar`"),
            ("no document", vec![whole[0], whole[2]], "it holds no `package-layer.json`"),
            ("no list", whole[..2].to_vec(), "it holds no `layers.json`"),
            ("no JSON", vec![whole[0], (ABOUT, "{"), whole[2]], "`package-layer.json` in it cannot be read"),
            ("a layer that is not there", vec![whole[0], whole[1], (LIST, other)], "the layer `b`"),
        ];
        for (summary, files, expected) in cases {
            let path = zip(folder.path(), "x.zip", &files);
            match Exported::open(&path) {
                Ok(found) => {
                    assert_eq!(expected, "", "{summary}");
                    assert_eq!(found.package(None).unwrap().to_string(), "@oomol/one@1.0.0");
                    assert_eq!(*found.digest(), Digest::of(&std::fs::read(&path).unwrap()));
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!expected.is_empty() && text.contains(expected), "{summary}: {text}");
                }
            }
        }
    }

    #[test]
    fn damage_and_other_packages_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = [(ARCHIVE, "a tar that is longer"), (ABOUT, ABOUT_ONE), (LIST, LIST_ONE)];
        let path = zip(folder.path(), "x.zip", &files);
        let export = Exported::open(&path).unwrap();
        let asked: PackageId = "@oomol/one@1.0.1".parse().unwrap();
        let error = export.package(Some(&asked)).unwrap_err().to_string();
        assert!(error.contains("holds @oomol/one@1.0.0, and @oomol/one@1.0.1 is to be published"), "{error}");

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Exported::open(&path), Err(Error::NotAnExport { .. })), "cut off");
        assert!(matches!(export.check_unchanged(), Err(Error::Changed { .. })));
        let mut bytes = whole;
        bytes[40] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(Exported::open(&path), Err(Error::NotAnExport { .. })), "a byte is another one");
    }
}
