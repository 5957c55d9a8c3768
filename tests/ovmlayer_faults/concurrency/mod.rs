//! Many workers on one store: each answer is one that a model allows, and no layer is lost or mixed up.
//!
//! [`worker`] does the operations, [`history`] is what was done, [`check`] judges it, [`register`] is what the judge
//! knows about one thing.

mod check;
mod history;
mod judge_tests;
mod names;
mod reason;
mod register;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;

use testkit::{TestUser, await_no_process_about, number};

use self::check::Model;
use self::history::{Action, Clock, Operation, Outcome, Reason};
use self::names::{all_layers, text_of};
use self::worker::{ARCHIVES, Worker};
use crate::stage::{Stage, names};

/// Workers side by side.
const WORKERS: usize = 64;

#[test]
fn workers_of_root() {
    println!("{}", crowd("root", &Stage::new(None), number("OVMLAYER_LAYER_OPERATIONS", 24)));
}

#[test]
fn workers_of_an_ordinary_user() {
    let user = TestUser::create();
    // Each command of theirs makes namespaces first.
    let operations = number("OVMLAYER_LAYER_OPERATIONS", 24).div_ceil(2);
    println!("{}", crowd("an ordinary user", &Stage::new(Some(&user)), operations));
}

/// Lets workers loose, judges what they did, and gives the counts.
fn crowd(who: &str, stage: &Stage<'_>, operations: u64) -> String {
    let seed = number("OVMLAYER_SEED", 1);
    make_archives(stage);
    let clock = Clock::new();
    let mut first = Worker::new(stage, &clock, WORKERS, seed);
    first.begin();
    let mut history = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let mut worker = Worker::new(stage, &clock, number, seed);
                scope.spawn(move || {
                    worker.work(operations);
                    worker.history
                })
            })
            .collect();
        let histories = workers.into_iter().map(|worker| worker.join().expect("a worker"));
        histories.flatten().collect::<Vec<Operation>>()
    });
    assert!(history.len() as u64 >= operations * WORKERS as u64, "an entry for each operation");
    history.extend(first.history);
    history.extend(afterwards(stage, &clock));
    let faults = Model::new(&history, WORKERS).faults();
    assert!(faults.is_empty(), "{} faults, seed {seed}:\n{}", faults.len(), told(&faults, &history));
    // What a merge point needs that was unmerged while commands ran in it, nobody could remove at once.
    stage.ok(["gc"]);
    stage.fsck_is_clean(who);
    // A copy of a layer that was live when it was exported has what runs had made in it at that moment.
    for layer in stage.layers().into_iter().filter(|layer| !layer.ends_with("_copy")) {
        let places = names(&stage.layer(&layer).join("etc"));
        assert_eq!(places, Vec::<String>::new(), "{who}: `{layer}` holds places of shown files");
    }
    nothing_stays(who, stage);
    let counts = summary(&history);
    format!(
        "soak: concurrency as {who}: {WORKERS} workers, {operations} operations each, seed {seed}, no fault; {counts}"
    )
}

/// Some faults, and what was done to the first name in the first of them.
fn told(faults: &[String], history: &[Operation]) -> String {
    let first = faults.first().map(String::as_str).unwrap_or_default();
    let twice = first.split_once("twice: ").and_then(|(_, rest)| rest.split(',').next());
    let listed = first.split_once(" was not listed").and_then(|(start, _)| start.rsplit(' ').next());
    let name = twice.or(listed).or_else(|| first.split('"').nth(1)).unwrap_or_default();
    let about = |operation: &&Operation| {
        operation.done() && format!("{:?}", operation.action).contains(&format!("\"{name}\""))
    };
    let mut story: Vec<&Operation> = history.iter().filter(about).collect();
    story.retain(|operation| kind(&operation.action) != "list");
    story.sort_by_key(|operation| operation.span.begin);
    let story = story
        .iter()
        .map(|operation| format!("{:?} worker {} {:?}", operation.span, operation.worker, operation.action));
    let story: Vec<String> = story.collect();
    format!("{}\nWhat was done to {name}:\n{}", faults[..faults.len().min(20)].join("\n"), story.join("\n"))
}

/// How many operations of each kind were done and refused.
fn summary(history: &[Operation]) -> String {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for operation in history {
        let count = counts.entry(kind(&operation.action)).or_default();
        if operation.done() {
            count.0 += 1;
        } else {
            count.1 += 1;
        }
    }
    let busy = |operation: &&Operation| matches!(operation.outcome, Outcome::Refused(Reason::Busy, _));
    let busy = history.iter().filter(busy).count();
    // A crowd that gets nothing done, or is never refused, tests nothing.
    for kind in ["create", "merge", "export", "move", "import", "cp to a layer", "cp to a point", "run"] {
        assert!(counts.get(kind).is_some_and(|(done, _)| *done > 0), "no {kind} was done: {counts:?}");
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(kind, (done, refused))| format!("{kind} {done} done {refused} refused"))
        .collect();
    format!("{}, busy {busy}", counts.join(", "))
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Delete { .. } => "delete",
        Action::Tag { .. } => "cp to a layer",
        Action::Import { .. } => "import",
        Action::Export { .. } => "export",
        Action::Move { .. } => "move",
        Action::Merge { .. } => "merge",
        Action::Unmerge { .. } => "unmerge",
        Action::Run { .. } => "run",
        Action::TagPoint { .. } => "cp to a point",
        Action::Read { .. } => "layer read",
        Action::ListLayers { .. } | Action::ListUsed { .. } | Action::ListPoints { .. } => "list",
    }
}

/// Archives with one layer each, and one with two, by their own names.
fn make_archives(stage: &Stage<'_>) {
    stage.make(&stage.path("archives"));
    let layer = |name: &str, tag: &str| {
        let file = stage.write(&format!("archives/{tag}"), text_of(tag)).display().to_string();
        stage.ok(["create", name]);
        stage.ok(["cp", "--mode", "host2layer", &file, &format!("{name}:/tags")]);
    };
    let archive = |name: &str| stage.path(&format!("archives/{name}.tar")).display().to_string();
    for number in 0..ARCHIVES {
        layer("template", &format!("archive_{number}"));
        stage.ok(["export", "--layer=template", &format!("--dest={}", archive(&number.to_string()))]);
        stage.ok(["delete", "template"]);
    }
    let pair = [names::lower(0), names::lower(1)];
    pair.iter().for_each(|name| layer(name, "pair"));
    stage.ok(["export", "-l", &pair[0], "-l", &pair[1], "-dest", &archive("pair")]);
    pair.iter().for_each(|name| assert_eq!(stage.ok(["delete", name]), ""));
}

/// What lists and the disk say after all workers have ended, as further operations.
fn afterwards(stage: &Stage<'_>, clock: &Clock) -> Vec<Operation> {
    let mut found = Vec::new();
    let mut note = |action| {
        let span = clock.during(|| ()).0;
        found.push(Operation { worker: WORKERS, span, action, outcome: Outcome::Done });
    };
    let layers = stage.layers();
    note(Action::ListLayers { found: layers.clone() });
    note(Action::ListUsed { found: stage.list(["list", "layers", "--used"]) });
    note(Action::ListPoints { found: stage.points() });
    let known: BTreeSet<String> = all_layers(WORKERS).into_iter().collect();
    let (inner, outer) =
        (names(&stage.runtime().join("layer_dir")), names(&stage.external().join("layer_dir")));
    let mut on_disk: Vec<String> = inner.iter().chain(&outer).cloned().collect();
    on_disk.sort();
    // A layer that was imported again may lie over its older namesake in the external store.
    on_disk.dedup();
    assert_eq!(on_disk, layers, "the layers on disk and in the list");
    for layer in on_disk {
        assert!(known.contains(&layer), "nobody made `{layer}`");
        let folder = if inner.contains(&layer) { stage.layer(&layer) } else { stage.external_layer(&layer) };
        let tags = whole_tags(&folder);
        note(Action::Read { layer, tags });
    }
    found
}

/// The tags of a layer, each of them whole, with nothing else in the layer.
fn whole_tags(layer: &Path) -> Vec<String> {
    let top = names(layer);
    // `run` shows files of the machine in `/etc`, which the kernel copies up for it.
    assert!(top.iter().all(|name| name == "tags" || name == "etc"), "{layer:?} holds {top:?}");
    let tags = names(&layer.join("tags"));
    for tag in tags.iter().filter(|tag| !tag.starts_with('.')) {
        let text = fs::read_to_string(layer.join("tags").join(tag)).expect("a tag's file");
        assert_eq!(text, text_of(tag), "{tag} of {layer:?}");
    }
    tags
}

/// After the merge points are gone, nothing is mounted, no process is left, and no working folder.
fn nothing_stays(who: &str, stage: &Stage<'_>) {
    let points = stage.points();
    let mounted = stage.mounts();
    for point in points {
        let target = stage.runtime().join("merged").join(&point);
        // An ordinary user's mounts are not in this namespace.
        assert!(mounted.is_empty() || mounted.contains(&target), "{who}: {point} is not in {mounted:?}");
        stage.ok(["unmerge", &point]);
    }
    assert_eq!(stage.mounts(), Vec::<std::path::PathBuf>::new(), "{who}: the mount table");
    await_no_process_about(stage.folder(), who, |_| false);
    for folder in ["work", "lease", "run", "tmp", "trash", "merged"] {
        assert_eq!(names(&stage.runtime().join(folder)), Vec::<String>::new(), "{who}: {folder}");
    }
    stage.ok(["delete", "--all"]);
    for layer in stage.layers() {
        assert!(stage.external_layer(&layer).exists(), "{who}: {layer} is left in the runtime store");
        stage.ok(["delete", &layer]);
    }
    assert_eq!(stage.layers(), Vec::<String>::new(), "{who}: layers after all were deleted");
}
