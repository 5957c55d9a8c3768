//! Whether a history is one that the engine may have had, if each operation happened at one instant of its span.
//!
//! Every name is looked at by itself: a layer exists or not, lies in the external store or not, holds a tag or not, is
//! used by a merge point or not; a merge point is live or not. An answer is wrong when no order of the operations that
//! overlapped makes it right. Of names that one worker alone has nothing overlaps: they are checked exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::history::{Action, Operation, Outcome, Reason};
use super::names::{all_layers, all_points, shared_layers, top_of_shared};
use super::reason::name_after;
use super::register::{Register, Span, Writes};

/// By layer: what empties it, and which tags it then has.
type Erasers = BTreeMap<String, Vec<(Span, Vec<String>)>>;

/// What is known after all operations.
pub(crate) struct Model<'h> {
    history: &'h [Operation],
    layers: Vec<String>,
    points: Vec<String>,
    exists: BTreeMap<String, Register>,
    external: BTreeMap<String, Register>,
    live: BTreeMap<String, Register>,
    /// By layer, then merge point.
    used: BTreeMap<String, BTreeMap<String, Register>>,
    used_as_top: BTreeMap<String, BTreeMap<String, Register>>,
    /// By layer, then tag.
    tags: BTreeMap<String, BTreeMap<String, Register>>,
}

impl<'h> Model<'h> {
    pub(crate) fn new(history: &'h [Operation], workers: usize) -> Self {
        let (layers, points) = (all_layers(workers), all_points(workers));
        let registers = |names: &[String]| -> BTreeMap<String, Register> {
            names.iter().map(|name| (name.clone(), Register::default())).collect()
        };
        let mut model = Self {
            history,
            exists: registers(&layers),
            external: registers(&layers),
            live: registers(&points),
            used: layers.iter().map(|layer| (layer.clone(), BTreeMap::new())).collect(),
            used_as_top: layers.iter().map(|layer| (layer.clone(), BTreeMap::new())).collect(),
            tags: layers.iter().map(|layer| (layer.clone(), BTreeMap::new())).collect(),
            layers,
            points,
        };
        // What sets comes first, so that what clears finds the registers of tags and uses.
        for operation in history {
            model.note_set(operation);
        }
        let mut erasers: Erasers = BTreeMap::new();
        for operation in history.iter().filter(|operation| operation.done()) {
            model.note_clear(operation, &mut erasers);
        }
        model.sort(&erasers);
        model
    }

    fn note_set(&mut self, operation: &Operation) {
        let (span, done) = (operation.span, operation.done());
        match &operation.action {
            Action::Create { layer } if done => self.exists(layer).set(span),
            Action::Import { layers, tags } if done => {
                for layer in layers {
                    self.exists(layer).set(span);
                    for tag in tags {
                        self.tag(layer, tag).set(span);
                    }
                }
            }
            Action::Move { layer } if done => self.external.get_mut(layer).expect("a known layer").set(span),
            Action::Tag { layer, tag } if done => self.tag(layer, tag).set(span),
            Action::Merge { point, layers } if done => {
                self.live.get_mut(point).expect("a known point").set(span);
                for layer in layers {
                    self.used.get_mut(layer).expect("a layer").entry(point.clone()).or_default().set(span);
                }
                let top = layers.last().expect("a top");
                self.used_as_top.get_mut(top).expect("a layer").entry(point.clone()).or_default().set(span);
            }
            Action::Run { point, layers, tag, .. } | Action::TagPoint { point, layers, tag } => {
                let Some(top) = layers.last().cloned().or_else(|| top_of_shared(point)) else { return };
                if done {
                    self.tag(&top, tag).set(span);
                } else if matches!(operation.action, Action::Run { .. }) {
                    // A command may have written before it failed.
                    self.tag(&top, tag).maybe_set(span);
                }
            }
            _ => {}
        }
    }

    fn note_clear(&mut self, operation: &Operation, erasers: &mut Erasers) {
        let span = operation.span;
        let mut empty = |layer: &String, but: &[String]| {
            erasers.entry(layer.clone()).or_default().push((span, but.to_vec()));
        };
        match &operation.action {
            Action::Create { layer } => empty(layer, &[]),
            Action::Delete { layer } => {
                self.exists(layer).clear(span);
                self.external.get_mut(layer).expect("a known layer").clear(span);
                empty(layer, &[]);
            }
            Action::Import { layers, tags } => layers.iter().for_each(|layer| empty(layer, tags)),
            Action::Unmerge { point } => {
                self.live.get_mut(point).expect("a known point").clear(span);
                for uses in self.used.values_mut().chain(self.used_as_top.values_mut()) {
                    if let Some(register) = uses.get_mut(point) {
                        register.clear(span);
                    }
                }
            }
            _ => {}
        }
    }

    fn exists(&mut self, layer: &str) -> &mut Register {
        self.exists.get_mut(layer).expect("a known layer")
    }

    fn tag(&mut self, layer: &str, tag: &str) -> &mut Register {
        self.tags.get_mut(layer).expect("a known layer").entry(tag.to_owned()).or_default()
    }

    fn sort(&mut self, erasers: &Erasers) {
        let plain = self.exists.values_mut().chain(self.external.values_mut()).chain(self.live.values_mut());
        plain.for_each(Register::sort);
        let uses = self.used.values_mut().chain(self.used_as_top.values_mut());
        uses.flat_map(BTreeMap::values_mut).for_each(Register::sort);
        for (layer, tags) in &mut self.tags {
            let erasers = erasers.get(layer).map_or(&[][..], Vec::as_slice);
            let kept: BTreeSet<&String> = erasers.iter().flat_map(|(_, kept)| kept).collect();
            // Most tags end with everything that empties the layer: thousands of them share one list.
            let all = Rc::new(Writes::clears(erasers.iter().map(|(span, _)| *span)));
            for (tag, register) in tags {
                let but = || erasers.iter().filter(|(_, kept)| !kept.contains(tag)).map(|(span, _)| *span);
                let ends = if kept.contains(tag) { Rc::new(Writes::clears(but())) } else { Rc::clone(&all) };
                *register = std::mem::take(register).ended_by(ends);
            }
        }
    }

    /// What is wrong with the history, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let judged = self.history.iter().filter_map(|operation| {
            let fault = self.judge(operation)?;
            Some(format!("worker {}: {fault}: {operation:?}", operation.worker))
        });
        judged.chain(self.done_twice()).collect()
    }

    /// Answers that are right each by itself but not together.
    fn done_twice(&self) -> Vec<String> {
        let mut creations: BTreeMap<&str, Register> = BTreeMap::new();
        for operation in self.history.iter().filter(|operation| operation.done()) {
            match &operation.action {
                Action::Create { layer } => creations.entry(layer).or_default().set(operation.span),
                Action::Delete { layer } => creations.entry(layer).or_default().clear(operation.span),
                _ => {}
            }
        }
        creations.values_mut().for_each(Register::sort);
        let created = creations.iter().map(|(layer, register)| (format!("created twice: {layer}"), register));
        let merged = self.live.iter().map(|(point, register)| (format!("merged twice: {point}"), register));
        let both = created.chain(merged).filter_map(|(what, register)| Some((what, register.set_twice()?)));
        both.map(|(what, (first, second))| format!("{what}, {first:?} and {second:?}")).collect()
    }

    fn judge(&self, operation: &Operation) -> Option<String> {
        match &operation.outcome {
            Outcome::Done => self.judge_done(&operation.action, operation.span),
            Outcome::Refused(reason, message) => {
                let legal = self.may_be_refused(&operation.action, reason, message, operation.span);
                (!legal).then(|| "refused although nothing can have stood against it".to_owned())
            }
        }
    }

    fn judge_done(&self, action: &Action, span: Span) -> Option<String> {
        let missing = |layer: &String| !self.exists[layer].may_be(span);
        match action {
            Action::Create { layer } if !self.exists[layer].may_not_be(span) => {
                Some("created although it existed all the time".to_owned())
            }
            Action::Delete { layer } => {
                self.in_use(layer, span).map(|point| format!("deleted while {point} used it"))
            }
            Action::Import { layers, .. } => {
                let used = layers.iter().find_map(|layer| self.in_use(layer, span));
                used.map(|point| format!("replaced while {point} used it"))
            }
            Action::Tag { layer, .. } if missing(layer) => {
                Some("written to, but it was not there".to_owned())
            }
            Action::Tag { layer, .. } => {
                let top =
                    |point: &String| self.used_as_top[layer].get(point).is_some_and(|top| top.may_be(span));
                self.in_use(layer, span)
                    .filter(|point| !top(point))
                    .map(|point| format!("written to below {point}"))
            }
            Action::Export { layers } if layers.iter().any(missing) => {
                Some("exported what was not there".to_owned())
            }
            Action::Move { layer } if missing(layer) => Some("moved, but it was not there".to_owned()),
            Action::Merge { point, layers } => self.judge_merge(point, layers, span),
            Action::Run { point, layers, tag, seen } => self.judge_run(point, layers, tag, seen, span),
            Action::TagPoint { point, .. } if !self.live[point].may_be(span) => {
                Some("written to a merge point that was not there".to_owned())
            }
            Action::Read { layer, tags } => {
                self.judge_tags(std::slice::from_ref(layer), &[layer], tags, span)
            }
            Action::ListLayers { found } => {
                disagreement(&self.layers, found, span, |layer| Some(&self.exists[layer]))
            }
            Action::ListPoints { found } => {
                disagreement(&self.points, found, span, |point| Some(&self.live[point]))
            }
            Action::ListUsed { found } => self.judge_used(found, span),
            _ => None,
        }
    }

    /// A merge point that used a layer all the time.
    fn in_use(&self, layer: &str, span: Span) -> Option<String> {
        let mut uses = self.used[layer].iter();
        uses.find(|(_, register)| register.surely(span)).map(|(point, _)| point.clone())
    }

    fn may_be_used(&self, layer: &str, span: Span) -> bool {
        self.used[layer].values().any(|register| register.may_be(span))
    }

    fn judge_merge(&self, point: &str, layers: &[String], span: Span) -> Option<String> {
        if !self.live[point].may_not_be(span) {
            return Some("merged over a live merge point".to_owned());
        }
        if let Some(layer) = layers.iter().find(|layer| !self.exists[*layer].may_be(span)) {
            return Some(format!("merged {layer}, which was not there"));
        }
        if (1..layers.len()).any(|position| layers[..position].contains(&layers[position])) {
            return Some("merged a layer with itself".to_owned());
        }
        let top = layers.last().expect("a top");
        let mut others = self.used_as_top[top].iter().filter(|(other, _)| *other != point);
        others
            .find(|(_, register)| register.surely(span))
            .map(|(other, _)| format!("{top} is written to by {other} too"))
    }

    fn judge_run(
        &self,
        point: &str,
        layers: &[String],
        tag: &str,
        seen: &[String],
        span: Span,
    ) -> Option<String> {
        if !self.live[point].may_be(span) {
            return Some("ran in a merge point that was not there".to_owned());
        }
        if !seen.iter().any(|found| found == tag) {
            return Some("what the command wrote was not there".to_owned());
        }
        let shared_top = top_of_shared(point);
        let must: Vec<&String> =
            if layers.is_empty() { shared_top.iter().collect() } else { layers.iter().collect() };
        let any = if layers.is_empty() { shared_layers() } else { layers.to_vec() };
        // A layer that replaces another during the command's time may be under it or not.
        let steady = self.live[point].surely(span);
        self.judge_tags(&any, if steady { &must } else { &[] }, seen, span)
    }

    /// Each tag must be one that one of the layers may have had; those that `must` surely had must be among them.
    fn judge_tags(&self, layers: &[String], must: &[&String], seen: &[String], span: Span) -> Option<String> {
        let possible = |tag: &String| {
            let mut registers = layers.iter().filter_map(|layer| self.tags[layer].get(tag));
            registers.any(|register| register.may_be(span))
        };
        // Files that are still being written have a dot.
        let whole = |tag: &&String| !tag.starts_with('.');
        if let Some(tag) = seen.iter().filter(whole).find(|tag| !possible(tag)) {
            return Some(format!("`{tag}` was there and cannot have been"));
        }
        let seen: BTreeSet<&String> = seen.iter().collect();
        let mut expected = must.iter().flat_map(|layer| self.tags[*layer].iter());
        let lost = expected.find(|(tag, register)| register.surely(span) && !seen.contains(tag));
        lost.map(|(tag, _)| format!("`{tag}` is lost"))
    }

    fn judge_used(&self, found: &[String], span: Span) -> Option<String> {
        for layer in &self.layers {
            if found.contains(layer) && !self.may_be_used(layer, span) {
                return Some(format!("{layer} was listed as used and cannot have been"));
            }
            if let (false, Some(point)) = (found.contains(layer), self.in_use(layer, span)) {
                return Some(format!("{layer} was not listed as used, but {point} used it"));
            }
        }
        found
            .iter()
            .find(|layer| !self.layers.contains(layer))
            .map(|layer| format!("{layer} was listed as used"))
    }

    fn may_be_refused(&self, action: &Action, reason: &Reason, message: &str, span: Span) -> bool {
        let named = || name_after(message, "layer `").unwrap_or_default();
        let gone = |layers: &[String]| {
            layers.iter().any(|layer| layer == named()) && self.exists[named()].may_not_be(span)
        };
        let taken = |layers: &[String]| {
            let point = name_after(message, "merge point `").unwrap_or_default();
            let uses = |layer: &&String| self.used[*layer].get(point).is_some_and(|uses| uses.may_be(span));
            layers.iter().any(|layer| uses(&layer))
        };
        match (action, reason) {
            (Action::Create { layer }, Reason::LayerExists) => self.exists[layer].may_be(span),
            (Action::Delete { layer } | Action::Move { layer } | Action::Tag { layer, .. }, Reason::Used) => {
                taken(std::slice::from_ref(layer))
            }
            (Action::Import { layers, .. }, Reason::Used) => taken(layers),
            (Action::Move { layer } | Action::Tag { layer, .. }, Reason::NoLayer) => {
                gone(std::slice::from_ref(layer))
            }
            (Action::Export { layers } | Action::Merge { layers, .. }, Reason::NoLayer) => gone(layers),
            // Under a live merge point the layer goes on changing.
            (Action::Export { layers }, Reason::Changed) => {
                layers.iter().any(|layer| self.used_as_top[layer].values().any(|uses| uses.may_be(span)))
            }
            (Action::Merge { point, .. }, Reason::PointExists) => self.live[point].may_be(span),
            (Action::Merge { layers, .. }, Reason::Used) => taken(&layers[layers.len() - 1..]),
            (Action::Merge { layers, .. }, Reason::External) => {
                self.external[layers.last().expect("a top")].may_be(span)
            }
            (Action::Tag { layer, .. }, Reason::External) => self.external[layer].may_be(span),
            (Action::Merge { layers, .. }, Reason::Twice) => {
                (1..layers.len()).any(|position| layers[..position].contains(&layers[position]))
            }
            // Copies of a mount live in other processes for a while; it must have been mounted once.
            (
                Action::Merge { .. }
                | Action::Delete { .. }
                | Action::Import { .. }
                | Action::Tag { .. }
                | Action::Move { .. },
                Reason::Busy,
            ) => self.used_as_top.get(named()).is_some_and(|uses| !uses.is_empty()),
            (Action::Run { point, .. } | Action::TagPoint { point, .. }, Reason::NoPoint) => {
                self.live[point].may_not_be(span)
            }
            // The folder below a merge point, and what it consists of, may go while a command starts or works there.
            (Action::Run { point, .. } | Action::TagPoint { point, .. }, _) => !self.live[point].surely(span),
            _ => false,
        }
    }
}

/// A name that is listed and cannot be so, or the reverse.
fn disagreement<'r>(
    names: &[String],
    found: &[String],
    span: Span,
    register: impl Fn(&String) -> Option<&'r Register>,
) -> Option<String> {
    if let Some(name) = found.iter().find(|name| !names.contains(name)) {
        return Some(format!("`{name}` was listed, which nobody made"));
    }
    names.iter().find_map(|name| {
        let (listed, register) = (found.contains(name), register(name)?);
        match listed {
            true if !register.may_be(span) => Some(format!("{name} was listed and cannot have been there")),
            false if register.surely(span) => Some(format!("{name} was not listed, but it was there")),
            _ => None,
        }
    })
}
