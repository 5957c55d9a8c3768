//! What extension headers say about the member after them.

use std::collections::BTreeMap;

use super::sparse::SparseRecords;
use super::{Problem, header, pax};

/// The prefix of PAX keys that hold extended attributes as raw bytes (star's, also GNU tar's, bsdtar's and Go's).
/// `LIBARCHIVE.xattr.`, which bsdtar writes beside it, says the same again in base 64 and is ignored.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// The prefix of PAX keys about sparse files.
const SPARSE: &[u8] = b"GNU.sparse.";

/// Values from PAX headers and GNU long names; `None` where the member's own header has the word.
#[derive(Debug, Clone, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) user_name: Option<Vec<u8>>,
    pub(super) group_name: Option<Vec<u8>>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: Option<SparseRecords>,
    length: u64,
}

impl Extensions {
    /// How many bytes of extension headers made this.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds the records of an `x` header.
    pub(super) fn add_pax(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.length += bytes.len() as u64;
        for record in pax::records(bytes) {
            let (key, value) = record?;
            self.set(key, value)?;
        }
        Ok(())
    }

    /// Adds the records of a `g` header. One path, link or size for all members that follow can only be a mistake or a
    /// trick on readers that disagree about it.
    pub(super) fn add_global(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        for record in pax::records(bytes) {
            let (key, _) = record?;
            if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(SPARSE) {
                return Err(Problem::PaxRecord([b"global ", key].concat()));
            }
        }
        self.add_pax(bytes)
    }

    /// The contents of a GNU `L` header; a PAX path wins over it.
    pub(super) fn set_gnu_path(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.path.get_or_insert_with(|| header::text(bytes).to_vec());
    }

    /// The contents of a GNU `K` header; a PAX link path wins over it.
    pub(super) fn set_gnu_link(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.link.get_or_insert_with(|| header::text(bytes).to_vec());
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        if let Some(name) = key.strip_prefix(XATTR) {
            if name.is_empty() || name.contains(&0) {
                return Err(Problem::PaxRecord(key.to_vec()));
            }
            self.xattrs.insert(pax::unescape(name), value.to_vec());
            return Ok(());
        }
        // An empty value takes back what was said before (POSIX).
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"uname" => self.user_name = text(),
            b"gname" => self.group_name = text(),
            b"size" => self.size = number(value, "size", pax::decimal)?,
            b"uid" => self.uid = number(value, "uid", pax::decimal)?,
            b"gid" => self.gid = number(value, "gid", pax::decimal)?,
            b"mtime" => self.mtime = number(value, "mtime", pax::time)?,
            _ if key.starts_with(SPARSE) => {
                self.sparse.get_or_insert_default().set(&key[SPARSE.len()..], value)?;
            }
            // Access and change times, comments, checksums of other programs: nothing of a tree.
            _ => {}
        }
        Ok(())
    }
}

fn number<T>(value: &[u8], field: &'static str, parse: fn(&[u8]) -> Option<T>) -> Result<Option<T>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    match parse(value) {
        Some(number) => Ok(Some(number)),
        None => Err(Problem::Number { field, value: value.iter().copied().take(64).collect() }),
    }
}
