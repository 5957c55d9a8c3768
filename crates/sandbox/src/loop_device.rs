//! Loop devices: block devices that are files (loop(4)).
#![expect(unsafe_code, reason = "ioctls take pointers")]

use std::ffi::{c_int, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

/// Requests of `<linux/loop.h>`.
const GET_FREE: u32 = 0x4C82;
const CONFIGURE: u32 = 0x4C0A;
const GET_STATUS: u32 = 0x4C05;

/// The device lets go of its file when the last user closes it.
const AUTOCLEAR: u32 = 4;

/// The block device number of all loop devices.
const MAJOR: u32 = 7;

/// How often another device is tried when somebody was faster.
const ATTEMPTS: usize = 100;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    device_of_special: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    file_name: [u8; 64],
    encryption_name: [u8; 64],
    encryption_key: [u8; 32],
    init: [u64; 2],
}

impl Info {
    const EMPTY: Self = Self {
        device: 0,
        inode: 0,
        device_of_special: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encryption: [0; 2],
        flags: 0,
        file_name: [0; 64],
        encryption_name: [0; 64],
        encryption_key: [0; 32],
        init: [0; 2],
    };
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A loop device that is open, and so stays bound to its file.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    pub(crate) path: PathBuf,
    /// The number of the block device, as stat(2) gives it for a file on it.
    pub(crate) number: u64,
    file: File,
}

impl LoopDevice {
    fn open(number: u32) -> io::Result<Self> {
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = rustix::fs::makedev(MAJOR, number);
        let open = || OpenOptions::new().read(true).write(true).open(&path);
        let file = match open() {
            // In a container nobody makes the nodes of new devices.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match rustix::fs::mknodat(
                    CWD,
                    &path,
                    FileType::BlockDevice,
                    Mode::from_raw_mode(0o600),
                    device,
                ) {
                    Ok(()) | Err(Errno::EXIST) => open()?,
                    Err(errno) => return Err(errno.into()),
                }
            }
            other => other?,
        };
        Ok(Self { path, number: device, file })
    }

    /// The device that is bound to this file already, by whatever path.
    pub(crate) fn of(image: &File) -> io::Result<Option<Self>> {
        let wanted = image.metadata()?;
        for entry in std::fs::read_dir("/sys/block")? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("loop")?.parse().ok());
            let Some(number) = number else { continue };
            // Looked at before the device is opened, since most are unused and opening one takes time.
            if !Path::new("/sys/block").join(&name).join("loop").exists() {
                continue;
            }
            let Ok(device) = Self::open(number) else { continue };
            let mut info = Info::EMPTY;
            let status = device.request(GET_STATUS, (&raw mut info).cast());
            if status.is_ok() && (info.device, info.inode) == (wanted.dev(), wanted.ino()) {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    /// Binds a free device to a file that is open for reading and writing.
    pub(crate) fn bind(image: &File, name: &Path) -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        let mut info = Info { flags: AUTOCLEAR, ..Info::EMPTY };
        // Only for lists of devices; the last byte stays zero.
        info.file_name[..63].iter_mut().zip(name.as_os_str().as_bytes()).for_each(|(to, from)| *to = *from);
        let file = u32::try_from(image.as_raw_fd()).map_err(io::Error::other)?;
        let mut config = Config { file, block_size: 0, info, reserved: [0; 8] };
        for _ in 0..ATTEMPTS {
            // SAFETY: the descriptor is open, and this request has no argument.
            let free = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as _) };
            let free = u32::try_from(free).map_err(|_| io::Error::last_os_error())?;
            let device = Self::open(free)?;
            match device.request(CONFIGURE, (&raw mut config).cast()) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                other => return other.map(|()| device),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// `argument` points to what the request takes.
    fn request(&self, request: u32, argument: *mut c_void) -> io::Result<()> {
        // SAFETY: both callers pass a live value of the structure that their request reads or writes.
        let done: c_int = unsafe { libc::ioctl(self.file.as_raw_fd(), request as _, argument) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
