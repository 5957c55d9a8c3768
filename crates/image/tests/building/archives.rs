//! OCI tars and Docker archives.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use ovmlayer_image::build::{DockerTar, OciTar, put_index, write_docker_tar, write_oci_tar};
use ovmlayer_image::{Blobs, Config, Error, Index, Layout, Manifest, Target, read_small};
use serde_json::Value;
use testkit::{run, tool};
use tree::codec::Format;

use crate::place::{NATIVE, Place, all, inspect};

/// Copies everything of `layout` into another target, as a copying command would.
fn copy(layout: &Layout, target: &dyn Target) {
    let root = layout.find(Some("latest")).unwrap();
    let bytes = read_small(layout, &root).unwrap();
    for image in Index::parse(&bytes, "the index").unwrap().manifests {
        let manifest = read_small(layout, &image).unwrap();
        let parsed = Manifest::parse(&manifest, "the manifest").unwrap();
        for blob in parsed.layers.iter().chain([&parsed.config]) {
            target.put(blob, &mut layout.open(blob).unwrap()).unwrap();
            assert!(target.has(blob).unwrap());
        }
        target.put_manifest(&image, &manifest).unwrap();
    }
    target.put_manifest(&root, &bytes).unwrap();
    target.tag(&root, &bytes, "latest").unwrap();
}

#[test]
fn an_oci_tar_is_the_layout() {
    let place = Place::new();
    let layout = place.image("image", vec![all(&place.entries())], Format::Gzip, 2);
    let tar = place.path("out/image.oci.tar");
    let target = OciTar::create(&tar).unwrap();
    copy(&layout, &target);
    assert!(!tar.exists(), "there before it is whole");
    target.finish().unwrap();
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1, "something lies beside it");
    assert!(fs::read(&tar).unwrap() == write_oci_tar(&layout, Vec::new()).unwrap(), "other bytes");
    let seen = inspect(&format!("oci-archive:{}:latest", tar.display()));
    assert_eq!(seen["Digest"], inspect(&format!("oci:{}:latest", layout.path().display()))["Digest"]);
    let copied = place.path("copied");
    let (from, to) =
        (format!("oci-archive:{}:latest", tar.display()), format!("oci:{}:latest", copied.display()));
    run(Command::new(tool("skopeo")).args(["copy", "--all", &from, &to]));
    let difference = place.compare(&copied, "bundle");
    assert!(difference.is_empty(), "{:?}", difference.lines);
}

/// Whatever the layers are compressed with, the archive holds the same plain ones.
#[test]
fn a_docker_archive_is_read_by_others() {
    let place = Place::new();
    let mut archives = Vec::new();
    for format in [Format::Gzip, Format::Zstd, Format::Plain] {
        let layout = place.image(&format!("{format:?}"), vec![all(&place.entries())], format, 2);
        let tar = place.path(&format!("{format:?}.docker.tar"));
        let target = DockerTar::create(&tar, vec!["app:1".to_owned()]).unwrap();
        copy(&layout, &target);
        target.finish().unwrap();
        archives.push(fs::read(&tar).unwrap());
    }
    assert!(archives.iter().all(|archive| *archive == archives[0]), "the archives differ");
    let tar = place.path("Gzip.docker.tar");
    let listed = run(Command::new(tool("tar")).arg("-xOf").arg(&tar).arg("manifest.json"));
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed[0]["RepoTags"], serde_json::json!(["app:1"]));
    let name = listed[0]["Config"].as_str().unwrap();
    let config = run(Command::new(tool("tar")).arg("-xOf").arg(&tar).arg(name));
    assert_eq!(Config::parse(&config, "the configuration").unwrap().architecture, NATIVE);
    let copied = place.path("copied");
    let (from, to) =
        (format!("docker-archive:{}:app:1", tar.display()), format!("oci:{}:latest", copied.display()));
    run(Command::new(tool("skopeo")).args(["copy", &from, &to]));
    let difference = place.compare(&copied, "bundle");
    assert!(difference.is_empty(), "{:?}", difference.lines);
}

#[test]
fn skopeo_makes_a_docker_archive_of_a_layout() {
    let place = Place::new();
    let layout = place.image("image", vec![all(&place.entries())], Format::Gzip, 2);
    let tar = place.path("theirs.tar");
    let from = format!("oci:{}:latest", layout.path().display());
    run(Command::new(tool("skopeo")).args([
        "copy",
        &from,
        &format!("docker-archive:{}:app:1", tar.display()),
    ]));
    assert_eq!(inspect(&format!("docker-archive:{}", tar.display()))["Architecture"], NATIVE);
}

#[test]
fn a_docker_archive_holds_one_platform() {
    let place = Place::new();
    let layout = Layout::create(&place.path("image")).unwrap();
    let entries = place.entries();
    let images = ["arm64", "amd64"]
        .map(|architecture| place.add(&layout, architecture, vec![all(&entries)], Format::Gzip, 2));
    let index = put_index(&layout, images.to_vec(), BTreeMap::new(), &["latest".to_owned()]).unwrap();
    let seen = Index::parse(&read_small(&layout, &index).unwrap(), "the index").unwrap();
    let platforms = seen.manifests.iter().map(|image| image.platform.clone().unwrap().to_string());
    assert_eq!(platforms.collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let tar = place.path("image.docker.tar");
    let target = DockerTar::create(&tar, Vec::new()).unwrap();
    copy(&layout, &target);
    let error = target.finish().unwrap_err();
    assert!(matches!(error, Error::OnePlatform { count: 2, .. }), "{error}");
    assert!(!tar.exists());
    write_docker_tar(&layout, &images[0], &[], Vec::new()).unwrap();
}

#[test]
fn a_layer_that_is_not_the_promised_one_is_not_written() {
    let place = Place::new();
    let layout = place.image("image", vec![all(&place.entries())], Format::Gzip, 2);
    let index = layout.find(None).unwrap();
    let index = Index::parse(&read_small(&layout, &index).unwrap(), "the index").unwrap();
    let mut manifest =
        Manifest::parse(&read_small(&layout, &index.manifests[0]).unwrap(), "the manifest").unwrap();
    let mut config = Config::parse(&read_small(&layout, &manifest.config).unwrap(), "it").unwrap();
    config.rootfs.diff_ids[0] = cache::Digest::of(b"another");
    let bytes = config.to_bytes();
    manifest.config = ovmlayer_image::Descriptor::of(ovmlayer_image::media::CONFIG, &bytes);
    layout.put(&manifest.config, &mut &bytes[..]).unwrap();
    let bytes = manifest.to_bytes();
    let changed = ovmlayer_image::Descriptor::of(ovmlayer_image::media::MANIFEST, &bytes);
    layout.put_manifest(&changed, &bytes).unwrap();
    let error = write_docker_tar(&layout, &changed, &[], Vec::new()).unwrap_err();
    assert!(error.to_string().contains("promises"), "{error}");
}
