//! Stores without a root filesystem to speak of, and layers with everything in them.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ovmlayer_layers::{Engine, Environment, LayerName, Setup};
use rustix::fs::{FileType, Mode, XattrFlags, mknodat};
use tempfile::TempDir;

/// Two stores and a folder for files.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) env: Environment,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut env = Environment::of_process().unwrap();
        env.home = Some(folder.path().to_owned());
        env.passwd_home = env.home.clone();
        env.default_store = folder.path().join("opt");
        fs::create_dir_all(folder.path().join("rootfs/etc")).unwrap();
        let place = Self { folder, env };
        let stores = Setup::Stores {
            runtime: place.path("runtime"),
            external: Some(place.path("external")),
            read_only: Vec::new(),
            rootfs_path: place.path("rootfs"),
            rootfs_tar: None,
        };
        Engine::setup(&place.env, &stores).unwrap();
        place
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::open(&self.env).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.path("runtime/layer_dir").join(name)
    }

    /// Nothing is being made, nothing waits to be removed.
    pub(crate) fn assert_tidy(&self) {
        for folder in ["runtime/tmp", "runtime/trash"] {
            assert_eq!(fs::read_dir(self.path(folder)).unwrap().count(), 0, "{folder} is not empty");
        }
        assert_eq!(self.engine().fsck(false).unwrap(), []);
    }
}

pub(crate) fn layer(name: &str) -> LayerName {
    LayerName::new(name).unwrap()
}

pub(crate) fn layers<const N: usize>(names: [&str; N]) -> Vec<LayerName> {
    names.map(layer).into()
}

pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

pub(crate) fn whiteout(path: &Path) {
    mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

/// Everything that a layer may hold, but names that OCI has no spelling for.
pub(crate) fn fill(folder: &Path) {
    let at = |name: &str| folder.join(name);
    for name in ["usr/bin", "usr/lib/deep/er", "etc", "opaque", "tmp", "empty"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("usr/bin/tool"), "#!/bin/sh\n").unwrap();
    fs::write(at("usr/bin/ping"), vec![7; 300_000]).unwrap();
    fs::write(at("etc/empty"), "").unwrap();
    fs::write(at("opaque/kept"), "kept").unwrap();
    fs::hard_link(at("usr/bin/tool"), at("usr/lib/deep/er/tool")).unwrap();
    fs::hard_link(at("usr/bin/tool"), at("a-first-name")).unwrap();
    symlink("/nowhere/at all", at("dangling")).unwrap();
    symlink("usr/bin", at("bin")).unwrap();
    for (name, mode) in [("usr/bin/ping", 0o4755), ("tmp", 0o1777), ("usr/lib", 0o2775), ("etc/empty", 0o000)]
    {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::chown(at("etc/empty"), Some(70_000), Some(3_000_000_000)).unwrap();
    std::os::unix::fs::lchown(at("dangling"), Some(1), Some(2)).unwrap();
    attribute(&at("usr/bin/tool"), "user.note", b"\0=\n\xff");
    // A capability (CAP_NET_RAW, effective) and an access list (user 5 may read).
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&at("usr/bin/tool"), "security.capability", &capability);
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let list = [entry(1, 6, none), entry(2, 4, 5), entry(4, 4, none), entry(16, 4, none), entry(32, 0, none)];
    let list = [&2u32.to_le_bytes()[..], &list.concat()].concat();
    attribute(&at("opaque/kept"), "system.posix_acl_access", &list);
    attribute(&at("etc"), "system.posix_acl_default", &list);
    let odd = std::ffi::OsStr::new("odd");
    let odd = [std::os::unix::ffi::OsStrExt::as_bytes(odd), b"-\xff\xfe\n"].concat();
    fs::write(folder.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&odd)), "odd")
        .unwrap();
    fs::write(at(&"n".repeat(255)), "long").unwrap();
    mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let null = rustix::fs::makedev(1, 3);
    mknodat(rustix::fs::CWD, at("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), null)
        .unwrap();
    let mut sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    for offset in [0, 1 << 20, (4 << 30) - 1] {
        sparse.seek(SeekFrom::Start(offset)).unwrap();
        sparse.write_all(b"x").unwrap();
    }
    for name in ["usr/bin/gone-file", "usr/lib/gone-folder", "opaque/gone-link", "etc/new"] {
        whiteout(&at(name));
    }
    attribute(&at("opaque"), "user.overlay.opaque", b"y");
    attribute(folder, "user.note", b"of the layer itself");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    let time = rustix::fs::Timespec { tv_sec: 1_234_567_890, tv_nsec: 987_654_321 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let no_follow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    for name in ["dangling", "usr/bin/ping", "usr", ""] {
        rustix::fs::utimensat(rustix::fs::CWD, at(name), &times, no_follow).unwrap();
    }
}

/// What is in a folder, by `stat`, the link's target, all attributes, and which names are one file.
pub(crate) fn describe(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![folder.to_owned()];
    let mut inodes = Vec::new();
    while let Some(path) = pending.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let kind = status.file_type();
        let is_whiteout = kind.is_char_device() && status.rdev() == 0;
        let name = path.strip_prefix(folder).unwrap();
        if is_whiteout {
            lines.push(format!("{name:?} whiteout"));
            continue;
        }
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap();
        let mut attributes: Vec<_> =
            names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
        // Unpacking gives this one to directories with whiteouts.
        attributes.retain(|name| !name.ends_with(b".overlay.origin"));
        attributes.sort_unstable();
        let attributes: Vec<_> = attributes
            .into_iter()
            .map(|name| {
                let mut value = vec![0; 4096];
                let length = rustix::fs::lgetxattr(&path, name, &mut value[..]).unwrap();
                format!("{}={:?}", name.escape_ascii(), &value[..length])
            })
            .collect();
        let mut more = String::new();
        if kind.is_symlink() {
            more = format!("{:?}", fs::read_link(&path).unwrap());
        } else if kind.is_file() {
            let first = inodes.iter().position(|inode| *inode == status.ino());
            more = format!("file {:?} of {} links", first, status.nlink());
            if status.nlink() > 1 && first.is_none() {
                inodes.push(status.ino());
            }
            if status.len() < 1 << 20 {
                more += &format!(" {:?}", blake3::hash(&fs::read(&path).unwrap()));
            } else {
                assert!(status.blocks() < 1000, "{name:?} lost its holes");
            }
        } else if kind.is_dir() {
            let mut inside: Vec<_> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            inside.sort_unstable_by(|a, b| b.cmp(a));
            pending.extend(inside);
        }
        let size = if kind.is_dir() { 0 } else { status.len() };
        lines.push(format!(
            "{name:?} {:o} {}:{} {size} {}.{} {} {attributes:?} {more}",
            status.mode(),
            status.uid(),
            status.gid(),
            status.mtime(),
            status.mtime_nsec(),
            status.rdev(),
        ));
    }
    lines
}
