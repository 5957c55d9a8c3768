//! Archives of images, and layers on their way into one tree.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::sync::atomic::AtomicBool;

use cache::Digest;
use image::flatten::{Limits, Options, Shape, flatten};
use image::inventory::{Digests, Inventory, read_image, read_tree};
use image::{
    Blobs, Config, Descriptor, Error, Image, Location, Manifest, Place, Platform, Process, Result, RootFs,
    Verified, media, open_source,
};
use tree::tar;

use crate::targets::mended;

/// No input may expand to more than this, in bytes.
const EXPANDED: u64 = 1 << 20;

const LIMITS: Limits =
    Limits { layer: EXPANDED, ratio: 100, free: EXPANDED, contents: EXPANDED, memory: EXPANDED };

/// An archive of images, as it is and with its checksums mended.
pub fn images(input: &[u8]) {
    images_accept(input);
    images_accept(&mended(input));
}

/// Whether this is an archive with an image for amd64, all of which can be read.
pub fn images_accept(input: &[u8]) -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let path = folder.path().join("input");
    if fs::write(&path, input).is_err() {
        return false;
    }
    let layout = Location::LayoutTar { path: path.clone(), tag: None };
    let docker = Location::DockerArchive { path, tag: None };
    let accepted = [layout, docker].map(|location| {
        let Ok(source) = open_source(&location, folder.path(), None) else { return false };
        let Ok(image) = Image::find(&*source, source.root(), &Platform::linux("amd64")) else { return false };
        assert_eq!(
            image.manifest.layers.len(),
            image.config.rootfs.diff_ids.len(),
            "layers are what was promised"
        );
        flat(&*source, &image).is_some()
    });
    accepted.contains(&true)
}

/// A layer over another one, as it is and with its checksums mended.
pub fn flattened(input: &[u8]) {
    flattened_accepts(input);
    flattened_accepts(&mended(input));
}

/// Whether this is a layer that can be put over another one.
pub fn flattened_accepts(input: &[u8]) -> bool {
    let lower = crate::seeds::oci().swap_remove(0);
    let memory = Memory::new(&[&lower, input]);
    let Ok(image) = Image::find(&memory, &memory.root, &Platform::linux("amd64")) else { return false };
    let Some(tar) = flat(&memory, &image) else { return false };
    let mut reader = tar::Reader::new(&tar[..]);
    let mut paths = Vec::new();
    while let Some(member) = reader.next().unwrap_or_else(|error| panic!("the tar cannot be read: {error}")) {
        paths.push(member.entry.path);
    }
    assert!(paths.is_sorted_by(|a, b| a < b), "entries are in path order, each once");
    let never = AtomicBool::new(false);
    let (layers, _) = read_image(&memory, &image, Digests::Sha256, &never)
        .unwrap_or_else(|error| panic!("what can be flattened cannot be looked at: {error}"));
    let (flat, ..) = read_tree(&tar[..], Digests::Sha256, &never)
        .unwrap_or_else(|error| panic!("the tar cannot be looked at: {error}"));
    assert_eq!(timeless(layers), timeless(flat), "an image and what is flattened of it hold the same");
    true
}

/// An inventory without times: flattening changes them when it is told to.
fn timeless(mut inventory: Inventory) -> Inventory {
    inventory.newest = 0;
    inventory.files.iter_mut().for_each(|file| file.mtime = 0);
    inventory
}

/// The tar of an image, if it can be flattened.
fn flat(blobs: &dyn Blobs, image: &Image) -> Option<Vec<u8>> {
    let never = AtomicBool::new(false);
    let scratch = std::env::temp_dir();
    let options = Options { scratch: &scratch, threads: 2, limits: LIMITS, interrupted: &never };
    let mut flattened = flatten(blobs, image, &options).ok()?;
    let shape = Shape { leave_out: &|_| false, empty_dev: false, latest: Some(7), interrupted: &never };
    let mut writer = tar::Writer::new(Vec::new());
    match flattened.write(&mut writer, &shape) {
        Ok(_) => {}
        // Attributes whose names have no spelling.
        Err(Error::Tree(tree::Error::XattrName { .. })) => return None,
        Err(error) => panic!("what was read cannot be written: {error}"),
    }
    writer.finish().ok()
}

/// An image in memory.
struct Memory {
    contents: HashMap<Digest, Vec<u8>>,
    root: Descriptor,
}

impl Memory {
    fn new(layers: &[&[u8]]) -> Self {
        let mut contents = HashMap::new();
        let mut put = |media_type: &str, bytes: &[u8]| {
            let descriptor = Descriptor::of(media_type, bytes);
            contents.insert(descriptor.digest, bytes.to_vec());
            descriptor
        };
        let descriptors: Vec<Descriptor> = layers.iter().map(|layer| put(media::LAYER, layer)).collect();
        let config = config(descriptors.iter().map(|layer| layer.digest).collect()).to_bytes();
        let manifest = Manifest::new(put(media::CONFIG, &config), descriptors).to_bytes();
        let root = put(media::MANIFEST, &manifest);
        Self { contents, root }
    }
}

impl Place for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }
}

impl Blobs for Memory {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self.contents.get(&blob.digest) {
            Some(bytes) => Ok(Box::new(Verified::new(&bytes[..], blob))),
            None => Err(Error::NoBlob { what: blob.digest_text(), place: self.name() }),
        }
    }
}

fn config(diff_ids: Vec<Digest>) -> Config {
    Config {
        created: None,
        author: None,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: Process::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history: Vec::new(),
    }
}

/// A Docker archive and a layout in a tar, each with one layer.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let layer = crate::seeds::oci().swap_remove(0);
    let config = config(vec![Digest::of(&layer)]).to_bytes();
    let list = br#"[{"Config":"config.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]"#;
    let docker =
        crate::seeds::files(&[("layer.tar", &layer), ("config.json", &config), ("manifest.json", list)]);
    let memory = Memory::new(&[&layer]);
    let index = image::Index::new(vec![memory.root.clone()]).to_bytes();
    let blobs: Vec<(String, &[u8])> = memory
        .contents
        .iter()
        .map(|(digest, bytes)| (format!("blobs/sha256/{digest}"), &bytes[..]))
        .collect();
    let mut members: Vec<(&str, &[u8])> =
        vec![("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", &index)];
    members.extend(blobs.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
    // What a map gives is in no order, and seeds are the same in every run.
    members.sort_unstable();
    vec![docker, crate::seeds::files(&members)]
}

/// Words of the documents of images.
pub(crate) const WORDS: &[&str] = &[
    "manifest.json",
    "index.json",
    "oci-layout",
    "layer.tar",
    "config.json",
    "../layer.tar",
    "\"Layers\":[",
    "\"RepoTags\":null",
    "\"diff_ids\":[]",
    "\"mediaType\":\"application/vnd.oci.image.index.v1+json\"",
    "\"manifests\":[",
    "sha256:",
    "\"size\":18446744073709551615",
    "null",
    "[[[[",
    "\u{1f}\u{8b}\u{8}",
    "ustar\x0000",
];
