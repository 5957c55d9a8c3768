//! dpkg's database of a root, read.

use std::collections::{HashMap, HashSet};

use tree::{EntryPath, Kind, Root};

use super::Share;
use crate::Result;

/// Where dpkg keeps what it knows.
const ADMIN: &str = "var/lib/dpkg";

/// The size in bytes above which a file of the database is not read.
const LIMIT: u64 = 64 << 20;

/// The packages that are installed in a root, and what belongs to them.
#[derive(Debug)]
pub struct Packages {
    shares: Vec<Share>,
    owners: HashMap<EntryPath, usize>,
}

impl Packages {
    /// Reads the database of `root`; without one there are no packages.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(root: &Root) -> Result<Self> {
        let status = read(root, "status")?;
        let stanzas: Vec<Stanza<'_>> = status.split("\n\n").filter_map(Stanza::parse).collect();
        let base = base(&stanzas);
        let places = Places::read(root)?;
        let mut owners = HashMap::new();
        let mut shares = Vec::new();
        for (number, stanza) in stanzas.iter().enumerate() {
            shares.push(Share {
                name: stanza.name.to_owned(),
                source: stanza.source.to_owned(),
                size: stanza.size,
                base: base.contains(stanza.name),
            });
            for path in stanza.files(root)?.lines().filter_map(|line| places.find(line, stanza.name)) {
                // A directory belongs to many; the first is as good as any.
                owners.entry(path).or_insert(number);
            }
        }
        Ok(Self { shares, owners })
    }

    /// The packages, in the order of the database.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The number of the package that an entry belongs to; of a directory, of one of them. What belongs to nobody was made
    /// by scripts, or is the database itself.
    #[must_use]
    pub fn owner(&self, path: &EntryPath) -> Option<usize> {
        self.owners.get(path).copied()
    }
}

/// What matters of one package in `status` (deb-control(5), dpkg-query(1)).
struct Stanza<'s> {
    name: &'s str,
    architecture: &'s str,
    source: &'s str,
    size: u64,
    /// Essential, or of priority `required`.
    required: bool,
    depends: [&'s str; 2],
    provides: &'s str,
}

impl<'s> Stanza<'s> {
    /// None for what is not installed.
    fn parse(text: &'s str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines();
            // Lines that go on begin with a space; no field that is wanted here has them.
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
        };
        let state = field("Status").rsplit(' ').next().unwrap_or_default();
        let name = field("Package");
        if name.is_empty() || name.contains('/') || matches!(state, "" | "not-installed" | "config-files") {
            return None;
        }
        // `NAME (VERSION)` when the version is another one.
        let source = field("Source").split(' ').next().filter(|source| !source.is_empty()).unwrap_or(name);
        Some(Self {
            name,
            architecture: field("Architecture"),
            source,
            size: field("Installed-Size").parse().unwrap_or(0),
            required: field("Essential") == "yes" || field("Priority") == "required",
            depends: [field("Pre-Depends"), field("Depends")],
            provides: field("Provides"),
        })
    }

    /// The names that it can be needed by.
    fn names(&self) -> impl Iterator<Item = &'s str> {
        std::iter::once(self.name).chain(self.provides.split(',').filter_map(package_name))
    }

    /// Its list of files; those of packages that may be there for several architectures have the architecture in the name.
    fn files(&self, root: &Root) -> Result<String> {
        let name = self.name;
        let qualified = read(root, &format!("info/{name}:{}.list", self.architecture))?;
        if qualified.is_empty() { read(root, &format!("info/{name}.list")) } else { Ok(qualified) }
    }
}

/// The name in one alternative of a dependency: without version, architecture and restrictions.
fn package_name(text: &str) -> Option<&str> {
    text.trim().split([' ', '(', ':']).next().filter(|name| !name.is_empty())
}

/// The packages that are required, and those that they need.
fn base<'s>(stanzas: &[Stanza<'s>]) -> HashSet<&'s str> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (number, stanza) in stanzas.iter().enumerate() {
        for name in stanza.names() {
            by_name.entry(name).or_insert(number);
        }
    }
    // A real package comes before one that only stands in for it.
    by_name.extend(stanzas.iter().enumerate().map(|(number, stanza)| (stanza.name, number)));
    let required = stanzas.iter().enumerate().filter(|(_, stanza)| stanza.required);
    let mut waiting: Vec<usize> = required.map(|(number, _)| number).collect();
    let mut base = HashSet::new();
    while let Some(number) = waiting.pop() {
        let stanza = &stanzas[number];
        if !base.insert(stanza.name) {
            continue;
        }
        for clause in stanza.depends.iter().flat_map(|field| field.split(',')) {
            let mut alternatives = clause.split('|').filter_map(package_name);
            waiting.extend(alternatives.find_map(|name| by_name.get(name)));
        }
    }
    base
}

/// Where a file is that a package has in its list.
struct Places {
    /// Directories at the top that are links: `bin`, which is `usr/bin`.
    merged: HashMap<Vec<u8>, Vec<u8>>,
    /// Diverted files: where they would be, where they are, and whose own file is not diverted (dpkg-divert(1)).
    diversions: HashMap<String, (String, String)>,
}

impl Places {
    fn read(root: &Root) -> Result<Self> {
        let mut merged = HashMap::new();
        for name in root.list(&EntryPath::ROOT)? {
            let path = EntryPath::ROOT.join(&name).map_err(tree::Error::from)?;
            if let Some(Kind::Symlink { target }) = root.kind(&path)? {
                merged.insert(name, target.strip_prefix(b"/").unwrap_or(&target).to_vec());
            }
        }
        let text = read(root, "diversions")?;
        let lines: Vec<&str> = text.lines().collect();
        let triples = lines.chunks_exact(3);
        let diversions = triples.map(|lines| (lines[0].into(), (lines[1].into(), lines[2].into()))).collect();
        Ok(Self { merged, diversions })
    }

    /// The place of a file in the list of `package`; none for what is no path.
    fn find(&self, listed: &str, package: &str) -> Option<EntryPath> {
        let listed = match self.diversions.get(listed) {
            Some((to, owner)) if owner != package => to.as_str(),
            _ => listed,
        };
        let path = EntryPath::parse(listed.trim_start_matches('/').as_bytes()).ok()?;
        let mut parts = path.components();
        let target = parts.next().and_then(|first| self.merged.get(first));
        let rest: Vec<&[u8]> = parts.collect();
        match target {
            // The link itself is where it is listed.
            Some(target) if !rest.is_empty() => EntryPath::parse(target).ok()?.join(&rest.join(&b'/')).ok(),
            _ => Some(path),
        }
    }
}

/// A text file of the database, empty when it is not there.
fn read(root: &Root, name: &str) -> Result<String> {
    let path = EntryPath::parse(format!("{ADMIN}/{name}").as_bytes()).map_err(tree::Error::from)?;
    let bytes = root.read(&path, LIMIT)?.unwrap_or_default();
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tree::Links;

    use super::*;

    const STATUS: &str = "\
Package: dash
Essential: yes
Status: install ok installed
Architecture: amd64
Installed-Size: 200
Pre-Depends: libc6 (>= 2.41)
Depends: missing | awk:any (>= 1), dpkg
Description: a shell
 Package: not a field

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.41-1)
Installed-Size: 13000

Package: mawk
Status: install ok installed
Architecture: amd64
Provides: awk

Package: gone
Status: deinstall ok config-files

Package: zsh
Status: install ok unpacked
Architecture: amd64
Depends: libc6
";

    fn root(folder: &Path) -> Root {
        let admin = folder.join("var/lib/dpkg/info");
        fs::create_dir_all(&admin).unwrap();
        fs::create_dir_all(folder.join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("usr/bin", folder.join("bin")).unwrap();
        fs::write(admin.join("../status"), STATUS).unwrap();
        fs::write(admin.join("../diversions"), "/usr/bin/sh\n/usr/bin/sh.distrib\ndash\n").unwrap();
        fs::write(admin.join("dash.list"), "/.\n/usr\n/usr/bin\n/usr/bin/sh\n").unwrap();
        fs::write(admin.join("zsh.list"), "/.\n/bin\n/bin/zsh\n/usr/bin/sh\n/usr/share\n").unwrap();
        fs::write(admin.join("libc6:amd64.list"), "/.\n/usr/lib/libc.so.6\n").unwrap();
        Root::open(folder, Links::Refuse).unwrap()
    }

    #[test]
    fn packages_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::read(&root(folder.path())).unwrap();
        let share = |name: &str, source: &str, size, base| Share {
            name: name.to_owned(),
            source: source.to_owned(),
            size,
            base,
        };
        let expected = [
            share("dash", "dash", 200, true),
            share("libc6", "glibc", 13000, true),
            share("mawk", "mawk", 0, true),
            share("zsh", "zsh", 0, false),
        ];
        assert_eq!(packages.shares(), expected);
        for (path, owner) in [
            ("usr/bin", Some("dash")),
            ("usr/bin/sh", Some("dash")),
            ("usr/bin/sh.distrib", Some("zsh")),
            ("usr/bin/zsh", Some("zsh")),
            ("bin", Some("zsh")),
            ("usr/share", Some("zsh")),
            ("usr/lib/libc.so.6", Some("libc6")),
            ("var/lib/dpkg/status", None),
        ] {
            let found = packages.owner(&path.parse().unwrap()).map(|number| &packages.shares()[number].name);
            assert_eq!(found.map(String::as_str), owner, "{path}");
        }
    }

    #[test]
    fn a_root_without_a_database_has_no_packages() {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::read(&Root::open(folder.path(), Links::Refuse).unwrap()).unwrap();
        assert!(packages.shares().is_empty());
    }
}
