//! Places for mounts that a root lacks: found, made, and removed again.
//!
//! Everything here happens outside of the sandbox, so every path is resolved by the kernel as if the root were `/`:
//! no link in a root leads out of it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::sandbox::{Mount, Sandbox, inside};
use crate::{Bind, Error};

/// An empty file or directory that exists in a root only as the place of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Where in the root: absolute, without links.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub directory: bool,
}

/// The kernel gives up after as many links as well.
const MOST_LINKS: usize = 40;

impl Sandbox {
    /// What is missing in the root for the mounts of this sandbox, parents first. Nothing is changed.
    ///
    /// What lies below another of its mounts is not among them: it is made there by the run itself, if
    /// [`Sandbox::create_targets`] is on.
    ///
    /// # Errors
    /// [`Error::System`] when the root cannot be read, [`Error::Plan`] for a target that cannot be one.
    pub fn missing_targets(&self) -> Result<Vec<Placeholder>, Error> {
        let root = Root::open(&self.root)?;
        let mut missing = Vec::new();
        let mut covered: Vec<PathBuf> = Vec::new();
        for (target, directory) in self.targets()? {
            inside(&target)?;
            if !covered.iter().any(|above| target.starts_with(above) && target != *above) {
                root.missing(&target, directory, &mut missing)?;
            }
            covered.push(target);
        }
        Ok(missing)
    }

    /// Where something is mounted, in order, and whether that is a directory.
    fn targets(&self) -> Result<Vec<(PathBuf, bool)>, Error> {
        let mut targets = vec![("/dev".into(), true), ("/proc".into(), true)];
        targets.extend(self.sys.map(|_| ("/sys".into(), true)));
        targets.extend(self.resolver_files().map(|path| (path.to_owned(), false)));
        for mount in &self.mounts {
            targets.push(match mount {
                Mount::Memory { target, .. } => (target.clone(), true),
                Mount::Bytes { target, .. } => (target.clone(), false),
                Mount::Bind(Bind { source, target, .. }) => (target.clone(), is_directory(source)?),
            });
        }
        Ok(targets)
    }
}

/// Whether a source of the machine is one; it must exist.
pub(crate) fn is_directory(source: &Path) -> Result<bool, Error> {
    let status = std::fs::metadata(source).map_err(Error::system(format!("read {}", source.display())))?;
    Ok(status.is_dir())
}

/// Makes placeholders in a root: directories of mode 0755, files of mode 0644. What exists already is left alone.
///
/// # Errors
/// [`Error::System`], with what was made so far left in place.
pub fn make_placeholders(root: &Path, placeholders: &[Placeholder]) -> Result<(), Error> {
    let root = Root::open(root)?;
    for placeholder in placeholders {
        let doing = || format!("make {} in {}", placeholder.path.display(), root.path.display());
        match root.make(placeholder) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::system(doing())(errno)),
        }
    }
    Ok(())
}

/// Removes those placeholders that are still empty, in the reverse order. Those that somebody has used stay, and so
/// do those that cannot be removed: they do no harm.
///
/// Must not be called while a sandbox with such a mount runs: the kernel would take its mount away.
///
/// # Errors
/// [`Error::System`] when the root cannot be opened.
pub fn remove_placeholders(root: &Path, placeholders: &[Placeholder]) -> Result<(), Error> {
    let root = Root::open(root)?;
    for placeholder in placeholders.iter().rev() {
        // See above.
        let _ = root.remove(placeholder);
    }
    Ok(())
}

struct Root<'a> {
    path: &'a Path,
    descriptor: OwnedFd,
}

impl<'a> Root<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())
            .map_err(Error::system(format!("open {}", path.display())))?;
        Ok(Self { path, descriptor })
    }

    fn find(&self, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            // The kernel asks to try again when something was renamed meanwhile.
            match rustix::fs::openat2(
                &self.descriptor,
                path,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            ) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Adds what is missing of `target` to what is known to be missing.
    fn missing(&self, target: &Path, directory: bool, missing: &mut Vec<Placeholder>) -> Result<(), Error> {
        let doing = || format!("look for {} in {}", target.display(), self.path.display());
        let mut wanted = target.to_owned();
        for _ in 0..MOST_LINKS {
            let (found, rest) = self.deepest(&wanted).map_err(Error::system(doing()))?;
            let Some(first) = rest.first() else { return Ok(()) };
            match rustix::fs::readlinkat(&found, *first, Vec::new()) {
                // A mount can lie on a link itself.
                Ok(_) if rest.len() == 1 => return Ok(()),
                Ok(link) => {
                    let link = PathBuf::from(OsStr::from_bytes(link.as_bytes()));
                    let above = self.name(found.as_fd()).map_err(Error::system(doing()))?;
                    wanted = normal(&above.join(link)).join(rest.iter().skip(1).collect::<PathBuf>());
                }
                Err(_) => {
                    let mut path = self.name(found.as_fd()).map_err(Error::system(doing()))?;
                    for (index, name) in rest.iter().enumerate() {
                        path.push(name);
                        let directory = directory || index + 1 < rest.len();
                        if !missing.iter().any(|known| known.path == path) {
                            missing.push(Placeholder { path: path.clone(), directory });
                        }
                    }
                    return Ok(());
                }
            }
        }
        Err(Error::system(doing())(Errno::LOOP))
    }

    /// The deepest directory above `path` that exists (or `path` itself), and the names that follow it.
    fn deepest<'p>(&self, path: &'p Path) -> Result<(OwnedFd, Vec<&'p OsStr>), Errno> {
        let mut rest = Vec::new();
        for above in path.ancestors() {
            match self.find(above, ResolveFlags::empty()) {
                Ok(found) => {
                    rest.reverse();
                    return Ok((found, rest));
                }
                Err(Errno::NOENT) => rest.extend(above.file_name()),
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::NOENT)
    }

    /// The path in the root of what is open.
    fn name(&self, descriptor: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
        let real = |descriptor: BorrowedFd<'_>| {
            let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
            let name = rustix::fs::readlink(link, Vec::new())?;
            Ok::<_, Errno>(PathBuf::from(OsStr::from_bytes(name.as_bytes())))
        };
        let (root, name) = (real(self.descriptor.as_fd())?, real(descriptor)?);
        Ok(Path::new("/").join(name.strip_prefix(&root).map_err(|_| Errno::XDEV)?))
    }

    /// The directory that holds a placeholder, on a way without links, and its name in there.
    fn parent<'p>(&self, placeholder: &'p Placeholder) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let (Some(parent), Some(name)) = (placeholder.path.parent(), placeholder.path.file_name()) else {
            return Err(Errno::INVAL);
        };
        Ok((self.find(parent, ResolveFlags::NO_SYMLINKS)?, name))
    }

    fn make(&self, placeholder: &Placeholder) -> Result<(), Errno> {
        let (parent, name) = self.parent(placeholder)?;
        let mode = Mode::from_raw_mode(if placeholder.directory { 0o755 } else { 0o644 });
        if placeholder.directory {
            rustix::fs::mkdirat(&parent, name, mode)?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, mode)?;
        }
        // Whatever the umask.
        rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())
    }

    fn remove(&self, placeholder: &Placeholder) -> Result<(), Errno> {
        let (parent, name) = self.parent(placeholder)?;
        if placeholder.directory {
            return rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR);
        }
        let status = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let plain = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        if plain && status.st_size == 0 {
            rustix::fs::unlinkat(&parent, name, AtFlags::empty())
        } else {
            Ok(())
        }
    }
}

/// The path without `.` and `..`, by its words alone; `/..` is `/`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            _ => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn missing(sandbox: &Sandbox) -> Vec<(String, bool)> {
        let found = sandbox.missing_targets().unwrap();
        found.into_iter().map(|found| (found.path.display().to_string(), found.directory)).collect()
    }

    #[test]
    fn what_is_missing_is_found_within_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for directory in ["dev", "proc", "etc", "run", "var"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        fs::write(root.join("etc/hosts"), "").unwrap();
        symlink("../nowhere/resolv.conf", root.join("etc/resolv.conf")).unwrap();
        symlink("/run", root.join("var/run")).unwrap();
        symlink("../../../gone", root.join("var/gone")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let file = folder.path().join("etc/hosts");
        type Expected = &'static [(&'static str, bool)];
        let tests: [(&str, &str, Expected); 6] = [
            ("there already", "/etc/hosts", &[]),
            ("a dangling link can be covered", "/etc/resolv.conf", &[]),
            ("by a link of the root", "/var/run/a", &[("/run/a", false)]),
            ("by a link to what is missing", "/var/gone/a", &[("/gone", true), ("/gone/a", false)]),
            ("with parents", "/a/b/c", &[("/a", true), ("/a/b", true), ("/a/b/c", false)]),
            ("below a mount", "/dev/new", &[]),
        ];
        for (summary, target, expected) in tests {
            let sandbox = Sandbox::new(root).bind(&file, target);
            let expected: Vec<_> = expected.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
            assert_eq!(missing(&sandbox), expected, "{summary}");
        }
        let several =
            Sandbox::new(root).sys(true).bind(&file, "/a/x").bind(root, "/a/y").bind(&file, "/a/y/z");
        let expected = [("/sys", true), ("/a", true), ("/a/x", false), ("/a/y", true)];
        assert_eq!(missing(&several), expected.map(|(path, kind)| (path.to_owned(), kind)));
        assert!(Sandbox::new(root).bind(&file, "/loop/a").missing_targets().is_err());
        assert!(Sandbox::new(root).bind(&file, "/etc/hosts/a").missing_targets().is_err());
        assert!(Sandbox::new(root).bind(&file, "/../a").missing_targets().is_err());
    }

    #[test]
    fn placeholders_that_are_used_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let names = [("/a", true), ("/a/file", false), ("/a/used", false), ("/b", true), ("/b/c", true)];
        let placeholders = names.map(|(path, directory)| Placeholder { path: path.into(), directory });
        make_placeholders(root, &placeholders).unwrap();
        make_placeholders(root, &placeholders).unwrap();
        fs::write(root.join("a/used"), "x").unwrap();
        remove_placeholders(root, &placeholders).unwrap();
        assert!(root.join("a/used").exists() && !root.join("a/file").exists() && !root.join("b").exists());
        remove_placeholders(root, &placeholders).unwrap();
    }

    #[test]
    fn nothing_outside_the_root_is_made_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        for directory in [&root, &outside] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink("../outside", root.join("up")).unwrap();
        for name in ["/link/file", "/up/file", "/link/new", "/../outside/new"] {
            let placeholder = [Placeholder { path: name.into(), directory: false }];
            assert!(make_placeholders(&root, &placeholder).is_err(), "{name}");
            remove_placeholders(&root, &placeholder).unwrap();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
