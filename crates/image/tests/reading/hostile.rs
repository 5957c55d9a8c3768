//! Images that are out to harm: refused with a word of why, and without a trace outside.

use std::fs;
use std::path::Path;

use image::flatten::Limits;
use image::{Descriptor, Error, Index, Manifest, Target, media};
use testkit::{Compression, Content, Member, MemberKind};

use crate::layers::{dir, file, link, symlink};
use crate::made::{Digest, Made, Stored, entries, tar_of};

/// What is wrong, with its causes.
fn refusal(result: Result<std::path::PathBuf, Error>) -> String {
    let error = result.unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The image is refused, the message says why, and there is nothing but the image.
fn refused(made: &Made, word: &str, summary: &str) {
    let text = refusal(made.flatten());
    assert!(text.contains(word), "{summary}: {text}");
    assert!(text.len() < 2000, "{summary}: a message of {} bytes", text.len());
    nothing_beside_the_image(made.folder.path(), summary);
}

fn nothing_beside_the_image(folder: &Path, summary: &str) {
    let names: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["image"], "{summary}");
}

fn compressed(format: Compression, tar: &[u8]) -> Stored {
    let media_type = if format == Compression::Zstd { media::LAYER_ZSTD } else { media::LAYER_GZIP };
    Stored { media_type, bytes: format.compress(tar), diff_id: Digest::of(tar) }
}

#[test]
fn names_that_lead_out() {
    let table: Vec<(&str, Vec<Member>, &str)> = vec![
        ("a parent", vec![file("../outside", "x")], "`..` component"),
        ("a parent further in", vec![dir("a/"), file("a/../../outside", "x")], "`..` component"),
        ("an absolute name", vec![file("/tmp/outside", "x")], "absolute"),
        ("a whiteout of a parent", vec![file("../.wh.image", "")], "`..` component"),
        ("a whiteout of everything", vec![file(".wh...", "")], "is no whiteout of any name"),
        ("a hard link to a parent", vec![link("a", "../image/index.json")], "`..` component"),
        ("a hard link to an absolute name", vec![link("a", "/etc/passwd")], "absolute"),
        (
            "a NUL in a name",
            {
                let mut member = file("a", "x");
                member.pax.push(("path".to_owned(), b"a\0b".to_vec()));
                vec![member]
            },
            "NUL",
        ),
        ("a long name", vec![file(&"n".repeat(100_000), "x")], "100000 bytes long"),
        ("a long path", vec![file(&"d/".repeat(50_000), "x")], "100000 bytes long"),
    ];
    for (summary, layer, word) in table {
        refused(&Made::new(&[layer]), word, summary);
    }
}

/// Links are followed within the tree alone, which is in memory: what they point to on this machine does not matter.
#[test]
fn links_that_lead_out_lead_to_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("file").display().to_string();
    let up = format!("../../../../../../../..{}", outside.path().display());
    for (summary, lower) in [
        ("an absolute link", symlink("out", &outside.path().display().to_string())),
        ("a relative link", symlink("out", &up)),
    ] {
        let made = Made::new(&[vec![lower], vec![file("out/file", "x"), link("hard", "out/file")]]);
        let names: Vec<String> =
            entries(&made.flatten().unwrap()).iter().map(|entry| entry.path.to_string()).collect();
        assert!(
            names.contains(&target[1..].to_owned()) && names.contains(&"hard".to_owned()),
            "{summary}: {names:?}"
        );
    }
    fs::write(&target, "precious").unwrap();
    let made = Made::new(&[vec![symlink("out", &target)], vec![link("hard", &target[1..])]]);
    refused(&made, "which is not there", "a hard link to a file of this machine");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn bombs() {
    let zeros = |size| vec![Member::new("zeros", MemberKind::File(Content::Repeat { byte: 0, size }))];
    let tar = tar_of(&zeros(64 << 20));
    let narrow = Limits { layer: 64 << 20, free: 1 << 20, ratio: 500, ..Limits::default() };
    for (format, word) in
        [(Compression::Gzip, "expands to more than"), (Compression::Zstd, "expands to more than")]
    {
        let made = Made::of(&[compressed(format, &tar)]);
        let text = refusal(made.flatten_within(narrow));
        assert!(text.contains(word), "{format:?}: {text}");
        fs::remove_file(made.folder.path().join("ours.tar")).unwrap_err();
        assert!(made.flatten().is_ok(), "{format:?}: within the bounds that hold unless told otherwise");
    }
    let made = Made::new(&[zeros(3 << 20), zeros(3 << 20)]);
    let text = refusal(made.flatten_within(Limits { contents: 5 << 20, ..Limits::default() }));
    assert!(text.contains("more than 5242880 bytes of files"), "{text}");
    let many: Vec<Member> = (0..20_000).map(|number| file(&number.to_string(), "")).collect();
    let text = refusal(Made::new(&[many]).flatten_within(Limits { memory: 1 << 20, ..Limits::default() }));
    assert!(text.contains("more than 1048576 bytes of names and metadata"), "{text}");
}

/// A sparse file of a petabyte takes a few hundred bytes of a layer.
#[test]
fn a_sparse_bomb() {
    let mut member = Member::file("sparse", "0\n");
    member.pax = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "sparse")]
        .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
        .to_vec();
    member.pax.push(("GNU.sparse.realsize".to_owned(), b"1125899906842624".to_vec()));
    refused(&Made::new(&[vec![member]]), "bytes in a sparse file", "a petabyte");
}

#[test]
fn other_bytes_than_promised() {
    type Change = fn(&mut Vec<u8>);
    let tar = tar_of(&[file("a", &"x".repeat(5000))]);
    let table: [(&str, Change, &str); 4] = [
        ("another byte", |bytes| *bytes.last_mut().unwrap() ^= 1, "altered or damaged"),
        ("too few bytes", |bytes| bytes.truncate(bytes.len() - 1), "it ends after"),
        ("too many bytes", |bytes| bytes.push(0), "more bytes than"),
        ("none", Vec::clear, "it ends after 0"),
    ];
    for (summary, change, word) in table {
        let made = Made::of(&[Stored::plain(tar.clone())]);
        let path = made.blob(&Digest::of(&tar));
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        refused(&made, word, summary);
    }
    let missing = Made::of(&[Stored::plain(tar.clone())]);
    fs::remove_file(missing.blob(&Digest::of(&tar))).unwrap();
    refused(&missing, "cannot open", "a layer that is not there");
    let other = tar_of(&[file("b", "x")]);
    for format in [Compression::Gzip, Compression::Zstd] {
        let lying = Stored { diff_id: Digest::of(&other), ..compressed(format, &tar) };
        refused(&Made::of(&[lying]), "but the configuration promises", "another tar than promised");
    }
    let lying = Stored { diff_id: Digest::of(&other), ..Stored::plain(tar) };
    refused(&Made::of(&[lying]), "but the configuration promises", "another tar than promised, plain");
}

#[test]
fn documents() {
    let tar = tar_of(&[file("a", "x")]);
    let layer = || Stored::plain(tar.clone());
    let not_json = Made::with_config(&[layer()], b"no JSON");
    refused(&not_json, "cannot read the configuration", "a configuration that is no JSON");
    let few = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    refused(
        &Made::with_config(&[layer()], few),
        "it has 1 layers, and its configuration has 0",
        "too few digests",
    );
    let odd = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["md5:00"]}}"#;
    refused(&Made::with_config(&[layer()], odd), "algorithm that is not known here", "another algorithm");
    let config = Descriptor::of(media::CONFIG, few);
    let strange = Descriptor::of("application/vnd.example.wasm", b"x");
    let made = Made::empty();
    made.layout().put(&config, &mut &few[..]).unwrap();
    made.tag(&Manifest::new(config.clone(), vec![strange]));
    refused(&made, "application/vnd.example.wasm, and no tar", "a layer that is none");
    let many = vec![Descriptor::of(media::LAYER, b""); 10_000];
    made.tag(&Manifest::new(config, many));
    refused(&made, "it has 10000 layers", "10,000 layers");
    let outside = Descriptor { digest: Digest::of(b"none"), ..Descriptor::of(media::MANIFEST, b"none") };
    made.layout().tag(&outside, b"none", "latest").unwrap();
    refused(&made, "cannot open", "a manifest that is not there");
}

#[test]
fn documents_that_are_too_large_or_too_deep() {
    let made = Made::empty();
    let layout = made.layout();
    // A hundred megabytes, and a hundred megabytes that say they are few.
    let large = vec![b' '; 100 << 20];
    let descriptor = Descriptor::of(media::MANIFEST, &large);
    layout.put(&descriptor, &mut &large[..]).unwrap();
    for size in [descriptor.size, 1000] {
        let said = Descriptor { size, ..descriptor.clone() };
        layout.tag(&said, b"", "latest").unwrap();
        let word = if size == 1000 { "more bytes than the 1000" } else { "at most 8388608 make sense" };
        refused(&made, word, "a large manifest");
    }
    let mut inner = Descriptor::of(media::MANIFEST, b"none");
    for _ in 0..100 {
        let bytes = Index::new(vec![inner]).to_bytes();
        inner = Descriptor::of(media::INDEX, &bytes);
        layout.put_manifest(&inner, &bytes).unwrap();
    }
    layout.tag(&inner, b"", "latest").unwrap();
    refused(&made, "more indices within indices", "a hundred indices");
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let descriptor = Descriptor::of(media::MANIFEST, &nested);
    layout.put(&descriptor, &mut &nested[..]).unwrap();
    layout.tag(&descriptor, b"", "latest").unwrap();
    refused(&made, "cannot read the manifest", "deep JSON");
}

#[test]
fn layers_that_are_no_tars() {
    let tar = tar_of(&[file("a", &"x".repeat(100_000))]);
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for (summary, stored, word) in [
        ("text", Stored::plain(b"no tar at all".repeat(100)), "no tar archive"),
        ("half a tar", Stored::plain(cut(&tar)), "archive ends"),
        (
            "half of a gzip stream",
            Stored { bytes: cut(&Compression::Gzip.compress(&tar)), ..compressed(Compression::Gzip, &tar) },
            "cannot",
        ),
        (
            "half of a zstd stream",
            Stored { bytes: cut(&Compression::Zstd.compress(&tar)), ..compressed(Compression::Zstd, &tar) },
            "cannot",
        ),
    ] {
        refused(&Made::of(&[stored]), word, summary);
    }
    // An empty layer is one, whether the tar has its end or not.
    assert!(Made::of(&[Stored::plain(Vec::new())]).flatten().is_ok());
    assert!(Made::of(&[Stored::plain(vec![0; 1024])]).flatten().is_ok());
}

/// Whoever takes marks seriously again and again must not go through the whole tree each time.
#[test]
fn marks_without_end() {
    let mut layer: Vec<Member> = (0..3000).map(|number| file(&format!("d/{number}"), "")).collect();
    layer.extend((0..3000).map(|_| file("d/.wh..wh..opq", "")));
    layer.extend((0..3000).map(|_| file(".wh.d", "")));
    let deep = "d/".repeat(2000);
    layer.extend((0..100).map(|number| file(&format!("{deep}{number}"), "")));
    layer.push(file(".wh..wh..opq", ""));
    let made = Made::new(&[layer]);
    assert_eq!(entries(&made.flatten().unwrap()).len(), 1 + 1 + 3000 + 1999 + 100);
}
