//! What a layer takes, counted from the file system.

use std::collections::HashSet;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::{Engine, Error, Layer, Result};

/// The unit of `st_blocks`, in bytes.
const BLOCK: u64 = 512;

/// How much of what there is. Of several names of a file the contents count once, every name is an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Names, without that of the layer's own folder.
    pub entries: u64,
    /// Length of all contents, in bytes.
    pub bytes: u64,
    /// Space that is taken on the file system, in bytes.
    pub disk_bytes: u64,
    /// Marks that hide something below; they are among the entries.
    pub whiteouts: u64,
}

impl Engine {
    /// Counts what a layer holds. For an ordinary user to be called after [`Engine::enter`].
    ///
    /// # Errors
    /// When something in the layer cannot be read.
    pub fn disk_use(&self, layer: &Layer) -> Result<DiskUse> {
        let fail = Error::io::<Errno>("count what is in", &layer.path);
        if layer.archived {
            let status = rustix::fs::stat(&layer.path).map_err(fail)?;
            return Ok(DiskUse { entries: 1, ..size(&status) });
        }
        let folder = File::open(&layer.path).map_err(Error::io("open", &layer.path))?;
        let mut counted = DiskUse::default();
        let status = rustix::fs::fstat(&folder).map_err(Error::io("look at", &layer.path))?;
        counted.add(size(&status));
        count(folder.into(), &mut counted, &mut HashSet::new()).map_err(fail)?;
        Ok(counted)
    }
}

impl DiskUse {
    /// Adds another count to this one.
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.disk_bytes += other.disk_bytes;
        self.whiteouts += other.whiteouts;
    }
}

fn size(status: &Stat) -> DiskUse {
    let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    let length = |number: i64| u64::try_from(number).unwrap_or(0);
    DiskUse {
        bytes: if regular { length(status.st_size) } else { 0 },
        disk_bytes: length(status.st_blocks) * BLOCK,
        ..DiskUse::default()
    }
}

/// Counts beneath an open folder. A layer may be in use: what vanishes meanwhile is not counted.
fn count(folder: OwnedFd, counted: &mut DiskUse, linked: &mut HashSet<(u64, u64)>) -> Result<(), Errno> {
    // A list instead of a call for each folder: a layer can be deeper than a stack.
    let mut open = vec![(folder, Vec::new())];
    let (start, names) = &mut open[0];
    *names = list(start)?;
    while let Some((folder, names)) = open.last_mut() {
        let Some(name) = names.pop() else {
            open.pop();
            continue;
        };
        let status = match rustix::fs::statat(&*folder, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        counted.entries += 1;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::CharacterDevice && status.st_rdev == 0 {
            counted.whiteouts += 1;
        }
        if kind == FileType::Directory || status.st_nlink < 2 || linked.insert((status.st_dev, status.st_ino))
        {
            counted.add(size(&status));
        }
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&*folder, &name[..], flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                inner => {
                    let inner = inner?;
                    let names = list(&inner)?;
                    open.push((inner, names));
                }
            }
        }
    }
    Ok(())
}

fn list(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_count_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir(path.join("sub")).unwrap();
        std::fs::write(path.join("sub/a"), vec![1; 10_000]).unwrap();
        std::fs::hard_link(path.join("sub/a"), path.join("b")).unwrap();
        File::create(path.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("link")).unwrap();
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, path.join("gone"), kind, Mode::empty(), 0).unwrap();
        let mut counted = DiskUse::default();
        count(File::open(path).unwrap().into(), &mut counted, &mut HashSet::new()).unwrap();
        assert_eq!((counted.entries, counted.whiteouts), (6, 1));
        assert_eq!(counted.bytes, 10_000 + (1 << 30));
        assert!((10_000..1 << 20).contains(&counted.disk_bytes), "{}", counted.disk_bytes);
    }
}
