//! One worker: a stream of commands chosen by chance, each written down with its outcome.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use testkit::Random;

use super::history::{Action, Clock, Operation, Outcome};
use super::names::{LOWERS, POINTS, lower, own_layers, own_point, point, shared_layers, text_of, top};
use super::reason::reason;
use crate::stage::{Stage, names};

/// Archives with one layer, each with a tag of its own, that anyone imports under any name.
pub(crate) const ARCHIVES: u64 = 6;

/// A worker and what it did.
pub(crate) struct Worker<'s> {
    stage: &'s Stage<'s>,
    clock: &'s Clock,
    number: usize,
    random: Random,
    own: [String; 3],
    own_point: String,
    /// The layers of the worker's own merge point, as far as the worker knows.
    merged: Vec<String>,
    tags: u64,
    pub(crate) history: Vec<Operation>,
}

impl<'s> Worker<'s> {
    pub(crate) fn new(stage: &'s Stage<'s>, clock: &'s Clock, number: usize, seed: u64) -> Self {
        // The seeds of neighbours give unrelated numbers.
        let random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let (own, own_point) = (own_layers(number), own_point(number));
        Self {
            stage,
            clock,
            number,
            random,
            own,
            own_point,
            merged: Vec::new(),
            tags: 0,
            history: Vec::new(),
        }
    }

    /// Makes the layers that all share, so that there is something to begin with.
    pub(crate) fn begin(&mut self) {
        for layer in shared_layers() {
            self.ask(&["create", &layer], Action::Create { layer: layer.clone() });
        }
    }

    pub(crate) fn work(&mut self, operations: u64) {
        self.stage.make(&self.folder());
        for _ in 0..operations {
            self.step();
        }
    }

    /// One operation, or two that belong together.
    fn step(&mut self) {
        match self.random.below(100) {
            0..18 => {
                let layer = self.any_layer();
                self.ask(&["create", &layer], Action::Create { layer: layer.clone() });
            }
            18..24 => {
                let layer = self.any_layer();
                self.ask(&["delete", &layer], Action::Delete { layer: layer.clone() });
            }
            24..35 => {
                let layer = self.any_layer();
                self.tag_layer(layer);
            }
            35..43 => self.import(),
            43..51 => self.read_back(),
            51..55 => {
                let layers = vec![self.lower(), self.own[0].clone()];
                self.export(&layers, "several.tar");
            }
            55..58 => {
                let layer = if self.random.below(2) == 0 { self.lower() } else { self.own[0].clone() };
                self.ask(&["move", &layer], Action::Move { layer: layer.clone() });
            }
            58..71 => self.merge(),
            71..77 => {
                let point = self.any_point();
                self.unmerge(&point);
            }
            77..86 => self.run_in_point(),
            86..91 => self.tag_point(),
            91..95 => self.list(&["list", "layers"], |found| Action::ListLayers { found }),
            95..98 => self.list(&["list", "layers", "--used"], |found| Action::ListUsed { found }),
            _ => self.list(&["list", "merged-points"], |found| Action::ListPoints { found }),
        }
    }

    fn folder(&self) -> PathBuf {
        self.stage.path(&format!("worker_{}", self.number))
    }

    fn lower(&mut self) -> String {
        lower(self.random.below(LOWERS as u64) as usize)
    }

    fn any_layer(&mut self) -> String {
        match self.random.below(4) {
            0 => self.lower(),
            1 => top(self.random.below(POINTS as u64) as usize),
            _ => self.random.pick(&self.own).clone(),
        }
    }

    fn any_point(&mut self) -> String {
        if self.random.below(3) == 0 {
            point(self.random.below(POINTS as u64) as usize)
        } else {
            self.own_point.clone()
        }
    }

    fn next_tag(&mut self) -> String {
        self.tags += 1;
        format!("w{}n{}", self.number, self.tags)
    }

    /// Runs a command and writes down how it went; `action` is what was asked for.
    fn ask(&mut self, arguments: &[&str], action: Action) -> bool {
        self.ask_and(arguments, action, |_, _| {})
    }

    /// The same for a command that answers: `answer` puts its output into the action.
    fn ask_and(
        &mut self,
        arguments: &[&str],
        mut action: Action,
        answer: impl FnOnce(&mut Action, Vec<String>),
    ) -> bool {
        let (span, output) = self.clock.during(|| self.stage.output(arguments));
        let lines = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        answer(&mut action, lines);
        let outcome = outcome(&output);
        let done = outcome == Outcome::Done;
        self.history.push(Operation { worker: self.number, span, action, outcome });
        done
    }

    fn list(&mut self, arguments: &[&str], action: impl FnOnce(Vec<String>) -> Action) {
        let (span, output) = self.clock.during(|| self.stage.output(arguments));
        let found = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        let (action, outcome) = (action(found), outcome(&output));
        self.history.push(Operation { worker: self.number, span, action, outcome });
    }

    /// The file of a new tag on the machine.
    fn tag_file(&mut self) -> (String, String) {
        let tag = self.next_tag();
        let path = self.folder().join(&tag);
        fs::write(&path, text_of(&tag)).expect("the file of a tag");
        (tag, path.display().to_string())
    }

    fn tag_layer(&mut self, layer: String) {
        let (tag, path) = self.tag_file();
        let place = format!("{layer}:/tags");
        self.ask(&["cp", "--mode", "host2layer", &path, &place], Action::Tag { layer, tag });
    }

    fn tag_point(&mut self) {
        let point = self.any_point();
        let layers = self.known_layers(&point);
        let (tag, path) = self.tag_file();
        let place = format!("{point}:/tags");
        let action = Action::TagPoint { point, layers, tag };
        self.ask(&["cp", "--mode", "host2merged", &path, &place], action);
    }

    /// What a merge point consists of: known of the worker's own one.
    fn known_layers(&self, point: &str) -> Vec<String> {
        if point == self.own_point { self.merged.clone() } else { Vec::new() }
    }

    fn import(&mut self) {
        if self.random.below(3) == 0 {
            let pair = self.stage.path("archives/pair.tar").display().to_string();
            let (layers, tags) = (vec![lower(0), lower(1)], vec!["pair".to_owned()]);
            self.ask(&["import", &pair], Action::Import { layers, tags });
            return;
        }
        let layer = self.any_layer();
        let archive = self.random.below(ARCHIVES);
        let path = self.stage.path(&format!("archives/{archive}.tar")).display().to_string();
        let action = Action::Import { layers: vec![layer.clone()], tags: vec![format!("archive_{archive}")] };
        self.ask(&["import", "--rename", &layer, &path], action);
    }

    fn export(&mut self, layers: &[String], file: &str) -> bool {
        let path = self.folder().join(file).display().to_string();
        let options = layers.iter().flat_map(|layer| ["-l", layer]);
        let arguments: Vec<&str> = ["export"].into_iter().chain(options).chain(["-dest", &path]).collect();
        self.ask(&arguments, Action::Export { layers: layers.to_vec() })
    }

    /// Exports a layer, imports it under a name that only this worker has, and looks at what it holds.
    fn read_back(&mut self) {
        let layer = self.any_layer();
        if !self.export(std::slice::from_ref(&layer), "copy.tar") {
            return;
        }
        let exported = self.history.last().expect("the export").span;
        let copy = self.own[2].clone();
        let path = self.folder().join("copy.tar").display().to_string();
        // What it holds is seen only afterwards, on disk: nobody else writes to a layer of this name.
        let action = Action::Import { layers: vec![copy.clone()], tags: Vec::new() };
        if !self.ask(&["import", "--rename", &copy, &path], action) {
            return;
        }
        let tags = names(&self.stage.layer(&copy).join("tags"));
        let imported = self.history.last_mut().expect("the import");
        imported.action = Action::Import { layers: vec![copy], tags: tags.clone() };
        let read = Action::Read { layer, tags };
        self.history.push(Operation {
            worker: self.number,
            span: exported,
            action: read,
            outcome: Outcome::Done,
        });
    }

    fn merge(&mut self) {
        let point = self.any_point();
        let mut layers = Vec::new();
        for number in 0..LOWERS {
            if self.random.below(8) == 0 {
                layers.push(lower(number));
            }
        }
        if point == self.own_point {
            // As a rule there is something to merge.
            for layer in [self.own[0].clone(), self.own[1].clone()] {
                if !self.has_own(&layer) && self.random.below(8) != 0 {
                    self.ask(&["create", &layer], Action::Create { layer: layer.clone() });
                }
            }
            if self.random.below(2) == 0 {
                layers.push(self.own[0].clone());
            }
            let shared_top = self.random.below(8) == 0;
            layers.push(if shared_top {
                top(self.random.below(POINTS as u64) as usize)
            } else {
                self.own[1].clone()
            });
            if self.random.below(50) == 0 {
                layers.push(layers[0].clone());
            }
        } else {
            layers.push(point.replace("point_", "top_"));
        }
        let options = layers.iter().flat_map(|layer| ["-l", layer]);
        let arguments: Vec<&str> = ["merge"].into_iter().chain(options).chain(["-m", &point]).collect();
        let action = Action::Merge { point: point.clone(), layers: layers.clone() };
        if self.ask(&arguments, action) && point == self.own_point {
            self.merged = layers;
        }
    }

    /// Whether a layer that only this worker makes and deletes is there.
    fn has_own(&self, layer: &str) -> bool {
        let done = self.history.iter().rev().filter(|operation| operation.done());
        let last = done.map(|operation| &operation.action).find_map(|action| match action {
            Action::Create { layer: made } if made == layer => Some(true),
            Action::Import { layers, .. } if layers.iter().any(|made| made == layer) => Some(true),
            Action::Delete { layer: gone } if gone == layer => Some(false),
            _ => None,
        });
        last.unwrap_or(false)
    }

    fn unmerge(&mut self, point: &str) {
        self.ask(&["unmerge", point], Action::Unmerge { point: point.to_owned() });
        if point == self.own_point {
            self.merged.clear();
        }
    }

    fn run_in_point(&mut self) {
        let point = self.any_point();
        let layers = self.known_layers(&point);
        let tag = self.next_tag();
        // Whole before it has its name: a command that is too late for its merge point leaves nothing half written.
        let script = format!(
            "i=0; while [ $i -lt 40 ]; do echo {tag}; i=$((i+1)); done > /tags/.{tag} && mv /tags/.{tag} /tags/{tag} && ls /tags"
        );
        let option = format!("--merged-point={point}");
        let action = Action::Run { point, layers, tag, seen: Vec::new() };
        self.ask_and(&["run", &option, "sh", "-c", &script], action, |action, lines| {
            if let Action::Run { seen, .. } = action {
                *seen = lines;
            }
        });
    }
}

fn outcome(output: &Output) -> Outcome {
    if output.status.success() {
        return Outcome::Done;
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Outcome::Refused(reason(&message), format!("{}: {message}", output.status))
}
