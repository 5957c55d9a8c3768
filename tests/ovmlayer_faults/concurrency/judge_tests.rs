//! The judge itself: it must find what is wrong, and nothing else.

use super::check::Model;
use super::history::{Action, Operation, Outcome, Reason};
use super::register::Span;

/// An operation from tick to tick.
fn done(begin: u64, end: u64, action: Action) -> Operation {
    Operation { worker: 0, span: Span { begin, end }, action, outcome: Outcome::Done }
}

fn refused(begin: u64, end: u64, action: Action, reason: Reason, message: &str) -> Operation {
    let outcome = Outcome::Refused(reason, message.to_owned());
    Operation { outcome, ..done(begin, end, action) }
}

fn create() -> Action {
    Action::Create { layer: "shared_0".into() }
}

fn delete() -> Action {
    Action::Delete { layer: "shared_0".into() }
}

fn tag(tag: &str) -> Action {
    Action::Tag { layer: "shared_0".into(), tag: tag.into() }
}

fn import(tag: &str) -> Action {
    Action::Import { layers: vec!["shared_0".into()], tags: vec![tag.into()] }
}

fn read(tags: &[&str]) -> Action {
    Action::Read { layer: "shared_0".into(), tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
}

fn list(layers: &[&str]) -> Action {
    Action::ListLayers { found: layers.iter().map(|layer| (*layer).to_owned()).collect() }
}

fn merge(point: &str, top: &str) -> Action {
    Action::Merge { point: point.into(), layers: vec!["shared_0".into(), top.into()] }
}

fn unmerge(point: &str) -> Action {
    Action::Unmerge { point: point.into() }
}

fn made(top: &str) -> Operation {
    done(1, 2, Action::Create { layer: top.into() })
}

#[test]
fn what_is_right_is_accepted() {
    let used = "cannot delete layer `shared_0`: merge point `point_0` uses it";
    let cases: Vec<(&str, Vec<Operation>)> = vec![
        ("a layer with a tag", vec![done(1, 2, create()), done(3, 4, tag("a")), done(5, 6, read(&["a"]))]),
        ("a tag that may be there", vec![done(1, 2, create()), done(3, 6, tag("a")), done(4, 5, read(&[]))]),
        (
            "either of two imports",
            vec![
                done(1, 4, import("a")),
                done(2, 3, import("b")),
                done(5, 6, read(&["a"])),
                done(7, 8, read(&["b"])),
            ],
        ),
        (
            "a list before and after",
            vec![done(1, 4, create()), done(2, 3, list(&[])), done(5, 6, list(&["shared_0"]))],
        ),
        (
            "a used layer",
            vec![
                done(1, 2, create()),
                made("top_0"),
                done(5, 6, merge("point_0", "top_0")),
                refused(7, 8, delete(), Reason::Used, used),
                done(9, 10, unmerge("point_0")),
                done(11, 12, delete()),
            ],
        ),
    ];
    for (summary, history) in cases {
        assert_eq!(Model::new(&history, 1).faults(), Vec::<String>::new(), "{summary}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let gone = "there is no layer `shared_0`";
    let cases: Vec<(&str, Vec<Operation>, &str)> = vec![
        ("a lost tag", vec![done(1, 2, create()), done(3, 4, tag("a")), done(5, 6, read(&[]))], "is lost"),
        (
            "a tag of an earlier layer",
            vec![done(1, 2, import("a")), done(3, 4, import("b")), done(5, 6, read(&["a", "b"]))],
            "cannot have been",
        ),
        ("a lost layer", vec![done(1, 2, create()), done(3, 4, list(&[]))], "was not listed"),
        (
            "a layer that came back",
            vec![done(1, 2, create()), done(3, 4, delete()), done(5, 6, list(&["shared_0"]))],
            "was listed",
        ),
        ("a layer of nobody", vec![done(1, 2, list(&["other"]))], "which nobody made"),
        (
            "a false refusal",
            vec![done(1, 2, create()), refused(3, 4, tag("a"), Reason::NoLayer, gone)],
            "refused although",
        ),
        (
            "a refusal that says nothing",
            vec![refused(1, 2, tag("a"), Reason::Other, "?")],
            "refused although",
        ),
        ("made twice", vec![done(1, 4, create()), done(2, 3, create())], "created twice"),
        (
            "deleted while used",
            vec![
                done(1, 2, create()),
                made("top_0"),
                done(5, 6, merge("point_0", "top_0")),
                done(7, 8, delete()),
            ],
            "deleted while",
        ),
        (
            "replaced while used",
            vec![
                done(1, 2, create()),
                made("top_0"),
                done(5, 6, merge("point_0", "top_0")),
                done(7, 8, import("a")),
            ],
            "replaced while",
        ),
        (
            "a top with two mounts",
            vec![
                done(1, 2, create()),
                made("top_0"),
                done(5, 6, merge("point_0", "top_0")),
                done(7, 8, merge("w0_point", "top_0")),
            ],
            "written to by",
        ),
        (
            "a lower one that is written to",
            vec![
                done(1, 2, create()),
                made("top_0"),
                done(5, 6, merge("point_0", "top_0")),
                done(7, 8, tag("a")),
            ],
            "written to below",
        ),
        (
            "an unmerge that fails",
            vec![refused(1, 2, unmerge("point_0"), Reason::Other, "busy")],
            "refused although",
        ),
    ];
    for (summary, history, words) in cases {
        let faults = Model::new(&history, 1).faults();
        assert!(faults.iter().any(|fault| fault.contains(words)), "{summary}: {faults:?}");
    }
}
