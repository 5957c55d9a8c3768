//! Images of registries, kept in the cache: what was read once is there without a network.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use cache::Cache;

use crate::{Blobs, Descriptor, Error, Place, Reference, Result, Source, Verified};

/// The kind of the cache's records of what references named.
const RECORD: &str = "image-reference";

/// How much is copied at a time, in bytes.
const BUFFER: usize = 128 * 1024;

/// Opens the image in its registry.
pub type Opener<'a> = Box<dyn Fn() -> Result<Box<dyn Source>> + Send + Sync + 'a>;

/// An image of a registry, all of whose contents go through the cache.
pub struct Kept<'a> {
    cache: Cache,
    name: String,
    /// How to reach the registry when the cache does not have something; none without a network.
    open: Option<Opener<'a>>,
    /// The registry, once it was needed.
    remote: Mutex<Option<Arc<dyn Source>>>,
    root: Descriptor,
}

impl std::fmt::Debug for Kept<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("name", &self.name).field("root", &self.root).finish_non_exhaustive()
    }
}

impl<'a> Kept<'a> {
    /// What `reference` names now, which is remembered.
    ///
    /// # Errors
    /// [`Error::Cache`], those of `open`.
    pub fn newest(cache: &Cache, reference: &Reference, open: Opener<'a>) -> Result<Self> {
        let remote: Arc<dyn Source> = Arc::from(open()?);
        let root = remote.root().clone();
        cache.put_record(RECORD, &reference.to_string(), &crate::manifest::to_bytes(&root))?;
        let remote = Mutex::new(Some(remote));
        Ok(Self { cache: cache.clone(), name: reference.to_string(), open: Some(open), remote, root })
    }

    /// What a lock says that `reference` is. The registry is asked for nothing that the cache has.
    #[must_use]
    pub fn locked(cache: &Cache, reference: &Reference, root: Descriptor, open: Option<Opener<'a>>) -> Self {
        Self { cache: cache.clone(), name: reference.to_string(), open, remote: Mutex::new(None), root }
    }

    /// What `reference` named when it was read last, without a network.
    ///
    /// # Errors
    /// [`Error::NotKept`] when it never was, [`Error::Cache`].
    pub fn offline(cache: &Cache, reference: &Reference) -> Result<Self> {
        let name = reference.to_string();
        let root = cache.record(RECORD, &name)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(root) = root else { return Err(Error::NotKept { what: "what it names".to_owned(), name }) };
        Ok(Self::locked(cache, reference, root, None))
    }

    fn remote(&self) -> Result<Option<Arc<dyn Source>>> {
        let mut remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(open)) = (&*remote, &self.open) {
            *remote = Some(Arc::from(open()?));
        }
        Ok(remote.clone())
    }

    fn fetch(&self, blob: &Descriptor) -> Result<File> {
        let not_kept = || Error::NotKept { what: blob.digest_text(), name: self.name.clone() };
        let remote = self.remote()?.ok_or_else(not_kept)?;
        let failed = |source| Error::Read { what: blob.digest_text(), place: self.name.clone(), source };
        let mut source = remote.open(blob)?;
        // A client that keeps what it fetches in the same cache has done so now.
        if let Some(file) = self.cache.file(&blob.digest)? {
            return Ok(file);
        }
        let mut writer = self.cache.insert()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => writer.append(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        writer.commit(Some(blob.digest))?;
        self.cache.file(&blob.digest)?.ok_or_else(not_kept)
    }
}

impl Place for Kept<'_> {
    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Blobs for Kept<'_> {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let file = match self.cache.file(&blob.digest)? {
            Some(file) => file,
            None => self.fetch(blob)?,
        };
        Ok(Box::new(Verified::new(file, blob)))
    }
}

impl Source for Kept<'_> {
    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn tags(&self) -> &[String] {
        &[]
    }
}
