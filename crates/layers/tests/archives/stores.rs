//! Export and import through stores: contract 2.4.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use ovmlayer_layers::archive::{Dialect, Import, Problem, TarArchiver};
use ovmlayer_layers::{Archiver as _, Error, Form, PointName};
use sha2::Digest as _;

use crate::place::{Place, attribute, describe, fill, layer, layers, run, whiteout};

fn import() -> Import {
    Import::default()
}

#[test]
fn layers_come_back_as_they_were() {
    let place = Place::new();
    let engine = place.engine();
    for name in ["base", "source", "with space ä"] {
        engine.create(&layer(name)).unwrap();
    }
    fill(&place.layer("source"));
    // Names that look like whiteouts, and a whiteout of such a name as long as can be.
    fs::write(place.layer("base").join(".wh.real"), "real").unwrap();
    whiteout(&place.layer("base").join(format!(".wh.{}", "w".repeat(251))));
    whiteout(&place.layer("base").join("w".repeat(255)));
    attribute(&place.layer("base"), "user.overlay.opaque", b"y");
    let names = layers(["base", "source", "with space ä"]);
    let want: Vec<_> = names.iter().map(|name| describe(&place.layer(name.as_str()))).collect();
    let mut first = None;
    for ending in ["tar", "tar.zst", "tar.gz", "tar.xz", "whatever"] {
        let file = place.path(&format!("layers.{ending}"));
        let exported = engine.export(&names, &file, Dialect::Ovmlayer).unwrap();
        assert_eq!(exported.layers, 3);
        assert_eq!(engine.delete_all().unwrap().len(), 3);
        // The name says nothing to who reads.
        let renamed = place.path("renamed.bin");
        fs::rename(&file, &renamed).unwrap();
        assert_eq!(engine.import(&renamed, &import()).unwrap(), names);
        for (name, want) in names.iter().zip(&want) {
            assert_eq!(&describe(&place.layer(name.as_str())), want, "{ending} {name}");
        }
        let again = place.path(&format!("again.{ending}"));
        engine.export(&names, &again, Dialect::Ovmlayer).unwrap();
        let bytes = fs::read(&again).unwrap();
        assert!(bytes == fs::read(&renamed).unwrap(), "{ending}: it is not the same archive again");
        if ending == "tar" {
            first = Some(bytes);
        } else if ending == "whatever" {
            assert_eq!(first, Some(bytes), "a name without an ending is a plain tar");
        }
    }
    place.assert_tidy();
}

#[test]
fn one_layer_may_be_renamed() {
    let place = Place::new();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
        fs::write(place.layer(name).join("file"), name).unwrap();
    }
    let file = place.path("one.tar");
    engine.export(&layers(["a"]), &file, Dialect::Ovmlayer).unwrap();
    let how = Import { rename: Some(layer("executor")), ..import() };
    assert_eq!(engine.import(&file, &how).unwrap(), layers(["executor"]));
    assert_eq!(fs::read_to_string(place.layer("executor").join("file")).unwrap(), "a");
    engine.export(&layers(["a", "b"]), &file, Dialect::Ovmlayer).unwrap();
    let error = engine.import(&file, &how).unwrap_err();
    assert!(matches!(&error, Error::Archive { source: Problem::Names { .. }, .. }), "{error}");
    place.assert_tidy();
}

#[test]
fn an_existing_layer_is_replaced_and_a_used_one_is_not() {
    let place = Place::new();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
        fs::write(place.layer(name).join("file"), "exported").unwrap();
    }
    let file = place.path("two.tar");
    engine.export(&layers(["a", "b"]), &file, Dialect::Ovmlayer).unwrap();
    fs::write(place.layer("a").join("file"), "changed").unwrap();
    fs::write(place.layer("a").join("new"), "").unwrap();
    for _ in 0..2 {
        engine.import(&file, &import()).unwrap();
        assert_eq!(fs::read_to_string(place.layer("a").join("file")).unwrap(), "exported");
        assert!(!place.layer("a").join("new").exists());
    }
    fs::write(place.layer("a").join("file"), "changed").unwrap();
    let point = PointName::new("busy").unwrap();
    engine.merge(&layers(["b"]), &point).unwrap();
    let error = engine.import(&file, &import()).unwrap_err();
    assert!(matches!(&error, Error::Used { point, .. } if point == "busy"), "{error}");
    // All or nothing: the other one has not been replaced either.
    assert_eq!(fs::read_to_string(place.layer("a").join("file")).unwrap(), "changed");
    engine.unmerge(&point).unwrap();
    engine.import(&file, &import()).unwrap();
    place.assert_tidy();
}

#[test]
fn the_file_is_there_whole_or_not_at_all() {
    let place = Place::new();
    let engine = place.engine();
    engine.create(&layer("l")).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    let file = place.path("out/layers.tar");
    fs::write(&file, "old").unwrap();
    // A file without its contents is no layer that can be exported.
    fs::write(place.layer("l").join("file"), "x").unwrap();
    attribute(&place.layer("l").join("file"), "user.overlay.metacopy", b"");
    let error = engine.export(&layers(["l"]), &file, Dialect::Ovmlayer).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
    fs::remove_file(place.layer("l").join("file")).unwrap();
    symlink("layers.tar", place.path("out/link")).unwrap();
    engine.export(&layers(["l"]), &place.path("out/link"), Dialect::Ovmlayer).unwrap();
    assert!(fs::symlink_metadata(place.path("out/link")).unwrap().is_symlink());
    assert!(fs::metadata(&file).unwrap().len() > 1000);
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 2);
    engine.export(&layers(["l"]), std::path::Path::new("/dev/null"), Dialect::Ovmlayer).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    for (names, want) in [
        (layers(["l", "l"]), "named twice"),
        (layers(["no"]), "there is no layer `no`"),
        (Vec::new(), "no layer is named"),
    ] {
        let error = engine.export(&names, &file, Dialect::Ovmlayer).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(engine.export(&layers(["l"]), &place.path("out"), Dialect::Ovmlayer).is_err());
    place.assert_tidy();
}

#[test]
fn oci_layers_both_ways() {
    let place = Place::new();
    let engine = place.engine();
    engine.create(&layer("l")).unwrap();
    fill(&place.layer("l"));
    let want = describe(&place.layer("l"));
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let file = place.path(&format!("layer.{ending}"));
        engine.export(&layers(["l"]), &file, Dialect::Oci).unwrap();
        let error = engine.import(&file, &Import { dialect: Dialect::Oci, ..import() }).unwrap_err();
        assert!(error.to_string().contains("cannot import"), "{error}");
        let how = Import { dialect: Dialect::Oci, rename: Some(layer("again")), ..import() };
        engine.import(&file, &how).unwrap();
        assert_eq!(describe(&place.layer("again")), want);
        let error = engine.import(&file, &import()).unwrap_err();
        assert!(matches!(&error, Error::Archive { source: Problem::NotOurs { .. }, .. }), "{error}");
    }
    let listing = run(Command::new("tar").arg("-tf").arg(place.path("layer.tar")));
    let listing = String::from_utf8_lossy(&listing).into_owned();
    assert!(
        listing.contains("usr/bin/.wh.gone-file\n") && listing.contains("opaque/\nopaque/.wh..wh..opq\n")
    );
    engine.create(&layer("odd")).unwrap();
    fs::write(place.layer("odd").join(".wh.real"), "").unwrap();
    let file = place.path("odd.tar");
    assert!(engine.export(&layers(["odd"]), &file, Dialect::Oci).is_err());
    assert!(engine.export(&layers(["l", "odd"]), &file, Dialect::Oci).is_err());
    assert!(!file.exists());
    place.assert_tidy();
}

/// Where a store cannot keep layers as folders, archives stand for them.
#[test]
fn the_archiver_keeps_everything() {
    let place = Place::new();
    let engine = place.engine();
    for name in ["l", "again"] {
        engine.create(&layer(name)).unwrap();
    }
    fill(&place.layer("l"));
    let path = place.path("kept.tar");
    let mut file = fs::File::create_new(&path).unwrap();
    TarArchiver.pack(&layer("l"), &place.layer("l"), Form::User, &mut file).unwrap();
    let mut file = fs::File::open(&path).unwrap();
    TarArchiver.unpack(&mut file, &place.layer("again"), Form::User).unwrap();
    assert_eq!(describe(&place.layer("again")), describe(&place.layer("l")));
}

/// A program that unpacks images takes our OCI layers: what a whiteout names is gone, an opaque directory hides.
#[test]
fn umoci_unpacks_our_oci_layers() {
    let place = Place::new();
    let engine = place.engine();
    for name in ["base", "top"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::create_dir_all(place.layer("base").join("usr/bin")).unwrap();
    fs::create_dir_all(place.layer("base").join("opaque/hidden")).unwrap();
    fs::write(place.layer("base").join("usr/bin/gone-file"), "x").unwrap();
    fs::write(place.layer("base").join("usr/bin/stays"), "x").unwrap();
    fill(&place.layer("top"));
    // It writes every byte of a hole.
    fs::remove_file(place.layer("top").join("sparse")).unwrap();
    let image = place.path("image");
    fs::create_dir_all(image.join("blobs/sha256")).unwrap();
    let blob = |bytes: &[u8], kind: &str| {
        let digest = hex::encode(sha2::Sha256::digest(bytes));
        fs::write(image.join("blobs/sha256").join(&digest), bytes).unwrap();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{digest}","size":{}"#,
            bytes.len()
        )
    };
    let mut blobs = Vec::new();
    let mut digests = Vec::new();
    for name in ["base", "top"] {
        let file = place.path("layer.tar");
        engine.export(&layers([name]), &file, Dialect::Oci).unwrap();
        let bytes = fs::read(&file).unwrap();
        digests.push(format!("\"sha256:{}\"", hex::encode(sha2::Sha256::digest(&bytes))));
        blobs.push(blob(&bytes, "layer.v1.tar") + "}");
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        digests.join(",")
    );
    let config = blob(config.as_bytes(), "config.v1+json") + "}";
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, blobs.join(","));
    let manifest = blob(manifest.as_bytes(), "manifest.v1+json");
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{manifest},"annotations":{{"org.opencontainers.image.ref.name":"l"}}}}]}}"#
    );
    fs::write(image.join("index.json"), index).unwrap();
    fs::write(image.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let bundle = place.path("bundle");
    let name = format!("{}:l", image.display());
    run(Command::new(testkit::tool("umoci")).args(["unpack", "--image", &name]).arg(&bundle));
    let root = bundle.join("rootfs");
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("usr/bin"), ["ping", "stays", "tool"]);
    assert_eq!(names("opaque"), ["kept"]);
    // What is no mark is what it was, root and merged directories apart.
    let got = describe(&root);
    for line in describe(&place.layer("top")) {
        if !line.contains(" whiteout") && !line.starts_with("\"opaque\"") && !line.starts_with("\"\"") {
            assert!(got.contains(&line), "{line}\nis not in\n{got:#?}");
        }
    }
}
