//! What is mounted, and its end: the kernel's table of this mount namespace, unmounting, and the names of this boot
//! and namespace, by which records of mounts are told from those of others.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::Error;

/// One overlay of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is mounted.
    pub target: PathBuf,
    /// The file system's type: `overlay`.
    pub kind: String,
    /// The source it was given.
    pub source: String,
    /// The directories below, top first.
    pub lowers: Vec<PathBuf>,
    /// The directory that takes the writes; none in a read-only overlay.
    pub upper: Option<PathBuf>,
    /// The upper's work folder.
    pub work: Option<PathBuf>,
    /// Whether marks are kept as `user.overlay.*`, not `trusted.overlay.*`.
    pub user_xattrs: bool,
    /// The mount's number, unique as long as it is mounted.
    pub id: u64,
}

/// The overlays mounted beneath `folder` in this thread's mount namespace, in the order of the mount table: where several are
/// mounted at one place, the last one is seen.
///
/// The paths of their directories are those given at the time of mounting.
///
/// # Errors
/// When the table or the folder cannot be read. A folder that does not exist has nothing beneath it.
pub fn overlays_beneath(folder: &Path) -> Result<Vec<Mounted>, Error> {
    let folder = match fs::canonicalize(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::system(format!("find {}", folder.display())))?,
    };
    const TABLE: &str = "/proc/thread-self/mountinfo";
    let mut table = Vec::with_capacity(1 << 16);
    File::open(TABLE)
        .and_then(|mut file| file.read_to_end(&mut table))
        .map_err(Error::system(format!("read {TABLE}")))?;
    Ok(parse(&table, &folder))
}

/// Reads a table as in proc_pid_mountinfo(5). Lines that are not of its form are left out.
fn parse(table: &[u8], folder: &Path) -> Vec<Mounted> {
    table.split(|byte| *byte == b'\n').filter_map(|line| parse_line(line, folder)).collect()
}

/// `ID PARENT DEVICE ROOT TARGET OPTIONS [TAG…] - KIND SOURCE OPTIONS`.
fn parse_line(line: &[u8], folder: &Path) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.next()?;
    let target = unescape(fields.nth(3)?);
    let target = Path::new(std::ffi::OsStr::from_bytes(&target));
    // Most mounts are elsewhere, and this is all that is looked at.
    if target == folder || !target.starts_with(folder) {
        return None;
    }
    fields.find(|field| *field == b"-")?;
    let kind = fields.next().filter(|kind| *kind == b"overlay")?;
    let source = fields.next()?;
    let mut mounted = Mounted {
        target: target.to_owned(),
        kind: text(kind),
        source: text(&unescape(source)),
        lowers: Vec::new(),
        upper: None,
        work: None,
        user_xattrs: false,
        id: std::str::from_utf8(id).ok()?.parse().ok()?,
    };
    mounted.read_options(fields.next()?);
    Some(mounted)
}

impl Mounted {
    /// Commas in values are escaped by the kernel, so each comma separates.
    fn read_options(&mut self, options: &[u8]) {
        let mut in_one = false;
        for option in options.split(|byte| *byte == b',') {
            let (key, value) = split_once(option, b'=');
            let value = unescape(value);
            match key {
                // `datadir+` and what follows `::` hold file contents only, but are no less in use.
                b"lowerdir+" | b"datadir+" => self.lowers.push(path(value.into_owned())),
                b"lowerdir" => {
                    in_one = true;
                    self.lowers = split_lowers(&value);
                }
                b"upperdir" => self.upper = Some(path(value.into_owned())),
                b"workdir" => self.work = Some(path(value.into_owned())),
                b"userxattr" => self.user_xattrs = true,
                _ => {}
            }
        }
        // The old form shows every path as it was written. Whoever uses the new one gives those with a backslash by
        // descriptor, as we do, and then the table has the plain path.
        if in_one {
            for shown in [&mut self.upper, &mut self.work].into_iter().flatten() {
                *shown = path(unquote(shown.as_os_str().as_bytes()));
            }
        }
    }
}

/// `A:B:C`, in which `\:` and `\\` stand for what follows the backslash.
fn split_lowers(value: &[u8]) -> Vec<PathBuf> {
    let mut escaped = false;
    let parts = value.split(|byte| {
        let separates = *byte == b':' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        separates
    });
    parts.filter(|part| !part.is_empty()).map(|part| path(unquote(part))).collect()
}

/// Takes away the backslashes before other bytes.
fn unquote(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.iter();
    let mut plain = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    plain
}

/// Undoes the table's own escapes, a backslash and three octal digits.
fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let code = after.first_chunk::<3>().filter(|_| *byte == b'\\').and_then(octal);
        if code.is_some() {
            rest = after.get(3..).unwrap_or_default();
        }
        plain.push(code.unwrap_or(*byte));
    }
    Cow::Owned(plain)
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(digit - b'0'),
        _ => None,
    })
}

fn split_once(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == separator).unwrap_or(bytes.len());
    (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Unmounts the topmost mount at `target`; a link there is not followed.
///
/// With `lazy` it goes from the mount table at once and ends when its last user does; until then its upper stays in
/// use (see [`crate::overlay::upper_in_use`]).
///
/// # Errors
/// [`Error::Busy`] when it is in use and `lazy` is not given, [`Error::NotMounted`] when nothing is mounted there.
pub fn unmount(target: &Path, lazy: bool) -> Result<(), Error> {
    let flags = UnmountFlags::NOFOLLOW;
    let flags = if lazy { flags | UnmountFlags::DETACH } else { flags };
    rustix::mount::unmount(target, flags).map_err(|errno| match errno {
        Errno::BUSY => Error::Busy { target: target.to_owned() },
        Errno::INVAL | Errno::NOENT => Error::NotMounted { target: target.to_owned() },
        errno => Error::system(format!("unmount {}", target.display()))(errno),
    })
}

/// A mount namespace, by a number that no other one has at the same time on this machine since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(u64);

impl Namespace {
    /// The namespace of this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The mount namespace that this thread is in.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn mount_namespace() -> Result<Namespace, Error> {
    const LINK: &str = "/proc/thread-self/ns/mnt";
    let metadata = fs::metadata(LINK).map_err(Error::system(format!("read {LINK}")))?;
    Ok(Namespace(metadata.ino()))
}

/// The name that the kernel gave to the time since the machine was started, a random UUID.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn boot_id() -> Result<String, Error> {
    const FILE: &str = "/proc/sys/kernel/random/boot_id";
    let id = fs::read_to_string(FILE).map_err(Error::system(format!("read {FILE}")))?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only overlay of a table beneath `/s`.
    fn only(line: &str) -> Mounted {
        let mut found = parse(line.as_bytes(), Path::new("/s"));
        assert_eq!(found.len(), 1, "{line}");
        found.remove(0)
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_the_kernel_shows_is_read() {
        // As Linux 6.18 shows it, with paths given as strings and, where a backslash is in them, by descriptor.
        let mounted = only(
            "47 43 0:41 / /s/my\\040point rw,relatime shared:7 master:1 - overlay over\\040lay \
             rw,lowerdir+=/s/a:b\\134\\054c\\040x,lowerdir+=/s/l=2,upperdir=/s/U\\0541,workdir=/s/W\\134\\134x,\
             redirect_dir=nofollow,uuid=null,userxattr\n",
        );
        let expected = Mounted {
            target: "/s/my point".into(),
            kind: "overlay".to_owned(),
            source: "over lay".to_owned(),
            lowers: paths(&["/s/a:b\\,c x", "/s/l=2"]),
            upper: Some("/s/U,1".into()),
            work: Some("/s/W\\\\x".into()),
            user_xattrs: true,
            id: 47,
        };
        assert_eq!(mounted, expected);
    }

    #[test]
    fn the_old_form_is_read() {
        let mounted = only(
            "48 27 0:41 / /s/m rw - overlay o rw,lowerdir=/s/a\\134:b:/s/c\\134\\054d:/s/e\\134\\134f::/s/data,\
             upperdir=/s/u\\134\\134x,workdir=/s/w",
        );
        assert_eq!(mounted.lowers, paths(&["/s/a:b", "/s/c,d", "/s/e\\f", "/s/data"]));
        assert_eq!(mounted.upper, Some("/s/u\\x".into()));
        assert!(!mounted.user_xattrs);
    }

    #[test]
    fn only_overlays_beneath_the_folder_are_listed() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
            2 1 0:1 / /s rw - overlay o rw,lowerdir=/a:/b\n\
            3 2 0:2 / /s/t rw - tmpfs overlay rw\n\
            4 2 0:3 / /s/x rw - overlay o rw,lowerdir=/a:/b\n\
            5 1 0:4 / /sx rw - overlay o rw,lowerdir=/a:/b\n\
            6 4 0:5 / /s/x rw - overlay - rw,lowerdir=/c:/d\n";
        let found = parse(table.as_bytes(), Path::new("/s"));
        assert_eq!(found.iter().map(|mounted| mounted.id).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(found[1].lowers, paths(&["/c", "/d"]));
    }

    #[test]
    fn broken_lines_are_left_out() {
        let good = "4 2 0:3 / /s/x rw - overlay o rw,lowerdir=/a";
        for length in 0..good.len() {
            // Cut within the options it is a valid line.
            if length < good.find(" rw,").expect("in the line") + 1 {
                assert_eq!(parse(&good.as_bytes()[..length], Path::new("/s")), [], "{}", &good[..length]);
            }
        }
        for bad in ["x 2 0:3 / /s/x rw - overlay o rw", "4 2 0:3 / /s/x rw overlay o rw", "\\", "\0", "-"] {
            assert_eq!(parse(bad.as_bytes(), Path::new("/s")), [], "{bad}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        let tests = [
            ("plain", "plain"),
            ("a\\040b\\011c\\012d\\134e\\043", "a b\tc\nd\\e#"),
            ("\\08", "\\08"),
            ("\\9999", "\\9999"),
            ("\\777", "\\777"),
            ("end\\", "end\\"),
            ("\\04", "\\04"),
        ];
        for (escaped, plain) in tests {
            assert_eq!(unescape(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }
}
