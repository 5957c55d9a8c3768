//! Images made by hand, layer by layer, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use image::flatten::{Flattened, Limits, Options, Shape, flatten};
use image::{
    Config, Descriptor, Error, Image, Layout, Location, Manifest, Platform, Process, RootFs, Target, media,
    open_source,
};
use tempfile::TempDir;
use testkit::{Member, TarBuilder, output, tool};
use tree::{Entry, Links, Root, tar};

use crate::inventory::same_inventory;

/// The digest of these bytes.
pub(crate) use cache::Digest;

/// An image layout in a folder of its own, with one image `latest`.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
}

/// One layer: the tar, and how it is stored.
pub(crate) struct Stored {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) diff_id: Digest,
}

impl Stored {
    /// A layer that is not compressed.
    pub(crate) fn plain(tar: Vec<u8>) -> Self {
        Self { media_type: media::LAYER, diff_id: Digest::of(&tar), bytes: tar }
    }
}

/// The tar of these members.
pub(crate) fn tar_of(members: &[Member]) -> Vec<u8> {
    members.iter().cloned().fold(TarBuilder::new(), TarBuilder::member).build()
}

impl Made {
    /// An image of layers that are not compressed.
    pub(crate) fn new(layers: &[Vec<Member>]) -> Self {
        let layers: Vec<Stored> = layers.iter().map(|members| Stored::plain(tar_of(members))).collect();
        Self::of(&layers)
    }

    /// An image of layers as they are stored.
    pub(crate) fn of(layers: &[Stored]) -> Self {
        let diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        let config = Config {
            created: Some("2001-09-09T01:46:40Z".to_owned()),
            author: None,
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            variant: None,
            config: Process { env: vec!["PATH=/bin".to_owned()], ..Process::default() },
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
            history: Vec::new(),
        };
        Self::with_config(layers, &config.to_bytes())
    }

    /// The same with another configuration.
    pub(crate) fn with_config(layers: &[Stored], config: &[u8]) -> Self {
        let made = Self::empty();
        let layout = made.layout();
        let layers = layers.iter().map(|layer| {
            let descriptor = Descriptor::of(layer.media_type, &layer.bytes);
            layout.put(&descriptor, &mut &layer.bytes[..]).unwrap();
            descriptor
        });
        let layers = layers.collect();
        let descriptor = Descriptor::of(media::CONFIG, config);
        layout.put(&descriptor, &mut &config[..]).unwrap();
        made.tag(&Manifest::new(descriptor, layers));
        made
    }

    /// A layout without an image.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Layout::create(&folder.path().join("image")).unwrap();
        Self { folder }
    }

    /// Makes this manifest `latest`.
    pub(crate) fn tag(&self, manifest: &Manifest) -> Descriptor {
        let bytes = manifest.to_bytes();
        let descriptor = Descriptor::of(media::MANIFEST, &bytes);
        self.layout().put_manifest(&descriptor, &bytes).unwrap();
        self.layout().tag(&descriptor, &bytes, "latest").unwrap();
        descriptor
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::open(&self.path()).unwrap()
    }

    pub(crate) fn location(&self) -> Location {
        Location::Layout { path: self.path(), tag: Some("latest".to_owned()) }
    }

    /// The file of a content.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs/sha256").join(digest.to_string())
    }

    /// Flattens it into a tar.
    pub(crate) fn flatten(&self) -> Result<PathBuf, Error> {
        self.flatten_within(Limits::default())
    }

    /// The same with other bounds.
    pub(crate) fn flatten_within(&self, limits: Limits) -> Result<PathBuf, Error> {
        let path = self.folder.path().join("ours.tar");
        let mut flattened = read(&self.location(), self.folder.path(), limits)?.1;
        write(&mut flattened, &path)?;
        Ok(path)
    }

    /// What `umoci` makes of it, as a tar.
    pub(crate) fn umoci(&self) -> PathBuf {
        unpack(&self.path(), "latest", self.folder.path())
    }
}

/// Reads the image for amd64 at a location and flattens it.
pub(crate) fn read(location: &Location, scratch: &Path, limits: Limits) -> Result<(Image, Flattened), Error> {
    let source = open_source(location, scratch, None)?;
    let found = Image::find(&*source, source.root(), &Platform::linux("amd64"))?;
    let options = Options { scratch, threads: 3, limits, interrupted: &AtomicBool::new(false) };
    let flattened = flatten(&*source, &found, &options)?;
    Ok((found, flattened))
}

/// Writes a flattened image as it is.
pub(crate) fn write(flattened: &mut Flattened, path: &Path) -> Result<(), Error> {
    let shape =
        Shape { leave_out: &|_| false, empty_dev: false, latest: None, interrupted: &AtomicBool::new(false) };
    let mut writer = tar::Writer::new(fs::File::create(path).unwrap());
    flattened.write(&mut writer, &shape)?;
    writer.finish().unwrap();
    Ok(())
}

/// A tar of what `umoci unpack` makes of an image, by GNU tar; the files themselves stay in `bundle` beside it.
pub(crate) fn unpack(layout: &Path, tag: &str, folder: &Path) -> PathBuf {
    let bundle = folder.join("bundle");
    if bundle.exists() {
        fs::remove_dir_all(&bundle).unwrap();
    }
    let image = format!("{}:{tag}", layout.display());
    testkit::run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
    let tar = folder.join("umoci.tar");
    testkit::run(
        Command::new(tool("tar"))
            .args(["--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C"])
            .arg(bundle.join("rootfs"))
            .arg("-cf")
            .arg(&tar)
            .arg("."),
    );
    tar
}

/// Whether `umoci unpack` takes an image.
pub(crate) fn umoci_takes(made: &Made) -> bool {
    let image = format!("{}:latest", made.path().display());
    let bundle = made.folder.path().join("bundle");
    let result = output(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(bundle));
    result.status.success()
}

/// All entries of a tar.
pub(crate) fn entries(tar: &Path) -> Vec<Entry> {
    let mut reader = tar::Reader::new(fs::File::open(tar).unwrap());
    let mut entries = Vec::new();
    while let Some(member) = reader.next().unwrap() {
        entries.push(member.entry);
    }
    entries
}

/// Ours and `umoci`'s are the same: by the checker, in which names are one file, and in times but for those of directories
/// that no layer names.
pub(crate) fn same_as_umoci(made: &Made, summary: &str) {
    let (theirs, ours) = (made.umoci(), made.flatten().unwrap());
    same(&ours, &theirs, &made.folder.path().join("bundle/rootfs"), summary);
    same_inventory(made, &ours, summary);
}

/// The same for two tars of which one is of the folder `unpacked`.
pub(crate) fn same(ours: &Path, theirs: &Path, unpacked: &Path, summary: &str) {
    let difference = testkit::rootfs_diff(ours, theirs, &[]);
    assert!(difference.is_empty(), "{summary}: ours and umoci's:\n{}", difference.lines.join("\n"));
    let in_order = entries(ours);
    assert!(in_order.is_sorted_by(|a, b| a.path < b.path), "{summary}: path order");
    let root = Root::open(unpacked, Links::Refuse).unwrap();
    let scanned: Vec<Entry> = root.scan().map(Result::unwrap).collect();
    let shown = |entries: &[Entry]| -> Vec<String> {
        let all = entries.iter().skip(1);
        let line = |entry: &Entry| {
            let (path, kind, time) = (&entry.path, &entry.kind, entry.metadata.mtime);
            // Links are told by their first name in path order on both sides. Their time is that of the file.
            match kind {
                tree::Kind::Directory => format!("{path} {kind:?}"),
                tree::Kind::HardLink { .. } => format!("{path} {kind:?}"),
                _ => format!("{path} {kind:?} {time}"),
            }
        };
        all.map(line).collect()
    };
    let (ours, theirs) = (shown(&in_order), shown(&scanned));
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let (our_kind, their_kind) = (&in_order[number + 1].kind, &scanned[number + 1].kind);
        // A scan tells no second names of what is no file; the checker does.
        let second_name = matches!(our_kind, tree::Kind::HardLink { .. });
        if second_name && !matches!(their_kind, tree::Kind::HardLink { .. } | tree::Kind::File { .. }) {
            continue;
        }
        assert_eq!(ours, theirs, "{summary}");
    }
}
