//! Chooses the packages to install, exactly as apt does in an empty root.
//!
//! What enters is a [`Universe`] and a [`Request`]; what leaves is a [`Solution`], the set that the suite's own
//! `apt-get install --no-install-recommends` would take, in an order in which dpkg can unpack and configure it, or an
//! [`Unsatisfiable`] that says why there is none.
//!
//! Many sets satisfy the dependencies of a request. That ours is apt's comes of taking apt's decisions in apt's order:
//!
//! 1. [`mark`]: everything asked for is marked, then each is followed through its dependencies, depth first, taking
//!    the first alternative that can be installed; among several providers [`providers`] knows apt's preference.
//! 2. [`repair`]: where that left something broken, apt's scored problem resolver has its turn.
//! 3. [`strict`]: where that failed too, apt since 2.9.32 tries its second solver, which searches systematically.
//! 4. [`sweep`]: what was marked on the way but is needed by nothing in the end is dropped.
//!
//! Nothing is installed beforehand and there is one architecture, which leaves out most of what apt considers.

mod explain;
mod install_order;
mod library_order;
mod mark;
mod marks;
mod providers;
mod repair;
mod request;
mod strict;
mod sweep;

pub use explain::Unsatisfiable;
pub use request::{Choice, Item, ItemError, Request};

use crate::universe::{Package, Universe};
use crate::version::compare;
use marks::Marks;

/// The room for apt's recursion, which may be 3,000 packages deep.
const STACK: usize = 256 << 20;

/// The first version of apt that falls back to a second solver.
const SECOND_SOLVER: &str = "2.9.32";

/// The packages to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution<'u> {
    /// In an order that dpkg can follow: what a package needs comes before it, as far as there are no circles.
    pub packages: Vec<Package<'u>>,
}

/// Finds what apt would install for a request in an empty root.
///
/// # Errors
/// When apt would refuse; the error says why.
pub fn solve<'u>(universe: &'u Universe, request: &Request) -> Result<Solution<'u>, Unsatisfiable> {
    std::thread::scope(|scope| {
        let work = || solve_here(universe, request);
        match std::thread::Builder::new()
            .name("solver".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
        {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // Without a thread there is less room for deep chains of dependencies, but those are rare.
            Err(_) => solve_here(universe, request),
        }
    })
}

fn solve_here<'u>(universe: &'u Universe, request: &Request) -> Result<Solution<'u>, Unsatisfiable> {
    let mut marks = Marks::new(universe);
    let wanted = request.resolve(universe)?;
    marks.request(&wanted);
    marks.follow_requests(&wanted);
    if marks.broken_count() > 0 {
        let before = marks.clone();
        marks.repair(&wanted);
        if marks.broken_count() > 0 {
            marks = second_try(universe, &wanted).ok_or_else(|| explain::explain(&before, &wanted))?;
        }
    }
    marks.sweep();
    Ok(Solution { packages: install_order::sort(universe, marks.installed()) })
}

/// What apt's second solver finds, where the suite's apt has one.
fn second_try<'u>(universe: &'u Universe, wanted: &request::Wanted) -> Option<Marks<'u>> {
    let apt = universe.candidate("apt")?;
    if compare(apt.version(), SECOND_SOLVER).is_lt() {
        return None;
    }
    let mut marks = Marks::new(universe);
    marks.request(wanted);
    (marks.search(wanted) && marks.broken_count() == 0).then_some(marks)
}

#[cfg(test)]
mod tests;
