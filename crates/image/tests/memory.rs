//! Flattening an image of 300,000 small files and one of 2 GiB takes less than 200 MiB of memory, and so does looking at it.
//!
//! A program of its own, because the kernel counts the memory of a whole process.

#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test is to fail the test")]

extern crate ovmlayer_image as image;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::sync::atomic::AtomicBool;

use cache::Hasher;
use image::flatten::{Limits, Options, Shape, flatten};
use image::inventory::{Digests, read_image};
use image::{Config, Descriptor, Image, Layout, Manifest, Platform, Process, RootFs, Target, media};
use tree::codec::{Encoder, Format};
use tree::{Entry, Kind, Metadata, tar};

const SMALL: u64 = 300_000;
const LARGE: u64 = 2 << 30;

/// The bound, in KiB.
const BOUND: u64 = 200 * 1024;

/// Writes a layer into the layout; nothing of it is held in memory.
fn layer(layout: &Layout, entries: impl Iterator<Item = (String, u64)>) -> (Descriptor, cache::Digest) {
    /// Hashes on the way.
    struct Both<W> {
        inner: W,
        hasher: Hasher,
    }
    impl<W: Write> Write for Both<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.inner.write(bytes)?;
            self.hasher.update(&bytes[..count]);
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.inner.flush()
        }
    }
    let temporary = layout.path().join("layer");
    let file = Both { inner: File::create(&temporary).unwrap(), hasher: Hasher::new() };
    let encoder = Encoder::new(Format::Zstd, file, 2).unwrap();
    let mut writer = tar::Writer::new(Both { inner: encoder, hasher: Hasher::new() });
    for (path, size) in entries {
        let entry = Entry {
            path: path.parse().unwrap(),
            kind: Kind::File { size },
            metadata: Metadata::new(0o644, 1),
        };
        writer.append(&entry, &mut io::repeat(0).take(size)).unwrap();
    }
    let plain = writer.finish().unwrap();
    let stored = plain.inner.finish().unwrap();
    let size = fs::metadata(&temporary).unwrap().len();
    let descriptor = Descriptor::new(media::LAYER_ZSTD, stored.hasher.finish(), size);
    layout.put(&descriptor, &mut File::open(&temporary).unwrap()).unwrap();
    (descriptor, plain.hasher.finish())
}

/// The most memory that this process has taken since the count was begun, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let small =
        |number| (format!("usr/share/folder-{}/a-file-with-a-longer-name-{number}", number / 100), 10);
    let layers =
        [layer(&layout, (0..SMALL).map(small)), layer(&layout, std::iter::once(("large".to_owned(), LARGE)))];
    let config = Config {
        created: None,
        author: None,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: Process::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: layers.iter().map(|(_, id)| *id).collect() },
        history: Vec::new(),
    };
    let config = config.to_bytes();
    let descriptor = Descriptor::of(media::CONFIG, &config);
    layout.put(&descriptor, &mut &config[..]).unwrap();
    let manifest = Manifest::new(descriptor, layers.into_iter().map(|(layer, _)| layer).collect()).to_bytes();
    let root = Descriptor::of(media::MANIFEST, &manifest);
    layout.put_manifest(&root, &manifest).unwrap();

    let never = AtomicBool::new(false);
    let found = Image::find(&layout, &root, &Platform::linux("amd64")).unwrap();
    // From here on the kernel counts anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (inventory, _) = read_image(&layout, &found, Digests::Sha256, &never).unwrap();
    let looking = peak();
    assert_eq!(inventory.size(), LARGE + 10 * SMALL);
    drop(inventory);
    assert!(looking < BOUND, "{looking} KiB were taken by looking, and {BOUND} are allowed");

    fs::write("/proc/self/clear_refs", "5").unwrap();
    let options =
        Options { scratch: folder.path(), threads: 4, limits: Limits::default(), interrupted: &never };
    let mut flattened = flatten(&layout, &found, &options).unwrap();
    let shape = Shape { leave_out: &|_| false, empty_dev: true, latest: None, interrupted: &never };
    let mut writer = tar::Writer::new(io::sink());
    let written = flattened.write(&mut writer, &shape).unwrap();
    writer.finish().unwrap();
    let peak = peak();
    assert_eq!(written.contents, LARGE + 10 * SMALL);
    assert!(peak < BOUND, "{peak} KiB were taken, and {BOUND} are allowed");
}
