//! The commands that are killed: what comes before each, and what it may leave.

use std::fs;
use std::path::Path;

use crate::content::{Content, assert_same, content, lasting};
use crate::stage::{Stage, names};

/// The layer that a command works on, and the merge point.
pub(crate) const LAYER: &str = "new";
pub(crate) const POINT: &str = "p";

/// How far a killed command had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// As if it had never run.
    Before,
    /// As if it had been acknowledged.
    After,
    /// Between the two, where that is allowed: some of several files are there, each whole.
    Partly,
}

/// One command.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn(&Stage<'_>),
    pub(crate) arguments: fn(&Stage<'_>) -> Vec<String>,
    /// Panics when the state is none that may be.
    pub(crate) state: fn(&Stage<'_>, &Samples) -> State,
    /// Says that the command works now, whatever state it was in.
    pub(crate) again: fn(&Stage<'_>, &Samples),
    /// Whether the file that says that the command is at work makes it the moment.
    pub(crate) at_work: bool,
}

/// What contents must be.
pub(crate) struct Samples {
    /// Of a layer that was imported.
    pub(crate) imported: Content,
    /// Of a layer before something is imported over it.
    pub(crate) replaced: Content,
    /// The bytes of its archive.
    pub(crate) archive: Vec<u8>,
}

const NOTHING: Scenario = Scenario {
    name: "",
    prepare: |_| {},
    arguments: |_| Vec::new(),
    state: |_, _| State::Before,
    again: |_, _| {},
    at_work: false,
};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn path(stage: &Stage<'_>, name: &str) -> String {
    stage.path(name).display().to_string()
}

/// Puts the sample under the name that commands work on.
pub(crate) fn import(stage: &Stage<'_>) {
    stage.ok(["import", "--rename", LAYER, &path(stage, "sample.tar")]);
}

fn merge(stage: &Stage<'_>) {
    import(stage);
    stage.ok(["merge", "-l", "base", "-l", LAYER, "-m", POINT]);
}

/// What is there before an import over it.
pub(crate) fn make_replaced(stage: &Stage<'_>) {
    let file = path(stage, "replaced");
    stage.ok(["create", LAYER]);
    stage.ok(["cp", "--mode", "host2layer", &file, &format!("{LAYER}:/etc")]);
}

fn is_listed(stage: &Stage<'_>) -> bool {
    let listed = stage.layers().iter().any(|name| name == LAYER);
    let on_disk = [stage.layer(LAYER), stage.external_layer(LAYER)].iter().any(|layer| layer.exists());
    assert_eq!(listed, on_disk, "the list and the disk");
    listed
}

/// The content of the layer, wherever it is; it must be in one place only after a repair.
fn found(stage: &Stage<'_>) -> Content {
    let places = [stage.layer(LAYER), stage.external_layer(LAYER)];
    let place = places.iter().find(|place| place.exists()).expect("the layer");
    lasting(content(place))
}

fn is_live(stage: &Stage<'_>) -> bool {
    stage.points().iter().any(|point| point == POINT)
}

/// The merge point, made anew if need be, works and goes.
fn works(stage: &Stage<'_>) {
    if !is_live(stage) {
        stage.ok(["merge", "-l", "base", "-l", LAYER, "-m", POINT]);
    }
    assert_eq!(stage.ok(["run", "--merged-point", POINT, "sh", "-c", "echo well"]), "well\n");
    stage.ok(["unmerge", POINT]);
    assert!(!is_live(stage), "unmerged and still there");
}

/// Of what is copied, each file that is there is whole; anything else in the layer is as it was.
fn copied(stage: &Stage<'_>, samples: &Samples) -> State {
    let mut rest = found(stage);
    let source = lasting(content(&stage.path("source")));
    let target = Path::new("srv/source");
    let mut count = 0;
    for (path, entry) in &rest {
        let Ok(inside) = path.strip_prefix(target) else { continue };
        let original = source.get(inside).unwrap_or_else(|| panic!("{path:?} is left of a copy"));
        // A folder may be closed to others until all is in it.
        let whole = entry.is_folder() && original.is_folder() || entry.same_bytes(original);
        assert!(whole, "{path:?} is not whole: {entry:?}, {original:?}");
        count += 1;
    }
    rest.retain(|path, _| !path.starts_with("srv"));
    assert_same(&rest, &samples.imported, "what was not copied to");
    match count {
        0 => State::Before,
        count if count == source.len() => State::After,
        _ => State::Partly,
    }
}

/// All is copied, folders with their modes.
fn is_copied(stage: &Stage<'_>, samples: &Samples) {
    assert_eq!(copied(stage, samples), State::After, "a copy made again");
    let source = content(&stage.path("source"));
    for (path, entry) in content(&stage.layer(LAYER).join("srv/source")) {
        assert!(
            entry.same_bytes(&source[&path]),
            "{path:?} of a copy made again: {entry:?}, {:?}",
            source[&path]
        );
    }
}

/// The layer is the sample, and perhaps what a command wrote.
fn ran(stage: &Stage<'_>, samples: &Samples) -> State {
    let mut rest = found(stage);
    let wrote = rest.keys().any(|path| path == Path::new("tags/started"));
    rest.retain(|path, _| !path.starts_with("tags"));
    // Where something of the machine is shown inside, a place for it is made; it goes with the next run or the merge point.
    rest.retain(|path, _| {
        !PLACES.iter().any(|place| Path::new(place).starts_with(path) || path.starts_with(place))
    });
    let mut sample = samples.imported.clone();
    sample.retain(|path, _| !PLACES.iter().any(|place| Path::new(place).starts_with(path)));
    assert_same(&rest, &sample, "what no command wrote to");
    if wrote { State::After } else { State::Before }
}

/// Places that `run` makes to show something there: what is asked for, and what it always shows.
const PLACES: &[&str] = &["root/shown", "etc/hosts", "etc/resolv.conf"];

fn no_place_is_left(stage: &Stage<'_>) {
    for place in PLACES {
        assert!(
            !stage.layer(LAYER).join(place).exists(),
            "the place of a shown file is left in the layer: {place}"
        );
    }
}

fn run_arguments(stage: &Stage<'_>, script: &str) -> Vec<String> {
    let bind = format!("--mount=type=bind,src={},dst=/root/shown/deep/file,ro", path(stage, "replaced"));
    words(&["run", &bind, "--merged-point", POINT, "sh", "-c", script])
}

/// The next run works, and after it and the merge point nothing is left of the shown file's place.
fn runs_again(stage: &Stage<'_>, _: &Samples) {
    stage.ok(run_arguments(stage, "cat /root/shown/deep/file"));
    works(stage);
    no_place_is_left(stage);
}

/// Without another run, nothing is left when the merge point has gone.
fn is_unmerged_clean(stage: &Stage<'_>, _: &Samples) {
    stage.ok(["unmerge", POINT]);
    no_place_is_left(stage);
    works(stage);
}

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "create",
        arguments: |_| words(&["create", LAYER]),
        state: |stage, _| {
            if !is_listed(stage) {
                return State::Before;
            }
            assert_eq!(found(stage).len(), 1, "a new layer is empty");
            State::After
        },
        again: |stage, _| {
            stage.ok(["delete", LAYER]);
            stage.ok(["create", LAYER]);
        },
        ..NOTHING
    },
    Scenario {
        name: "merge",
        prepare: import,
        arguments: |_| words(&["merge", "-l", "base", "-l", LAYER, "-m", POINT]),
        state: |stage, _| if is_live(stage) { State::After } else { State::Before },
        again: |stage, _| works(stage),
        ..NOTHING
    },
    Scenario {
        name: "unmerge",
        prepare: merge,
        arguments: |_| words(&["unmerge", POINT]),
        state: |stage, _| if is_live(stage) { State::Before } else { State::After },
        again: |stage, _| {
            stage.ok(["unmerge", POINT]);
            works(stage);
        },
        ..NOTHING
    },
    Scenario {
        name: "import",
        arguments: |stage| words(&["import", "--rename", LAYER, &path(stage, "sample.tar")]),
        state: |stage, samples| {
            if !is_listed(stage) {
                return State::Before;
            }
            assert_same(&found(stage), &samples.imported, "an imported layer");
            State::After
        },
        again: |stage, samples| {
            import(stage);
            assert_same(&found(stage), &samples.imported, "a layer imported again");
        },
        ..NOTHING
    },
    Scenario {
        name: "import over a layer",
        prepare: make_replaced,
        arguments: |stage| words(&["import", "--rename", LAYER, &path(stage, "sample.tar")]),
        state: |stage, samples| {
            assert!(is_listed(stage), "neither the old layer nor the new one is there");
            let found = found(stage);
            if found.contains_key(Path::new("etc/replaced")) {
                assert_same(&found, &samples.replaced, "a layer that is to be replaced");
                return State::Before;
            }
            assert_same(&found, &samples.imported, "an imported layer");
            State::After
        },
        again: |stage, samples| {
            import(stage);
            assert_same(&found(stage), &samples.imported, "a layer imported again");
        },
        ..NOTHING
    },
    Scenario {
        name: "export",
        prepare: |stage| {
            import(stage);
            stage.write("out/out.tar", "what was there before\n");
        },
        arguments: |stage| words(&["export", "-l", LAYER, "-dest", &path(stage, "out/out.tar")]),
        state: |stage, _| {
            let bytes = fs::read(stage.path("out/out.tar")).expect("the old file or the new one");
            if bytes == b"what was there before\n" { State::Before } else { State::After }
        },
        again: |stage, samples| {
            stage.ok(["export", "-l", LAYER, "-dest", &path(stage, "out/out.tar")]);
            let bytes = fs::read(stage.path("out/out.tar")).expect("the new file");
            assert!(bytes == samples.archive, "an archive is other than the one of the same layer");
            assert_eq!(names(&stage.path("out")), ["out.tar"], "beside the archive");
        },
        ..NOTHING
    },
    Scenario {
        name: "move",
        prepare: import,
        arguments: |_| words(&["move", LAYER]),
        state: |stage, samples| {
            assert!(is_listed(stage), "a moved layer is lost");
            let lists = stage.layers().iter().filter(|name| *name == LAYER).count();
            assert_eq!(lists, 1, "a moved layer is listed once");
            assert_same(&found(stage), &samples.imported, "a moved layer");
            if stage.layer(LAYER).exists() { State::Before } else { State::After }
        },
        again: |stage, samples| {
            stage.ok(["move", LAYER]);
            assert!(!stage.layer(LAYER).exists(), "a moved layer is in both stores");
            assert_same(&found(stage), &samples.imported, "a moved layer");
        },
        ..NOTHING
    },
    Scenario {
        name: "delete",
        prepare: import,
        arguments: |_| words(&["delete", LAYER]),
        state: |stage, samples| {
            if !is_listed(stage) {
                return State::After;
            }
            assert_same(&found(stage), &samples.imported, "a layer whose deletion had not begun");
            State::Before
        },
        again: |stage, _| {
            stage.ok(["delete", LAYER]);
            assert!(!is_listed(stage), "a deleted layer is still there");
        },
        ..NOTHING
    },
    Scenario {
        name: "cp to a layer",
        prepare: import,
        arguments: |stage| {
            words(&["cp", "--mode", "host2layer", &path(stage, "source"), &format!("{LAYER}:/srv")])
        },
        state: copied,
        again: |stage, samples| {
            stage.ok(["cp", "--mode", "host2layer", &path(stage, "source"), &format!("{LAYER}:/srv")]);
            is_copied(stage, samples);
        },
        ..NOTHING
    },
    Scenario {
        name: "cp to a point",
        prepare: merge,
        arguments: |stage| {
            words(&["cp", "--mode", "host2merged", &path(stage, "source"), &format!("{POINT}:/srv")])
        },
        state: copied,
        again: |stage, samples| {
            stage.ok(["cp", "--mode", "host2merged", &path(stage, "source"), &format!("{POINT}:/srv")]);
            is_copied(stage, samples);
            works(stage);
        },
        ..NOTHING
    },
    Scenario {
        name: "run",
        prepare: merge,
        arguments: |stage| run_arguments(stage, "echo well > /tags/started"),
        state: ran,
        again: runs_again,
        ..NOTHING
    },
    Scenario {
        name: "run at work",
        prepare: merge,
        // One process in another session, one in the background, and one in front.
        arguments: |stage| {
            run_arguments(stage, "setsid sleep 1000 & sleep 1000 & echo well > /tags/started; sleep 1000")
        },
        state: ran,
        again: is_unmerged_clean,
        at_work: true,
    },
    Scenario {
        name: "setup",
        prepare: import,
        arguments: |stage| stage.setup_arguments(),
        state: |stage, samples| {
            assert_same(&found(stage), &samples.imported, "a layer of a store that is set up again");
            State::After
        },
        again: |stage, _| {
            stage.setup();
            stage.ok(["test", "system"]);
        },
        ..NOTHING
    },
];
