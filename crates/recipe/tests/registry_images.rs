//! Recipes made from images in a registry: when it is asked, and when the cache does.
//!
//! The registry is a stand-in that opens image layouts; the client for real ones has its own tests.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use image::{
    Config, Descriptor, Index, Layout, Location, Manifest, Platform, Process, RootFs, Target, media,
};
use ovmlayer_recipe::build::{Interrupt, Options, Pin, Session};
use ovmlayer_recipe::events::{Event, Events};
use ovmlayer_recipe::plan::Origin;
use ovmlayer_recipe::{Found, ImageLock, Recipe};

const RECIPE: &str = "format = 1
kind = \"rootfs\"
description = \"d\"
architectures = [\"amd64\", \"arm64\"]
output = \"{arch}-x.tar\"
from = \"registry.example/team/app:stable\"
";

struct Silent;

impl Events for Silent {
    fn event(&self, _: Event) {}
}

/// An index of two images of one layer each, as `latest`.
fn publish(layout: &Path, word: &str) -> Descriptor {
    let layout = Layout::create(layout).expect("a layout");
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let file = testkit::Member::file("word", format!("{word} {architecture}"));
        let tar = testkit::TarBuilder::new().member(file).build();
        let layer = Descriptor::of(media::LAYER, &tar);
        layout.put(&layer, &mut &tar[..]).expect("stored");
        let config = Config {
            created: None,
            author: None,
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
            config: Process::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.digest] },
            history: Vec::new(),
        };
        let bytes = config.to_bytes();
        let config = Descriptor::of(media::CONFIG, &bytes);
        layout.put(&config, &mut &bytes[..]).expect("stored");
        let bytes = Manifest::new(config, vec![layer]).to_bytes();
        let manifest = Descriptor::of(media::MANIFEST, &bytes);
        layout.put_manifest(&manifest, &bytes).expect("stored");
        entries.push(Descriptor { platform: Some(Platform::linux(architecture)), ..manifest });
    }
    let bytes = Index::new(entries).to_bytes();
    let index = Descriptor::of(media::INDEX, &bytes);
    layout.put_manifest(&index, &bytes).expect("stored");
    layout.tag(&index, &bytes, "stable").expect("tagged");
    layout.tag(&index, &bytes, &index.digest.to_string()).expect("tagged");
    index
}

/// A recipe, a cache and a registry in a folder.
struct Stage {
    folder: tempfile::TempDir,
    found: Found,
    asked: Arc<AtomicUsize>,
    references: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.toml");
        let recipe = Recipe::parse(RECIPE, &path).expect("a recipe");
        let found = Found { name: "x".to_owned(), path: Some(path), recipe, parent: None };
        Self { folder, found, asked: Arc::default(), references: Arc::default() }
    }

    fn registry(&self) -> std::path::PathBuf {
        self.folder.path().join("registry")
    }

    fn session(&self) -> Session {
        let cache = self.folder.path().join("cache");
        let interrupt = Interrupt::new().expect("a switch");
        let session = Session::open(Some(&cache), interrupt, Arc::new(Silent)).expect("a session");
        let (registry, asked) = (self.registry(), Arc::clone(&self.asked));
        let references = Arc::clone(&self.references);
        session.with_remote(Arc::new(move |reference| {
            asked.fetch_add(1, Ordering::Relaxed);
            references.lock().expect("not poisoned").push(reference.to_string());
            let tag = reference.digest.map(|digest| digest.to_string()).or_else(|| reference.tag.clone());
            let location = Location::Layout { path: registry.clone(), tag };
            image::open_source(&location, Path::new("/nonexistent"), None)
        }))
    }

    fn build(&self, pin: Pin, offline: bool) -> Result<String, String> {
        let out = self.folder.path().join("out");
        let origin = Origin { offline, ..Origin::default() };
        let options = Options { origin, pin, out: out.clone(), ..Options::default() };
        let entered = sandbox::enter_user_namespace().map_err(|error| error.to_string())?;
        self.session().build(&self.found, &options, &entered).map_err(|error| error.to_string())?;
        let tar = fs::read(out.join("arm64-x.tar")).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&tar).into_owned())
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

/// A registry is asked only for what is not known. A program of its own without a harness, because a user namespace is
/// entered by a process that has one thread.
fn main() {
    let stage = Stage::new();
    publish(&stage.registry(), "first");
    let refusal = stage.build(Pin::IfThere, true).expect_err("refused");
    assert!(refusal.contains("read it once without `--offline`"), "{refusal}");
    assert_eq!(stage.asked(), 0, "without a network nobody is asked");
    assert!(stage.build(Pin::IfThere, false).expect("built").contains("first arm64"));
    assert_eq!(stage.asked(), 1);
    assert!(stage.build(Pin::IfThere, true).expect("built").contains("first arm64"));
    assert_eq!(stage.asked(), 0, "all of it is in the cache");

    // The lock pins the image, and the registry is not asked for what the cache has.
    let lock = stage.session().lock_image(&stage.found, &Origin::default()).expect("a lock");
    assert_eq!(stage.asked(), 1);
    let lock_path = stage.found.lock_path();
    stage.session().write_image_lock(&lock, &lock_path).expect("written");
    let second = publish(&stage.registry(), "second");
    assert!(stage.build(Pin::Locked, false).expect("built").contains("first arm64"));
    assert!(stage.build(Pin::IfThere, true).expect("built").contains("first arm64"));
    assert_eq!(stage.asked(), 0);
    fs::remove_dir_all(stage.folder.path().join("cache")).expect("forgotten");
    assert!(stage.build(Pin::Locked, true).is_err());
    assert!(stage.build(Pin::Locked, false).expect("built").contains("first arm64"));
    assert_eq!(stage.asked(), 1, "one way to the registry for all that is missing");
    let reference = stage.references.lock().expect("not poisoned").pop().expect("a reference");
    assert_eq!(reference, format!("registry.example/team/app@sha256:{}", lock.sha256), "by digest");

    // A refresh takes what the tag names now.
    assert!(stage.build(Pin::Update, false).expect("built").contains("second arm64"));
    let refreshed = ImageLock::load(&lock_path).expect("readable").expect("a lock");
    assert_eq!(refreshed.sha256, second.digest);
    assert_eq!(refreshed.image("amd64").expect("an image").layers.len(), 1);
}
