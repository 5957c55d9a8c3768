//! A tree made by hand, an image of it, and what other tools make of the image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use ovmlayer_image::build::{ImageBuilder, LayerBuilder, put_index};
use ovmlayer_image::{Descriptor, Layout, Platform};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Difference, rootfs_diff, run, tool};
use tree::codec::Format;
use tree::layer::Change;
use tree::{Entry, Links, Root};

/// Never set.
pub(crate) static ON: AtomicBool = AtomicBool::new(false);

/// This machine's architecture.
pub(crate) const NATIVE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// A folder with a tree in it and room for what is made of it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A tree with entries of every kind that survives in an image.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let root = place.root();
        for (directory, mode) in
            [("", 0o755), ("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
            fs::set_permissions(root.join(directory), fs::Permissions::from_mode(mode)).unwrap();
        }
        place.write("bin/tool", &noise(3_000_000));
        fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::hard_link(root.join("bin/tool"), root.join("bin/other")).unwrap();
        symlink("tool", root.join("bin/link")).unwrap();
        place.write("etc/empty", b"");
        place.write("etc/text", b"text\n".repeat(1000).as_slice());
        place.write(&format!("etc/{}", "long".repeat(40)), b"a name of 160 bytes");
        place.write("root/note", b"for 1000 alone");
        chown(root.join("root/note"), Some(1000), Some(3_000_000)).unwrap();
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn open(&self) -> Root {
        Root::open(self.root(), Links::Refuse).unwrap()
    }

    /// All entries of the tree, with their times in whole seconds.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let root = self.open();
        let entries = root.scan().map(|entry| {
            let mut entry = entry.unwrap();
            entry.metadata.clamp_mtime(1_000_000_000);
            entry
        });
        entries.collect()
    }

    /// A layout with an image of these layers.
    pub(crate) fn image(
        &self,
        name: &str,
        layers: Vec<Vec<Change>>,
        format: Format,
        threads: usize,
    ) -> Layout {
        let layout = Layout::create(&self.path(name)).unwrap();
        let image = self.add(&layout, NATIVE, layers, format, threads);
        put_index(&layout, vec![image], BTreeMap::new(), &["latest".to_owned()]).unwrap();
        layout
    }

    pub(crate) fn add(
        &self,
        layout: &Layout,
        architecture: &str,
        layers: Vec<Vec<Change>>,
        compression: Format,
        threads: usize,
    ) -> Descriptor {
        let root = self.open();
        let builder = LayerBuilder { root: &root, layout, compression, threads, interrupted: &ON };
        let mut image = ImageBuilder::new(&Platform::linux(architecture), 1_000_000_000).unwrap();
        image.process().cmd = vec!["/bin/tool".to_owned()];
        for (number, changes) in layers.into_iter().enumerate() {
            image.push(&builder.pack(changes).unwrap(), &format!("layer {number}"));
        }
        image.write(layout).unwrap()
    }

    /// Whether what umoci unpacks of an image is the tree.
    pub(crate) fn compare(&self, layout: &Path, bundle: &str) -> Difference {
        // umoci takes manifests only where it wants one: it walks through the index by itself.
        let bundle = self.path(bundle);
        let image = format!("{}:latest", layout.display());
        run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
        let (ours, theirs) = (self.path("tree.tar"), self.path("bundle.tar"));
        pack(&self.root(), &ours);
        pack(&bundle.join("rootfs"), &theirs);
        fs::remove_dir_all(bundle).unwrap();
        rootfs_diff(&ours, &theirs, &[])
    }
}

/// The whole tree as one layer.
pub(crate) fn all(entries: &[Entry]) -> Vec<Change> {
    entries.iter().cloned().map(Change::Added).collect()
}

pub(crate) fn inspect(image: &str) -> Value {
    let text = run(Command::new(tool("skopeo")).args(["inspect", image]));
    serde_json::from_slice(&text).unwrap()
}

/// Bytes that do not compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn pack(folder: &Path, tar: &Path) {
    let options = ["--create", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"];
    run(Command::new(tool("tar")).args(options).arg(tar).arg("--directory").arg(folder).arg("."));
}
