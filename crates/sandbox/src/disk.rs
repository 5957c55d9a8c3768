//! A file that is a disk: an ext4 file system in a sparse file, for stores on file systems that overlayfs cannot write to.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};

use crate::loop_device::LoopDevice;
use crate::{Error, enter, raw};

/// Makes an ext4 file system of `size` bytes in a new file, which grows as it is filled. It appears when it is whole.
///
/// # Errors
/// When `image` exists, `mkfs.ext4` is not installed or fails, or the disk is full.
pub fn create(image: &Path, size: u64) -> Result<(), Error> {
    let doing = || format!("create the disk image {}", image.display());
    if fs::symlink_metadata(image).is_ok() {
        return Err(Error::system(doing())(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    let program = make_program()?;
    let draft = Draft::create(image).map_err(Error::system(doing()))?;
    draft.file.set_len(size).map_err(Error::system(doing()))?;
    // Layers are of small files, so there are twice as many inodes as usual; root needs no blocks of its own.
    let mut make = Command::new(program);
    make.args(["-q", "-F", "-m", "0", "-i", "8192", "-E", "lazy_itable_init=1,nodiscard"]).arg(&draft.path);
    let output = make.stdin(Stdio::null()).output().map_err(Error::system(doing()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let message = if said.is_empty() { output.status.to_string() } else { said };
        return Err(Error::Program { doing: doing(), program: MAKE, message });
    }
    draft.finish(image).map_err(Error::system(doing()))
}

const MAKE: &str = "mkfs.ext4";

fn make_program() -> Result<PathBuf, Error> {
    let administrators = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(MAKE));
    enter::find_program(MAKE)
        .or_else(|| administrators.into_iter().find(|path| path.is_file()))
        .ok_or(Error::ProgramMissing { program: MAKE, package: "e2fsprogs" })
}

/// A file under a name of its own, removed unless it is finished.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn create(image: &Path) -> io::Result<Self> {
        let mut name = image.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let path = image.with_file_name(name);
        // Where an earlier process of this number died.
        let _ = fs::remove_file(&path);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    fn finish(self, image: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &self.path, CWD, image, RenameFlags::NOREPLACE) {
            // Some network file systems do not know how not to replace.
            Err(Errno::INVAL) => fs::rename(&self.path, image)?,
            other => other?,
        }
        let folder = image.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename nothing is there any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Mounts the file system in `image` at `target`, a directory; does nothing if it is mounted there.
///
/// The loop device goes with the last mount of it. Where the image is mounted elsewhere already, be it in another
/// container, the same device is used, since two devices for one file would destroy what is in it.
///
/// # Errors
/// When there is no loop device to be had, or the image holds no ext4 file system.
pub fn mount(image: &Path, target: &Path) -> Result<(), Error> {
    let doing = || format!("mount the disk image {} at {}", image.display(), target.display());
    // A descriptor of its own: what the device is bound to stays open, and would stay locked.
    let lock = File::open(image).map_err(Error::system(doing()))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(Error::system(doing()))?;
    let device = device(image).map_err(|source| Error::Mount {
        doing: doing(),
        remedy: match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                "it takes loop devices: run as root, `modprobe loop`, and start a container with `--privileged`"
            }
            _ => "free a loop device: `losetup --list` shows who has them",
        }
        .to_owned(),
        source,
    })?;
    let at = fs::metadata(target).map_err(Error::system(doing()))?;
    if at.dev() == device.number {
        return Ok(());
    }
    attach(&device, target).map_err(|errno| Error::Mount {
        doing: doing(),
        remedy: format!("check that it holds an ext4 file system: `e2fsck -f {}`", image.display()),
        source: errno.into(),
    })
}

fn device(image: &Path) -> io::Result<LoopDevice> {
    let file = File::options().read(true).write(true).open(image)?;
    match LoopDevice::of(&file)? {
        Some(device) => Ok(device),
        None => LoopDevice::bind(&file, image),
    }
}

fn attach(device: &LoopDevice, target: &Path) -> Result<(), Errno> {
    let context = rustix::mount::fsopen(c"ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, c"source", &device.path)?;
    rustix::mount::fsconfig_create(&context)?;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    rustix::mount::move_mount(&mount, c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    raw::set_mount_attributes(&mount, MountAttrFlags::empty())
}
