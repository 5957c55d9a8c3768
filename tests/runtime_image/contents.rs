//! What is in the image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{run, tool};

use crate::small::small;

fn config() -> Value {
    let image = format!("oci:{}:latest", small().layout.display());
    serde_json::from_slice(&run(Command::new(tool("skopeo")).args(["inspect", "--config", &image])))
        .expect("JSON")
}

#[test]
fn two_builds_are_one_image_that_says_what_it_carries() {
    let [first, second] = &small().printed;
    assert_eq!(first, second);
    let config = config();
    let labels = &config["config"]["Labels"];
    for name in ["oocana", "ovmlayer", "rootfs", "executor-layer"] {
        let version = labels[format!("io.oomol.{name}.version")].as_str().unwrap_or_default();
        assert!(version.starts_with("sha256:") && version.len() == 71, "{name}: {labels}");
    }
    let history = config["history"].as_array().expect("a history");
    let origins: Vec<&str> = history.iter().filter_map(|layer| layer["created_by"].as_str()).collect();
    let origins: Vec<&str> = origins.iter().filter_map(|origin| origin.rsplit(' ').next()).collect();
    assert_eq!(
        origins,
        ["packages", "run", "files", "layers", "programs"],
        "a new program is a new layer alone"
    );
}

/// Every content is stored once, by whatever name.
#[test]
fn the_store_shares_its_files_with_the_root() {
    let image = &small().unpacked;
    let inode =
        |path: &str| fs::metadata(image.path(path)).unwrap_or_else(|error| panic!("{path}: {error}")).ino();
    let store = "/usr/lib/ovmlayer/store/layer_dir/executor";
    for path in ["/usr/bin/dpkg", "/usr/share/old/file"] {
        assert_eq!(inode(path), inode(&format!("/usr/lib/ovmlayer/rootfs{path}")), "{path}");
    }
    for path in ["/usr/local/bin/tool", "/usr/local/share/tool/one"] {
        assert_eq!(inode(path), inode(&format!("{store}{path}")), "{path}");
    }
    let read = |path: &str| fs::read_to_string(image.path(path)).expect("a file");
    assert_eq!(read("/usr/local/bin/tool"), "the layer's\n");
    assert_eq!(
        read("/usr/lib/ovmlayer/rootfs/usr/local/bin/tool"),
        "the root's\n",
        "the root is as it was before"
    );
    assert_eq!(read("/usr/lib/ovmlayer/rootfs/etc/setting"), "as shipped\n");
    assert_ne!(
        inode("/etc/setting"),
        inode("/usr/lib/ovmlayer/rootfs/etc/setting"),
        "settings are written to"
    );
}

#[test]
fn the_store_has_what_was_meant_for_it_alone() {
    let image = &small().unpacked;
    let rootfs = image.path("/usr/lib/ovmlayer/rootfs");
    for path in [
        "opt/ovmlayer",
        "root/.ovmlayer_cfg.json",
        "usr/lib/ovmlayer",
        "usr/share/slim",
        "usr/bin/oocana",
        "usr/bin/ovmlayer",
        "usr/local/share/tool",
    ] {
        assert!(!rootfs.join(path).exists(), "{path}");
    }
    assert!(rootfs.join("usr/share/old/file").exists() && rootfs.join("root").is_dir());
    let volume = fs::read_dir(image.path("/opt/ovmlayer")).expect("a folder for a volume").count();
    assert_eq!(volume, 0, "what is there would be copied into every new volume");
    no_marks(&image.path("/usr/lib/ovmlayer"));
}

/// Neither devices nor attributes of overlayfs, which are lost beneath another overlay.
fn no_marks(folder: &Path) {
    let mut kinds = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            assert!(!kind.is_char_device(), "{:?}", entry.path());
            *kinds.entry(kind.is_dir()).or_insert(0) += 1;
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(kinds[&false] > 20, "{kinds:?}");
    let mut getfattr = Command::new(tool("tar"));
    getfattr.args([
        "--create",
        "--format=pax",
        "--xattrs",
        "--xattrs-include=*.overlay.*",
        "--file=-",
        "--directory",
    ]);
    let packed = run(getfattr.arg(folder).arg("."));
    let found = packed.windows(9).any(|bytes| bytes == b".overlay.");
    assert!(!found, "an attribute of overlayfs");
}
