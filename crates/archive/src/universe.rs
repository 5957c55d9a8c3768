//! All packages that can be installed: the verified indices of several suites, for one architecture and `all`.
//!
//! What enters is the text of `Packages` files whose digests were checked; what leaves are [`Package`] views into that
//! text. Of each stanza only the name, version, flags and relations are taken apart while loading, into compact tables
//! that the solver walks; everything else is looked up in the raw stanza when it is asked for. A whole distribution
//! (68,000 packages, 55 MB of text) takes some 20 MB beside its text.
//!
//! Names get their numbers in the order in which apt's own cache would meet them. That order is how apt breaks ties
//! between otherwise equal providers, so the solver depends on it; see [`load`].

mod apt_order;
mod load;
mod names;
mod package;
mod tables;

pub use load::IndexError;
use names::Names;
pub use package::{MultiArch, Package, Priority, Source};
use tables::{Entry, Node, Span};
pub(crate) use tables::{Kind, Link, NameId, PackageId, Provide};

/// Where an index came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A name for messages and locks, for example `trixie-security`.
    pub id: String,
    /// What `name/suite` may call it: suite and codename of its release file.
    pub suites: Vec<String>,
    /// The pin priority, which comes before the version when a candidate is chosen. See [`Origin::AUTOMATIC`].
    pub pin: i32,
}

impl Origin {
    /// The pin priority of an ordinary archive.
    pub const AUTOMATIC: i32 = 500;
    /// The pin priority of an archive with `NotAutomatic: yes` and `ButAutomaticUpgrades: yes`, such as backports.
    pub const AUTOMATIC_UPGRADES: i32 = 100;
    /// The pin priority of an archive with `NotAutomatic: yes`, such as experimental.
    pub const NOT_AUTOMATIC: i32 = 1;

    /// An origin that goes by one name, with the priority of an ordinary archive.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), suites: vec![id.to_owned()], pin: Self::AUTOMATIC }
    }

    /// Whether `name/suite` means this origin.
    #[must_use]
    pub fn answers_to(&self, suite: &str) -> bool {
        self.id == suite || self.suites.iter().any(|own| own == suite)
    }
}

/// All packages of one architecture and `all`, from one or more indices.
pub struct Universe {
    architecture: Box<str>,
    origins: Vec<Origin>,
    /// The text of each index, in the order of `origins`.
    texts: Vec<String>,
    names: Names,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    links: Vec<Link>,
    provides: Vec<Provide>,
    /// Packages that a later index lists again with the same digest, and that index.
    repeated: Vec<(PackageId, u16)>,
}

impl std::fmt::Debug for Universe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Universe")
            .field("architecture", &self.architecture)
            .field("origins", &self.origins)
            .field("packages", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Universe {
    /// An empty universe for an architecture by Debian's name, for example `amd64`.
    #[must_use]
    pub fn new(architecture: &str) -> Self {
        Self {
            architecture: architecture.into(),
            origins: Vec::new(),
            texts: Vec::new(),
            names: Names::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
            links: Vec::new(),
            provides: Vec::new(),
            repeated: Vec::new(),
        }
    }

    /// The architecture, as given to [`Universe::new`].
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The origins, in the order in which their indices were added.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// How many packages there are; two versions of a name count twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no packages at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All packages, in the order of the indices.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        (0..self.entries.len()).map(|index| self.package(PackageId::from_index(index)))
    }

    /// The versions of a name, highest first; none when there are only providers of it, or nothing.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        let head = self.name_id(name).and_then(|id| self.node(id).versions);
        self.version_list(head).map(|id| self.package(id))
    }

    /// The version that is installed unless told otherwise: of the highest pin priority, then of the highest version.
    #[must_use]
    pub fn candidate(&self, name: &str) -> Option<Package<'_>> {
        self.candidate_of(self.name_id(name)?).map(|id| self.package(id))
    }

    /// The packages that provide a name, in any version.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Package<'_>> {
        let head = self.name_id(name).and_then(|id| self.node(id).provides);
        self.provides_list(head).map(|provide| self.package(provide.owner))
    }
}

/// The tables as the solver sees them.
impl Universe {
    pub(crate) fn package(&self, id: PackageId) -> Package<'_> {
        Package::new(self, id)
    }

    pub(crate) fn name_id(&self, name: &str) -> Option<NameId> {
        self.names.find(name)
    }

    pub(crate) fn names_in_order(&self) -> impl Iterator<Item = NameId> + use<> {
        (0..self.nodes.len()).map(NameId::from_index)
    }

    /// The priority as apt numbers them: 1 for required to 5 for extra, 0 for none.
    pub(crate) fn priority_of(&self, id: PackageId) -> u8 {
        self.entry(id).priority
    }

    pub(crate) fn name_count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name_of(&self, id: NameId) -> &str {
        self.names.get(id)
    }

    pub(crate) fn is_essential(&self, id: NameId) -> bool {
        self.node(id).essential
    }

    pub(crate) fn is_important(&self, id: NameId) -> bool {
        self.node(id).important
    }

    pub(crate) fn owner_name(&self, id: PackageId) -> NameId {
        self.entry(id).name
    }

    pub(crate) fn links_of(&self, id: PackageId) -> &[Link] {
        let entry = self.entry(id);
        &self.links[entry.first_link as usize..entry.last_link as usize]
    }

    pub(crate) fn version_of(&self, id: PackageId) -> &str {
        let entry = self.entry(id);
        self.span(entry.origin, entry.version)
    }

    /// The version that a link of this package names.
    pub(crate) fn link_version(&self, owner: PackageId, link: &Link) -> &str {
        self.span(self.entry(owner).origin, link.version)
    }

    /// The version that a package provides a name in; empty when it provides none in particular.
    pub(crate) fn provided_version(&self, provide: &Provide) -> &str {
        self.span(self.entry(provide.owner).origin, provide.version)
    }

    pub(crate) fn versions_of(&self, id: NameId) -> impl Iterator<Item = PackageId> + use<'_> {
        self.version_list(self.node(id).versions)
    }

    pub(crate) fn provides_of(&self, id: NameId) -> impl Iterator<Item = &Provide> + use<'_> {
        self.provides_list(self.node(id).provides)
    }

    pub(crate) fn candidate_of(&self, id: NameId) -> Option<PackageId> {
        let mut best = None;
        for version in self.versions_of(id) {
            let pin = self.pin_of(version);
            if pin > 0 && best.is_none_or(|(highest, _)| pin > highest) {
                best = Some((pin, version));
            }
        }
        best.map(|(_, version)| version)
    }

    pub(crate) fn origins_of(&self, id: PackageId) -> impl Iterator<Item = &Origin> + use<'_> {
        let again =
            self.repeated.iter().filter(move |(package, _)| *package == id).map(|(_, origin)| *origin);
        std::iter::once(self.entry(id).origin).chain(again).map(|origin| &self.origins[usize::from(origin)])
    }

    /// The highest pin priority among the origins of a package.
    pub(crate) fn pin_of(&self, id: PackageId) -> i32 {
        self.entry(id).pin
    }

    fn node(&self, id: NameId) -> &Node {
        &self.nodes[id.index()]
    }

    fn entry(&self, id: PackageId) -> &Entry {
        &self.entries[id.index()]
    }

    fn span(&self, origin: u16, span: Span) -> &str {
        &self.texts[usize::from(origin)][span.range()]
    }

    fn version_list(&self, head: Option<PackageId>) -> impl Iterator<Item = PackageId> + use<'_> {
        std::iter::successors(head, |id| self.entry(*id).next)
    }

    fn provides_list(&self, head: Option<u32>) -> impl Iterator<Item = &Provide> + use<'_> {
        let mut next = head;
        std::iter::from_fn(move || {
            let provide = &self.provides[next? as usize];
            next = provide.next;
            Some(provide)
        })
    }
}

#[cfg(test)]
mod tests;
