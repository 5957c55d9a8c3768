//! Many processes at once, against a model of what has to hold.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Barrier;

use ovmlayer_layers::{Deleted, Engine, Error, Filter};

use crate::place::{Place, layer, layers, point};

/// A small generator of numbers (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const WORKERS: u64 = 64;

/// Each worker has layers of its own, which nobody else touches, so that it knows what every operation must say; all
/// of them share three lowers, which must be refused deletion whenever they are used and may vanish otherwise.
#[test]
fn sixty_four_workers_agree_with_a_model() {
    let place = Place::root();
    let barrier = Barrier::new(WORKERS as usize);
    let kept: Vec<BTreeMap<String, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let (place, barrier) = (&place, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    work(place, number)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let engine = place.engine();
    engine.gc().unwrap();
    place.assert_clean();
    for (name, content) in kept.iter().flatten() {
        let found = engine.locate(&layer(name)).unwrap();
        assert_eq!(fs::read_to_string(found.path.join("content")).unwrap(), *content, "{name}");
    }
    let shared = ["shared0", "shared1", "shared2"];
    let mut listed = engine.list(Filter::All).unwrap();
    listed.retain(|name| !shared.contains(&name.as_str()));
    let expected = kept.iter().flatten().count();
    assert_eq!(listed.len(), expected);
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
}

/// Random operations; gives the layers that the worker believes to have, with their contents.
fn work(place: &Place, number: u64) -> BTreeMap<String, String> {
    let engine = place.engine();
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (number + 1));
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    let mut live: Option<Vec<String>> = None;
    let at = point(&format!("m{number}"));
    for round in 0..60 {
        let name = format!("w{number}_{}", random.below(4));
        let used = live.as_ref().is_some_and(|layers| layers.contains(&name));
        match random.below(8) {
            0 | 1 => match engine.create(&layer(&name)) {
                Ok(()) => {
                    assert!(!own.contains_key(&name));
                    let content = format!("{number} {round}");
                    let path = engine.locate(&layer(&name)).unwrap().path;
                    fs::write(path.join("content"), &content).unwrap();
                    own.insert(name, content);
                }
                Err(Error::Exists { .. }) => assert!(own.contains_key(&name)),
                Err(error) => panic!("{error:?}"),
            },
            2 => match engine.delete(&layer(&name)) {
                Ok(deleted) => {
                    assert!(!used, "{name} was deleted while it was used");
                    assert_eq!(deleted == Deleted::Gone, own.remove(&name).is_some());
                }
                Err(Error::Used { .. }) => assert!(used),
                Err(error) => panic!("{error:?}"),
            },
            3 | 4 => merge(&engine, &mut random, &own, &mut live, &at),
            5 => {
                engine.unmerge(&at).unwrap();
                live = None;
            }
            6 => shared(&engine, &mut random),
            _ => match engine.move_to_external(&layer(&name)) {
                Ok(_) => assert!(own.contains_key(&name) && !used || !place.layer(&name).exists()),
                Err(Error::UnknownLayer { .. }) => assert!(!own.contains_key(&name)),
                Err(Error::Used { .. }) => assert!(used),
                Err(error) => panic!("{error:?}"),
            },
        }
    }
    engine.unmerge(&at).unwrap();
    own
}

fn merge(
    engine: &Engine,
    random: &mut Random,
    own: &BTreeMap<String, String>,
    live: &mut Option<Vec<String>>,
    at: &ovmlayer_layers::PointName,
) {
    let mut stack: Vec<String> = (0..3).map(|number| format!("shared{number}")).collect();
    stack.truncate(random.below(4) as usize);
    stack.extend(own.keys().cloned());
    if random.below(2) == 0 {
        stack.reverse();
    }
    let Some(top) = stack.last().cloned() else { return };
    let names: Vec<_> = stack.iter().map(|name| layer(name)).collect();
    match engine.merge(&names, at) {
        Ok(merged) => {
            assert!(live.is_none());
            if own.contains_key(&top) {
                assert_eq!(fs::read_to_string(merged.path.join("content")).unwrap(), own[&top]);
            }
            *live = Some(stack);
        }
        Err(Error::PointExists { .. }) => assert!(live.is_some()),
        // Somebody else writes to a shared layer, has deleted or moved it.
        Err(Error::Used { name, .. } | Error::UnknownLayer { name } | Error::UpperInUse { name }) => {
            assert!(name.as_str().starts_with("shared"), "{name}");
        }
        Err(Error::TopNotWritable { name, .. }) => assert_eq!(name.as_str(), top),
        Err(error) => panic!("{error:?}"),
    }
}

/// What all workers fight over.
fn shared(engine: &Engine, random: &mut Random) {
    let name = layer(&format!("shared{}", random.below(3)));
    let done = match random.below(3) {
        0 => engine.create(&name),
        1 => engine.delete(&name).map(drop),
        _ => engine.stage().and_then(|staging| engine.publish(vec![(name, staging)])).map(drop),
    };
    match done {
        Ok(()) | Err(Error::Exists { .. } | Error::Used { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn a_layer_is_never_deleted_while_it_is_being_merged() {
    let place = Place::root();
    let engine = place.engine();
    for round in 0..50 {
        for name in ["low", "top"] {
            match engine.create(&layer(name)) {
                Ok(()) | Err(Error::Exists { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        fs::write(place.layer("low").join("file"), "x").unwrap();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let deleter = scope.spawn(|| {
                barrier.wait();
                engine.delete(&layer("low"))
            });
            barrier.wait();
            let merged = engine.merge(&layers(["low", "top"]), &point("m"));
            let deleted = deleter.join().unwrap();
            match (&merged, &deleted) {
                (Ok(merged), Err(Error::Used { .. })) => assert!(merged.path.join("file").is_file()),
                (Err(Error::UnknownLayer { .. }), Ok(Deleted::Gone)) => {}
                other => panic!("round {round}: {other:?}"),
            }
        });
        engine.unmerge(&point("m")).unwrap();
    }
    place.assert_clean();
}

#[test]
fn many_merge_one_point_and_one_of_them_has_it() {
    let place = Place::root();
    let engine = place.engine();
    for number in 0..8 {
        engine.create(&layer(&format!("l{number}"))).unwrap();
    }
    let barrier = Barrier::new(8);
    let won = std::thread::scope(|scope| {
        let (place, barrier) = (&place, &barrier);
        let merges = (0..8).map(|number| {
            scope.spawn(move || {
                let engine = place.engine();
                barrier.wait();
                engine.merge(&[layer(&format!("l{number}"))], &point("m"))
            })
        });
        let merges: Vec<_> = merges.collect();
        merges.into_iter().map(|merge| merge.join().unwrap()).filter(Result::is_ok).count()
    });
    assert_eq!(won, 1);
    engine.unmerge(&point("m")).unwrap();
    place.assert_clean();
}
