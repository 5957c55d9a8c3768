//! Images made by hand, and repositories to send them to.

use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cache::{Cache, Digest};
use http::parallel;
use ovmlayer_image::copy::{Copied, Options as CopyOptions, copy};
use ovmlayer_image::events::{Event, Events, Silent};
use ovmlayer_image::registry::{Access, Options, Repository, open_repository};
use ovmlayer_image::{
    Blobs, Config, Descriptor, Index, Layout, Manifest, Platform, Reference, Result, RootFs, Target, media,
    read_small,
};
use tempfile::TempDir;
use testkit::{Compression, Random};

/// An image layout with an image in it, which goes with the value.
pub(crate) struct Made {
    _folder: TempDir,
    pub(crate) layout: Layout,
    pub(crate) root: Descriptor,
}

/// So many bytes that nothing makes smaller.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

/// An index of an image with `layers`, by their lengths, for each of `platforms`.
pub(crate) fn index(seed: u64, platforms: &[&str], layers: &[usize]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("image")).unwrap();
    let images = platforms.iter().zip(seed..).map(|(name, seed)| {
        let platform = Platform::linux(name);
        Descriptor { platform: Some(platform), ..image(&layout, seed, name, layers) }
    });
    let bytes = Index::new(images.collect()).to_bytes();
    let root = Descriptor::of(media::INDEX, &bytes);
    layout.put_manifest(&root, &bytes).unwrap();
    layout.tag(&root, &bytes, "latest").unwrap();
    Made { _folder: folder, layout, root }
}

/// An image alone.
pub(crate) fn single(seed: u64, layers: &[usize]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("image")).unwrap();
    let root = image(&layout, seed, "amd64", layers);
    let bytes = read_small(&layout, &root).unwrap();
    layout.tag(&root, &bytes, "latest").unwrap();
    Made { _folder: folder, layout, root }
}

fn image(layout: &Layout, seed: u64, architecture: &str, layers: &[usize]) -> Descriptor {
    let store = |kind: &str, bytes: &[u8]| {
        let blob = Descriptor::of(kind, bytes);
        layout.put(&blob, &mut &bytes[..]).unwrap();
        blob
    };
    let mut diff_ids = Vec::new();
    let mut blobs = Vec::new();
    for (length, at) in layers.iter().zip(0..) {
        let plain = noise(seed * 1000 + at, *length);
        diff_ids.push(Digest::of(&plain));
        blobs.push(store(media::LAYER_GZIP, &Compression::Gzip.compress(&plain)));
    }
    let config = Config {
        created: None,
        author: None,
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: Default::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history: Vec::new(),
    };
    let config = store(media::CONFIG, &config.to_bytes());
    let bytes = Manifest::new(config, blobs).to_bytes();
    let manifest = Descriptor::of(media::MANIFEST, &bytes);
    layout.put_manifest(&manifest, &bytes).unwrap();
    manifest
}

/// Short of patience, with a cache in `folder`.
pub(crate) fn options(folder: &Path) -> Options {
    let http = http::Options {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(400),
        answer_timeout: Duration::from_secs(20),
        backoff: Duration::from_millis(2),
        longest_wait: Duration::from_secs(2),
        ..http::Options::default()
    };
    Options { http, ..Options::new(Cache::open(&folder.join("cache")).unwrap()) }
}

/// A repository with a cache that is empty and goes with it.
pub(crate) struct Opened {
    pub(crate) folder: TempDir,
    pub(crate) repository: Repository,
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Opens the repository `name` of the registry at `host`.
pub(crate) fn open(host: impl ToString, name: &str, access: Access) -> Opened {
    open_with(host, name, access, |options| options)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "an address is short, and callers have it in several forms"
)]
pub(crate) fn open_with(
    host: impl ToString,
    name: &str,
    access: Access,
    change: impl FnOnce(Options) -> Options,
) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let options = change(options(folder.path()));
    let reference = reference(&format!("{}/{name}", host.to_string()));
    Opened { repository: open_repository(&reference, access, &options).unwrap(), folder }
}

/// Copies all of it and calls it `tag`.
pub(crate) fn send(source: &dyn Blobs, root: &Descriptor, target: &dyn Target, tag: &str) -> Result<Copied> {
    send_with(source, root, target, tag, &Silent)
}

pub(crate) fn send_with(
    source: &dyn Blobs,
    root: &Descriptor,
    target: &dyn Target,
    tag: &str,
    events: &dyn Events,
) -> Result<Copied> {
    copy(source, root, target, &CopyOptions { tags: vec![tag.to_owned()], ..Default::default() }, events)
}

/// Reads everything that `root` leads to, which checks every digest, and says how many contents there are.
pub(crate) fn read_all(blobs: &dyn Blobs, root: &Descriptor) -> Result<usize> {
    let bytes = read_small(blobs, root)?;
    assert_eq!(Digest::of(&bytes), root.digest);
    if media::is_index(&root.media_type) {
        let children = Index::parse(&bytes, "the index")?.manifests;
        return children.iter().try_fold(0, |sum, child| Ok(sum + read_all(blobs, child)?));
    }
    let manifest = Manifest::parse(&bytes, "the manifest")?;
    let parts: Vec<_> = manifest.layers.into_iter().chain([manifest.config]).collect();
    parallel::map(4, &parts, |blob| {
        let mut bytes = Vec::new();
        let read =
            |source| ovmlayer_image::Error::Read { what: blob.digest_text(), place: blobs.name(), source };
        blobs.open(blob)?.read_to_end(&mut bytes).map_err(read)?;
        assert_eq!(Digest::of(&bytes), blob.digest);
        Ok::<_, ovmlayer_image::Error>(())
    })?;
    Ok(parts.len())
}

/// Adds up what it is told.
#[derive(Default)]
pub(crate) struct Sum {
    pub(crate) told: Mutex<Told>,
}

#[derive(Default, Debug)]
pub(crate) struct Told {
    pub(crate) planned: u64,
    pub(crate) received: i64,
    pub(crate) sent: i64,
    pub(crate) retries: Vec<String>,
}

impl Events for Sum {
    fn event(&self, event: &Event<'_>) {
        let mut told = self.told.lock().unwrap();
        match event {
            Event::Planned { bytes, .. } => told.planned += bytes,
            Event::Received { bytes } => told.received += bytes,
            Event::Sent { bytes } => told.sent += bytes,
            Event::Retrying { failure, .. } => told.retries.push((*failure).to_owned()),
            _ => {}
        }
    }
}
