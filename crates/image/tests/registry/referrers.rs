//! What is about an image goes along with it, listed by the registry or by a tag.

use std::sync::{Arc, Mutex};

use ovmlayer_image::copy::{Options as CopyOptions, copy};
use ovmlayer_image::events::Silent;
use ovmlayer_image::registry::Access;
use ovmlayer_image::{Descriptor, Index, Layout, Manifest, Referrers, Target, media, read_small};
use testkit::{Registry, RegistrySetup, Reply, Script};

use crate::stage::{open, send, single};

const SBOM: &str = "application/spdx+json";

/// Puts a document about `subject` into `target`.
fn attach(target: &dyn Target, subject: &Descriptor, document: &[u8]) -> Descriptor {
    let config = Descriptor::of(media::EMPTY, b"{}");
    let layer = Descriptor::of(SBOM, document);
    target.put(&config, &mut &b"{}"[..]).unwrap();
    target.put(&layer, &mut &document[..]).unwrap();
    let manifest = Manifest {
        artifact_type: Some(SBOM.to_owned()),
        subject: Some(Descriptor::new(&subject.media_type, subject.digest, subject.size)),
        ..Manifest::new(config, vec![layer])
    };
    let bytes = manifest.to_bytes();
    let descriptor =
        Descriptor { artifact_type: Some(SBOM.to_owned()), ..Descriptor::of(media::MANIFEST, &bytes) };
    target.put_referrer(&descriptor, &bytes).unwrap();
    descriptor
}

/// Debian's registry is older than the list, so this is the way by tags.
#[test]
fn they_go_along_by_tags() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(1, &[1000]);
    let first = attach(&made.layout, &made.root, b"one");
    attach(&made.layout, &first, b"about the one");
    let options = |referrers| CopyOptions { tags: vec!["v1".to_owned()], referrers, ..Default::default() };
    let target = open(registry.name(), "app", Access::Push);
    let without = copy(&made.layout, &made.root, &target.repository, &options(None), &Silent).unwrap();
    assert_eq!((without.referrers, without.manifests), (0, 1));
    assert!(target.repository.referrers(&made.root).unwrap().is_empty());

    let with =
        copy(&made.layout, &made.root, &target.repository, &options(Some(&made.layout)), &Silent).unwrap();
    assert_eq!((with.referrers, with.manifests), (2, 1));
    let second = attach(&target.repository, &made.root, b"two");
    let listed = target.repository.referrers(&made.root).unwrap();
    let digests: Vec<_> = listed.iter().map(|entry| entry.digest).collect();
    assert_eq!(digests, [first.digest, second.digest]);
    assert!(listed.iter().all(|entry| entry.artifact_type.as_deref() == Some(SBOM)));
    let tag = made.root.digest_text().replace(':', "-");
    assert!(target.repository.tags().unwrap().contains(&tag));

    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("pulled")).unwrap();
    let source = open(registry.name(), "app", Access::Pull);
    let pulled =
        copy(&source.repository, &made.root, &layout, &options(Some(&source.repository)), &Silent).unwrap();
    assert_eq!(pulled.referrers, 3);
    assert_eq!(layout.referrers(&made.root).unwrap().len(), 2);
    assert_eq!(layout.referrers(&first).unwrap().len(), 1);
    assert_eq!(layout.find(None).unwrap().digest, made.root.digest, "they are no images");
}

/// A registry of version 1.1 lists them itself, page by page, and says so when one is stored.
#[test]
fn they_are_listed_by_registries_that_can() {
    let made = single(2, &[]);
    let subject = made.root.clone();
    let entries: Vec<Descriptor> = (0..3).map(|at| Descriptor::of(media::MANIFEST, &[at])).collect();
    let (path, listed) = (format!("/v2/app/referrers/{}", subject.digest_text()), entries.clone());
    let stored = Arc::new(Mutex::new(Vec::new()));
    let puts = Arc::clone(&stored);
    let about = subject.digest_text();
    let registry = Script::start(move |asked| {
        let target = asked.request.target.as_str();
        match asked.request.method.as_str() {
            "PUT" => {
                puts.lock().unwrap().push(target.to_owned());
                Reply::new(201, "").with("OCI-Subject", about.clone())
            }
            "HEAD" => Reply::new(200, ""),
            _ if target == path => Reply::new(200, Index::new(listed[..2].to_vec()).to_bytes())
                .with("Content-Type", media::INDEX)
                .with("Link", format!("<{path}?page=2>; rel=\"next\"")),
            _ if target.ends_with("?page=2") => Reply::new(200, Index::new(listed[2..].to_vec()).to_bytes())
                .with("Content-Type", media::INDEX),
            _ => Reply::new(404, ""),
        }
    });
    let repository = open(registry.address(), "app", Access::Push).repository;
    assert_eq!(repository.referrers(&subject).unwrap(), entries);
    let bytes =
        Manifest { subject: Some(subject), ..Manifest::new(Descriptor::of(media::EMPTY, b"{}"), Vec::new()) }
            .to_bytes();
    let manifest = Descriptor::of(media::MANIFEST, &bytes);
    repository.put_referrer(&manifest, &bytes).unwrap();
    assert_eq!(stored.lock().unwrap().len(), 1, "no tag is kept up to date");
}

#[test]
fn an_image_without_any() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(3, &[1000]);
    let target = open(registry.name(), "app", Access::Push);
    send(&made.layout, &made.root, &target.repository, "v1").unwrap();
    assert!(target.repository.referrers(&made.root).unwrap().is_empty());
    assert!(made.layout.referrers(&made.root).unwrap().is_empty());
    assert!(read_small(&target.repository, &made.root).is_ok());
}
