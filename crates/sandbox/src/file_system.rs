//! What the file system of a folder is, and which attributes of a layer it can keep: told by trying each.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, StatVfsMountFlags, XattrFlags};

use crate::Error;
use crate::overlay::{Overlay, Upper, Xattrs};

/// The file system that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its usual name, such as `ext4` (which stands for ext2 and ext3 too), `overlay` or `nfs`; `unknown` if it is not one
    /// of those that stores are likely to be on.
    pub kind: &'static str,
    /// Whether it is, or may well be, on another machine.
    pub network: bool,
    /// Whether it cannot be written to by this mount.
    pub read_only: bool,
}

/// Numbers of file systems as statfs(2) gives them, with names, and whether they are on another machine.
const KINDS: [(u64, &str, bool); 21] = [
    (0xEF53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683E, "btrfs", false),
    (0xF2F5_2010, "f2fs", false),
    (0x2FC1_2FC1, "zfs", false),
    (0xCA45_1A4E, "bcachefs", false),
    (0x0102_1994, "tmpfs", false),
    (0x8584_58F6, "ramfs", false),
    (0x794C_7630, "overlay", false),
    (0x7371_7368, "squashfs", false),
    (0xE0F5_E1E2, "erofs", false),
    (0x4D44, "vfat", false),
    (0x2011_BAB0, "exfat", false),
    (0x6969, "nfs", true),
    (0xFF53_4D42, "cifs", true),
    (0xFE53_4D42, "smb3", true),
    (0x00C3_6400, "ceph", true),
    (0x0BD0_0BD0, "lustre", true),
    (0x0102_1997, "9p", true),
    (0x786F_4256, "vboxsf", true),
    // Anything at all, and folders shared with virtual machines.
    (0x6573_5546, "fuse", true),
];

/// The file system that `path` is on.
///
/// # Errors
/// When the path cannot be looked at.
pub fn file_system(path: &Path) -> Result<FileSystem, Error> {
    let failed = || Error::system(format!("find the file system of {}", path.display()));
    let magic = rustix::fs::statfs(path).map_err(failed())?.f_type;
    let status = rustix::fs::statvfs(path).map_err(failed())?;
    // Some machines have this number signed, in 32 bits or in 64.
    let magic = u64::from(magic as u32);
    let (_, kind, network) =
        KINDS.into_iter().find(|(number, ..)| *number == magic).unwrap_or((0, "unknown", false));
    Ok(FileSystem { kind, network, read_only: status.f_flag.contains(StatVfsMountFlags::RDONLY) })
}

/// What can be kept in a folder by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Attributes `user.*`, on files and directories.
    pub user_xattrs: bool,
    /// Attributes `trusted.*`, which take root of the machine.
    pub trusted_xattrs: bool,
    /// Attributes `security.capability`.
    pub capabilities: bool,
    /// Overlay's whiteouts: character devices 0:0.
    pub whiteouts: bool,
    /// Other device nodes.
    pub devices: bool,
    /// Owners other than this process, with set-user-id bits.
    pub owners: bool,
    /// The upper of an overlay with marks in `user.*`. It takes the right to mount.
    pub upper_user: bool,
    /// The upper of an overlay with marks in `trusted.*`. It takes root of the machine.
    pub upper_trusted: bool,
}

impl Abilities {
    /// Where an overlay on this folder would best keep its marks, if it can be written to at all: `user.*` where that
    /// is possible, since both root and an ordinary user can read and write it.
    #[must_use]
    pub fn xattrs(&self) -> Option<Xattrs> {
        match self {
            Self { upper_user: true, .. } => Some(Xattrs::User),
            Self { upper_trusted: true, .. } => Some(Xattrs::Trusted),
            _ => None,
        }
    }

    /// Whether everything of a layer that an overlay with such marks makes can be kept.
    #[must_use]
    pub fn keeps_layers(&self, xattrs: Xattrs) -> bool {
        let marks = match xattrs {
            Xattrs::User => self.user_xattrs,
            Xattrs::Trusted => self.trusted_xattrs,
        };
        marks && self.whiteouts && self.owners
    }
}

/// Tries everything, in a folder of its own inside `folder`, which is removed.
///
/// # Errors
/// When no folder can be made there: it does not exist or cannot be written to.
pub fn abilities(folder: &Path) -> Result<Abilities, Error> {
    let attempt = Attempt::new(folder)?;
    let user_xattrs = attempt.xattr("user.ovmlayer", b"y");
    let trusted_xattrs = attempt.xattr("trusted.ovmlayer", b"y");
    let whiteouts = attempt.device("whiteout", 0, 0);
    let upper = |xattrs| whiteouts && attempt.overlay(xattrs);
    Ok(Abilities {
        user_xattrs,
        trusted_xattrs,
        capabilities: attempt.capability(),
        whiteouts,
        // That of /dev/null.
        devices: attempt.device("device", 1, 3),
        owners: attempt.owner(),
        upper_user: user_xattrs && upper(Xattrs::User),
        upper_trusted: trusted_xattrs && upper(Xattrs::Trusted),
    })
}

/// A folder to try things in.
struct Attempt {
    folder: PathBuf,
}

impl Attempt {
    fn new(beside: &Path) -> Result<Self, Error> {
        let process = std::process::id();
        let mut number = 0_u64;
        loop {
            let folder = beside.join(format!(".probe-{process}-{number}"));
            match fs::create_dir(&folder) {
                // This may be the number of a process of another container, or of one that was killed.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                made => {
                    let doing = format!("create a folder in {}", beside.display());
                    return made.map(|()| Self { folder }).map_err(Error::system(doing));
                }
            }
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        File::create(&path).ok().map(|_| path)
    }

    fn directory(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir(&path).ok().map(|()| path)
    }

    /// Whether an attribute of a file and of a directory can be read after it was set.
    fn xattr(&self, name: &str, value: &[u8]) -> bool {
        let keeps = |path: &Path| {
            let mut found = vec![0; value.len() + 1];
            rustix::fs::setxattr(path, name, value, XattrFlags::empty()).is_ok()
                && rustix::fs::getxattr(path, name, &mut found[..]).is_ok_and(|length| length == value.len())
                && found.starts_with(value)
        };
        self.file(name).is_some_and(|path| keeps(&path)) && keeps(&self.folder)
    }

    /// Whether a file can have a capability: `cap_net_raw`, as ping(8) has it (`struct vfs_cap_data`, revision 2).
    fn capability(&self) -> bool {
        const NAME: &str = "security.capability";
        let mut value = [0_u8; 20];
        value[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
        // In a user namespace it is kept in another form and shown in this one.
        self.file("capability").is_some_and(|path| {
            rustix::fs::setxattr(&path, NAME, &value, XattrFlags::empty()).is_ok()
                && rustix::fs::getxattr(&path, NAME, &mut [0_u8; 64][..]).is_ok_and(|length| length >= 20)
        })
    }

    fn device(&self, name: &str, major: u32, minor: u32) -> bool {
        let path = self.folder.join(name);
        let number = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, number).is_ok()
            && fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.rdev() == number)
    }

    /// Whether a file can be given to user and group 1, and then be set-user-id.
    fn owner(&self) -> bool {
        const MODE: u32 = 0o4755;
        self.file("owner").is_some_and(|path| {
            chown(&path, Some(1), Some(1)).is_ok()
                && fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).is_ok()
                && fs::metadata(&path).is_ok_and(|m| (m.uid(), m.gid(), m.mode() & 0o7777) == (1, 1, MODE))
        })
    }

    fn overlay(&self, xattrs: Xattrs) -> bool {
        let directory = |name| self.directory(&format!("{name}-{xattrs:?}"));
        let (Some(lower), Some(upper), Some(work)) =
            (directory("lower"), directory("upper"), directory("work"))
        else {
            return false;
        };
        let upper = Some(Upper { upper, work });
        Overlay { source: "probe".to_owned(), xattrs, lowers: vec![lower], upper }.probe().is_ok()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // What is left of it is found by its name.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
