//! dpkg's database, as `dpkg --unpack` would have left it (dpkg-query(1), deb-control(5)).
//!
//! Only what dpkg cannot find out by itself is written: the control files of each package, its list of paths, its
//! stanza with the state `unpacked`, and the triggers that packages are interested in. The first run of dpkg inside the
//! root brings the rest into its own form.

use std::collections::BTreeSet;

use archive::deb::{ControlArchive, ControlFile};
use archive::deb822::Stanza;
use tree::{EntryPath, Metadata, Root};

use crate::folder;
use crate::triggers::{self, Triggers};
use crate::unpack::{Unpacked, effective_preinst};
use crate::{Error, Package};

/// dpkg's folder inside a root.
pub(crate) const ADMIN: &str = "var/lib/dpkg";

/// What the control member of a package says.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    name: String,
    architecture: String,
    same: bool,
    replaces: String,
    /// `Pre-Depends` and `Depends`, each as the package states it.
    pub(crate) pre_depends: String,
    pub(crate) depends: String,
    pub(crate) provides: String,
    version: String,
    installed_size: u64,
    conffiles: BTreeSet<Vec<u8>>,
    files: ControlArchive,
}

impl Control {
    /// Reads the control member of `package`, which must be the package that was asked for.
    pub(crate) fn read(package: &Package, files: &ControlArchive) -> Result<Self, Error> {
        let wrong = |message: String| Error::Control { package: package.name.clone(), message };
        let stanza = Stanza::new(files.control());
        let field = |name: &str| stanza.get(name).unwrap_or_default().to_owned();
        let control = Self {
            name: field("Package"),
            version: field("Version"),
            architecture: field("Architecture"),
            same: field("Multi-Arch") == "same",
            replaces: field("Replaces"),
            pre_depends: field("Pre-Depends"),
            depends: field("Depends"),
            provides: field("Provides"),
            installed_size: field("Installed-Size").parse().unwrap_or(0),
            conffiles: conffile_paths(files).map(<[u8]>::to_vec).collect(),
            files: files.clone(),
        };
        let (found, expected) = (
            (&control.name, &control.version, &control.architecture),
            (&package.name, &package.version, &package.architecture),
        );
        // A second one would become a package of its own in dpkg's database.
        if files.control().trim().lines().any(|line| line.trim().is_empty()) {
            return Err(wrong(
                "its control file has an empty line, after which another package could follow".into(),
            ));
        }
        if let Some(name) = files.get("triggers").and_then(triggers::bad_name) {
            return Err(wrong(format!("it is interested in `{name}`, which is no name of a trigger")));
        }
        if found != expected {
            return Err(wrong(format!(
                "the .deb holds {} {} for {}, but the index promised {} for {}",
                found.0, found.1, found.2, expected.1, expected.2
            )));
        }
        Ok(control)
    }

    /// The package's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The package's architecture.
    pub(crate) fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The name by which dpkg's database files go: with the architecture for a package that can be there twice.
    pub(crate) fn info_name(&self) -> String {
        if self.same { format!("{}:{}", self.name, self.architecture) } else { self.name.clone() }
    }

    /// One file of the control member.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name)
    }

    /// All files of the control member.
    pub(crate) fn files(&self) -> &[ControlFile] {
        self.files.files()
    }

    /// The `preinst`, when it does something at a first installation.
    pub(crate) fn preinst(&self) -> Option<&[u8]> {
        effective_preinst(self.file("preinst"))
    }

    /// Whether `path` (absolute) is a configuration file.
    pub(crate) fn is_conffile(&self, path: &[u8]) -> bool {
        self.conffiles.contains(path)
    }

    /// Whether this package says that it replaces files of `other`.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        crate::order::names_version(&self.replaces, &other.name, &other.version)
    }

    /// The most bytes that the package's data may expand to: far more than any real package needs, so that a member
    /// without end is stopped before the disk is full.
    pub(crate) fn expanded_limit(&self, deb_size: u64) -> u64 {
        const SLACK: u64 = 256 << 20;
        let promised = self.installed_size.saturating_mul(1024).saturating_mul(2);
        promised.max(deb_size.saturating_mul(20)).saturating_add(SLACK)
    }

    /// Writes the control files into the database; `sums` is the text of `md5sums` when the package brings none.
    pub(crate) fn write_info(&self, root: &Root, epoch: i64, sums: Option<String>) -> Result<(), Error> {
        for file in self.files.files().iter().filter(|file| file.name != "control") {
            self.write_info_file(root, &file.name, &Metadata::new(file.mode, epoch), &file.contents)?;
        }
        match sums {
            Some(sums) => {
                self.write_info_file(root, "md5sums", &Metadata::new(0o644, epoch), sums.as_bytes())
            }
            None => Ok(()),
        }
    }

    /// Writes the list of the package's paths, in the place of an earlier one.
    pub(crate) fn write_list(&self, root: &Root, epoch: i64, paths: &[Vec<u8>]) -> Result<(), Error> {
        let mut list = Vec::with_capacity(paths.iter().map(|path| path.len() + 1).sum());
        for path in paths {
            list.extend_from_slice(path);
            list.push(b'\n');
        }
        Ok(root.replace(&self.info_path("list")?, &Metadata::new(0o644, epoch), &list)?)
    }

    fn info_path(&self, member: &str) -> Result<EntryPath, Error> {
        admin(&format!("info/{}.{member}", self.info_name())).ok_or_else(|| Error::Control {
            package: self.name.clone(),
            message: format!("odd member name `{member}`"),
        })
    }

    fn write_info_file(
        &self,
        root: &Root,
        member: &str,
        metadata: &Metadata,
        data: &[u8],
    ) -> Result<(), Error> {
        let path = self.info_path(member)?;
        root.write_file(&path, metadata, &mut &data[..])?;
        Ok(())
    }

    /// The package's stanza in `var/lib/dpkg/status`.
    fn stanza(&self) -> Vec<u8> {
        let control = self.files.control().as_bytes();
        let first = control.iter().position(|byte| *byte == b'\n').map_or(control.len(), |end| end + 1);
        let mut stanza = Vec::with_capacity(control.len() + 128);
        stanza.extend_from_slice(&control[..first]);
        stanza.extend_from_slice(b"Status: install ok unpacked\n");
        let mut lines = self.files.conffiles().filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_some() {
            stanza.extend_from_slice(b"Conffiles:\n");
        }
        for line in lines {
            // Of a file that goes with an upgrade dpkg notes so much, though the package does not bring it.
            let (path, flag) = match line.strip_prefix(b"remove-on-upgrade ") {
                Some(path) => (path.trim_ascii(), &b" remove-on-upgrade"[..]),
                None => (line, &b""[..]),
            };
            for part in [b" ", path, b" newconffile", flag, b"\n"] {
                stanza.extend_from_slice(part);
            }
        }
        stanza.extend_from_slice(&control[first..]);
        while stanza.ends_with(b"\n") {
            stanza.pop();
        }
        stanza.extend_from_slice(b"\n\n");
        stanza
    }
}

/// The configuration files that a package brings, in its order; lines with a flag such as `remove-on-upgrade` name none.
fn conffile_paths(files: &ControlArchive) -> impl Iterator<Item = &[u8]> {
    files.conffiles().filter(|line| line.starts_with(b"/"))
}

/// A path below dpkg's folder.
pub(crate) fn admin(name: &str) -> Option<EntryPath> {
    EntryPath::parse(format!("{ADMIN}/{name}").as_bytes()).ok()
}

/// A path below dpkg's folder whose name is a constant of this crate.
fn fixed(name: &'static str) -> Result<EntryPath, Error> {
    admin(name)
        .ok_or_else(|| Error::Control { package: "dpkg".into(), message: format!("bad path `{name}`") })
}

/// The database of one root.
#[derive(Debug)]
pub(crate) struct Database {
    /// The modification time of the database's files, in seconds.
    epoch: i64,
    triggers: Triggers,
}

impl Database {
    /// Makes the folders that dpkg expects.
    pub(crate) fn create(root: &Root, epoch: i64) -> Result<Self, Error> {
        for folder in ["info", "updates", "triggers", "parts", "alternatives"] {
            if let Some(path) = admin(folder) {
                folder::ensure_all(root, &path, epoch)?;
            }
        }
        for (name, text) in [("info/format", "1\n"), ("status", ""), ("diversions", "")] {
            root.replace(&fixed(name)?, &Metadata::new(0o644, epoch), text.as_bytes())?;
        }
        Ok(Self { epoch, triggers: Triggers::default() })
    }

    /// Records packages whose files are in the tree. `again` is set when dpkg has configured packages before.
    pub(crate) fn add(&mut self, root: &Root, unpacked: &[Unpacked], again: bool) -> Result<(), Error> {
        let status = fixed("status")?;
        let mut stanzas = root.read(&status, 64 << 20)?.unwrap_or_default();
        let mut activated = String::new();
        for package in unpacked {
            stanzas.extend_from_slice(&package.control.stanza());
            package.control.write_list(root, self.epoch, &package.paths)?;
            if let Some(text) = package.control.file("triggers") {
                self.triggers.register(&package.control.info_name(), text);
            }
        }
        if again {
            for package in unpacked {
                let paths = package.paths.iter().filter_map(|path| std::str::from_utf8(path).ok());
                activated.push_str(&self.triggers.activated(&package.control.info_name(), paths));
            }
        }
        root.replace(&status, &Metadata::new(0o644, self.epoch), &stanzas)?;
        for (name, text) in self.triggers.files() {
            self.write_trigger_file(root, &name, text.as_bytes())?;
        }
        if !activated.is_empty() {
            self.write_trigger_file(root, "Unincorp", activated.as_bytes())?;
        }
        Ok(())
    }

    fn write_trigger_file(&self, root: &Root, name: &str, text: &[u8]) -> Result<(), Error> {
        let path = admin(&format!("triggers/{name}"))
            .ok_or_else(|| Error::Control { package: name.into(), message: "odd trigger name".into() })?;
        Ok(root.replace(&path, &Metadata::new(0o644, self.epoch), text)?)
    }
}
