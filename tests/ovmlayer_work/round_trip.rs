//! What a layer holds is the same after it went through a file, whatever it is and whoever made it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{output, run, tool};

use crate::compare::{Ids, Kind, Survey};
use crate::stage::{Stage, Who, note, text, well};
use crate::tree::{Kinds, MAKER, Plan};

const SEED: u64 = 20_261_125;
/// How many entries a tree has at random.
const ENTRIES: u64 = 400;

#[test]
fn layers_of_root_go_through_archives() {
    let stage = Stage::new(&Who::Root);
    written_inside(&stage, Kinds { of_root: true, of_layers: true });
    through_archives(&stage);
}

/// An ordinary user's layers, also where root reads them: from an archive, and by mounting the user's own store.
#[test]
fn layers_of_an_ordinary_user_go_through_archives() {
    let stage = Stage::new(&Who::user());
    written_inside(&stage, Kinds { of_root: false, of_layers: true });
    through_archives(&stage);
    root_reads_the_archive(&stage);
    root_mounts_the_store(&stage);
}

/// Writes two layers from inside: `low`, and `top` in which much of it is replaced.
fn written_inside(stage: &Stage, kinds: Kinds) {
    let maker = stage.file("plan/make_tree.pl", MAKER, 0o644);
    let plan = Path::new(&maker).parent().expect("a folder").display().to_string();
    let low = Plan::new(SEED, kinds).below().text();
    let top = Plan::new(SEED + 1, kinds).replaced().everything(ENTRIES).text();
    stage.file("plan/low", &low, 0o644);
    // What the root filesystem has goes as well: a file, a folder, a link.
    let gone = "rm /usr/share/doc/zsh/copyright /etc/os-release; rm -r /usr/share/zsh; mkdir /usr/share/zsh; rm -r /var/lib/apt\n";
    stage.file("plan/top", &top, 0o644);
    let bind = format!("--mount=type=bind,src={plan},dst=/plan,ro,nonrecursive");
    stage.ok("create low");
    stage.ok("create top");
    stage.ok("merge -l low -m m1");
    well(&output(&mut stage.script("m1", &[&bind], "perl /plan/make_tree.pl '' /plan/low")));
    stage.ok("unmerge m1");
    stage.ok("merge -l low -l top -m m1");
    well(&output(&mut stage.script("m1", &[&bind], &format!("{gone}perl /plan/make_tree.pl '' /plan/top"))));
    assert_eq!(stage.run("m1", LOOK), SEEN);
    stage.ok("unmerge m1");
    let found = Survey::of(&stage.content("top"));
    holds_everything(&found, kinds);
}

/// What the top hides cannot be seen.
const LOOK: &str = "ls -A /below /below/folder-3 /below/folder-5 /usr/share/zsh; cat /below/folder-4; test ! -e /etc/os-release -a ! -e /var/lib/apt";
const SEEN: &str = "/below:\nfile-2\nfile-3\nfolder-2\nfolder-3\nfolder-4\nfolder-5\nfolder-6\nfolder-7\nlink-3\n\n\
                    /below/folder-3:\n\n/below/folder-5:\nb\nnew\n\n/usr/share/zsh:\na file in the place of a folder";

/// A tree that lacks a kind would prove nothing of it.
fn holds_everything(found: &Survey, kinds: Kinds) {
    let mut counts = vec![
        ("whiteouts", found.count(|facts| facts.kind == Kind::Whiteout)),
        ("opaque folders", found.count(|facts| facts.kind == Kind::Folder { opaque: true })),
        ("links", found.count(|facts| matches!(facts.kind, Kind::Link(_)))),
        ("pipes", found.count(|facts| facts.kind == Kind::Pipe)),
        ("set-id bits", found.count(|facts| facts.mode & 0o6000 != 0)),
        ("sticky bits", found.count(|facts| facts.mode & 0o1000 != 0)),
        ("nanoseconds", found.count(|facts| facts.time.1 != 0)),
    ];
    if kinds.of_layers {
        counts.push(("user.empty", found.count(|facts| facts.attributes.contains_key(&b"user.empty"[..]))));
        counts.push(("sockets", found.count(|facts| facts.kind == Kind::Socket)));
        counts.push((
            "large files",
            found.count(|facts| matches!(facts.kind, Kind::File { size, .. } if size > 4 << 30)),
        ));
    }
    if kinds.of_root {
        counts.push(("nodes", found.count(|facts| matches!(facts.kind, Kind::Node { .. }))));
        counts.push(("trusted", found.count(|facts| facts.attributes.contains_key(&b"trusted.note"[..]))));
    }
    for name in ["user.note", "security.capability", "system.posix_acl_access", "system.posix_acl_default"] {
        counts.push((name, found.count(|facts| facts.attributes.contains_key(name.as_bytes()))));
    }
    let second = found.paths.iter().filter(|(path, facts)| **path != facts.first_name).count();
    counts.push(("second names", second));
    let strange = found.paths.keys().filter(|path| path.to_str().is_none()).count();
    counts.push(("names that are not UTF-8", strange));
    assert!(counts.iter().all(|(_, count)| *count > 0), "a kind is missing: {counts:?}");
    assert!(found.space < 64 << 20, "holes were filled: {} bytes", found.space);
    note(&format!("round trip of {} paths, {counts:?}", found.paths.len()));
}

/// Each form of archive gives the same layers in another store, and the same bytes from there.
fn through_archives(stage: &Stage) {
    let expected = ["low", "top"].map(|layer| Survey::of(&stage.content(layer)).in_an_archive());
    let second = Stage::new(&stage.who);
    for (name, magic) in [
        ("a.tar", None),
        ("a.tar.gz", Some(&[0x1f, 0x8b][..])),
        ("a.tar.zst", Some(&[0x28, 0xb5, 0x2f, 0xfd])),
    ] {
        let archive = stage.at(name);
        stage.ok(&format!("export -l low -l top -dest {archive}"));
        let bytes = fs::read(&archive).expect("an archive");
        assert!(magic.is_none_or(|magic| bytes.starts_with(magic)), "{name} is something else");
        assert!(bytes.len() < 64 << 20, "{name} has {} bytes: holes were filled", bytes.len());
        second.ok(&format!("import {archive}"));
        for (layer, expected) in ["low", "top"].iter().zip(&expected) {
            expected.assert_equals(&Survey::of(&second.content(layer)), &format!("{layer} from {name}"));
        }
        let again = second.at(name);
        second.ok(&format!("export -l low -l top -dest {again}"));
        assert!(fs::read(&again).expect("an archive") == bytes, "{name} written again has other bytes");
        second.ok("delete --all");
    }
    // Imported layers are whole: they are merged and show the same.
    second.ok(&format!("import {}", stage.at("a.tar")));
    second.ok("create tmp_layer");
    second.ok("merge -l low -l top -l tmp_layer -m m2");
    assert_eq!(second.run("m2", LOOK), SEEN);
    second.ok("unmerge m2");
    moved(&second, &expected);
}

/// The external store keeps everything too.
fn moved(stage: &Stage, expected: &[Survey; 2]) {
    for (layer, expected) in ["low", "top"].iter().zip(expected) {
        stage.ok(&format!("move {layer}"));
        let found = Survey::of(&stage.folder().join("external/layer_dir").join(layer));
        expected.assert_equals(&found, &format!("{layer} in the external store"));
    }
}

/// The ids that a store says it was made with.
fn ids_of(stage: &Stage) -> Ids {
    let record = fs::read_to_string(stage.folder().join("runtime/store.json")).expect("a store's record");
    let record: Value = serde_json::from_str(&record).expect("a store's record");
    let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("an id");
    let ranges = record["id_map"]["uids"].as_array().expect("ranges of ids");
    ranges.iter().map(|range| (number(&range[0]), number(&range[1]), number(&range[2]))).collect()
}

fn root_reads_the_archive(stage: &Stage) {
    let (root, ids) = (Stage::new(&Who::Root), ids_of(stage));
    assert!(ids.len() > 1, "{ids:?}");
    root.ok(&format!("import {}", stage.at("a.tar")));
    for layer in ["low", "top"] {
        let expected = Survey::with_ids(&stage.content(layer), &ids).in_an_archive();
        expected.assert_equals(
            &Survey::of(&root.content(layer)),
            &format!("{layer} of a user, imported by root"),
        );
    }
    root.ok(&format!("export -l low -l top -dest {}", root.at("a.tar")));
    let [theirs, ours] =
        [stage, &root].map(|stage| fs::read(stage.folder().join("a.tar")).expect("an archive"));
    assert!(theirs == ours, "root writes the same layers otherwise than the user");
}

/// Root of the machine uses what the user has set up: nothing that the user has hidden comes back.
fn root_mounts_the_store(stage: &Stage) {
    let root = stage.by_root();
    root.ok("create by_root");
    root.ok("merge -l low -l top -l by_root -m m3");
    assert_eq!(root.run("m3", LOOK), SEEN);
    root.ok("unmerge m3");
    root.ok("delete by_root");
    stage.ok("merge -l low -l top -m m3");
    assert_eq!(stage.run("m3", LOOK), SEEN, "for the user, afterwards");
    stage.ok("unmerge m3");
    stage.ok("fsck");
}

/// A store whose marks are of the kind that only root can read. No file system of a present kernel keeps only those, so
/// that an empty store is told so.
#[test]
fn a_store_of_the_other_form_keeps_layers() {
    let kinds = Kinds { of_root: true, of_layers: true };
    let user = Stage::new(&Who::Root);
    written_inside(&user, kinds);
    user.ok(&format!("export -l low -l top -dest {}", user.at("a.tar")));
    let trusted = Stage::new(&Who::Root);
    let record = trusted.folder().join("runtime/store.json");
    let mut value: Value =
        serde_json::from_str(&fs::read_to_string(&record).expect("a record")).expect("a record");
    assert_eq!(value["xattrs"], "user", "the form that is used wherever it can be");
    value["xattrs"] = "trusted".into();
    fs::write(&record, value.to_string()).expect("a record");
    trusted.ok(&format!("import {}", user.at("a.tar")));
    for layer in ["low", "top"] {
        let expected = Survey::of(&user.content(layer)).in_an_archive();
        expected.assert_equals(&Survey::of(&trusted.content(layer)), &format!("{layer} in the other form"));
    }
    trusted.ok("create tmp_layer");
    trusted.ok("merge -l low -l top -l tmp_layer -m m1");
    assert_eq!(trusted.run("m1", LOOK), SEEN);
    trusted.run("m1", "rm -r /below/folder-7; mkdir /below/folder-7");
    trusted.ok("unmerge m1");
    let found = Survey::of(&trusted.content("tmp_layer"));
    assert_eq!(found.paths[Path::new("below/folder-7")].kind, Kind::Folder { opaque: true });
    trusted.ok(&format!("export -l low -l top -dest {}", trusted.at("a.tar")));
    let [theirs, ours] =
        [&user, &trusted].map(|stage| fs::read(stage.folder().join("a.tar")).expect("an archive"));
    assert!(theirs == ours, "the archive depends on the form of the store");
}

/// An external store that can keep neither attributes nor owners' marks, as a network's may: everything is there still.
#[test]
fn an_external_store_without_attributes_keeps_layers() {
    let stage = Stage::bare(&Who::Root);
    let external = stage.at("external");
    run(Command::new(tool("mount")).args(["-t", "ramfs", "ramfs", &external]));
    stage.set_up(&testkit::base_rootfs().folder, None);
    written_inside(&stage, Kinds { of_root: true, of_layers: true });
    stage.ok(&format!("export -l low -l top -dest {}", stage.at("a.tar")));
    for layer in ["low", "top", "top"] {
        stage.ok(&format!("move {layer}"));
    }
    assert!(!stage.content("top").exists());
    let mut layers = stage.layers();
    layers.sort();
    assert_eq!(layers, ["low", "top"]);
    stage.ok("create tmp_layer");
    stage.ok("merge -l low -l top -l tmp_layer -m m1");
    assert_eq!(stage.run("m1", LOOK), SEEN);
    stage.ok("unmerge m1");
    stage.ok(&format!("export -l low -l top -dest {}", stage.at("b.tar")));
    let [before, after] =
        ["a.tar", "b.tar"].map(|name| fs::read(stage.folder().join(name)).expect("an archive"));
    assert!(before == after, "a moved layer gives other bytes");
    stage.ok("delete low");
    stage.ok("delete --all");
    assert_eq!(
        stage.ok("list layers"),
        "top\n",
        "layers of the external store, which others may share, stay"
    );
    stage.ok("delete top");
    assert_eq!(stage.ok("list layers"), "");
    run(Command::new(tool("umount")).arg(&external));
}

/// Through the form of container images, and through another tool that reads it.
#[test]
fn layers_go_through_images() {
    let kinds = Kinds { of_root: true, of_layers: false };
    let stage = Stage::bare(&Who::Root);
    let rootfs = stage.folder().join("rootfs");
    fs::create_dir(&rootfs).expect("a small root filesystem");
    let maker = stage.file("plan/make_tree.pl", MAKER, 0o644);
    let low = stage.file("plan/low", &Plan::new(SEED + 2, kinds).below().text(), 0o644);
    let top =
        stage.file("plan/top", &Plan::new(SEED + 3, kinds).replaced().everything(ENTRIES).text(), 0o644);
    let make = |folder: &Path, list: &str| {
        run(Command::new(tool("perl")).arg(&maker).arg(folder).arg(list));
    };
    make(&rootfs, &low);
    stage.set_up(&rootfs, None);
    stage.ok("create top");
    stage.ok("merge -l top -m m1");
    let merged = stage.folder().join("runtime/merged/m1");
    // Written through the mount point itself.
    make(&merged, &top);
    let layer = stage.at("top.tar");
    stage.ok("unmerge m1");
    holds_everything(&Survey::of(&stage.content("top")), kinds);
    stage.ok(&format!("export --format oci -l top --dest={layer}"));
    stage.ok("merge -l top -m m1");
    let base = stage.at("base.tar");
    let mut tar = Command::new(tool("tar"));
    tar.args([
        "--create",
        "--format=pax",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--acls",
        "--file",
    ]);
    run(tar.args([&base, "--directory"]).arg(&rootfs).arg("."));
    let image = stage.at("image");
    let umoci = |arguments: &[&str]| {
        let result = output(Command::new(tool("umoci")).args(arguments));
        assert!(result.status.success(), "umoci {arguments:?}: {}", text(&result.stderr));
    };
    let tagged = format!("{image}:made");
    umoci(&["init", "--layout", &image]);
    umoci(&["new", "--image", &tagged]);
    umoci(&["raw", "add-layer", "--image", &tagged, &base]);
    umoci(&["raw", "add-layer", "--image", &tagged, &layer]);
    let bundle = stage.at("bundle");
    umoci(&["unpack", "--image", &tagged, &bundle]);
    let unpacked = Survey::of(&stage.folder().join("bundle/rootfs")).in_an_archive();
    let difference = Survey::of(&merged).in_an_archive().difference(&unpacked);
    assert!(difference.is_empty(), "the merged files, and those that umoci unpacked: {difference}");
    stage.ok("unmerge m1");
    let expected = Survey::of(&stage.content("top")).in_an_archive();
    for name in ["top.tar", "top.tar.gz", "top.tar.zst"] {
        let archive = stage.at(name);
        stage.ok(&format!("export --format oci -l top --dest={archive}"));
        stage.ok(&format!("import --format oci --rename again {archive}"));
        expected.assert_equals(&Survey::of(&stage.content("again")), name);
    }
}

/// Not only files and folders have attributes: a pipe and a node get the access control list of their folder.
#[test]
fn pipes_and_nodes_keep_attributes() {
    let stage = Stage::new(&Who::Root);
    stage.ok("create l1");
    let maker = stage.file("plan/make_tree.pl", MAKER, 0o644);
    let list = stage.file(
        "plan/list",
        &Plan::new(SEED, Kinds { of_root: true, of_layers: true }).inherited().text(),
        0o644,
    );
    run(Command::new(tool("perl")).arg(&maker).arg(stage.content("l1")).arg(&list));
    let expected = Survey::of(&stage.content("l1"));
    let lists = expected.count(|facts| facts.attributes.contains_key(&b"system.posix_acl_access"[..]));
    assert_eq!(lists, 3, "{expected:?}");
    for format in ["ovmlayer", "oci"] {
        let archive = stage.at(format);
        stage.ok(&format!("export --format {format} -l l1 --dest={archive}"));
        stage.ok(&format!("import --format {format} --rename again {archive}"));
        expected.assert_equals(&Survey::of(&stage.content("again")), format);
    }
}

/// Names of attributes may hold what a tar uses to mark their end.
#[test]
fn names_of_attributes_hold_any_byte() {
    let stage = Stage::new(&Who::Root);
    stage.ok("create l1");
    let file = stage.content("l1").join("file");
    fs::write(&file, "").expect("a file of a layer");
    for name in ["user.a=b", "user.100%", "user.%3D", "user.new\nline"] {
        rustix::fs::lsetxattr(&file, name, name.as_bytes(), rustix::fs::XattrFlags::empty()).expect(name);
    }
    let expected = Survey::of(&stage.content("l1"));
    for format in ["ovmlayer", "oci"] {
        let archive = stage.at(format);
        stage.ok(&format!("export --format {format} -l l1 --dest={archive}"));
        stage.ok(&format!("import --format {format} --rename again {archive}"));
        expected.assert_equals(&Survey::of(&stage.content("again")), format);
    }
}

/// What the kernel forbids an ordinary user in a user namespace: an operation of [`MAKER`], and the number of the error.
pub(crate) const FORBIDDEN: [(&str, &str, i32); 3] = [
    // mknod(2): CAP_MKNOD of the first user namespace; whiteouts are excepted.
    ("a character device", "N 6e6f6465 8624 259", 1),
    ("a block device", "N 6e6f6465 25008 1800", 1),
    // xattr(7): CAP_SYS_ADMIN of the first user namespace.
    ("an attribute of `trusted.`", "X 726f6f74 747275737465642e6e6f7465 79", 1),
];

#[test]
fn an_ordinary_user_is_forbidden_this_by_the_kernel() {
    let stage = Stage::new(&Who::user());
    stage.ok("create l1");
    stage.ok("merge -l l1 -m m1");
    stage.file("plan/make_tree.pl", MAKER, 0o644);
    for (what, operation, errno) in FORBIDDEN {
        stage.file("plan/list", &format!("{operation}\n"), 0o644);
        let bind = format!("--mount=type=bind,src={},dst=/plan,ro,nonrecursive", stage.at("plan"));
        let result = output(&mut stage.script("m1", &[&bind], "perl /plan/make_tree.pl '' /plan/list"));
        let errors = text(&result.stderr);
        assert!(errors.contains(&format!("(errno {errno})")), "{what}: {}{errors}", result.status);
    }
    // /opt belongs to root, whose dialects of `setup` these are: EACCES (13).
    let errors = stage.refused("setup production --base-rootfs=/dev/null");
    assert!(errors.contains("/opt/ovmlayer") && errors.contains("os error 13"), "{errors}");
    stage.ok("unmerge m1");
}
