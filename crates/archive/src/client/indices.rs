//! Indices: fetched by digest, checked before and after unpacking, kept unpacked in a form that reads fast.

use std::io::{Read, Write};

use cache::{Cache, Digest, Hasher};
use tree::codec::{Format, decoder};

use super::{Archive, Client, Download, Event};
use crate::release::{ReleaseFile, ReleaseProblem};
use crate::{Error, Result};
use http::{parallel, without_password};

/// The kind of cache records that lead from the digest of an index, as the archive has it, to the digest of our copy.
const RECORD: &str = "index-zstd";

/// The largest index that is unpacked, in bytes, when the release file does not say; Debian's main has 57 MB.
const SIZE_LIMIT: u64 = 1 << 30;

/// In the order in which they are preferred: the smallest transfer first.
const FORMATS: [Format; 4] = [Format::Xz, Format::Zstd, Format::Gzip, Format::Plain];

/// zstd never makes a text longer by more than this (headers, checksum, and one byte in 256 that do not shrink).
const SLACK: u64 = 1 << 20;

/// zstd's level 1 halves the size of our copies and is read at more than a gigabyte per second.
const LEVEL: i32 = 1;

/// The list of packages of a component for an architecture, verified, in the cache.
#[derive(Debug, Clone)]
pub struct Index {
    /// Which of the archives that were given it belongs to.
    pub archive: usize,
    /// The component; empty for a flat archive.
    pub component: String,
    /// The architecture, or `all`.
    pub architecture: String,
    /// The path of the file that was fetched, relative to the release file.
    pub path: String,
    /// The digest of that file.
    pub digest: Digest,
    cache: Cache,
    /// Our own copy.
    copy: Stored,
}

/// Our own copy of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// The index is empty.
    Empty,
    /// zstd in the cache.
    Zstd { digest: Digest, size: u64 },
}

impl Index {
    /// How many bytes it has, unpacked.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self.copy {
            Stored::Empty => 0,
            Stored::Zstd { size, .. } => size,
        }
    }

    /// The text, piece by piece.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is no longer in the cache, [`Error::Cache`].
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        let Stored::Zstd { digest, .. } = self.copy else { return Ok(Box::new(std::io::empty())) };
        let file = self.cache.file(&digest)?.ok_or_else(|| self.damaged(digest))?;
        decoder(Format::Zstd, file).map_err(|_| self.damaged(digest))
    }

    /// The text, whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is not what was kept, [`Error::Cache`].
    pub fn read(&self) -> Result<Vec<u8>> {
        let Stored::Zstd { digest, size } = self.copy else { return Ok(Vec::new()) };
        let mut packed = Vec::new();
        let file = self.cache.file(&digest)?.ok_or_else(|| self.damaged(digest))?;
        // In one go, which takes half the time of a stream; zstd's own checksum covers the whole text.
        let text = file
            .take(size + SLACK)
            .read_to_end(&mut packed)
            .and_then(|_| zstd::bulk::decompress(&packed, usize::try_from(size).unwrap_or(usize::MAX)))
            .ok()
            .filter(|text| text.len() as u64 == size);
        let Some(text) = text else {
            self.cache.discard(&digest)?;
            return Err(self.damaged(digest));
        };
        Ok(text)
    }

    fn damaged(&self, digest: Digest) -> Error {
        Error::Damaged { path: self.path.clone(), digest }
    }
}

/// An index that an archive has.
struct Wanted<'a> {
    number: usize,
    archive: &'a Archive,
    component: &'a str,
    architecture: &'a str,
    format: Format,
    path: String,
    file: ReleaseFile,
    /// What it unpacks to, if the release file says.
    plain: Option<ReleaseFile>,
}

impl Client {
    /// All indices of these archives for an architecture, in the order in which apt reads them.
    ///
    /// # Errors
    /// [`Error::Release`] when an archive does not have the architecture or an index; [`Error::Fetch`],
    /// [`Error::Index`], [`Error::Offline`], [`Error::Cache`], [`Error::Cancelled`].
    pub fn indices(&self, archives: &[Archive], architecture: &str) -> Result<Vec<Index>> {
        let mut wanted = Vec::new();
        for (number, archive) in archives.iter().enumerate() {
            if archive.source.serves(architecture) {
                wanted.extend(wanted_of(number, archive, architecture)?);
            }
        }
        parallel::map(self.options.jobs, &wanted, |wanted| self.index(wanted))
    }

    fn index(&self, wanted: &Wanted<'_>) -> Result<Index> {
        self.check_cancelled()?;
        let copy = match self.kept(wanted)? {
            Some(copy) => copy,
            None => self.fetch_index(wanted)?,
        };
        Ok(Index {
            archive: wanted.number,
            component: wanted.component.to_owned(),
            architecture: wanted.architecture.to_owned(),
            path: wanted.path.clone(),
            digest: wanted.file.sha256,
            cache: self.options.cache.clone(),
            copy,
        })
    }

    /// The copy of an earlier run.
    fn kept(&self, wanted: &Wanted<'_>) -> Result<Option<Stored>> {
        if wanted.plain.is_some_and(|plain| plain.size == 0) {
            return Ok(Some(Stored::Empty));
        }
        let record = self.options.cache.record(RECORD, &wanted.key())?;
        let parsed = record.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| {
            let (digest, size) = text.split_once(' ')?;
            Some((digest.parse().ok()?, size.parse().ok()?))
        });
        let Some((digest, size)) = parsed else { return Ok(None) };
        let there = self.options.cache.contains(&digest)?;
        Ok(there.then_some(Stored::Zstd { digest, size }))
    }

    fn fetch_index(&self, wanted: &Wanted<'_>) -> Result<Stored> {
        let download = wanted.download();
        if !self.options.cache.contains(&download.sha256)? {
            self.options.events.event(&Event::Planned { files: 1, bytes: download.size });
            self.download_one(&download)?;
        }
        let file = self
            .options
            .cache
            .file(&download.sha256)?
            .ok_or(Error::Damaged { path: wanted.path.clone(), digest: download.sha256 })?;
        let reader = decoder(wanted.format, file).map_err(|error| wanted.broken(&error.to_string()))?;
        let copy = self.keep(wanted, reader)?;
        if let Stored::Zstd { digest, size } = copy {
            self.options.cache.put_record(RECORD, &wanted.key(), format!("{digest} {size}").as_bytes())?;
        }
        Ok(copy)
    }

    /// Unpacks an index into our own copy, and checks that it is what the release file promises.
    fn keep(&self, wanted: &Wanted<'_>, mut reader: impl Read) -> Result<Stored> {
        let limit = wanted.plain.map_or(SIZE_LIMIT, |plain| plain.size);
        let kept = |error: std::io::Error| match error.downcast::<cache::Error>() {
            Ok(error) => Error::from(error),
            Err(error) => wanted.broken(&format!("cannot keep it: {error}")),
        };
        let mut encoder = zstd::Encoder::new(self.options.cache.insert()?, LEVEL).map_err(kept)?;
        encoder.include_checksum(true).map_err(kept)?;
        let mut hasher = Hasher::new();
        let mut size = 0;
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.check_cancelled()?;
            let count = reader.read(&mut buffer).map_err(|error| wanted.broken(&error.to_string()))?;
            if count == 0 {
                break;
            }
            size += count as u64;
            if size > limit {
                return Err(wanted.broken(&format!("it has more than {limit} bytes")));
            }
            hasher.update(&buffer[..count]);
            encoder.write_all(&buffer[..count]).map_err(kept)?;
        }
        let found = hasher.finish();
        match wanted.plain {
            Some(plain) if plain.size != size || plain.sha256 != found => {
                Err(wanted.broken(&format!("{size} bytes with SHA-256 {found}")))
            }
            _ => {
                let digest = encoder.finish().map_err(kept)?.commit(None)?;
                Ok(Stored::Zstd { digest, size })
            }
        }
    }
}

impl Wanted<'_> {
    /// What our copy is known by: the digest on both sides, so that a release file that contradicts itself finds nothing.
    fn key(&self) -> String {
        let plain = self.plain.map(|plain| plain.sha256.to_string()).unwrap_or_default();
        format!("{} {plain}", self.file.sha256)
    }

    fn download(&self) -> Download {
        let folder = self.archive.source.release_folder();
        let direct = format!("{folder}{}", self.path);
        let mut urls = Vec::new();
        if self.archive.release.acquire_by_hash {
            let parent =
                self.path.rsplit_once('/').map(|(parent, _)| format!("{parent}/")).unwrap_or_default();
            urls.push(format!("{folder}{parent}by-hash/SHA256/{}", self.file.sha256));
        }
        // Some mirrors leave out `by-hash`; the digest is checked either way.
        urls.push(direct);
        Download {
            name: format!("{} {}", self.archive.source.suite, self.path),
            path: self.path.clone(),
            archive: self.archive.source.describe(),
            size: self.file.size,
            sha256: self.file.sha256,
            urls,
        }
    }

    fn broken(&self, detail: &str) -> Error {
        Error::Index {
            path: self.path.clone(),
            archive: self.archive.source.describe(),
            detail: detail.to_owned(),
        }
    }
}

/// The indices that an archive must have: for each component that of the architecture, and that of `all` where it stands
/// by itself.
fn wanted_of<'a>(number: usize, archive: &'a Archive, architecture: &'a str) -> Result<Vec<Wanted<'a>>> {
    let release = &archive.release;
    let refuse = |problem| Error::Release {
        archive: archive.source.describe(),
        url: without_password(&format!("{}InRelease", archive.source.release_folder())),
        problem: Box::new(problem),
    };
    if !release.has_architecture(architecture) {
        let architectures = release.architectures.join(" ");
        return Err(refuse(ReleaseProblem::NoArchitecture { asked: architecture.to_owned(), architectures }));
    }
    if archive.source.is_flat() {
        let found = find(number, archive, "", architecture, "Packages".to_owned()).map_err(refuse)?;
        return Ok(vec![found]);
    }
    let alone = !release.all_in_each && release.architectures.iter().any(|one| one == "all");
    let architectures = [Some(architecture), alone.then_some("all")];
    let mut wanted = Vec::new();
    for component in &archive.source.components {
        for architecture in architectures.into_iter().flatten() {
            let base = format!("{component}/binary-{architecture}/Packages");
            wanted.push(find(number, archive, component, architecture, base).map_err(refuse)?);
        }
    }
    Ok(wanted)
}

/// The index in the compression that is preferred among those it is offered in.
fn find<'a>(
    number: usize,
    archive: &'a Archive,
    component: &'a str,
    architecture: &'a str,
    base: String,
) -> Result<Wanted<'a>, ReleaseProblem> {
    let files = &archive.release.files;
    let plain = files.get(&base).copied();
    let offered = FORMATS.into_iter().find_map(|format| {
        let path = match format {
            Format::Plain => base.clone(),
            packed => format!("{base}.{packed}"),
        };
        files.get(&path).map(|file| (format, path, *file))
    });
    let (format, path, file) = offered.ok_or(ReleaseProblem::NoIndex { path: base })?;
    Ok(Wanted { number, archive, component, architecture, format, path, file, plain })
}
