//! A tree once more at another place, of the same files where they are never changed in place.

use tree::{Entry, EntryPath, Kind, Root};

use crate::Error;

/// What has programs and libraries: they are replaced, never written to. Everywhere else are files that are, such as those of
/// `/etc`, and one of two names must not change with the other where no overlay sees to it.
const SHARED: &[u8] = b"usr";

/// Puts all of the tree at `from` that is not left out to `to` as well, over what is there; gives what was put. Paths that
/// `leave_out` is asked about start from `from`. Devices are not put: whoever runs programs provides them.
pub(super) fn link_tree(
    root: &Root,
    from: &EntryPath,
    to: &EntryPath,
    leave_out: &dyn Fn(&EntryPath) -> bool,
) -> Result<Vec<EntryPath>, Error> {
    let mut put = Vec::new();
    let mut directories = Vec::new();
    for entry in entries(root, from, leave_out)? {
        let Entry { path, kind, metadata } = entry;
        let (old, new) = (joined(from, &path)?, joined(to, &path)?);
        if kind != Kind::Directory && root.lstat(&new)?.is_some() {
            root.remove_file(&new)?;
        }
        match kind {
            Kind::Directory if root.make_dir(&new, &metadata)? || (path.is_root() && !new.is_root()) => {
                directories.push((new.clone(), metadata));
            }
            Kind::Directory => continue,
            Kind::File { .. } | Kind::HardLink { .. } if is_shared(&path) => root.hard_link(&new, &old)?,
            Kind::File { .. } | Kind::HardLink { .. } => {
                root.copy_file(&new, &metadata, &root.open_file(&old)?)?;
            }
            Kind::Symlink { target } => root.symlink(&new, &target, &metadata)?,
            Kind::Fifo => root.make_fifo(&new, &metadata)?,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => continue,
        }
        put.push(new);
    }
    // What is put into a directory changes its time.
    for (path, metadata) in directories.iter().rev() {
        root.set_metadata(path, metadata)?;
    }
    Ok(put)
}

/// All of it before anything is put, because the new place may lie within the old one.
fn entries(
    root: &Root,
    from: &EntryPath,
    leave_out: &dyn Fn(&EntryPath) -> bool,
) -> Result<Vec<Entry>, Error> {
    let scanned = root.subroot(from)?;
    let mut entries = Vec::new();
    let mut scan = scanned.scan();
    while let Some(entry) = scan.next() {
        let entry = entry?;
        if leave_out(&entry.path) {
            scan.leave_out();
        } else {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn is_shared(path: &EntryPath) -> bool {
    path.components().next() == Some(SHARED)
}

/// The path `inner` in `folder`.
pub(super) fn joined(folder: &EntryPath, inner: &EntryPath) -> Result<EntryPath, tree::Error> {
    let mut path = folder.clone();
    for name in inner.components() {
        path = path.join(name)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use tree::Links;

    use super::*;

    fn path(text: &str) -> EntryPath {
        text.parse().expect("a path")
    }

    fn write(root: &Path, name: &str, text: &str) {
        let file = root.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
        fs::write(file, text).expect("a file");
    }

    #[test]
    fn programs_are_shared_and_settings_copied() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        write(at, "usr/bin/tool", "tool");
        write(at, "etc/passwd", "root");
        write(at, "opt/secret", "no");
        symlink("usr/bin", at.join("bin")).expect("a link");
        fs::create_dir_all(at.join("tmp")).expect("a folder");
        fs::set_permissions(at.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
        fs::create_dir_all(at.join("usr/lib/s/rootfs")).expect("a folder");
        let root = Root::open(at, Links::Refuse).expect("a root");
        let leave_out = |entry: &EntryPath| {
            entry.starts_with(&path("usr/lib/s")) || entry.starts_with(&path("opt/secret"))
        };
        let put = link_tree(&root, &EntryPath::ROOT, &path("usr/lib/s/rootfs"), &leave_out).expect("links");
        let made = at.join("usr/lib/s/rootfs");
        let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
        assert_eq!(inode(&made.join("usr/bin/tool")), inode(&at.join("usr/bin/tool")), "one file");
        assert_ne!(inode(&made.join("etc/passwd")), inode(&at.join("etc/passwd")), "two files");
        assert_eq!(fs::read_link(made.join("bin")).expect("a link"), Path::new("usr/bin"));
        assert_eq!(fs::metadata(made.join("tmp")).expect("a folder").mode() & 0o7777, 0o1777);
        assert!(!made.join("opt/secret").exists() && !made.join("usr/lib/s").exists());
        assert!(put.contains(&path("usr/lib/s/rootfs/usr/bin/tool")), "{put:?}");
    }

    #[test]
    fn a_layer_goes_over_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        write(at, "usr/bin/tool", "old");
        write(at, "layer/usr/bin/tool", "new");
        write(at, "layer/usr/bin/more", "more");
        fs::set_permissions(at.join("usr"), fs::Permissions::from_mode(0o711)).expect("a mode");
        let root = Root::open(at, Links::Refuse).expect("a root");
        let put = link_tree(&root, &path("layer"), &EntryPath::ROOT, &|_| false).expect("links");
        assert_eq!(fs::read_to_string(at.join("usr/bin/tool")).expect("a file"), "new");
        assert_eq!(fs::metadata(at.join("usr")).expect("a folder").mode() & 0o777, 0o711, "not the layer's");
        assert_eq!(put, [path("usr/bin/more"), path("usr/bin/tool")]);
    }
}
