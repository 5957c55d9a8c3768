//! Small disks that a test fills.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use testkit::{run, tool};

/// What a disk is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In memory: every page is counted, folders and names cost nothing.
    Memory,
    /// ext4 in a file: folders and extended attributes need blocks as well.
    Ext4,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Ext4];

    /// What one step of free space is: what these file systems hand out.
    pub(crate) const STEP: u64 = 4096;
}

/// A disk of a few MiB, gone with the value.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    pub(crate) fn new(kind: Kind, mebibytes: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-disk").tempdir().expect("a folder");
        let target = folder.path().join("disk");
        fs::create_dir(&target).expect("a mount point");
        let mut mount = Command::new(tool("mount"));
        match kind {
            Kind::Memory => {
                let size = format!("size={mebibytes}m,mode=0755");
                mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&target);
            }
            Kind::Ext4 => {
                let image = folder.path().join("image");
                let file = File::create(&image).expect("an image");
                file.set_len(mebibytes << 20).expect("its size");
                // Nothing kept back for root; the journal would be most of so small a disk.
                let options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-b", "4096"];
                run(Command::new(tool("mkfs.ext4")).args(options).arg(&image));
                mount.args(["-o", "loop"]).arg(&image).arg(&target);
            }
        }
        run(&mut mount);
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Takes all space but about `free` bytes.
    pub(crate) fn fill_but(&self, free: u64) {
        self.release();
        let path = self.filler();
        let file = File::create(&path).expect("a file that fills the disk");
        let space = statvfs(self.folder.path().join("disk")).expect("the free space");
        let mut length = (space.f_bavail * space.f_frsize).saturating_sub(free) / Kind::STEP * Kind::STEP;
        // The file's own records may need a little.
        while length > 0 && !allocate(&file, length) {
            length -= Kind::STEP;
        }
        while free == 0 && allocate(&file, length + Kind::STEP) {
            length += Kind::STEP;
        }
    }

    /// Gives the space back.
    pub(crate) fn release(&self) {
        match fs::remove_file(self.filler()) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot free the disk: {error}"),
            _ => {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder below it can go only after it; what a failed test left there may hold it for a moment.
        let _ = testkit::output(Command::new(tool("umount")).arg("--lazy").arg(self.path()));
    }
}

/// Whether a message speaks of a full disk, and of something beneath `folder` unless that is `named` otherwise.
pub(crate) fn speaks_of_full(message: &str, folder: &Path, named: bool) -> bool {
    let lower = message.to_lowercase();
    lower.contains("no space left") && (named || message.contains(&folder.display().to_string()))
}

/// Whether so much of a file can be backed by space.
fn allocate(file: &File, length: u64) -> bool {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => true,
        Err(Errno::NOSPC) => false,
        Err(error) => panic!("cannot fill a disk: {error}"),
    }
}
