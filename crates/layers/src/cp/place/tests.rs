use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;
use tree::Links;

use super::*;

/// A layer over a root filesystem.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        for (path, mode) in [
            ("below/tmp", 0o1777),
            ("below/usr/bin", 0o755),
            ("below/var/lib", 0o750),
            ("below/hidden/deep", 0o711),
            ("layer/own", 0o700),
            ("layer/hidden", 0o755),
        ] {
            std::fs::create_dir_all(stage.path(path)).unwrap();
            std::fs::set_permissions(stage.path(path), PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::write(stage.path("below/file"), "").unwrap();
        for (target, link) in [
            ("usr/bin", "below/bin"),
            ("/var/../usr", "below/absolute"),
            ("../../../../tmp", "below/var/climbing"),
            ("b", "below/a"),
            ("a", "below/b"),
            ("/own", "layer/mine"),
            ("nowhere/at/all", "layer/dangling"),
        ] {
            symlink(target, stage.path(link)).unwrap();
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self, inside: &str) -> Result<Place, CopyError> {
        let open = |name| Root::open(self.path(name), Links::Refuse).unwrap();
        folder(&open("layer"), Some(&open("below")), inside.as_bytes())
    }
}

#[test]
fn folders_of_a_layer() {
    let stage = Stage::new();
    /// Path given, path found, what is missing and its mode.
    type Row = (&'static str, &'static str, &'static [(&'static str, u32)]);
    let table: &[Row] = &[
        ("/", "", &[]),
        ("", "", &[]),
        ("/own", "own", &[]),
        ("/own/new", "own/new", &[("own/new", 0o755)]),
        ("/tmp", "tmp", &[("tmp", 0o1777)]),
        ("tmp//x/.", "tmp/x", &[("tmp", 0o1777), ("tmp/x", 0o755)]),
        ("/bin", "usr/bin", &[("usr", 0o755), ("usr/bin", 0o755)]),
        ("/absolute/bin", "usr/bin", &[("usr", 0o755), ("usr/bin", 0o755)]),
        ("/var/climbing/x", "tmp/x", &[("tmp", 0o1777), ("tmp/x", 0o755)]),
        ("/var/lib/../../../tmp", "tmp", &[("tmp", 0o1777)]),
        ("/var/lib", "var/lib", &[("var", 0o755), ("var/lib", 0o750)]),
        ("/mine/x", "own/x", &[("own/x", 0o755)]),
        (
            "/dangling",
            "nowhere/at/all",
            &[("nowhere", 0o755), ("nowhere/at", 0o755), ("nowhere/at/all", 0o755)],
        ),
        ("/hidden/deep", "hidden/deep", &[("hidden/deep", 0o711)]),
    ];
    for (given, path, missing) in table {
        let place = stage.folder(given).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(place.path.as_bytes(), path.as_bytes(), "{given}");
        let found: Vec<_> =
            place.missing.iter().map(|folder| (folder.path.to_string(), folder.metadata.mode)).collect();
        let want: Vec<_> = missing.iter().map(|(path, mode)| ((*path).to_owned(), *mode)).collect();
        assert_eq!(found, want, "{given}");
    }
}

#[test]
fn what_is_no_folder() {
    let stage = Stage::new();
    let message = |given: &str| stage.folder(given).unwrap_err().to_string();
    assert_eq!(message("/file/x"), "`/file` is a file, not a folder: things are copied into a folder");
    assert_eq!(message("/a"), "too many symbolic links at `/a`");
}

#[test]
fn what_an_opaque_directory_hides_has_no_say() {
    let stage = Stage::new();
    let layer = Root::open(stage.path("layer"), Links::Refuse).unwrap();
    overlay_form::set_opaque(&layer, &"hidden".parse().unwrap(), "user.overlay.opaque").unwrap();
    let place = stage.folder("/hidden/deep").unwrap();
    assert_eq!(place.missing[0].metadata.mode, 0o755);
    assert!(!place.open_below);
}

#[test]
fn sources() {
    let stage = Stage::new();
    let below = Root::open(stage.path("below"), Links::Refuse).unwrap();
    let table = [
        ("/", Some("")),
        ("/bin", Some("usr/bin")),
        ("/absolute/bin/", Some("usr/bin")),
        ("/file", Some("file")),
        ("/var/climbing", Some("tmp")),
        ("/missing", None),
        ("/file/x", None),
        ("/b", None),
    ];
    for (given, want) in table {
        let found = source(&below, given.as_bytes()).ok().map(|(path, _)| path);
        assert_eq!(found.as_ref().map(EntryPath::as_bytes), want.map(str::as_bytes), "{given}");
    }
}
