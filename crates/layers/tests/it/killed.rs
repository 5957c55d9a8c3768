//! Commands that are killed at any moment: what was acknowledged is whole, and nothing else is left after a repair.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use ovmlayer_layers::{Filter, LayerName, Unmerged};

use crate::place::{Place, layer, layers, point};

/// How many commands are tested.
const COMMANDS: u64 = 8;

/// How many moments are sampled for each command; `OVMLAYER_LAYER_KILLS` sets how many for all of them.
fn moments() -> u32 {
    let moments = testkit::number("OVMLAYER_LAYER_KILLS", 25 * COMMANDS).div_ceil(COMMANDS);
    u32::try_from(moments).unwrap()
}

/// How long the command takes when the disk is not busy with something else.
fn whole(place: &Place, command: &[&str], reset: &mut impl FnMut()) -> Duration {
    let times = (0..3).map(|_| {
        reset();
        let begin = std::time::Instant::now();
        place.ok(command);
        begin.elapsed()
    });
    times.min().unwrap()
}

/// Kills the command at moments spread over what it takes, and calls `check` after each; then `reset`.
fn kill(place: &Place, command: &[&str], mut check: impl FnMut(bool), mut reset: impl FnMut()) {
    let whole = whole(place, command, &mut reset);
    let (moments, mut killed) = (moments(), 0);
    for moment in 0..moments {
        reset();
        let mut child = place.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what is sampled; whatever it turns out to be, the same has to hold.
        std::thread::park_timeout(
            whole.mul_f64(f64::from(moment) / f64::from(moments)) + Duration::from_micros(50),
        );
        let _ = child.kill();
        let done = child.wait().unwrap().success();
        killed += u32::from(!done);
        check(done);
    }
    let who = if place.user.is_some() { "an ordinary user" } else { "root" };
    println!("soak: kills of {} as {who}: {killed} killed, {} too late", command[0], moments - killed);
}

fn all(place: &Place) -> BTreeSet<String> {
    place.engine().list(Filter::All).unwrap().iter().map(LayerName::to_string).collect()
}

#[test]
fn create_and_delete() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("kept")).unwrap();
    fs::write(place.layer("kept").join("file"), "kept").unwrap();
    let repaired = || {
        place.engine().fsck(true).unwrap();
        place.assert_clean();
        assert_eq!(fs::read_to_string(place.layer("kept").join("file")).unwrap(), "kept");
    };
    kill(
        &place,
        &["create", "new"],
        |done| {
            assert!(!done || place.layer("new").is_dir());
            repaired();
        },
        || assert!(engine.delete(&layer("new")).is_ok()),
    );
    kill(
        &place,
        &["delete", "full"],
        |done| {
            let left = fs::read_dir(place.layer("full")).map(Iterator::count);
            // All of it or nothing.
            assert_eq!(left.unwrap_or(200), 200);
            assert!(!done || !place.layer("full").exists());
            repaired();
        },
        || {
            engine.delete(&layer("full")).unwrap();
            engine.create(&layer("full")).unwrap();
            for number in 0..200 {
                fs::write(place.layer("full").join(number.to_string()), "x").unwrap();
            }
        },
    );
}

#[test]
fn merge_and_unmerge() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
    }
    let usable = || {
        // The next command finds everything usable, before any repair.
        engine.unmerge(&point("m")).unwrap();
        engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
        assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Gone);
        engine.fsck(true).unwrap();
        place.assert_clean();
        assert_eq!(all(&place), ["a", "b"].map(String::from).into());
    };
    kill(
        &place,
        &["merge", "m", "a", "b"],
        |done| {
            let points = engine.merge_points().unwrap();
            assert!(!done || points.len() == 1);
            usable();
        },
        || assert!(engine.unmerge(&point("m")).is_ok()),
    );
    kill(
        &place,
        &["unmerge", "m"],
        |done| {
            assert!(!done || engine.merge_points().unwrap().is_empty());
            usable();
        },
        || {
            engine.unmerge(&point("m")).unwrap();
            engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
        },
    );
}

#[test]
fn a_users_merge_and_unmerge() {
    let place = Place::user();
    place.ok(["create", "a", "b"]);
    let usable = || {
        place.ok(["unmerge", "m"]);
        place.ok(["merge", "m", "a", "b"]);
        assert_eq!(place.ok(["unmerge", "m"]), "Gone\n");
        place.ok(["fsck", "repair"]);
        place.assert_clean();
    };
    kill(&place, &["merge", "m", "a", "b"], |_| usable(), || drop(place.ok(["unmerge", "m"])));
    kill(
        &place,
        &["unmerge", "m"],
        |_| usable(),
        || {
            place.ok(["unmerge", "m"]);
            place.ok(["merge", "m", "a", "b"]);
        },
    );
}

#[test]
fn import_of_several_over_one_that_is_there() {
    let place = Place::root();
    let engine = place.engine();
    kill(
        &place,
        &["import", "x", "y", "z"],
        |done| {
            for name in ["x", "y", "z"] {
                let there = place.layer(name).is_dir();
                assert!(there || !done);
                if there {
                    let old = place.layer(name).join("old").is_file();
                    let new = fs::read_to_string(place.layer(name).join("imported"));
                    assert!(old != new.is_ok_and(|text| text == name), "{name} is half there");
                }
            }
            assert!(place.layer("y").is_dir(), "the one that was there is lost");
            engine.fsck(true).unwrap();
            place.assert_clean();
        },
        || {
            for name in ["x", "y", "z"] {
                engine.delete(&layer(name)).unwrap();
            }
            engine.create(&layer("y")).unwrap();
            fs::write(place.layer("y").join("old"), "").unwrap();
        },
    );
}

#[test]
fn moving() {
    let place = Place::bare();
    fs::create_dir(place.external()).unwrap();
    place.mount("tmpfs", "size=64m", &place.external());
    place.set_up();
    let engine = place.engine();
    kill(
        &place,
        &["move", "a"],
        |done| {
            assert!(!done || !place.layer("a").exists());
            for repair in [false, true] {
                let found = engine.locate(&layer("a")).unwrap();
                assert_eq!(fs::read_dir(&found.path).unwrap().count(), 200, "{done} {repair}");
                let findings = engine.fsck(true).unwrap();
                assert!(findings.iter().all(|finding| finding.repaired), "{findings:?}");
            }
            place.assert_clean();
            assert_eq!(all(&place), ["a".to_owned()].into());
            // It can be repeated.
            engine.move_to_external(&layer("a")).unwrap();
            assert!(place.external().join("layer_dir/a").is_dir() && !place.layer("a").exists());
        },
        || {
            engine.delete(&layer("a")).unwrap();
            engine.create(&layer("a")).unwrap();
            for number in 0..200 {
                fs::write(place.layer("a").join(number.to_string()), "x").unwrap();
            }
        },
    );
}
