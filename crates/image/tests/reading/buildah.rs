//! Images that `buildah` and `umoci` make of real files, in every form that `skopeo` turns them into.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::Location;
use image::flatten::Limits;
use rustix::fs::XattrFlags;
use testkit::{run, tool};

use crate::made::{read, same, unpack, write};

/// `buildah` with a storage of its own.
struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(tool("buildah"));
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        command.args(["--storage-driver", "vfs"]).args(arguments);
        command.env("BUILDAH_ISOLATION", "chroot").env("TMPDIR", &self.folder);
        String::from_utf8(run(&mut command)).unwrap().trim().to_owned()
    }
}

/// What the first layer holds.
fn first(folder: &Path) {
    for name in ["etc", "usr/lib/deep", "usr/share/doc", "opt/old"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    for name in ["etc/one", "etc/two", "usr/lib/a", "usr/lib/deep/b", "usr/share/doc/c", "opt/old/d", "opt/e"]
    {
        fs::write(folder.join(name), format!("contents of {name}\n").repeat(100)).unwrap();
    }
    fs::hard_link(folder.join("etc/one"), folder.join("usr/lib/one")).unwrap();
    symlink("usr/lib", folder.join("lib")).unwrap();
    let attribute = |name: &str, key: &str, value: &[u8]| {
        rustix::fs::lsetxattr(folder.join(name), key, value, XattrFlags::empty()).unwrap();
    };
    attribute("usr/lib/a", "user.comment", b"with\0zero");
    attribute("etc/two", "security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    fs::set_permissions(folder.join("usr/lib/a"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::chown(folder.join("opt/e"), Some(1000), Some(70000)).unwrap();
}

/// What the second layer changes, in the mounted root.
fn second(root: &Path) {
    fs::remove_file(root.join("etc/one")).unwrap();
    fs::remove_dir_all(root.join("opt/old")).unwrap();
    fs::create_dir(root.join("opt/old")).unwrap();
    fs::write(root.join("opt/old/new"), "new\n").unwrap();
    fs::remove_file(root.join("lib")).unwrap();
    fs::remove_dir_all(root.join("usr/share/doc")).unwrap();
    fs::write(root.join("usr/share/doc"), "a file now\n").unwrap();
    fs::hard_link(root.join("usr/lib/deep/b"), root.join("etc/b")).unwrap();
    fs::set_permissions(root.join("usr/lib"), fs::Permissions::from_mode(0o711)).unwrap();
}

/// An image of two layers by `buildah` and a third by `umoci`, in a layout `image:latest`.
fn image(folder: &Path) -> PathBuf {
    let (source, layout) = (folder.join("source"), folder.join("image"));
    fs::create_dir(&source).unwrap();
    first(&source);
    let buildah = Buildah { folder: folder.join("buildah") };
    fs::create_dir(&buildah.folder).unwrap();
    let container = buildah.run(&["from", "scratch"]);
    buildah.run(&["config", "--arch", "amd64", "--env", "A=b", "--user", "1000", &container]);
    let mounted = PathBuf::from(buildah.run(&["mount", &container]));
    run(Command::new("cp").args(["-a", "--"]).arg(source.join(".")).arg(&mounted));
    buildah.run(&["commit", "--quiet", &container, "one"]);
    let container = buildah.run(&["from", "--pull-never", "localhost/one"]);
    second(Path::new(&buildah.run(&["mount", &container])));
    buildah.run(&["commit", "--quiet", &container, "two"]);
    let target = format!("oci:{}:latest", layout.display());
    buildah.run(&["push", "--quiet", "localhost/two", &target]);
    let (image, bundle) = (format!("{}:latest", layout.display()), folder.join("repacked"));
    run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
    let root = bundle.join("rootfs");
    fs::remove_file(root.join("usr/lib/a")).unwrap();
    fs::create_dir(root.join("srv")).unwrap();
    fs::hard_link(root.join("etc/two"), root.join("srv/two")).unwrap();
    run(Command::new(tool("umoci")).args(["repack", "--image", &image]).arg(&bundle));
    fs::write(folder.join("inserted"), "inserted\n").unwrap();
    let opaque = ["insert", "--opaque", "--image", &image];
    run(Command::new(tool("umoci")).args(opaque).arg(&source).arg("/opt/old"));
    run(Command::new(tool("umoci")).args(["insert", "--whiteout", "--image", &image, "/opt/e"]));
    layout
}

#[test]
fn images_of_buildah_and_umoci_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let layout = image(folder);
    let theirs = unpack(&layout, "latest", folder);
    let ours = folder.join("ours.tar");
    let flat = |location: &str| {
        let location: Location = location.parse().unwrap();
        write(&mut read(&location, folder, Limits::default()).unwrap().1, &ours).unwrap();
        fs::read(&ours).unwrap()
    };
    let from = format!("oci:{}:latest", layout.display());
    let expected = flat(&from);
    same(&ours, &theirs, &folder.join("bundle/rootfs"), "as it is");
    let forms: [(&str, &str, &[&str]); 7] = [
        ("oci", "gzip", &["--format", "oci", "--dest-compress-format", "gzip"]),
        ("oci", "zstd", &["--format", "oci", "--dest-compress-format", "zstd"]),
        ("oci", "decompressed", &["--format", "oci", "--dest-decompress"]),
        ("dir", "docker", &["--format", "v2s2"]),
        ("dir", "docker-zstd", &["--format", "oci", "--dest-compress-format", "zstd"]),
        ("oci-archive", "oci.tar", &[]),
        ("docker-archive", "docker.tar", &[]),
    ];
    for (transport, name, options) in forms {
        let path = folder.join(name);
        let to = match transport {
            "oci" => format!("oci:{}:latest", path.display()),
            other => format!("{other}:{}", path.display()),
        };
        let mut command = Command::new(tool("skopeo"));
        command.args(["--insecure-policy", "copy", "--quiet"]).args(options).args([&from, &to]);
        run(&mut command);
        let location = if transport == "dir" { as_layout(&path) } else { to };
        assert!(flat(&location) == expected, "{name}");
    }
}

/// A layout of what is in a folder of `skopeo`'s own form, which may hold Docker's media types.
fn as_layout(folder: &Path) -> String {
    let layout = folder.with_extension("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let digest = crate::made::Digest::of(&fs::read(entry.path()).unwrap());
        fs::copy(entry.path(), layout.join("blobs/sha256").join(digest.to_string())).unwrap();
    }
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": value["mediaType"].as_str().unwrap_or("application/vnd.oci.image.manifest.v1+json"),
        "digest": format!("sha256:{}", crate::made::Digest::of(&manifest)),
        "size": manifest.len(),
    }]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    format!("oci:{}", layout.display())
}
