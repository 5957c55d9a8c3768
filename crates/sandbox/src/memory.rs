//! Folders in memory.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::{Error, IdMap};

/// A folder whose contents are in memory (a tmpfs), seen by this process and what it starts, and by nobody else.
///
/// It ends with this value, and also when the process dies in any way: then its mount namespace goes, and the contents
/// with it.
#[derive(Debug)]
pub struct MemoryFolder {
    path: PathBuf,
}

impl MemoryFolder {
    /// Mounts an empty folder of at most `size` bytes at `path`, an existing directory. `ids` is proof that the process is
    /// in a mount namespace of its own.
    ///
    /// # Errors
    /// [`Error::System`] when the kernel refuses.
    pub fn mount(path: &Path, size: u64, _ids: &IdMap) -> Result<Self, Error> {
        let doing = || format!("mount a folder in memory at {}", path.display());
        let options = CString::new(format!("mode=0755,size={size}")).unwrap_or_default();
        let target = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::system(doing())(rustix::io::Errno::INVAL))?;
        rustix::mount::mount(c"tmpfs", target, c"tmpfs", MountFlags::NODEV, options.as_c_str())
            .map_err(Error::system(doing()))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        // At the latest it goes with the process.
        let _ = rustix::mount::unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// How many bytes of memory programs could still take without anything being swapped out (`MemAvailable` of
/// /proc/meminfo); none when the kernel does not say.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    parse_available(&text)
}

fn parse_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_available_memory_is_read_in_bytes() {
        assert_eq!(parse_available("MemTotal: 5 kB\nMemAvailable:   123 kB\n"), Some(123 * 1024));
        assert_eq!(parse_available("MemTotal: 5 kB\n"), None);
        assert_eq!(parse_available("MemAvailable: lots\n"), None);
        assert!(available_memory().is_some());
    }
}
