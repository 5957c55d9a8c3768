//! Image layouts: folders with `oci-layout`, `index.json` and `blobs/` (image specification, "OCI Image Layout").

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::manifest::SIZE_LIMIT;
use crate::{Blobs, Descriptor, Error, Index, Place, Result, Target, Verified};

/// The annotation that holds a tag in an index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The contents of the file `oci-layout`.
const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// How much is copied at a time, in bytes.
const BUFFER: usize = 128 * 1024;

/// An image layout in a folder.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    /// Held while `index.json` is changed.
    index: Mutex<()>,
}

impl Layout {
    /// Opens the layout in `path`.
    ///
    /// # Errors
    /// [`Error::NoLayout`] when the folder is none.
    pub fn open(path: &Path) -> Result<Self> {
        let marker = path.join("oci-layout");
        let text = read_limited(&marker).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::NoLayout { path: path.to_owned() }
            }
            _ => Error::io("read", &marker)(source),
        })?;
        let version: serde_json::Value = crate::manifest::parse(&text, &marker.display().to_string())?;
        match version.get("imageLayoutVersion").and_then(serde_json::Value::as_str) {
            Some("1.0.0") => Ok(Self { path: path.to_owned(), index: Mutex::new(()) }),
            other => {
                let message = format!("imageLayoutVersion is {other:?}, and only 1.0.0 is read");
                Err(Error::Json { what: marker.display().to_string(), message })
            }
        }
    }

    /// Opens the layout in `path`, making an empty one when there is nothing.
    ///
    /// # Errors
    /// [`Error::NoLayout`] when the folder holds something else; [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let is_empty = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        if is_empty {
            let blobs = path.join("blobs/sha256");
            fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
            write_whole(&path.join("index.json"), &Index::new(Vec::new()).to_bytes())?;
            write_whole(&path.join("oci-layout"), MARKER.as_bytes())?;
        }
        Self::open(path)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `index.json` lists.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`].
    pub fn index(&self) -> Result<Index> {
        let path = self.path.join("index.json");
        let bytes = read_limited(&path).map_err(Error::io("read", &path))?;
        Index::parse(&bytes, &path.display().to_string())
    }

    /// The image called `tag`, or the only one.
    ///
    /// # Errors
    /// [`Error::NoImage`] when there is none, or one has to be chosen.
    pub fn find(&self, tag: Option<&str>) -> Result<Descriptor> {
        choose(&self.index()?, tag, &self.name())
    }

    fn blob_path(&self, blob: &Descriptor) -> PathBuf {
        self.path.join("blobs/sha256").join(blob.digest.to_string())
    }
}

/// The image that `index.json` of a layout calls `tag`, or the only one in it.
pub(crate) fn choose(index: &Index, tag: Option<&str>, place: &str) -> Result<Descriptor> {
    let named = |entry: &&Descriptor| match tag {
        Some(tag) => entry.annotations.get(REF_NAME).is_some_and(|name| name == tag),
        // What is about something else is no image.
        None => entry.artifact_type.is_none(),
    };
    let mut found = index.manifests.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (one, _) => {
            let tags = index.manifests.iter().filter_map(|entry| entry.annotations.get(REF_NAME));
            Err(Error::NoImage {
                place: place.to_owned(),
                wanted: tag.map(str::to_owned),
                several: one.is_some(),
                tags: tags.cloned().collect(),
            })
        }
    }
}

impl Place for Layout {
    fn name(&self) -> String {
        format!("oci:{}", self.path.display())
    }
}

impl Blobs for Layout {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.blob_path(blob);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        Ok(Box::new(Verified::new(file, blob)))
    }
}

impl Target for Layout {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        let path = self.blob_path(blob);
        match fs::symlink_metadata(&path) {
            Ok(found) => Ok(found.is_file() && found.len() == blob.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("look at", &path)(error)),
        }
    }

    fn put(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()> {
        let path = self.blob_path(blob);
        let temporary = temporary(&path);
        let stored = store(&temporary, &mut Verified::new(contents, blob), blob, &self.name())
            .and_then(|()| fs::rename(&temporary, &path).map_err(Error::io("create", &path)));
        if stored.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        stored
    }

    fn put_manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put(manifest, &mut &bytes[..])
    }

    fn tag(&self, manifest: &Descriptor, _: &[u8], tag: &str) -> Result<()> {
        let _guard = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = self.index()?;
        let mut named = manifest.clone();
        named.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        index.manifests.retain(|entry| entry.annotations.get(REF_NAME).is_none_or(|name| name != tag));
        index.manifests.push(named);
        write_whole(&self.path.join("index.json"), &index.to_bytes())
    }

    fn put_referrer(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put_manifest(manifest, bytes)?;
        let _guard = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = self.index()?;
        if index.manifests.iter().any(|entry| entry.digest == manifest.digest) {
            return Ok(());
        }
        index.manifests.push(manifest.clone());
        write_whole(&self.path.join("index.json"), &index.to_bytes())
    }
}

fn store(temporary: &Path, contents: &mut dyn Read, blob: &Descriptor, place: &str) -> Result<()> {
    let mut file = File::create(temporary).map_err(Error::io("create", temporary))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match contents.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Read { what: blob.digest_text(), place: place.to_owned(), source });
            }
        };
        file.write_all(&buffer[..count]).map_err(Error::io("write", temporary))?;
    }
    file.sync_data().map_err(Error::io("write", temporary))
}

/// Writes a small file in one rename.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path)(error)
    })
}

/// A name beside `path` that nobody else uses: two programs may write the same content, and two threads.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    path.with_file_name(format!(".{name}.{}-{thread}", std::process::id()))
}

/// A file that is small if it is what it should be.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has more than {SIZE_LIMIT} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media;

    #[test]
    fn what_is_put_is_found_by_its_tag() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(&folder.path().join("image")).unwrap();
        let blob = Descriptor::of(media::CONFIG, b"{}");
        assert!(!layout.has(&blob).unwrap());
        layout.put(&blob, &mut &b"{}"[..]).unwrap();
        assert!(layout.has(&blob).unwrap());
        let bytes = crate::Manifest::new(blob, Vec::new()).to_bytes();
        let manifest = Descriptor::of(media::MANIFEST, &bytes);
        layout.put_manifest(&manifest, &bytes).unwrap();
        assert!(matches!(layout.find(None), Err(Error::NoImage { several: false, .. })));
        layout.tag(&manifest, &bytes, "one").unwrap();
        layout.tag(&manifest, &bytes, "one").unwrap();
        assert_eq!(layout.find(None).unwrap().digest, manifest.digest);
        layout.tag(&manifest, &bytes, "two").unwrap();
        assert!(matches!(layout.find(None), Err(Error::NoImage { several: true, .. })));
        let layout = Layout::open(layout.path()).unwrap();
        let found = layout.find(Some("two")).unwrap();
        assert_eq!(crate::read_small(&layout, &found).unwrap(), bytes);
    }

    #[test]
    fn wrong_contents_are_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let blob = Descriptor::of(media::CONFIG, b"{}");
        assert!(layout.put(&blob, &mut &b"[]"[..]).is_err());
        assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0);
    }

    #[test]
    fn other_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "x").unwrap();
        assert!(matches!(Layout::create(folder.path()), Err(Error::NoLayout { .. })));
        assert!(matches!(Layout::open(&folder.path().join("none")), Err(Error::NoLayout { .. })));
    }
}
