//! Layers: their bytes, and what umoci and skopeo make of them.

use std::fs;
use std::path::Path;

use cache::Digest;
use ovmlayer_image::build::{LayerBuilder, changes_between, split};
use ovmlayer_image::{Error, Layout, Manifest, media, read_small};
use tree::codec::{Format, decoder};
use tree::tar;

use crate::place::{NATIVE, ON, Place, all, inspect};

/// The manifest of the only image of a layout.
fn manifest(layout: &Layout) -> Manifest {
    let index = layout.find(Some("latest")).unwrap();
    let index = ovmlayer_image::Index::parse(&read_small(layout, &index).unwrap(), "the index").unwrap();
    Manifest::parse(&read_small(layout, &index.manifests[0]).unwrap(), "the manifest").unwrap()
}

#[test]
fn the_bytes_do_not_depend_on_threads_and_others_read_them() {
    let place = Place::new();
    for (format, media_type) in
        [(Format::Gzip, media::LAYER_GZIP), (Format::Zstd, media::LAYER_ZSTD), (Format::Plain, media::LAYER)]
    {
        let name = |threads: usize| format!("{format:?}-{threads}");
        let digests = [1, 2, 8].map(|threads| {
            let layout = place.image(&name(threads), vec![all(&place.entries())], format, threads);
            layout.find(None).unwrap().digest
        });
        assert_eq!(digests, [digests[0]; 3], "{format:?}");
        let layout = Layout::open(&place.path(&name(2))).unwrap();
        assert_eq!(manifest(&layout).layers[0].media_type, media_type);
        let seen = inspect(&format!("oci:{}:latest", layout.path().display()));
        assert_eq!((&seen["Architecture"], seen["Layers"].as_array().unwrap().len()), (&NATIVE.into(), 1));
        // umoci of this age knows no zstd.
        if format != Format::Zstd {
            let difference = place.compare(layout.path(), "bundle");
            assert!(difference.is_empty(), "{format:?}: {:?}", difference.lines);
            assert!(difference.equal > 10, "{format:?}: only {} entries", difference.equal);
        }
    }
}

#[test]
fn both_digests_are_those_of_the_bytes() {
    let place = Place::new();
    let layout = Layout::create(&place.path("image")).unwrap();
    let root = place.open();
    let builder = LayerBuilder {
        root: &root,
        layout: &layout,
        compression: Format::Zstd,
        threads: 2,
        interrupted: &ON,
    };
    let layer = builder.pack(all(&place.entries())).unwrap();
    let blob =
        fs::read(layout.path().join("blobs/sha256").join(layer.descriptor.digest.to_string())).unwrap();
    assert_eq!(layer.descriptor.size, blob.len() as u64);
    assert_eq!(layer.descriptor.digest, Digest::of(&blob));
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut decoder(Format::Zstd, &blob[..]).unwrap(), &mut plain).unwrap();
    assert_eq!((layer.size, layer.diff_id), (plain.len() as u64, Digest::of(&plain)));
    let mut reader = tar::Reader::new(&plain[..]);
    let mut paths = Vec::new();
    while let Some(member) = reader.next().unwrap() {
        paths.push(member.entry.path.clone());
    }
    assert_eq!(paths, place.entries().into_iter().map(|entry| entry.path).collect::<Vec<_>>());
    nothing_is_left(layout.path());
}

#[test]
fn several_layers_make_the_tree() {
    let place = Place::new();
    let entries = place.entries();
    let number =
        |entry: &tree::Entry| entry.path.as_bytes().iter().map(|byte| usize::from(*byte)).sum::<usize>() % 3;
    let layout = place.image("image", split(&entries, 3, number), Format::Gzip, 2);
    assert_eq!(manifest(&layout).layers.len(), 3);
    let difference = place.compare(layout.path(), "bundle");
    assert!(difference.is_empty(), "{:?}", difference.lines);
}

/// A second layer deletes, replaces and adds; what umoci unpacks of both is the second tree.
#[test]
fn what_a_layer_takes_away_is_gone() {
    let place = Place::new();
    for (name, contents) in
        [("a/gone/deep", "1"), ("a/kept", "1"), ("b/file", "1"), ("c", "1"), ("d/inner", "1")]
    {
        place.write(name, contents.as_bytes());
    }
    let before = place.entries();
    let layout = Layout::create(&place.path("image")).unwrap();
    let root = place.open();
    let builder = LayerBuilder {
        root: &root,
        layout: &layout,
        compression: Format::Gzip,
        threads: 2,
        interrupted: &ON,
    };
    let first = builder.pack(all(&before)).unwrap();
    let path = |name: &str| place.root().join(name);
    fs::remove_dir_all(path("a/gone")).unwrap();
    fs::remove_file(path("bin/link")).unwrap();
    fs::remove_dir_all(path("d")).unwrap();
    place.write("d", b"a file now");
    fs::remove_file(path("c")).unwrap();
    place.write("c/file", b"a directory now");
    place.write("b/file", b"another");
    fs::hard_link(path("b/file"), path("a/linked")).unwrap();
    let after = place.entries();
    let changes = changes_between(&before, &after, |below, above| below == above);
    assert!(changes.len() < before.len(), "{changes:?}");
    root.forget_parents();
    let second = builder.pack(changes).unwrap();
    let mut image =
        ovmlayer_image::build::ImageBuilder::new(&ovmlayer_image::Platform::linux(NATIVE), 0).unwrap();
    image.push(&first, "one");
    image.push(&second, "two");
    let image = image.write(&layout).unwrap();
    ovmlayer_image::build::put_index(&layout, vec![image], Default::default(), &["latest".to_owned()])
        .unwrap();
    let difference = place.compare(layout.path(), "bundle");
    assert!(difference.is_empty(), "{:?}", difference.lines);
}

#[test]
fn names_that_mean_something_else_in_layers_are_refused() {
    let place = Place::new();
    place.write("etc/.wh.text", b"");
    let layout = Layout::create(&place.path("image")).unwrap();
    let root = place.open();
    let builder = LayerBuilder {
        root: &root,
        layout: &layout,
        compression: Format::Gzip,
        threads: 2,
        interrupted: &ON,
    };
    let error = builder.pack(all(&place.entries())).unwrap_err();
    assert!(matches!(error, Error::Tree(tree::Error::WhiteoutName { .. })), "{error}");
    nothing_is_left(layout.path());
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let place = Place::new();
    let entries = place.entries();
    place.write("etc/text", b"shorter");
    let layout = Layout::create(&place.path("image")).unwrap();
    let root = place.open();
    let builder = LayerBuilder {
        root: &root,
        layout: &layout,
        compression: Format::Gzip,
        threads: 2,
        interrupted: &ON,
    };
    let error = builder.pack(all(&entries)).unwrap_err();
    assert!(matches!(error, Error::Tree(tree::Error::SizeMismatch { .. })), "{error}");
    nothing_is_left(layout.path());
}

/// No unfinished content lies in a layout.
fn nothing_is_left(layout: &Path) {
    let names = fs::read_dir(layout.join("blobs/sha256")).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}
