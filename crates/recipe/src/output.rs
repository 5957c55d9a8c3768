//! Writes artifacts: each appears under its final name in one rename, whole, or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cache::{Digest, Hasher};
use tree::codec::{Encoder, Format};
use tree::{Choice, Links, Metadata, Root, tar};

use crate::Error;
use crate::temporary::Temporary;

/// An artifact that is complete and waits for its final name.
#[derive(Debug)]
pub(crate) struct Pending {
    temporary: Temporary,
    /// Its size in bytes and its SHA-256; none for a directory that is no image.
    pub(crate) sum: Option<(u64, Digest)>,
}

impl Pending {
    /// A folder that is complete, with the bytes of the files in it and the digest that names it.
    pub(crate) fn folder(temporary: Temporary, size: u64, digest: Digest) -> Self {
        Self { temporary, sum: Some((size, digest)) }
    }

    /// Gives it its final name.
    pub(crate) fn publish(self) -> Result<PathBuf, Error> {
        self.temporary.publish()
    }
}

/// What a tree goes through on its way into an artifact.
pub(crate) struct Shape<'a> {
    /// No time is later than this, in seconds.
    pub(crate) epoch: i64,
    /// Whether a path is left out.
    pub(crate) leave_out: &'a dyn Fn(&tree::EntryPath) -> bool,
    /// How many threads compress.
    pub(crate) threads: usize,
    /// Set from outside to stop.
    pub(crate) interrupted: &'a AtomicBool,
}

/// Writes `root` as `path`; the file's name chooses the form.
pub(crate) fn write_tree(root: &Root, path: &Path, shape: &Shape<'_>) -> Result<Pending, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.contains(".tar") || name.ends_with(".tgz") {
        write_tar(root, path, Format::from_file_name(&name), shape)
    } else {
        write_directory(root, path, shape)
    }
}

fn write_tar(root: &Root, path: &Path, format: Format, shape: &Shape<'_>) -> Result<Pending, Error> {
    write_archive(path, format, shape.threads, shape.interrupted, |tar| pack(root, tar, shape))
}

/// A tar on its way into a file.
pub(crate) type Archive<'a> = tar::Writer<Encoder<Summing<'a, &'a File>>>;

/// Writes a tar as `path`, with what `fill` puts into it.
pub(crate) fn write_archive(
    path: &Path,
    format: Format,
    threads: usize,
    interrupted: &AtomicBool,
    fill: impl FnOnce(&mut Archive<'_>) -> Result<(), Error>,
) -> Result<Pending, Error> {
    let temporary = Temporary::file(path)?;
    let failed = Error::writing(temporary.path());
    let sink = Summing { inner: temporary.writer(), hasher: Hasher::new(), size: 0, interrupted };
    let encoder = Encoder::new(format, sink, threads).map_err(&failed)?;
    let mut tar = tar::Writer::new(encoder);
    fill(&mut tar)?;
    let encoder = tar.finish()?;
    let sink = encoder.finish().map_err(&failed)?;
    let sum = (sink.size, sink.hasher.finish());
    sink.inner.sync_all().map_err(&failed)?;
    Ok(Pending { temporary, sum: Some(sum) })
}

/// Writes a file of whatever `write` gives it.
pub(crate) fn write_file(
    path: &Path,
    interrupted: &AtomicBool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<Pending, Error> {
    let temporary = Temporary::file(path)?;
    let mut sink = Summing { inner: temporary.writer(), hasher: Hasher::new(), size: 0, interrupted };
    write(&mut sink)?;
    let (size, digest) = (sink.size, sink.hasher.finish());
    temporary.writer().sync_all().map_err(Error::io("write", temporary.path()))?;
    Ok(Pending { temporary, sum: Some((size, digest)) })
}

/// All entries of `root` that go into an artifact, in path order, with the times that they have there.
pub(crate) fn entries(root: &Root, shape: &Shape<'_>) -> Result<Vec<tree::Entry>, Error> {
    let mut entries = Vec::new();
    let mut scan = root.scan();
    while let Some(entry) = scan.next() {
        let mut entry = entry?;
        if shape.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if (shape.leave_out)(&entry.path) {
            scan.leave_out();
            continue;
        }
        entry.metadata.clamp_mtime(shape.epoch);
        entries.push(entry);
    }
    Ok(entries)
}

/// The bytes of all files in a folder.
pub(crate) fn folder_size(path: &Path) -> Result<u64, Error> {
    let mut size = 0;
    for entry in Root::open(path, Links::Refuse)?.scan() {
        size += entry?.kind.size();
    }
    Ok(size)
}

fn write_directory(root: &Root, path: &Path, shape: &Shape<'_>) -> Result<Pending, Error> {
    let temporary = Temporary::folder(path)?;
    let target = Root::open(temporary.path(), Links::Refuse)?;
    let mut directories = Vec::new();
    let mut scan = root.scan();
    while let Some(entry) = scan.next() {
        let entry = entry?;
        if shape.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if (shape.leave_out)(&entry.path) {
            scan.leave_out();
            continue;
        }
        let metadata = clamp(entry.metadata.clone(), shape.epoch);
        copy_entry(root, &target, &entry, &metadata)?;
        if matches!(entry.kind, tree::Kind::Directory) {
            directories.push((entry.path, metadata));
        }
    }
    for (path, metadata) in directories.iter().rev() {
        target.set_metadata(path, metadata)?;
    }
    target.sync()?;
    Ok(Pending { temporary, sum: None })
}

/// Copies one entry into a directory; directories get their metadata later.
fn copy_entry(root: &Root, target: &Root, entry: &tree::Entry, metadata: &Metadata) -> Result<(), Error> {
    match &entry.kind {
        tree::Kind::Directory => {
            target.make_dir(&entry.path, &Metadata::new(0o700, 0))?;
        }
        tree::Kind::File { .. } => {
            target.copy_file(&entry.path, metadata, &root.open_file(&entry.path)?)?;
        }
        tree::Kind::Symlink { target: to } => target.symlink(&entry.path, to, metadata)?,
        tree::Kind::HardLink { target: first } => target.hard_link(&entry.path, first)?,
        tree::Kind::Fifo => target.make_fifo(&entry.path, metadata)?,
        tree::Kind::CharDevice { .. } | tree::Kind::BlockDevice { .. } => {}
    }
    Ok(())
}

fn clamp(mut metadata: Metadata, epoch: i64) -> Metadata {
    metadata.clamp_mtime(epoch);
    metadata
}

/// Counts and hashes what is written, and stops when asked to.
pub(crate) struct Summing<'a, W> {
    inner: W,
    hasher: Hasher,
    size: u64,
    interrupted: &'a AtomicBool,
}

impl<W: Write> Write for Summing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `text` to `path`, whole or not at all.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<Pending, Error> {
    let temporary = Temporary::file(path)?;
    let mut file = temporary.writer();
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(Error::io("write", temporary.path()))?;
    Ok(Pending { temporary, sum: Some((text.len() as u64, Digest::of(text.as_bytes()))) })
}

/// The text of the file at `path`, at most `max` bytes; none when there is no file.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut text = String::new();
    let size = file.take(max + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if size as u64 > max {
        let too_large = io::Error::new(io::ErrorKind::InvalidData, format!("more than {max} bytes"));
        return Err(Error::io("read", path)(too_large));
    }
    Ok(Some(text))
}

/// Writes every entry of `root`, with its times clamped.
fn pack<W: Write>(root: &Root, tar: &mut tar::Writer<W>, shape: &Shape<'_>) -> Result<(), Error> {
    tree::pack(root, tar, |path, _, metadata| {
        if shape.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        metadata.clamp_mtime(shape.epoch);
        Ok(if (shape.leave_out)(path) { Choice::Drop } else { Choice::Keep })
    })?;
    Ok(())
}
