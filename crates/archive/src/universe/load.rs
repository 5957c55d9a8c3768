//! Takes an index apart.
//!
//! Names are numbered as apt's cache generator creates its packages, stanza by stanza: the package itself, then the
//! targets of its relations in the order `Pre-Depends`, `Depends`, `Conflicts`, `Breaks`, `Recommends`, `Suggests`,
//! `Replaces`, `Enhances`, and what it provides. `name:any` and `name:amd64` are names of their own, provided by the
//! package behind them where Multi-Arch allows.

use super::tables::{Entry, Kind, Link, NameId, Node, PackageId, Provide, Span};
use super::{MultiArch, Origin, Priority, Universe};
use crate::deb822::{Field, Stanza, take_stanza};
use crate::dependency::{Alternative, Relation, RelationError, alternatives};
use crate::version::compare;

/// The largest index that is accepted, in bytes; Debian's whole main is 55 MB.
const MAX_TEXT: usize = 1 << 30;

/// The longest version that a package may have, in bytes.
const MAX_VERSION: usize = 512;

/// The one package whose name apt knows.
const APT: &str = "apt";

/// Parts name and architecture in the name of what can only be a package of another architecture.
pub(super) const FOREIGN: char = '\0';

/// Why an index is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The text is not UTF-8.
    #[error("index of {0} is not UTF-8")]
    NotText(String),
    /// The text is larger than 1 GiB, or there are more than 65,535 indices.
    #[error("index of {0} is too large")]
    TooLarge(String),
    /// A stanza lacks a field that every package has.
    #[error("a package in the index of {origin} has no usable {field}: `{stanza}`")]
    Field {
        /// The origin of the index.
        origin: String,
        /// The field.
        field: &'static str,
        /// The start of the stanza.
        stanza: String,
    },
    /// A package is for another architecture than the universe.
    #[error("package {package} in the index of {origin} is for {architecture}")]
    Architecture {
        /// The origin of the index.
        origin: String,
        /// Its name.
        package: String,
        /// The architecture it is for.
        architecture: String,
    },
    /// A relation cannot be understood.
    #[error("package {package} in the index of {origin}: {source}")]
    Relation {
        /// The origin of the index.
        origin: String,
        /// Its name.
        package: String,
        /// What is wrong.
        source: RelationError,
    },
}

/// The fields of a stanza that loading needs.
#[derive(Default)]
struct Fields<'a> {
    package: &'a str,
    version: &'a str,
    architecture: &'a str,
    multi_arch: &'a str,
    priority: &'a str,
    sha256: &'a str,
    essential: Option<&'a str>,
    protected: Option<&'a str>,
    important: Option<&'a str>,
    provides: &'a str,
    relations: [&'a str; Kind::ALL.len()],
}

impl<'a> Fields<'a> {
    fn take(&mut self, field: Field<'a>) {
        let value = field.value;
        match field.name {
            "Package" => self.package = value,
            "Version" => self.version = value,
            "Architecture" => self.architecture = value,
            "Multi-Arch" => self.multi_arch = value,
            "Priority" => self.priority = value,
            "SHA256" => self.sha256 = value,
            "Essential" => self.essential = Some(value),
            "Protected" => self.protected = Some(value),
            "Important" => self.important = Some(value),
            "Provides" => self.provides = value,
            "Pre-Depends" => self.relations[Kind::PreDepends as usize] = value,
            "Depends" => self.relations[Kind::Depends as usize] = value,
            "Conflicts" => self.relations[Kind::Conflicts as usize] = value,
            "Breaks" => self.relations[Kind::Breaks as usize] = value,
            "Recommends" => self.relations[Kind::Recommends as usize] = value,
            "Suggests" => self.relations[Kind::Suggests as usize] = value,
            "Replaces" => self.relations[Kind::Replaces as usize] = value,
            "Enhances" => self.relations[Kind::Enhances as usize] = value,
            _ => {}
        }
    }
}

impl Universe {
    /// Adds the packages of an index, whose digest the caller has checked.
    ///
    /// The order of the indices matters as the order of apt's sources does: it decides between equal providers.
    ///
    /// # Errors
    /// When the index is not one of packages for this architecture. The universe is then not to be used any more.
    pub fn add_index(&mut self, origin: Origin, text: Vec<u8>) -> Result<(), IndexError> {
        let number = u16::try_from(self.origins.len()).ok().filter(|_| text.len() <= MAX_TEXT);
        let number = number.ok_or_else(|| IndexError::TooLarge(origin.id.clone()))?;
        let mut text = String::from_utf8(text).map_err(|_| IndexError::NotText(origin.id.clone()))?;
        text.shrink_to_fit();
        // The text is taken apart before it moves in: its address is where spans are measured from.
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut fields = Fields::default();
            let (stanza, after) = take_stanza(rest, |field| fields.take(field));
            rest = after;
            if !stanza.text().is_empty() {
                Loader { universe: self, origin: &origin, number, text: &text }.stanza(stanza, &fields)?;
            }
        }
        self.origins.push(origin);
        self.texts.push(text);
        Ok(())
    }
}

struct Loader<'a> {
    universe: &'a mut Universe,
    origin: &'a Origin,
    number: u16,
    text: &'a str,
}

impl<'a> Loader<'a> {
    fn stanza(mut self, stanza: Stanza<'a>, fields: &Fields<'a>) -> Result<(), IndexError> {
        self.check(fields, stanza)?;
        let name = self.name(fields.package);
        let (before, known) = self.place(name, fields);
        match known {
            Some(known) => {
                let pin = &mut self.universe.entries[known.index()].pin;
                *pin = self.origin.pin.max(*pin);
                self.universe.repeated.push((known, self.number));
            }
            None => self.add(name, before, fields, stanza)?,
        }
        if fields.package != APT {
            let node = &mut self.universe.nodes[name.index()];
            set_flag(&mut node.essential, fields.essential);
            set_flag(&mut node.important, fields.important);
            set_flag(&mut node.important, fields.protected);
        }
        Ok(())
    }

    fn check(&self, fields: &Fields<'a>, stanza: Stanza<'a>) -> Result<(), IndexError> {
        // Names become parts of paths, so nothing but what dpkg allows in them may pass.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        let name = fields.package;
        let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(plain);
        let version = fields.version.len() <= MAX_VERSION
            && fields.version.bytes().all(|byte| plain(byte) || b"~:".contains(&byte));
        let missing = match () {
            () if !valid => "Package",
            () if fields.version.is_empty() || !version => "Version",
            () if fields.architecture.is_empty() => "Architecture",
            () => {
                let ours =
                    fields.architecture == "all" || *fields.architecture == *self.universe.architecture;
                return ours.then_some(()).ok_or_else(|| IndexError::Architecture {
                    origin: self.origin.id.clone(),
                    package: name.to_owned(),
                    architecture: fields.architecture.to_owned(),
                });
            }
        };
        Err(self.unusable(missing, stanza))
    }

    fn unusable(&self, field: &'static str, stanza: Stanza<'a>) -> IndexError {
        let stanza = stanza.text().lines().next().unwrap_or("").chars().take(80).collect();
        IndexError::Field { origin: self.origin.id.clone(), field, stanza }
    }

    /// Where in the list of versions this one belongs: after which one, or which one it repeats.
    fn place(&self, name: NameId, fields: &Fields<'a>) -> (Option<PackageId>, Option<PackageId>) {
        let mut before = None;
        for other in self.universe.versions_of(name) {
            // Packages of this very index are not in `texts` yet.
            let entry = &self.universe.entries[other.index()];
            let text = self.universe.texts.get(usize::from(entry.origin)).map_or(self.text, String::as_str);
            match compare(fields.version, &text[entry.version.range()]) {
                std::cmp::Ordering::Greater => break,
                std::cmp::Ordering::Equal => {
                    let stanza = Stanza::new(&text[entry.start as usize..entry.end as usize]);
                    if stanza.get("SHA256").unwrap_or("") == fields.sha256 {
                        return (None, Some(other));
                    }
                }
                std::cmp::Ordering::Less => {}
            }
            before = Some(other);
        }
        (before, None)
    }

    fn add(
        &mut self,
        name: NameId,
        before: Option<PackageId>,
        fields: &Fields<'a>,
        stanza: Stanza<'a>,
    ) -> Result<(), IndexError> {
        let id = PackageId::from_index(self.universe.entries.len());
        let multi_arch = MultiArch::parse(fields.multi_arch, fields.architecture == "all");
        let version = self.span(fields.version).ok_or_else(|| self.unusable("Version", stanza))?;
        let start = stanza.text().as_ptr() as usize - self.text.as_ptr() as usize;
        let first_link = to_u32(self.universe.links.len());
        let next = match before {
            Some(before) => self.universe.entries[before.index()].next.replace(id),
            None => self.universe.nodes[name.index()].versions.replace(id),
        };
        self.universe.entries.push(Entry {
            name,
            next,
            start: to_u32(start),
            end: to_u32(start + stanza.text().len()),
            version,
            first_link,
            last_link: first_link,
            origin: self.number,
            pin: self.origin.pin,
            priority: Priority::parse(fields.priority).map_or(0, |priority| priority as u8),
            multi_arch,
            architecture_all: fields.architecture == "all",
        });
        let relations = self.links(fields).and_then(|()| {
            self.universe.entries[id.index()].last_link = to_u32(self.universe.links.len());
            self.provides(id, name, multi_arch, fields)
        });
        relations.map_err(|source| IndexError::Relation {
            origin: self.origin.id.clone(),
            package: fields.package.to_owned(),
            source,
        })
    }

    fn links(&mut self, fields: &Fields<'a>) -> Result<(), RelationError> {
        for kind in Kind::ALL {
            for alternative in alternatives(fields.relations[kind as usize]) {
                let alternative = alternative?;
                let target = self.target(&alternative);
                let (relation, version) = self.constraint(&alternative);
                let or_next = alternative.or_next;
                self.universe.links.push(Link { target, version, relation, kind, or_next });
            }
        }
        Ok(())
    }

    /// What `Provides` says, and what Multi-Arch adds to it.
    fn provides(
        &mut self,
        owner: PackageId,
        name: NameId,
        multi_arch: MultiArch,
        fields: &Fields<'a>,
    ) -> Result<(), RelationError> {
        let version = self.span(fields.version).unwrap_or_default();
        // A relation of this very package to itself by architecture has made the entry already.
        let own_id = self.universe.node(name).by_architecture;
        let listed =
            own_id.is_some_and(|id| self.universe.provides_of(id).any(|provide| provide.owner == owner));
        for alternative in alternatives(fields.provides) {
            let alternative = alternative?;
            let (relation, provided) = self.constraint(&alternative);
            if relation.is_some_and(|relation| relation != Relation::Equal) {
                continue;
            }
            self.provide(owner, multi_arch, &alternative, provided, fields);
        }
        if multi_arch == MultiArch::Allowed {
            let any = self.name(&format!("{}:any", fields.package));
            self.push_provide(any, owner, version, true);
        }
        if let Some(own_id) = own_id.filter(|_| !listed) {
            self.push_provide(own_id, owner, version, true);
        }
        if is_kernel_image(fields.package) {
            let kernel = self.name("$kernel");
            self.push_provide(kernel, owner, version, true);
        }
        Ok(())
    }

    fn provide(
        &mut self,
        owner: PackageId,
        multi_arch: MultiArch,
        alternative: &Alternative<'a>,
        version: Span,
        fields: &Fields<'a>,
    ) {
        let provided = alternative.constraint.map_or("", |constraint| constraint.version);
        let is_itself =
            alternative.name == fields.package && (provided.is_empty() || provided == fields.version);
        if let Some(qualifier) = alternative.qualifier {
            if qualifier == &*self.universe.architecture {
                let target = self.name(alternative.name);
                self.push_provide(target, owner, version, true);
            }
            let target = self.name(&format!("{}:{qualifier}", alternative.name));
            self.push_provide(target, owner, version, false);
            return;
        }
        if multi_arch == MultiArch::Allowed {
            let any = self.name(&format!("{}:any", alternative.name));
            self.push_provide(any, owner, version, true);
        }
        let known = self.universe.nodes.len();
        let target = self.name(alternative.name);
        // apt leaves out what a package provides of itself, but overlooks it where the package is `foreign`.
        if (multi_arch == MultiArch::Foreign && target.index() < known) || !is_itself {
            self.push_provide(target, owner, version, false);
        }
        if let Some(target) = self.universe.node(target).by_architecture {
            self.push_provide(target, owner, version, true);
        }
    }

    fn push_provide(&mut self, target: NameId, owner: PackageId, version: Span, implicit: bool) {
        let number = to_u32(self.universe.provides.len());
        let next = self.universe.nodes[target.index()].provides.replace(number);
        self.universe.provides.push(Provide { owner, version, implicit, next });
    }

    fn target(&mut self, alternative: &Alternative<'a>) -> NameId {
        match alternative.qualifier {
            None => self.name(alternative.name),
            Some("native") => self.name(&format!("{}:{}", alternative.name, self.universe.architecture)),
            Some(qualifier) => self.name(&format!("{}:{qualifier}", alternative.name)),
        }
    }

    /// The number of a name, which is new when it was not met before.
    fn name(&mut self, name: &str) -> NameId {
        let (id, new) = self.universe.names.insert(name);
        if !new {
            return id;
        }
        // By its default configuration (`pkgCacheGen::ForceEssential`) apt counts itself among the essential.
        let (essential, important) = (name == APT, name == APT);
        self.universe.nodes.push(Node { essential, important, ..Node::default() });
        match name.rsplit_once(':') {
            Some((plain, architecture)) if architecture == &*self.universe.architecture => {
                self.provide_by_architecture(id, plain);
            }
            // To apt this is also a package of that architecture, which there is none of, but it has a place in order.
            Some((plain, architecture)) if architecture != "any" => {
                self.name(&format!("{plain}{FOREIGN}{architecture}"));
            }
            _ => {}
        }
        id
    }

    /// Lets everything that is or provides `plain` provide `plain:architecture` as well.
    fn provide_by_architecture(&mut self, target: NameId, plain: &str) {
        let plain = self.name(plain);
        self.universe.nodes[plain.index()].by_architecture = Some(target);
        let explicit = self.universe.provides_of(plain).filter(|provide| !provide.implicit);
        let provided: Vec<_> = explicit.map(|provide| (provide.owner, provide.version)).collect();
        let versions: Vec<_> = self.universe.versions_of(plain).collect();
        for (owner, version) in provided {
            self.push_provide(target, owner, version, true);
        }
        for owner in versions {
            let version = self.universe.entries[owner.index()].version;
            self.push_provide(target, owner, version, true);
        }
    }

    fn constraint(&self, alternative: &Alternative<'a>) -> (Option<Relation>, Span) {
        let found =
            alternative.constraint.and_then(|found| Some((found.relation, self.span(found.version)?)));
        found.map_or((None, Span::default()), |(relation, span)| (Some(relation), span))
    }

    fn span(&self, part: &str) -> Option<Span> {
        Span::locate(self.text, part)
    }
}

/// Offsets stay below [`MAX_TEXT`], and so do the counts of what is found in that text.
fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn set_flag(flag: &mut bool, value: Option<&str>) {
    match value {
        Some("yes" | "true" | "on" | "1") => *flag = true,
        Some("no" | "false" | "off" | "0") => *flag = false,
        _ => {}
    }
}

/// Whether apt takes the name for that of one kernel version: `linux-image-6.12…`, but not `linux-image-amd64`.
fn is_kernel_image(name: &str) -> bool {
    let release =
        ["linux-image-", "kfreebsd-image-", "gnumach-image-"].iter().find_map(|p| name.strip_prefix(p));
    let debug = name.ends_with("-dbg") || name.ends_with("-dbgsym");
    release.is_some_and(|release| {
        let after = release.trim_start_matches(|c: char| c.is_ascii_digit());
        !debug && after.len() < release.len() && after.starts_with('.')
    })
}
