//! Decides variable after variable, and takes decisions back.

use std::collections::VecDeque;

use super::Variable;
use super::clauses::{Clause, Sources, sources};
use crate::solver::library_order;
use crate::solver::marks::Marks;
use crate::solver::request::Wanted;
use crate::universe::{NameId, PackageId, Universe};

/// How often a choice is taken back before we give up, where apt gives up after ten seconds.
pub(super) const MAX_RETREATS: usize = 100_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Decision {
    #[default]
    Open,
    Yes,
    No,
}

/// What is known of a variable.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) decision: Decision,
    /// How many choices had been made when it was decided.
    pub(super) depth: usize,
    pub(super) discovered: bool,
    /// The clauses that it is the reason of, and those that it is a solution of.
    pub(super) clauses: Vec<usize>,
    pub(super) watchers: Vec<usize>,
}

/// A clause that a choice is to be made for.
#[derive(Clone, Copy, Debug)]
struct Work {
    clause: usize,
    depth: usize,
    /// How many solutions were not ruled out when it was queued.
    size: usize,
}

/// What has to be undone to go back.
#[derive(Clone, Copy, Debug)]
struct Step {
    decided: Option<Variable>,
    work: Option<Work>,
}

pub(super) struct Search<'m, 'u> {
    pub(super) marks: &'m Marks<'u>,
    pub(super) sources: Sources<'u>,
    pub(super) clauses: Vec<Clause<'u>>,
    /// First those of the names, then those of the packages.
    states: Vec<State>,
    /// A heap of open choices.
    work: Vec<Work>,
    trail: Vec<Step>,
    /// Where in the trail each choice begins.
    choices: Vec<usize>,
    /// Decisions that have not been propagated yet.
    queue: VecDeque<Variable>,
    retreats: usize,
}

impl<'m, 'u> Search<'m, 'u> {
    pub(super) fn new(marks: &'m Marks<'u>) -> Self {
        let universe = marks.universe;
        Self {
            marks,
            sources: sources(universe),
            clauses: Vec::new(),
            states: vec![State::default(); universe.name_count() + universe.len()],
            work: Vec::new(),
            trail: Vec::new(),
            choices: Vec::new(),
            queue: VecDeque::new(),
            retreats: 0,
        }
    }

    pub(super) fn universe(&self) -> &'u Universe {
        self.marks.universe
    }

    fn index(&self, variable: Variable) -> usize {
        match variable {
            Variable::Name(name) => name.index(),
            Variable::Package(id) => self.universe().name_count() + id.index(),
        }
    }

    pub(super) fn state(&self, variable: Variable) -> &State {
        &self.states[self.index(variable)]
    }

    pub(super) fn state_mut(&mut self, variable: Variable) -> &mut State {
        let index = self.index(variable);
        &mut self.states[index]
    }

    fn is(&self, variable: Variable, decision: Decision) -> bool {
        self.state(variable).decision == decision
    }

    /// Rules out all versions that are no candidates, and decides for what was asked for.
    pub(super) fn require(&mut self, wanted: &Wanted) -> bool {
        let order = self.universe().names_in_apt_order();
        let candidate = |name: NameId| self.marks.get(name).candidate;
        let all = order.iter().flat_map(|name| self.universe().versions_of(*name).map(move |id| (*name, id)));
        let barred: Vec<_> =
            all.filter(|(name, id)| candidate(*name) != Some(*id)).map(|(_, id)| id).collect();
        barred.into_iter().all(|id| self.decide(Variable::Package(id), Decision::No))
            && order.into_iter().all(|name| match self.marks.get(name).install {
                Some(id) => self.decide(Variable::Package(id), Decision::Yes),
                None if wanted.excluded.contains(&name) => self.decide(Variable::Name(name), Decision::No),
                None => true,
            })
            && self.propagate()
    }

    /// The packages that were decided for.
    pub(super) fn chosen(&self) -> Vec<PackageId> {
        let packages = self.universe().packages().map(crate::universe::Package::id);
        packages.filter(|id| self.is(Variable::Package(*id), Decision::Yes)).collect()
    }

    /// Makes choices until none is left; `false` when there is no solution.
    pub(super) fn run(&mut self) -> bool {
        loop {
            while !self.propagate() {
                if !self.retreat() {
                    return false;
                }
            }
            let Some(work) = self.next_work() else { return true };
            self.trail.push(Step { decided: None, work: Some(work) });
            let clause = &self.clauses[work.clause];
            if clause.solutions.iter().any(|solution| self.is(*solution, Decision::Yes)) {
                continue;
            }
            let optional = clause.optional;
            let choice = clause.solutions.iter().copied().find(|solution| !self.is(*solution, Decision::No));
            let success = match choice {
                Some(choice) => {
                    if work.size > 1 || optional {
                        self.choices.push(self.trail.len());
                        self.trail.push(Step { decided: Some(choice), work: Some(work) });
                    }
                    self.decide(choice, Decision::Yes)
                }
                None => optional,
            };
            if !success && !self.retreat() {
                return false;
            }
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        let Self { work, clauses, .. } = self;
        library_order::pop_heap(work, &|a, b| is_less(clauses, a, b));
        work.pop()
    }

    /// Queues a choice, unless there is none to be made.
    fn add_work(&mut self, clause: usize, depth: usize) -> bool {
        let Clause { solutions, negative, optional, .. } = &self.clauses[clause];
        if *negative {
            let solutions = solutions.clone();
            return solutions.into_iter().all(|solution| self.decide(solution, Decision::No));
        }
        if let ([only], false) = (&solutions[..], *optional) {
            return self.decide(*only, Decision::Yes);
        }
        let size = solutions.iter().filter(|solution| !self.is(**solution, Decision::No)).count();
        self.work.push(Work { clause, depth, size });
        let Self { work, clauses, .. } = self;
        library_order::push_heap(work, &|a, b| is_less(clauses, a, b));
        true
    }

    /// Decides a variable; `false` when it was decided otherwise before.
    fn decide(&mut self, variable: Variable, decision: Decision) -> bool {
        let depth = self.choices.len();
        let state = self.state_mut(variable);
        if state.decision != Decision::Open {
            return state.decision == decision;
        }
        state.decision = decision;
        state.depth = depth;
        self.trail.push(Step { decided: Some(variable), work: None });
        self.queue.push_back(variable);
        true
    }

    /// Draws the conclusions of all decisions; `false` when they contradict each other.
    fn propagate(&mut self) -> bool {
        while let Some(variable) = self.queue.pop_front() {
            let success = match self.state(variable).decision {
                Decision::Yes => self.conclude_yes(variable),
                Decision::No => self.conclude_no(variable),
                // It was taken back in the meantime.
                Decision::Open => true,
            };
            if !success {
                return false;
            }
        }
        true
    }

    fn conclude_yes(&mut self, variable: Variable) -> bool {
        self.discover(variable);
        let depth = self.choices.len();
        let State { clauses, watchers, .. } = self.state(variable).clone();
        clauses.into_iter().all(|clause| self.add_work(clause, depth))
            && watchers.into_iter().all(|clause| {
                let Clause { negative, optional, reason, .. } = self.clauses[clause];
                !negative || optional || self.decide(reason, Decision::No)
            })
    }

    fn conclude_no(&mut self, variable: Variable) -> bool {
        let watchers = self.state(variable).watchers.clone();
        watchers.into_iter().all(|clause| self.lose_solution(clause))
    }

    /// One solution of a clause is ruled out: perhaps only one is left, or none.
    fn lose_solution(&mut self, number: usize) -> bool {
        let clause = &self.clauses[number];
        if clause.negative || clause.optional || self.is(clause.reason, Decision::No) {
            return true;
        }
        let reason = clause.reason;
        let left: Vec<_> = clause.solutions.iter().copied().filter(|s| !self.is(*s, Decision::No)).collect();
        match left[..] {
            [] => self.decide(reason, Decision::No),
            [only] if self.is(reason, Decision::Yes) => self.decide(only, Decision::Yes),
            _ => true,
        }
    }

    /// Takes the latest choice back and decides against it; `false` when no choice is left.
    fn retreat(&mut self) -> bool {
        let Some(start) = self.choices.last().copied() else { return false };
        self.retreats += 1;
        if self.retreats > MAX_RETREATS {
            return false;
        }
        let choice = self.trail[start].decided;
        while self.trail.len() > start {
            self.undo();
        }
        self.choices.pop();
        let depth = self.choices.len();
        self.work.retain(|work| work.depth <= depth);
        let Self { work, clauses, .. } = self;
        library_order::make_heap(work, &|a, b| is_less(clauses, a, b));
        choice.is_none_or(|choice| self.decide(choice, Decision::No))
    }

    fn undo(&mut self) {
        let Some(step) = self.trail.last().copied() else { return };
        if let Some(variable) = step.decided {
            let state = self.state_mut(variable);
            state.decision = Decision::Open;
            state.depth = 0;
        }
        if let Some(work) = step.work {
            self.add_work(work.clause, work.depth);
        }
        self.trail.pop();
    }
}

/// Whether a choice is less urgent than another: those without alternative come first, then by rank.
fn is_less(clauses: &[Clause<'_>], a: &Work, b: &Work) -> bool {
    let (x, y) = (&clauses[a.clause], &clauses[b.clause]);
    let forced = |clause: &Clause<'_>, work: &Work| !clause.optional && work.size < 2;
    let key = |clause: &Clause<'_>, work: &Work| {
        (forced(clause, work), !clause.optional, std::cmp::Reverse(clause.rank), work.size < 2)
    };
    let (a_key, b_key) = (key(x, a), key(y, b));
    if a_key != b_key {
        return a_key < b_key;
    }
    a.size == 1 && b.size == 1 && x.solutions.len() < y.solutions.len()
}
