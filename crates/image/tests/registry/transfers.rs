//! Images there and back again, when nothing goes wrong.

use std::process::Command;
use std::sync::Arc;

use ovmlayer_image::copy::{Options as CopyOptions, copy};
use ovmlayer_image::events::Silent;
use ovmlayer_image::registry::Access;
use ovmlayer_image::{Layout, Manifest, Place, Platform, read_small};
use serde_json::Value;
use testkit::{Registry, RegistrySetup, Relay, run, tool};

use crate::stage::{Sum, index, open, open_with, read_all, send, send_with, single};

const CHUNK: usize = 64 << 10;

#[test]
fn what_is_pushed_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = index(1, &["amd64", "arm64"], &[200_000, 10, 0]);
    let target = open_with(registry.name(), "a/app", Access::Push, |options| {
        ovmlayer_image::registry::Options { chunk: CHUNK, ..options }
    });
    let copied = send(&made.layout, &made.root, &target.repository, "v1").unwrap();
    assert_eq!((copied.root.digest, copied.manifests), (made.root.digest, 3));
    // The empty layers of both are one content.
    assert_eq!((copied.sent.blobs, copied.skipped.blobs, copied.mounted.blobs), (7, 0, 0));

    let source = open(registry.name(), "a/app", Access::Pull);
    for found in [source.repository.resolve_tag("v1"), source.repository.resolve_digest(&made.root.digest)] {
        let found = found.unwrap();
        assert_eq!((found.digest, found.size), (made.root.digest, made.root.size));
        assert_eq!(found.media_type, made.root.media_type);
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("copy")).unwrap();
    send(&source.repository, &made.root, &layout, "v1").unwrap();
    assert_eq!(layout.find(Some("v1")).unwrap().digest, made.root.digest);
    assert_eq!(read_all(&layout, &made.root).unwrap(), 8);
    assert_eq!(source.repository.tags().unwrap(), ["v1"]);
}

#[test]
fn a_second_push_sends_no_content() {
    let registry = Registry::start(&RegistrySetup::default());
    let relay = Relay::start(registry.address());
    let made = index(2, &["amd64", "arm64"], &[5000, 7000]);
    send(&made.layout, &made.root, &open(relay.address(), "app", Access::Push).repository, "v1").unwrap();
    assert!(relay.count("PUT", "*/blobs/uploads/*") > 0);
    relay.forget_requests();
    let copied =
        send(&made.layout, &made.root, &open(relay.address(), "app", Access::Push).repository, "v2").unwrap();
    assert_eq!((copied.sent.blobs, copied.skipped.blobs), (0, 6));
    for method in ["POST", "PATCH", "PUT"] {
        assert_eq!(relay.count(method, "*/blobs/*"), 0, "{method}");
    }
    let last = relay.requests().pop().unwrap();
    assert_eq!((last.method.as_str(), last.target.as_str()), ("PUT", "/v2/app/manifests/v2"), "tags last");
}

#[test]
fn contents_are_mounted_from_where_they_were_pushed_before() {
    let registry = Registry::start(&RegistrySetup::default());
    let relay = Relay::start(registry.address());
    let made = single(3, &[5000, 7000]);
    let first = open(relay.address(), "first", Access::Push);
    send(&made.layout, &made.root, &first.repository, "v1").unwrap();
    relay.forget_requests();

    // The cache of the first one remembers.
    let second =
        open_with(relay.address(), "second", Access::Push, |_| crate::stage::options(first.folder.path()));
    let copied = send(&made.layout, &made.root, &second.repository, "v1").unwrap();
    assert_eq!((copied.mounted.blobs, copied.sent.blobs), (3, 0));
    assert_eq!(relay.count("PUT", "*/blobs/*"), 0);

    // From one repository of a registry to another one nothing is fetched either.
    relay.forget_requests();
    let source = open(relay.address(), "first", Access::Pull);
    let mut third = open(relay.address(), "third", Access::Push);
    third.repository.mount_from(&source.repository);
    let root = source.repository.resolve_tag("v1").unwrap();
    let copied = send(&source.repository, &root, &third.repository, "v1").unwrap();
    assert_eq!((copied.mounted.blobs, copied.sent.blobs), (3, 0));
    // The configuration is no layer, and not looked into.
    assert_eq!(relay.count("GET", "*/blobs/*"), 0);
    assert_eq!(read_all(&open(relay.address(), "third", Access::Pull).repository, &root).unwrap(), 3);
}

#[test]
fn a_source_that_cannot_be_mounted_costs_no_more_than_a_push() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(4, &[5000]);
    let source = open(registry.name(), "nothing", Access::Pull);
    let mut target = open(registry.name(), "app", Access::Push);
    target.repository.mount_from(&source.repository);
    let copied = send(&made.layout, &made.root, &target.repository, "v1").unwrap();
    assert_eq!((copied.mounted.blobs, copied.sent.blobs), (0, 2));
}

#[test]
fn a_second_pull_needs_no_network() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = index(5, &["amd64", "arm64"], &[3000]);
    send(&made.layout, &made.root, &open(registry.name(), "app", Access::Push).repository, "v1").unwrap();
    let first = open(registry.name(), "app", Access::Pull);
    let root = first.repository.resolve_tag("v1").unwrap();
    read_all(&first.repository, &root).unwrap();
    let name = registry.name();
    drop(registry);

    let second = open_with(&name, "app", Access::Pull, |_| ovmlayer_image::registry::Options {
        offline: true,
        ..crate::stage::options(first.folder.path())
    });
    assert_eq!(second.repository.resolve_tag("v1").unwrap(), root);
    assert_eq!(second.repository.resolve_digest(&root.digest).unwrap(), root);
    read_all(&second.repository, &root).unwrap();
    let message = second.repository.resolve_tag("v2").unwrap_err().to_string();
    assert!(message.contains("the tag `v2`") && message.contains("without `--offline`"), "{message}");
}

#[test]
fn platforms_are_chosen() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = index(6, &["amd64", "arm64", "riscv64"], &[3000]);
    let target = open(registry.name(), "app", Access::Push);
    let platforms = |names: &[&str]| names.iter().map(|name| name.parse::<Platform>().unwrap()).collect();
    let options = |names: &[&str], tag: &str| CopyOptions {
        platforms: platforms(names),
        tags: vec![tag.to_owned(), format!("{tag}-too")],
        ..Default::default()
    };
    let one = copy(&made.layout, &made.root, &target.repository, &options(&["linux/arm64"], "one"), &Silent);
    let one = one.unwrap();
    let bytes = read_small(&made.layout, &made.root).unwrap();
    let entries = ovmlayer_image::Index::parse(&bytes, "index").unwrap().manifests;
    assert_eq!(one.root.digest, entries[1].digest, "the manifest itself");
    assert_eq!(one.sent.blobs, 2);

    let two =
        copy(&made.layout, &made.root, &target.repository, &options(&["riscv64", "amd64"], "two"), &Silent);
    let two = two.unwrap();
    assert_eq!((two.sent.blobs, two.manifests), (4, 3));
    let source = open(registry.name(), "app", Access::Pull);
    assert_eq!(source.repository.resolve_tag("two-too").unwrap().digest, two.root.digest);
    assert_eq!(read_all(&source.repository, &two.root).unwrap(), 4);

    let none = copy(&made.layout, &made.root, &target.repository, &options(&["s390x"], "no"), &Silent);
    let message = none.unwrap_err().to_string();
    assert!(message.contains("no image for linux/s390x: it has linux/amd64, linux/arm64"), "{message}");
    let wrong = copy(&source.repository, &one.root, &target.repository, &options(&["amd64"], "no"), &Silent);
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("no image for linux/amd64: it has linux/arm64"), "{message}");
}

#[test]
fn skopeo_reads_what_we_push_and_we_read_what_it_pushes() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = index(7, &["amd64", "arm64"], &[3000, 4000]);
    send(&made.layout, &made.root, &open(registry.name(), "ours", Access::Push).repository, "v1").unwrap();
    let ours = format!("docker://{}/ours:v1", registry.name());
    let theirs = format!("docker://{}/theirs:v1", registry.name());
    let skopeo = || Command::new(tool("skopeo"));
    let inspected = run(skopeo()
        .args(["inspect", "--tls-verify=false", "--override-arch", "arm64", "--override-os", "linux"])
        .arg(&ours));
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    assert_eq!(inspected["Architecture"], "arm64");
    assert_eq!(inspected["Digest"], made.root.digest_text());
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 2);

    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let copy = |more: &[&str], from: &str, to: &str| {
        let mut command = skopeo();
        command.arg("--policy").arg(policy.path());
        command.args(["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        run(command.args(more).args([from, to]));
    };
    copy(&[], &ours, &theirs);
    let source = open(registry.name(), "theirs", Access::Pull);
    assert_eq!(source.repository.resolve_tag("v1").unwrap().digest, made.root.digest);
    assert_eq!(read_all(&source.repository, &made.root).unwrap(), 6);

    // Docker's own media types, out of a layout that we pulled.
    let docker = format!("docker://{}/docker:v1", registry.name());
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("pulled")).unwrap();
    send(&source.repository, &made.root, &layout, "v1").unwrap();
    copy(&["--format", "v2s2"], &format!("{}:v1", layout.name()), &docker);
    let source = open(registry.name(), "docker", Access::Pull);
    let root = source.repository.resolve_tag("v1").unwrap();
    assert_eq!(root.media_type, ovmlayer_image::media::DOCKER_LIST);
    assert_eq!(read_all(&source.repository, &root).unwrap(), 6);
    let target = open(registry.name(), "docker-again", Access::Push);
    send(&source.repository, &root, &target.repository, "v1").unwrap();
    assert_eq!(target.repository.resolve_tag("v1").unwrap().digest, root.digest);
}

#[test]
fn progress_adds_up() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(8, &[300_000, 5000]);
    let sum = Sum::default();
    let target = open(registry.name(), "app", Access::Push);
    let copied = send_with(&made.layout, &made.root, &target.repository, "v1", &sum).unwrap();
    let told = sum.told.lock().unwrap();
    assert_eq!((told.planned, told.sent), (copied.sent.bytes, i64::try_from(copied.sent.bytes).unwrap()));

    let pulled = Arc::new(Sum::default());
    let shared = Arc::clone(&pulled);
    let source = open_with(registry.name(), "app", Access::Pull, move |options| {
        ovmlayer_image::registry::Options { events: shared, ..options }
    });
    read_all(&source.repository, &made.root).unwrap();
    let told = pulled.told.lock().unwrap();
    assert_eq!(told.received, i64::try_from(copied.sent.bytes).unwrap());
}

#[test]
fn contents_that_are_not_what_they_should_be_are_not_pushed() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(9, &[300_000]);
    let bytes = read_small(&made.layout, &made.root).unwrap();
    let layer = Manifest::parse(&bytes, "manifest").unwrap().layers.remove(0);
    let path = made.layout.path().join("blobs/sha256").join(layer.digest.to_string());
    let mut damaged = std::fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let target = open_with(registry.name(), "app", Access::Push, |options| {
        ovmlayer_image::registry::Options { chunk: CHUNK, ..options }
    });
    let message = send(&made.layout, &made.root, &target.repository, "v1").unwrap_err().to_string();
    assert!(message.contains("altered or damaged"), "{message}");
    assert!(target.repository.resolve_tag("v1").is_err(), "nothing has the tag");
}
