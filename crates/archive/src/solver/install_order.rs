//! Puts a solution into an order that dpkg can follow.
//!
//! Packages that need each other in a circle are found as strongly connected components (Tarjan); the components come
//! in the order of their needs. Within one, `Pre-Depends` are kept and the other needs are not: dpkg has to configure
//! one package of the circle before what it needs in any case.

use std::collections::HashMap;

use super::marks::{groups, is_need};
use crate::universe::{Kind, Link, Package, PackageId, Universe};
use crate::version::compare;

/// Sorts packages so that each comes after what it needs, essential ones and their needs first, then by name.
///
/// The result depends on nothing but the set.
pub(super) fn sort(universe: &Universe, packages: Vec<PackageId>) -> Vec<Package<'_>> {
    let mut packages: Vec<_> = packages.into_iter().map(|id| universe.package(id)).collect();
    packages.sort_by_key(|package| {
        let name = universe.owner_name(package.id());
        (!universe.is_essential(name), package.name())
    });
    let graph = Graph::new(universe, &packages);
    let mut order = Vec::with_capacity(packages.len());
    for component in Components::of(&graph.needs) {
        graph.place(component, &mut order);
    }
    order.into_iter().map(|index| packages[index]).collect()
}

/// What each package needs, by position in the list of packages.
struct Graph {
    needs: Vec<Vec<usize>>,
    /// Those of the needs that are `Pre-Depends`.
    before: Vec<Vec<usize>>,
}

impl Graph {
    fn new(universe: &Universe, packages: &[Package<'_>]) -> Self {
        let position: HashMap<_, _> =
            packages.iter().enumerate().map(|(index, package)| (package.id(), index)).collect();
        let mut graph = Self { needs: Vec::new(), before: Vec::new() };
        for package in packages {
            let (mut needs, mut before) = (Vec::new(), Vec::new());
            for group in groups(universe.links_of(package.id())).filter(|group| is_need(group[0].kind)) {
                let found = group.iter().find_map(|link| satisfier(universe, package.id(), link, &position));
                needs.extend(found);
                before.extend(found.filter(|_| group[0].kind == Kind::PreDepends));
            }
            graph.needs.push(needs);
            graph.before.push(before);
        }
        graph
    }

    /// Places the packages of a component, each after its `Pre-Depends`.
    fn place(&self, mut component: Vec<usize>, order: &mut Vec<usize>) {
        component.sort_unstable();
        let mut open: Vec<_> = component.iter().rev().map(|index| (*index, false)).collect();
        let mut seen = std::collections::HashSet::new();
        while let Some((index, ready)) = open.pop() {
            if ready {
                order.push(index);
            } else if seen.insert(index) {
                open.push((index, true));
                let inside =
                    self.before[index].iter().rev().filter(|other| component.binary_search(other).is_ok());
                open.extend(inside.map(|other| (*other, false)));
            }
        }
    }
}

/// The position of a package of the solution that satisfies a link.
fn satisfier(
    universe: &Universe,
    owner: PackageId,
    link: &Link,
    position: &HashMap<PackageId, usize>,
) -> Option<usize> {
    let accepts = |version: &str| {
        let wanted = universe.link_version(owner, link);
        link.relation.is_none_or(|relation| !version.is_empty() && relation.accepts(compare(version, wanted)))
    };
    let direct = universe.versions_of(link.target).filter(|id| accepts(universe.version_of(*id)));
    let provides =
        universe.provides_of(link.target).filter(|provide| accepts(universe.provided_version(provide)));
    let mut all = direct.chain(provides.map(|provide| provide.owner));
    all.find_map(|id| position.get(&id).copied())
}

/// Tarjan's algorithm: the strongly connected components, each after those it has edges to.
struct Components<'a> {
    edges: &'a [Vec<usize>],
    /// When each node was first met, from 1; 0 for not yet.
    met: Vec<usize>,
    lowest: Vec<usize>,
    stack: Vec<usize>,
    on_stack: Vec<bool>,
    count: usize,
    found: Vec<Vec<usize>>,
}

impl<'a> Components<'a> {
    fn of(edges: &'a [Vec<usize>]) -> Vec<Vec<usize>> {
        let zeros = vec![0; edges.len()];
        let mut search = Self {
            edges,
            met: zeros.clone(),
            lowest: zeros,
            stack: Vec::new(),
            on_stack: vec![false; edges.len()],
            count: 0,
            found: Vec::new(),
        };
        for node in 0..edges.len() {
            if search.met[node] == 0 {
                search.visit(node);
            }
        }
        search.found
    }

    /// Visits a node and all that it reaches, without recursion: chains of dependencies may be long.
    fn visit(&mut self, root: usize) {
        let mut path = vec![(root, 0)];
        self.enter(root);
        while let Some((node, next)) = path.pop() {
            if let Some(&target) = self.edges[node].get(next) {
                path.push((node, next + 1));
                if self.met[target] == 0 {
                    self.enter(target);
                    path.push((target, 0));
                } else if self.on_stack[target] {
                    self.lowest[node] = self.lowest[node].min(self.met[target]);
                }
                continue;
            }
            if let Some((parent, _)) = path.last() {
                self.lowest[*parent] = self.lowest[*parent].min(self.lowest[node]);
            }
            if self.lowest[node] == self.met[node] {
                self.leave(node);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.count += 1;
        self.met[node] = self.count;
        self.lowest[node] = self.count;
        self.stack.push(node);
        self.on_stack[node] = true;
    }

    /// Takes the component off the stack whose first met node this is.
    fn leave(&mut self, node: usize) {
        let start = self.stack.iter().rposition(|other| *other == node).unwrap_or(0);
        let component = self.stack.split_off(start);
        for member in &component {
            self.on_stack[*member] = false;
        }
        self.found.push(component);
    }
}
