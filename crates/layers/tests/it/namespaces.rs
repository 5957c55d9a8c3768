//! Leases: what is mounted in another mount namespace of the same machine, as by another container on a shared volume.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use ovmlayer_layers::{Error, Filter, Place as Where, Unmerged};

use crate::place::{Place, layer, layers, point};

/// A shell in a mount namespace of its own, which answers each line when it is done.
struct Elsewhere {
    shell: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Elsewhere {
    fn new() -> Self {
        let mut shell = Command::new("unshare")
            .args(["--mount", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut new = Self { shell, answers };
        new.run("true");
        new
    }

    /// Runs a line there, and gives what it printed.
    fn run(&mut self, line: &str) -> String {
        let input = self.shell.stdin.as_mut().unwrap();
        writeln!(input, "{line}\necho \"end $?\"").unwrap();
        input.flush().unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the shell ended: {printed}");
            match line.strip_prefix("end ") {
                Some("0\n") => return printed,
                Some(other) => panic!("{other}: {printed}"),
                None => printed.push_str(&line),
            }
        }
    }

    fn engine(&mut self, place: &Place, arguments: &[&str]) -> String {
        let command = place.command(arguments);
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        self.run(&format!("HOME='{}' {}", place.path().display(), words.join(" ")))
    }

    fn end(mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}

#[test]
fn a_lease_of_another_namespace_is_seen_while_its_mount_lives() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b", "c"] {
        engine.create(&layer(name)).unwrap();
    }
    let mut elsewhere = Elsewhere::new();
    elsewhere.engine(&place, &["merge", "m", "a", "b"]);
    assert!(fs::read_dir(place.merged("m")).unwrap().next().is_none(), "the mount is seen from here");
    assert_eq!(engine.list(Filter::Used).unwrap(), layers(["a", "b"]));
    assert_eq!(engine.merge_points().unwrap()[0].place, Where::Elsewhere);
    for name in ["a", "b"] {
        let error = engine.delete(&layer(name)).unwrap_err();
        assert!(matches!(&error, Error::Used { point, .. } if point == "m"), "{error}");
    }
    assert!(matches!(engine.merge(&layers(["c"]), &point("m")), Err(Error::PointExists { .. })));
    assert!(matches!(engine.merge(&layers(["b"]), &point("m2")), Err(Error::Used { .. })));
    // Lowers may be shared.
    engine.merge(&layers(["a", "c"]), &point("m2")).unwrap();
    assert_eq!(elsewhere.engine(&place, &["unmerge", "m"]), "Gone\n");
    assert_eq!(engine.list(Filter::Used).unwrap(), layers(["a", "c"]));
    engine.unmerge(&point("m2")).unwrap();
    elsewhere.end();
    place.assert_clean();
}

#[test]
fn a_namespace_that_has_ended_blocks_nothing() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    let mut elsewhere = Elsewhere::new();
    elsewhere.engine(&place, &["merge", "m", "a"]);
    elsewhere.end();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Gone);
    let mut elsewhere = Elsewhere::new();
    elsewhere.engine(&place, &["merge", "m", "a"]);
    elsewhere.end();
    engine.delete(&layer("a")).unwrap();
    engine.gc().unwrap();
    place.assert_clean();
}

#[test]
fn copies_of_a_mount_go_with_it() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    for _ in 0..2 {
        engine.merge(&layers(["a"]), &point("m")).unwrap();
        // It has a copy of everything that is mounted here.
        let mut elsewhere = Elsewhere::new();
        assert_eq!(elsewhere.engine(&place, &["points"]), "m [\"a\"]\n");
        assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Gone);
        assert_eq!(elsewhere.engine(&place, &["points"]), "");
        engine.merge(&layers(["a"]), &point("m")).unwrap();
        engine.unmerge(&point("m")).unwrap();
        elsewhere.end();
    }
    place.assert_clean();
}

#[test]
fn a_merge_point_can_be_unmerged_from_any_namespace() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
    }
    engine.merge(&layers(["a"]), &point("copied")).unwrap();
    let mut elsewhere = Elsewhere::new();
    elsewhere.engine(&place, &["merge", "there", "b"]);
    // One that has a copy here, and one that has none.
    assert_eq!(elsewhere.engine(&place, &["unmerge", "copied"]), "Gone\n");
    assert_eq!(engine.unmerge(&point("there")).unwrap(), Unmerged::Gone);
    assert_eq!(engine.merge_points().unwrap(), []);
    assert_eq!(elsewhere.engine(&place, &["points"]), "");
    engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    elsewhere.end();
    place.assert_clean();
}

#[test]
fn one_in_use_elsewhere_is_detached() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    let mut elsewhere = Elsewhere::new();
    elsewhere.engine(&place, &["merge", "m", "a"]);
    elsewhere.run(&format!("exec 9> '{}/file'", place.merged("m").display()));
    assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Detached);
    assert!(matches!(engine.merge(&layers(["a"]), &point("m")), Err(Error::UpperInUse { .. })));
    elsewhere.run("exec 9>&-");
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    elsewhere.end();
    engine.gc().unwrap();
    place.assert_clean();
}
