//! The inventory of an image beside that of what is flattened of it: they are the same, whatever its layers do.

use std::fs::File;
use std::sync::atomic::AtomicBool;

use image::inventory::{
    Collector, Contents, Digests, Ecosystem, Inventory, LayerFacts, read_image, read_tree,
};
use image::{Image, Platform, open_source};
use tree::{Entry, Kind, Metadata};

use crate::layers::{dir, file, link, symlink};
use crate::made::{Digest, Made, tar_of};

fn of_image(made: &Made) -> (Inventory, Vec<LayerFacts>) {
    let source = open_source(&made.location(), made.folder.path(), None).unwrap();
    let image = Image::find(&*source, source.root(), &Platform::linux("amd64")).unwrap();
    read_image(&*source, &image, Digests::WithSha1, &AtomicBool::new(false)).unwrap()
}

fn of_tar(tar: &std::path::Path) -> Inventory {
    read_tree(File::open(tar).unwrap(), Digests::WithSha1, &AtomicBool::new(false)).unwrap().0
}

/// Both are the same, but for the name of the root, which neither has.
pub(crate) fn same_inventory(made: &Made, flattened: &std::path::Path, summary: &str) {
    let (image, tar) = (of_image(made).0, of_tar(flattened));
    for (image, tar) in image.files.iter().zip(&tar.files) {
        assert_eq!(image, tar, "{summary}");
    }
    assert_eq!(image, tar, "{summary}");
    assert!(image.files.is_sorted_by(|a, b| a.path < b.path), "{summary}: path order");
}

const STATUS: &str = "Package: one\nStatus: install ok installed\nVersion: 1-1\nArchitecture: all\n\n\
                      Package: two\nStatus: install ok installed\nVersion: 2-1\nArchitecture: amd64\n";

fn package_json(name: &str) -> String {
    format!(r#"{{"name":"{name}","version":"1.0.0"}}"#)
}

/// What says that something is installed is found wherever links lead it, and is gone when it is.
#[test]
fn packages_through_links_and_layers() {
    let made = Made::new(&[
        vec![
            dir("usr/"),
            dir("usr/lib/"),
            dir("real/"),
            symlink("lib", "usr/lib"),
            symlink("var", "/real"),
            symlink("node_modules", "usr"),
            file("lib/node_modules/gone/package.json", &package_json("gone")),
            file("var/lib/dpkg/status", "Package: old\nStatus: install ok installed\nVersion: 1\n"),
            file("stored", &package_json("linked")),
        ],
        vec![
            file("lib/node_modules/.wh.gone", ""),
            file("lib/node_modules/kept/package.json", &package_json("kept")),
            // It lies in `usr`, which is no folder of packages.
            file("node_modules/none/package.json", &package_json("none")),
            file(".wh.var", ""),
            file("var/lib/dpkg/status", STATUS),
            file("var/lib/dpkg/info/one.list", "/.\n/lib\n/lib/one\n/usr/lib/twice\n"),
            file("var/lib/dpkg/info/two.list", "/usr/lib/two\n/usr/lib/hard\n"),
            file("usr/lib/one", "1"),
            file("usr/lib/twice", "twice"),
            link("usr/lib/zzz", "usr/lib/twice"),
            file("usr/lib/two", "22"),
            link("usr/lib/hard", "usr/lib/two"),
            link("usr/lib/node_modules/linked/package.json", "stored"),
        ],
    ]);
    let (inventory, layers) = of_image(&made);
    let packages: Vec<_> = inventory
        .packages
        .iter()
        .map(|package| (package.ecosystem, package.name.as_str(), package.files, package.size))
        .collect();
    let expected = [
        (Ecosystem::Debian, "one", 3, 6),
        (Ecosystem::Debian, "two", 2, 2),
        (Ecosystem::Npm, "kept", 1, package_json("kept").len() as u64),
    ];
    assert_eq!(packages, expected);
    // The first name of that file is one of which nothing was expected: that cannot be seen, but it is said.
    assert_eq!(inventory.notes.len(), 1, "{:?}", inventory.notes);
    assert!(
        inventory.notes[0].contains("`usr/lib/node_modules/linked/package.json`"),
        "{:?}",
        inventory.notes
    );
    let removed: Vec<_> = layers.iter().map(|layer| (layer.files, layer.removed)).collect();
    assert_eq!(removed, [(6, 0), (11, 2)]);
    let Contents::Regular { sha256, first, .. } =
        &inventory.file(&"usr/lib/two".parse().unwrap()).unwrap().contents
    else {
        panic!("it is a file")
    };
    assert_eq!(
        (*sha256, first.as_ref().unwrap().to_string()),
        (Digest::of(b"22"), "usr/lib/hard".to_owned())
    );
    same_inventory(&made, &made.flatten().unwrap(), "packages");
}

/// A plain tar is no layer: names that begin like whiteouts are names, and what it says of files stays as it says it.
#[test]
fn a_tar_is_no_layer() {
    let tar =
        tar_of(&[dir("a/"), file("a/.wh.x", "1"), file("a/x", "2"), link("b", "none"), file("a/x", "33")]);
    let (inventory, digest, size) = read_tree(&tar[..], Digests::Sha256, &AtomicBool::new(false)).unwrap();
    let names: Vec<_> = inventory.files.iter().map(|file| (file.path.to_string(), file.size())).collect();
    assert_eq!(names, [("a".to_owned(), 0), ("a/.wh.x".to_owned(), 1), ("a/x".to_owned(), 2)]);
    assert_eq!((digest, size), (Digest::of(&tar), tar.len() as u64));
    assert_eq!(inventory.notes, ["`b` is a link to `none`, which is not there"]);
}

/// Contents that end before they should are no contents.
#[test]
fn short_contents_are_told() {
    let mut collector = Collector::new(Digests::Sha256);
    let entry =
        Entry { path: "a".parse().unwrap(), kind: Kind::File { size: 5 }, metadata: Metadata::new(0o644, 0) };
    assert!(collector.entry(entry, &mut &b"1234"[..]).is_err());
}
