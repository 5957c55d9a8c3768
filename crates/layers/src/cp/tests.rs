use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A source, a layer, and the root filesystem below it.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["source", "layer", "below/tmp", "below/usr/bin", "out"] {
            fs::create_dir_all(stage.path(name)).unwrap();
        }
        stage.mode("below/tmp", 0o1777);
        symlink("usr/bin", stage.path("below/bin")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn status(&self, name: &str) -> fs::Metadata {
        self.path(name).symlink_metadata().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn copy_in(&self, source: &str, inside: &str) -> Result<Copied, CopyError> {
        self.copy_in_as(source, inside, false)
    }

    fn copy_in_as(&self, source: &str, inside: &str, keep_owner: bool) -> Result<Copied, CopyError> {
        let open = |name| Root::open(self.path(name), Links::Refuse).unwrap();
        let (root, below) = (open("layer"), open("below"));
        let target = Inside {
            root: &root,
            below: Some(&below),
            opaque: Some("user.overlay.opaque"),
            store: &self.path("layer"),
        };
        HostSource::open(&self.path(source))?.copy_into(OsStr::new(inside), &target, keep_owner)
    }

    fn copy_out(&self, inside: &str, to: &str) -> Result<Copied, CopyError> {
        let root = Root::open(self.path("layer"), Links::Refuse).unwrap();
        HostFolder::open(&self.path(to))?.copy_from(&root, OsStr::new(inside), false)
    }
}

#[test]
fn things_are_copied_into_the_folder_under_their_own_name() {
    let stage = Stage::new();
    stage.write("source/script.sh", "#!/bin/sh\n").write("source/source package/.hidden", "h");
    stage.mode("source/script.sh", 0o755);
    stage.copy_in("source/script.sh", "/tmp").unwrap();
    stage.copy_in("source/source package", "/a new/folder").unwrap();
    stage.copy_in("source/script.sh", "/").unwrap();
    stage.copy_in("source/script.sh", "/bin").unwrap();
    assert_eq!(stage.status("layer/tmp/script.sh").mode() & 0o7777, 0o755);
    assert_eq!(stage.status("layer/tmp").mode() & 0o7777, 0o1777);
    assert_eq!(stage.read("layer/a new/folder/source package/.hidden"), "h");
    assert!(stage.path("layer/script.sh").exists());
    assert!(stage.path("layer/usr/bin/script.sh").exists() && !stage.path("layer/bin").exists());
}

#[test]
fn links_times_and_holes_are_kept() {
    let stage = Stage::new();
    stage.write("source/tree/a", "same").write("source/tree/z/file", "");
    symlink("../nowhere", stage.path("source/tree/dangling")).unwrap();
    fs::hard_link(stage.path("source/tree/a"), stage.path("source/tree/z/b")).unwrap();
    let sparse = File::create(stage.path("source/tree/sparse")).unwrap();
    sparse.set_len(1 << 32).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 1 << 30).unwrap();
    let copied = stage.copy_in("source/tree", "/").unwrap();
    assert_eq!((copied.entries, copied.devices), (7, 0));
    assert_eq!(fs::read_link(stage.path("layer/tree/dangling")).unwrap(), PathBuf::from("../nowhere"));
    assert_eq!(stage.status("layer/tree/a").ino(), stage.status("layer/tree/z/b").ino());
    let copy = stage.status("layer/tree/sparse");
    assert_eq!(copy.len(), 1 << 32);
    assert!(copy.blocks() < 2048, "{} blocks", copy.blocks());
    let mut data = [0; 4];
    let file = File::open(stage.path("layer/tree/sparse")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut data, 1 << 30).unwrap();
    assert_eq!(&data, b"data");
    for name in ["tree", "tree/a", "tree/z", "tree/dangling", "tree/sparse"] {
        let (source, copy) =
            (stage.status(&format!("source/{name}")), stage.status(&format!("layer/{name}")));
        assert_eq!(source.mtime(), copy.mtime(), "{name}");
    }
}

#[test]
fn copies_belong_to_root_unless_owners_are_kept() {
    let stage = Stage::new();
    stage.write("source/file", "");
    std::os::unix::fs::chown(stage.path("source/file"), Some(1234), Some(77)).unwrap();
    stage.mode("source/file", 0o4755);
    stage.copy_in("source/file", "/plain").unwrap();
    stage.copy_in_as("source/file", "/kept", true).unwrap();
    let owner =
        |name: &str| (stage.status(name).uid(), stage.status(name).gid(), stage.status(name).mode() & 0o7777);
    assert_eq!(owner("layer/plain/file"), (0, 0, 0o755));
    assert_eq!(owner("layer/kept/file"), (1234, 77, 0o4755));
}

#[test]
fn folders_are_merged_and_files_replaced() {
    let stage = Stage::new();
    stage.write("source/app/file", "new").write("source/app/link", "a file now");
    stage.write("layer/app/file", "old").write("layer/app/other", "stays");
    symlink("/etc/passwd", stage.path("layer/app/link")).unwrap();
    stage.mode("layer/app", 0o700);
    let before = stage.status("layer/app/file").ino();
    stage.copy_in("source/app", "/").unwrap();
    assert_eq!(stage.read("layer/app/file"), "new");
    assert_eq!(stage.read("layer/app/other"), "stays");
    assert!(stage.status("layer/app/link").is_file());
    assert_eq!(stage.status("layer/app").mode() & 0o7777, 0o700);
    assert_ne!(stage.status("layer/app/file").ino(), before, "a running program keeps the old file");
    assert_eq!(fs::read_dir(stage.path("layer/app")).unwrap().count(), 3, "nothing temporary is left");
}

#[test]
fn folders_of_the_root_filesystem_are_not_hidden() {
    let stage = Stage::new();
    stage.write("source/tmp/x", "").write("source/bin/tool", "").write("source/usr", "");
    stage.mode("source/tmp", 0o755);
    stage.copy_in("source/tmp", "/").unwrap();
    assert_eq!(stage.status("layer/tmp").mode() & 0o7777, 0o1777);
    let message = |name| stage.copy_in(name, "/").unwrap_err().to_string();
    assert_eq!(message("source/bin"), "cannot put a folder at `/bin`: a symbolic link is there");
    assert_eq!(message("source/usr"), "cannot put a file at `/usr`: a folder is there");
}

#[test]
fn whiteouts_give_way_and_keep_hiding() {
    let stage = Stage::new();
    stage.write("source/tool", "").write("source/tree/file", "");
    let device = |name: &str| {
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, stage.path(name), kind, rustix::fs::Mode::empty(), 0).unwrap();
    };
    device("layer/usr");
    device("layer/tree");
    stage.copy_in("source/tool", "/usr/bin").unwrap();
    stage.copy_in("source/tree", "/").unwrap();
    let layer = Root::open(stage.path("layer"), Links::Refuse).unwrap();
    for name in ["usr", "tree"] {
        assert!(crate::overlay_form::is_opaque(&layer, &name.parse().unwrap()).unwrap(), "{name}");
    }
    assert!(stage.path("layer/usr/bin/tool").exists() && stage.path("layer/tree/file").exists());
}

#[test]
fn what_is_copied_out_cannot_do_more_than_its_owner() {
    let stage = Stage::new();
    stage.write("layer/app/tool", "x");
    stage.mode("layer/app/tool", 0o6755);
    symlink("/app", stage.path("layer/link")).unwrap();
    stage.copy_out("/link/tool", "out/new").unwrap();
    stage.copy_out("/link", "out").unwrap();
    assert_eq!(stage.status("out/new/tool").mode() & 0o7777, 0o755);
    assert_eq!(stage.read("out/link/tool"), "x");
    assert_eq!(stage.copy_out("/app/none", "out").unwrap_err().to_string(), "there is no `/app/none`");
    assert_eq!(
        stage.copy_out("/", "out").unwrap_err().to_string(),
        "`/` has no name that its copy could get"
    );
}

#[test]
fn links_on_the_way_out_are_not_followed() {
    let stage = Stage::new();
    stage.write("layer/app/sub/file", "hostile").write("victim/file", "untouched");
    fs::create_dir(stage.path("out/app")).unwrap();
    symlink(stage.path("victim"), stage.path("out/app/sub")).unwrap();
    let error = stage.copy_out("/app", "out").unwrap_err().to_string();
    assert_eq!(error, "cannot put a folder at `/app/sub`: a symbolic link is there");
    assert_eq!(stage.read("victim/file"), "untouched");
}

#[test]
fn a_store_is_not_copied_into_itself() {
    let stage = Stage::new();
    let target = HostSource::open(stage.folder.path()).unwrap();
    let root = Root::open(stage.path("layer"), Links::Refuse).unwrap();
    let inside = Inside {
        root: &root,
        below: None,
        opaque: None,
        store: &stage.path("layer").canonicalize().unwrap(),
    };
    let error = target.copy_into(OsStr::new("/"), &inside, false).unwrap_err();
    assert!(matches!(error, CopyError::IntoItself { .. }), "{error}");
}

#[test]
fn names_of_sources() {
    let stage = Stage::new();
    stage.write("source/real/file", "x");
    symlink("real", stage.path("source/alias")).unwrap();
    symlink("nowhere", stage.path("source/dangling")).unwrap();
    for (given, want) in [
        ("source/alias", "layer/alias/file"),
        ("source/real/.", "layer/real/file"),
        ("source/real/", "layer/real/file"),
        ("source/real/../real", "layer/real/file"),
    ] {
        stage.copy_in(given, "/").unwrap();
        assert_eq!(stage.read(want), "x", "{given}");
    }
    stage.copy_in("source/dangling", "/").unwrap();
    assert!(stage.status("layer/dangling").is_symlink());
    let error = stage.copy_in("source/none", "/").unwrap_err().to_string();
    assert!(error.starts_with("cannot copy `") && error.ends_with("/source/none`"), "{error}");
}
