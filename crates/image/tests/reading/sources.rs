//! The places that images are read from.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::flatten::Limits;
use image::{Error, Location};
use testkit::{Compression, Member, MemberKind, TarBuilder, output, run, tool};

use crate::layers::{dir, file};
use crate::made::{Made, read, write};

fn image() -> Made {
    Made::new(&[
        vec![dir("etc/"), file("etc/one", "1"), file("etc/two", "2")],
        vec![file("etc/.wh.one", ""), file("three", "3")],
    ])
}

fn skopeo(from: &str, to: &str) {
    let policy = ["--insecure-policy", "--override-arch", "amd64", "copy", "--quiet"];
    run(Command::new(tool("skopeo")).args(policy).args([from, to]));
}

/// Flattens what is at a location and gives the bytes of the tar.
fn flat(location: &str, folder: &Path) -> Result<Vec<u8>, Error> {
    let location: Location = Location::guess(location).unwrap();
    let path = folder.join("flat.tar");
    write(&mut read(&location, folder, Limits::default())?.1, &path)?;
    Ok(fs::read(&path).unwrap())
}

fn message(result: Result<Vec<u8>, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_same_image_is_the_same_from_everywhere() {
    let made = image();
    let folder = made.folder.path();
    let expected = fs::read(made.flatten().unwrap()).unwrap();
    let from = format!("oci:{}:latest", made.path().display());
    let at = |name: &str| folder.join(name).display().to_string();
    skopeo(&from, &format!("oci-archive:{}:one", at("oci.tar")));
    skopeo(&from, &format!("docker-archive:{}:registry.example/app:v1", at("docker.tar")));
    for (name, format) in [("oci.tar", Compression::Gzip), ("docker.tar", Compression::Zstd)] {
        let compressed = format.compress(&fs::read(folder.join(name)).unwrap());
        fs::write(folder.join(format!("{name}{}", format.extension())), compressed).unwrap();
    }
    let locations = [
        format!("oci:{}", at("image")),
        at("image"),
        from.clone(),
        format!("oci-archive:{}", at("oci.tar")),
        format!("oci-archive:{}:one", at("oci.tar")),
        at("oci.tar"),
        at("oci.tar.gz"),
        format!("docker-archive:{}", at("docker.tar")),
        format!("docker-archive:{}:registry.example/app:v1", at("docker.tar")),
        at("docker.tar"),
        at("docker.tar.zst"),
    ];
    for location in locations {
        assert!(flat(&location, folder).unwrap() == expected, "{location}");
    }
    let files: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(files.len(), 7, "working files have no names: {files:?}");
}

#[test]
fn one_of_several_images_is_chosen_by_its_tag() {
    let (one, two) = (image(), Made::new(&[vec![file("other", "x")]]));
    let folder = one.folder.path();
    let archive = folder.join("several.tar").display().to_string();
    let layout = folder.join("several").display().to_string();
    for (made, tag) in [(&one, "one"), (&two, "two")] {
        skopeo(&format!("oci:{}:latest", made.path().display()), &format!("oci:{layout}:{tag}"));
    }
    let expected = fs::read(two.flatten().unwrap()).unwrap();
    assert!(flat(&format!("oci:{layout}:two"), folder).unwrap() == expected);
    let several = message(flat(&format!("oci:{layout}"), folder));
    assert!(
        several.ends_with("several images: say which one by adding `:TAG`; its tags are one, two"),
        "{several}"
    );
    let none = message(flat(&format!("oci:{layout}:three"), folder));
    assert!(none.ends_with("no image `three`; its tags are one, two"), "{none}");
    docker_archive(Path::new(&archive), &["app:1", "app:2"], |archive| archive);
    assert!(
        message(flat(&format!("docker-archive:{archive}:app:3"), folder))
            .contains("its tags are app:1, app:2")
    );
    assert!(flat(&format!("docker-archive:{archive}:docker.io/library/app:2"), folder).is_ok());
    assert!(message(flat(&format!("docker-archive:{archive}"), folder)).contains("several images"));
}

/// An archive as `docker save` wrote it for years: a folder for each layer, links in place of layers that came before.
fn docker_archive(path: &Path, tags: &[&str], change: impl Fn(TarBuilder) -> TarBuilder) {
    let layer = TarBuilder::new().member(dir("etc/")).member(file("etc/x", "x")).build();
    let digest = crate::made::Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{digest}","sha256:{digest}"]}}}}"#
    );
    let image = |tag: &&str| {
        format!(
            r#"{{"Config":"config.json","RepoTags":["{tag}"],"Layers":["one/layer.tar","two/layer.tar"]}}"#
        )
    };
    let list = format!("[{}]", tags.iter().map(image).collect::<Vec<_>>().join(","));
    let archive = TarBuilder::new()
        .member(dir("one/"))
        .member(file("one/VERSION", "1.0"))
        .member(Member::file("one/layer.tar", layer))
        .member(dir("two/"))
        .member(Member::new("two/layer.tar", MemberKind::Symlink(b"../one/layer.tar".to_vec())))
        .member(Member::file("config.json", config))
        .member(Member::file("manifest.json", list));
    fs::write(path, change(archive).build()).unwrap();
}

#[test]
fn archives_of_docker_with_links_in_place_of_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.tar");
    docker_archive(&path, &["app:1"], |archive| archive);
    flat(&path.display().to_string(), folder.path()).unwrap();
    // An image in both forms goes by the tags of either.
    let made = image();
    let both = folder.path().join("both.tar");
    let add = |archive: TarBuilder| {
        let mut archive = archive;
        for name in ["oci-layout", "index.json"] {
            let bytes = fs::read(made.path().join(name)).unwrap();
            archive = archive.member(Member::file(name, bytes));
        }
        for blob in fs::read_dir(made.path().join("blobs/sha256")).unwrap().flatten() {
            let name = format!("blobs/sha256/{}", blob.file_name().display());
            archive = archive.member(Member::file(name, fs::read(blob.path()).unwrap()));
        }
        archive
    };
    docker_archive(&both, &["app:1"], add);
    let at = both.display();
    let expected = fs::read(made.flatten().unwrap()).unwrap();
    assert!(flat(&format!("{at}"), folder.path()).unwrap() == expected, "as a layout");
    assert!(flat(&format!("docker-archive:{at}:app:1"), folder.path()).unwrap() != expected, "as Docker's");
}

#[test]
fn what_is_no_image_is_told() {
    let made = image();
    let folder = made.folder.path();
    let path = folder.join("x.tar");
    let at = path.display().to_string();
    fs::write(&path, TarBuilder::new().member(file("x", "x")).build()).unwrap();
    let text = message(flat(&at, folder));
    assert!(text.contains("is no archive of images: it has neither `oci-layout`"), "{text}");
    fs::write(&path, "no tar at all").unwrap();
    assert!(message(flat(&at, folder)).contains("cannot read"));
    fs::create_dir(folder.join("empty")).unwrap();
    let text = message(flat(&folder.join("empty").display().to_string(), folder));
    assert!(text.contains("is not an OCI image layout"), "{text}");
    let text = message(flat("ghcr.io/a/b", folder));
    assert!(text.starts_with("cannot read ghcr.io/a/b:latest: no registry can be reached"), "{text}");
    docker_archive(&path, &["app:1"], |_| {
        TarBuilder::new().member(file("manifest.json", r#"[{"Config":"c","Layers":[]}]"#))
    });
    assert!(message(flat(&at, folder)).contains("has no `c`, which the image needs"));
    let skopeo = output(Command::new(tool("skopeo")).args(["inspect", &format!("docker-archive:{at}")]));
    assert!(!skopeo.status.success(), "skopeo takes it");
}
