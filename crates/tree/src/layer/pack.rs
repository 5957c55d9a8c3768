//! Changes into a tar, read ahead by several threads: a layer on disk, or some of a tree.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::feed::{Buffer, Jobs, Unwanted, in_order};
use super::holes;
use super::{Change, LayerScan, Mark, Marks, Spelling};
use crate::tar::{self, BLOCK, Segment, Spelled};
use crate::{Entry, EntryPath, Error, Kind, Metadata, Packed, Result, Root};

/// How much is gathered for one thread at a time, in bytes: enough that handing it over costs nothing, little enough to stay
/// in a cache until it is written.
const BATCH: u64 = 256 * 1024;

/// How a layer is written.
#[derive(Debug, Clone, Copy)]
pub struct Packing<'a> {
    /// Where overlayfs has its marks.
    pub marks: Marks,
    /// How marks are spelled in the archive.
    pub spelling: Spelling,
    /// What stands before every name, such as `layers/NAME/`; empty for nothing.
    pub prefix: &'a [u8],
    /// How many threads read.
    pub threads: usize,
}

/// Writes all changes of `root` in path order, the mark of an opaque directory right behind the directory. The bytes do not
/// depend on the number of threads. The writer is left open for further entries, with everything in its sink.
///
/// # Errors
/// Every error of [`LayerScan`] and of [`tar::Writer::append`]; [`Error::SizeMismatch`] when a file changes its size
/// meanwhile; [`Error::WhiteoutName`].
pub fn pack_layer<W: Write>(
    root: &Root,
    packing: &Packing<'_>,
    writer: &mut tar::Writer<W>,
) -> Result<Packed> {
    pack(root, packing, root.scan_layer(packing.marks), writer)
}

/// Writes `changes`, whose files lie in `root`, in their order as an OCI layer; as [`pack_layer`], but that files with holes
/// are written as if they had none, which every reader of such layers understands. A change's metadata are written, not
/// those on disk.
///
/// # Errors
/// As [`pack_layer`]. A file that is gone or has another size by now is an error.
pub fn pack_changes<W: Write>(
    root: &Root,
    changes: impl IntoIterator<Item = Change, IntoIter: Send>,
    threads: usize,
    writer: &mut tar::Writer<W>,
) -> Result<Packed> {
    // There are no marks of overlayfs in a list of changes.
    let packing = Packing { marks: Marks::User, spelling: Spelling::Oci, prefix: b"", threads };
    pack(root, &packing, Listed { root, changes: changes.into_iter() }, writer)
}

fn pack<W: Write>(
    root: &Root,
    packing: &Packing<'_>,
    mut changes: impl Changes + Send,
    writer: &mut tar::Writer<W>,
) -> Result<Packed> {
    writer.flush()?;
    in_order(
        packing.threads,
        move |jobs| {
            let mut gather = Gather { packing, jobs, batch: Vec::new(), bytes: 0, packed: Packed::default() };
            match gather.all(&mut changes) {
                // Why nobody wants any more is reported where it was found.
                Ok(()) | Err(Stop::Unwanted) => Ok(gather.packed),
                Err(Stop::Error(error)) => Err(error),
            }
        },
        |parts: Vec<Part>, out| parts.into_iter().try_for_each(|part| part.write(root, out)),
        |blocks| writer.append_blocks(blocks),
    )
}

/// Changes one after the other, and the files among them.
trait Changes {
    fn next(&mut self) -> Option<Result<Change>>;

    /// Where the file is that came last; none when only [`Changes::open`] knows.
    fn place(&self) -> Option<Place>;

    /// Opens the file that came last.
    fn open(&self, entry: &Entry) -> Result<File>;

    /// Whether files with holes are written as such.
    fn sparse(&self) -> bool;
}

impl Changes for LayerScan<'_> {
    fn next(&mut self) -> Option<Result<Change>> {
        Iterator::next(self)
    }

    fn place(&self) -> Option<Place> {
        LayerScan::place(self).map(|(directory, name)| Place::In(directory, name))
    }

    fn open(&self, _: &Entry) -> Result<File> {
        LayerScan::open(self)
    }

    fn sparse(&self) -> bool {
        true
    }
}

/// Changes that were listed before.
struct Listed<'r, I> {
    root: &'r Root,
    changes: I,
}

impl<I: Iterator<Item = Change>> Changes for Listed<'_, I> {
    fn next(&mut self) -> Option<Result<Change>> {
        self.changes.next().map(Ok)
    }

    fn place(&self) -> Option<Place> {
        Some(Place::Beneath)
    }

    fn open(&self, entry: &Entry) -> Result<File> {
        self.root.open_file(&entry.path)
    }

    fn sparse(&self) -> bool {
        false
    }
}

/// Where a file is.
enum Place {
    /// In this directory under this name.
    In(Arc<OwnedFd>, Vec<u8>),
    /// Beneath the root at its path.
    Beneath,
}

impl Place {
    fn open(&self, root: &Root, path: &EntryPath) -> Result<File> {
        match self {
            Place::In(directory, name) => crate::root::open_regular(directory.as_fd(), name, path),
            Place::Beneath => root.open_file(path),
        }
    }
}

/// A piece of the archive.
enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file that is small enough to be read at once.
    File { place: Place, entry: Entry, name: Vec<u8> },
    /// A piece of a file.
    Piece { file: Arc<File>, path: EntryPath, offset: u64, length: u64, size: u64, last: bool },
}

enum Stop {
    Unwanted,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

impl From<Unwanted> for Stop {
    fn from(_: Unwanted) -> Stop {
        Stop::Unwanted
    }
}

/// Cuts a layer into batches.
struct Gather<'a> {
    packing: &'a Packing<'a>,
    jobs: &'a Jobs<Vec<Part>>,
    batch: Vec<Part>,
    /// What the batch comes to, about.
    bytes: u64,
    packed: Packed,
}

impl Gather<'_> {
    fn all(&mut self, changes: &mut impl Changes) -> Result<(), Stop> {
        while let Some(change) = changes.next() {
            match change? {
                Change::Added(entry) => self.entry(changes, entry)?,
                Change::Opaque(entry) => {
                    let path = entry.path.clone();
                    self.entry(changes, entry)?;
                    self.mark(&path, Mark::Opaque)?;
                }
                Change::Whiteout(path) => self.mark(&path, Mark::Whiteout)?,
            }
        }
        self.hand_over()
    }

    fn entry(&mut self, changes: &impl Changes, entry: Entry) -> Result<(), Stop> {
        self.packed.entries += 1;
        self.packed.contents += entry.kind.size();
        let name = self.name(&entry.path, Mark::Entry)?;
        let size = match entry.kind {
            Kind::File { size } => size,
            _ => return self.header(&entry, &name, None),
        };
        if size == 0 {
            return self.header(&entry, &name, None);
        }
        if size <= BATCH
            && let Some(place) = changes.place()
        {
            return self.push(Part::File { place, entry, name }, size);
        }
        let file = Arc::new(changes.open(&entry)?);
        let segments = if changes.sparse() { segments(&file, &entry, size)? } else { None };
        self.header(&entry, &name, segments.as_deref())?;
        let whole = [Segment { offset: 0, length: size }];
        let parts = segments.as_deref().unwrap_or(&whole);
        for (number, part) in parts.iter().enumerate() {
            let end = part.offset + part.length;
            let mut offset = part.offset;
            while offset < end {
                let length = (end - offset).min(BATCH);
                let (file, path) = (Arc::clone(&file), entry.path.clone());
                let last = offset + length == end && number + 1 == parts.len();
                self.push(Part::Piece { file, path, offset, length, size, last }, length)?;
                offset += length;
            }
        }
        Ok(())
    }

    fn header(&mut self, entry: &Entry, name: &[u8], segments: Option<&[Segment]>) -> Result<(), Stop> {
        let link = match &entry.kind {
            Kind::HardLink { target } => self.name(target, Mark::Entry)?,
            _ => Vec::new(),
        };
        let mut bytes = Vec::new();
        tar::encode(&Spelled { entry, name, link: &link, segments }, &mut bytes)?;
        let length = bytes.len() as u64;
        self.push(Part::Bytes(bytes), length)
    }

    fn mark(&mut self, path: &EntryPath, mark: Mark) -> Result<(), Stop> {
        self.packed.entries += 1;
        let name = self.name(path, mark)?;
        let entry =
            Entry { path: path.clone(), kind: Kind::File { size: 0 }, metadata: Metadata::new(0o644, 0) };
        self.header(&entry, &name, None)
    }

    fn name(&self, path: &EntryPath, mark: Mark) -> Result<Vec<u8>> {
        let name = self.packing.spelling.write(path, mark);
        let name = name.ok_or_else(|| Error::WhiteoutName { path: path.clone() })?;
        let prefix = self.packing.prefix;
        Ok(match (name.is_empty(), prefix.strip_suffix(b"/")) {
            // The layer's own directory.
            (true, Some(prefix)) => prefix.to_vec(),
            (true, None) => b".".to_vec(),
            (false, _) => [prefix, &name].concat(),
        })
    }

    fn push(&mut self, part: Part, bytes: u64) -> Result<(), Stop> {
        if !self.batch.is_empty() && self.bytes + bytes > BATCH {
            self.hand_over()?;
        }
        self.batch.push(part);
        // A header counts too, so that many empty files make a batch.
        self.bytes += bytes + 3 * BLOCK as u64;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Stop> {
        self.bytes = 0;
        Ok(self.jobs.send(std::mem::take(&mut self.batch))?)
    }
}

/// The data of a file that has holes; small files have none that matter.
fn segments(file: &File, entry: &Entry, size: u64) -> Result<Option<Vec<Segment>>> {
    let fail = |errno: Errno| Error::Entry {
        operation: "find the holes of",
        path: entry.path.clone(),
        source: errno.into(),
    };
    let status = rustix::fs::fstat(file).map_err(fail)?;
    // Only a file that takes less than its size can have holes.
    if u64::try_from(status.st_blocks).is_ok_and(|blocks| blocks.saturating_mul(512) >= size) {
        return Ok(None);
    }
    holes::segments(file, size).map_err(fail)
}

impl Part {
    fn write(self, root: &Root, out: &mut Buffer) -> Result<()> {
        match self {
            Part::Bytes(bytes) => out.push(&bytes),
            Part::File { place, entry, name } => {
                let mut header = Vec::new();
                tar::encode(&Spelled { entry: &entry, name: &name, link: b"", segments: None }, &mut header)?;
                out.push(&header);
                let file = place.open(root, &entry.path)?;
                read(&file, &entry.path, 0, entry.kind.size(), entry.kind.size(), true, out)?;
            }
            Part::Piece { file, path, offset, length, size, last } => {
                read(&file, &path, offset, length, size, last, out)?;
            }
        }
        Ok(())
    }
}

/// Reads `length` bytes at `offset` of a file of `size` bytes; after the `last` of them come zeros up to a whole block.
fn read(
    file: &File,
    path: &EntryPath,
    offset: u64,
    length: u64,
    size: u64,
    last: bool,
    out: &mut Buffer,
) -> Result<()> {
    let fail = |errno: Errno| Error::Contents { path: path.clone(), source: errno.into() };
    // Batches bound the length. One byte more, so that the end of the file is seen in the same call.
    let length = length as usize;
    let ends = offset + length as u64 == size;
    let room = out.room(length + usize::from(ends));
    let mut filled = 0;
    loop {
        match rustix::io::pread(file, &mut room[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
        // A file gives less than is asked only at its end.
        if filled >= length {
            break;
        }
    }
    if filled != length {
        return Err(Error::SizeMismatch {
            path: path.clone(),
            expected: size,
            found: offset + filled as u64,
        });
    }
    out.advance(length);
    if last {
        out.pad();
    }
    Ok(())
}
