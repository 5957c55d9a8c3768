//! A directory into a tar, in one pass.

use std::io::Write;

use crate::{Entry, EntryPath, Error, Kind, Metadata, Result, Root, tar};

/// What becomes of an entry in [`pack()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It is written, with its metadata as the closure left them.
    Keep,
    /// It is left out, a directory with everything beneath it. Of a file with several names only this one goes.
    Drop,
    /// It is written as a file with these contents.
    Replace(Vec<u8>),
}

/// What [`pack()`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Entries.
    pub entries: u64,
    /// Bytes of contents of files.
    pub contents: u64,
}

/// Writes all entries of `root` in path order, root included, as `choose` decides about each.
///
/// `choose` sees every entry in its order, may change the metadata, and says whether it is kept. The error type is the
/// caller's, so that `choose` may fail in its own way. The writer is left open for further entries.
///
/// # Errors
/// What `choose` returns; every error of [`Root::scan`] and [`tar::Writer::append`], also [`Error::SizeMismatch`] when a
/// file grows or shrinks meanwhile.
pub fn pack<W: Write, E: From<Error>>(
    root: &Root,
    writer: &mut tar::Writer<W>,
    mut choose: impl FnMut(&EntryPath, &Kind, &mut Metadata) -> Result<Choice, E>,
) -> Result<Packed, E> {
    let mut packed = Packed::default();
    let mut scan = root.scan();
    while let Some(entry) = scan.next() {
        let mut entry = entry?;
        match choose(&entry.path, &entry.kind, &mut entry.metadata)? {
            Choice::Drop => {
                scan.leave_out();
                continue;
            }
            Choice::Keep if matches!(entry.kind, Kind::File { size: 1.. }) => {
                writer.append(&entry, &mut scan.open()?)?;
            }
            Choice::Keep => writer.append(&entry, &mut std::io::empty())?,
            Choice::Replace(contents) => {
                // Further names of the file that was here keep its contents, and links are told by inode.
                scan.leave_out();
                entry = Entry { kind: Kind::File { size: contents.len() as u64 }, ..entry };
                writer.append(&entry, &mut &contents[..])?;
            }
        }
        packed.entries += 1;
        packed.contents += entry.kind.size();
    }
    Ok(packed)
}
