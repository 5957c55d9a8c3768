//! A name that the runtime store and the external one both have.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};

use ovmlayer_layers::{Deleted, Engine, Error, Filter};

use crate::place::{Place, layer, layers, point};

/// A layer in the external store with `file` = "old"; one of its name can be put in the runtime store.
fn moved(place: &Place) -> Engine {
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    fs::write(place.layer("a").join("file"), "old").unwrap();
    engine.move_to_external(&layer("a")).unwrap();
    engine
}

fn publish(engine: &Engine, name: &str) -> Result<(), Error> {
    let staging = engine.stage()?;
    fs::write(staging.path().join("file"), "new").unwrap();
    engine.publish(vec![(layer(name), staging)]).map(drop)
}

#[test]
fn what_is_published_replaces_the_copy_in_the_external_store() {
    let place = Place::root();
    let engine = moved(&place);
    let outside = place.external().join("layer_dir/a");
    engine.create(&layer("top")).unwrap();
    engine.merge(&layers(["a", "top"]), &point("m")).unwrap();
    let refused = publish(&engine, "a").unwrap_err();
    assert!(matches!(&refused, Error::Used { point, .. } if point == "m"), "{refused}");
    assert!(outside.is_dir() && !place.layer("a").exists());
    engine.unmerge(&point("m")).unwrap();

    publish(&engine, "a").unwrap();
    assert!(!outside.exists());
    assert_eq!(fs::read_to_string(place.layer("a").join("file")).unwrap(), "new");
    place.assert_clean();

    // As an archive, which a store has that can keep nothing else.
    fs::create_dir_all(place.external().join("layer_archive")).unwrap();
    let archive = place.external().join("layer_archive/a.tar");
    fs::write(&archive, "").unwrap();
    publish(&engine, "a").unwrap();
    assert!(!archive.exists());
    place.assert_clean();
}

#[test]
fn what_is_published_ends_an_interrupted_move() {
    let place = Place::root();
    let engine = moved(&place);
    engine.create(&layer("b")).unwrap();
    fs::create_dir(place.layer("a")).unwrap();
    File::create(place.runtime().join("moving/a")).unwrap();
    publish(&engine, "a").unwrap();
    place.assert_clean();
    assert_eq!(fs::read_to_string(engine.locate(&layer("a")).unwrap().path.join("file")).unwrap(), "new");
}

/// While a layer goes from store to store it is in the list at every moment.
#[test]
fn a_layer_that_changes_its_store_is_always_listed() {
    let place = Place::root();
    let engine = moved(&place);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let engine = place.engine();
            for _ in 0..200 {
                publish(&engine, "a").unwrap();
                engine.move_to_external(&layer("a")).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            assert_eq!(engine.list(Filter::All).unwrap(), [layer("a")]);
        }
    });
    place.assert_clean();
}

#[test]
fn two_copies_go_together() {
    let place = Place::root();
    let engine = moved(&place);
    let outside = place.external().join("layer_dir/a");
    fs::create_dir(place.layer("a")).unwrap();
    fs::write(place.layer("a").join("file"), "new").unwrap();
    engine.create(&layer("top")).unwrap();
    engine.merge(&layers(["a", "top"]), &point("m")).unwrap();
    assert!(matches!(engine.delete(&layer("a")), Err(Error::Used { .. })));
    assert!(outside.is_dir(), "all or nothing");
    engine.unmerge(&point("m")).unwrap();
    assert_eq!(engine.delete(&layer("a")).unwrap(), Deleted::Gone);
    assert!(!outside.exists() && !place.layer("a").exists(), "both");
    assert!(engine.find(&layer("a")).unwrap().is_none());
    place.assert_clean();
}
