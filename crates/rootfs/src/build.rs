//! The phases of a build, in order.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use cache::Cache;
use tree::{EntryPath, Links, Metadata, Root};

use crate::configure;
use crate::database::{Control, Database, admin};
use crate::diversion::Diversions;
use crate::folder;
use crate::ledger::Ledger;
use crate::order::{configurable, next_batch};
use crate::script::{Progress, Scripts};
use crate::unpack::{Job, Outcome, Stop, Unpacked, Unpacker};
use crate::{Error, Interrupt, Package};

/// Where and how a root is built.
pub struct Options<'a> {
    /// An empty folder that becomes the root.
    pub root: &'a Path,
    /// The root's architecture, by Debian's name.
    pub architecture: &'a str,
    /// Where the packages are.
    pub cache: &'a Cache,
    /// How many packages are unpacked at the same time, 1 or more.
    pub jobs: usize,
    /// What scripts are told as `SOURCE_DATE_EPOCH`, in seconds.
    pub epoch: i64,
    /// Set from outside to end the build.
    pub interrupt: Interrupt,
    /// Told what happens.
    pub progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("root", &self.root)
            .field("architecture", &self.architecture)
            .finish_non_exhaustive()
    }
}

/// A root that is being built.
#[derive(Debug)]
pub struct Build<'a> {
    options: Options<'a>,
    packages: &'a [Package],
    root: Root,
    ledger: Ledger,
    database: Database,
    scripts: Scripts,
}

impl<'a> Build<'a> {
    /// Installs `packages`, given in dpkg's order, into the empty folder `options.root`: unpacks them and runs their
    /// maintainer scripts.
    ///
    /// # Errors
    /// What [`Error`] says. The folder then holds an unfinished root.
    pub fn install(options: Options<'a>, packages: &'a [Package]) -> Result<Self, Error> {
        let scripts = Scripts::new(
            options.root,
            options.epoch,
            options.interrupt.clone(),
            Arc::clone(&options.progress),
        );
        let root = Root::open(options.root, Links::WithinRoot)?;
        let mut ledger = Ledger::default();
        prepare(&root, &options)?;
        let mut database = Database::create(&root, options.epoch)?;
        let first: Vec<Job<'_>> = jobs(packages, |_| true);
        let outcomes = match unpacker(&options, &root, &ledger, None, first.len())
            .side_by_side(&first, options.jobs)
        {
            Ok(outcomes) => outcomes,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::OrderMatters(_)) => {
                folder::clear(&root, &EntryPath::ROOT)?;
                ledger = Ledger::default();
                prepare(&root, &options)?;
                database = Database::create(&root, options.epoch)?;
                unpacker(&options, &root, &ledger, Some(&Mutex::default()), first.len()).in_order(&first)?
            }
        };
        let mut build = Self { options, packages, root, ledger, database, scripts };
        build.finish(outcomes)?;
        Ok(build)
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Runs programs in the root.
    #[must_use]
    pub fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    fn finish(&mut self, outcomes: Vec<Outcome>) -> Result<(), Error> {
        let mut unpacked = Vec::new();
        let mut waiting = Vec::new();
        for (number, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Unpacked(package) => unpacked.push(package),
                Outcome::NeedsPreinst(control) => waiting.push((number, control)),
            }
        }
        self.record(&mut [], &mut unpacked, false)?;
        configure::without_services(&self.root, || {
            for package in &unpacked {
                configure::preinst(&self.scripts, &self.root, &package.control)?;
            }
            Ok(())
        })?;
        // As installers do: the essential packages are complete before scripts of others run.
        let essential = |package: &&Unpacked| self.packages[package.number].essential;
        let mut configured = BTreeSet::new();
        self.configure_new(unpacked.iter().filter(essential), &mut configured)?;
        while !waiting.is_empty() {
            self.later_wave(&mut unpacked, &mut waiting, &mut configured)?;
        }
        self.configure(None)
    }

    /// Configures those of `packages` that are not in `configured`, which dpkg would refuse to do again.
    fn configure_new<'u>(
        &self,
        packages: impl Iterator<Item = &'u Unpacked>,
        configured: &mut BTreeSet<usize>,
    ) -> Result<(), Error> {
        let new: Vec<&Unpacked> = packages.filter(|package| configured.insert(package.number)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.configure(Some(&configure::names(new.into_iter())))
    }

    /// Configures what can be, then runs the `preinst` of the next packages and unpacks them.
    fn later_wave(
        &mut self,
        unpacked: &mut Vec<Unpacked>,
        waiting: &mut Vec<(usize, Control)>,
        configured: &mut BTreeSet<usize>,
    ) -> Result<(), Error> {
        let controls: Vec<_> = unpacked.iter().map(|package| (package.number, &package.control)).collect();
        let ready = configurable(&controls);
        self.configure_new(unpacked.iter().filter(|package| ready.contains(&package.number)), configured)?;
        let batch: BTreeSet<usize> =
            next_batch(&waiting.iter().map(|(number, control)| (*number, control)).collect::<Vec<_>>());
        for (_, control) in waiting.iter().filter(|(number, _)| batch.contains(number)) {
            configure::preinst(&self.scripts, &self.root, control)?;
        }
        waiting.retain(|(number, _)| !batch.contains(number));
        let jobs = jobs(self.packages, |number| batch.contains(&number));
        let serial =
            Mutex::new(unpacked.iter().map(|package| (package.number, package.control.clone())).collect());
        let unpacker = Unpacker {
            defer: false,
            diversions: self.diversions()?,
            done: AtomicUsize::new(unpacked.len()),
            ..unpacker(&self.options, &self.root, &self.ledger, Some(&serial), self.packages.len())
        };
        let new = unpacker.in_order(&jobs)?;
        let mut new: Vec<Unpacked> = new
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Unpacked(package) => Some(package),
                Outcome::NeedsPreinst(_) => None,
            })
            .collect();
        self.record(unpacked, &mut new, true)?;
        unpacked.extend(new);
        Ok(())
    }

    /// Finishes the unpacking of `new`: directories get their metadata, the database its entries. Packages of `earlier`
    /// waves lose what `new` ones took over.
    fn record(&mut self, earlier: &mut [Unpacked], new: &mut [Unpacked], again: bool) -> Result<(), Error> {
        for (path, metadata) in self.ledger.settle_directories() {
            self.root.set_metadata(&path, &metadata)?;
        }
        let merged = merged(self.options.architecture);
        for (owner, path) in self.ledger.take_lost() {
            if let Some(package) = new.iter_mut().find(|package| package.number == owner) {
                package.lose(&path, merged);
            }
            let package = earlier.iter_mut().find(|package| package.number == owner);
            if let Some(package) = package
                && package.lose(&path, merged)
            {
                package.control.write_list(&self.root, self.options.epoch, &package.paths)?;
            }
        }
        self.database.add(&self.root, new, again)
    }

    fn configure(&self, names: Option<&[String]>) -> Result<(), Error> {
        configure::without_services(&self.root, || {
            configure::configure(&self.scripts, &*self.options.progress, names, self.packages.len())
        })
    }

    fn diversions(&self) -> Result<Diversions, Error> {
        let Some(path) = admin("diversions") else { return Ok(Diversions::default()) };
        Diversions::parse(&self.root.read(&path, 16 << 20)?.unwrap_or_default())
    }
}

/// What unpacks packages before any script has run.
fn unpacker<'a>(
    options: &'a Options<'_>,
    root: &'a Root,
    ledger: &'a Ledger,
    serial: Option<&'a Mutex<Vec<(usize, Control)>>>,
    total: usize,
) -> Unpacker<'a> {
    Unpacker {
        root,
        cache: options.cache,
        ledger,
        diversions: Diversions::default(),
        merged: merged(options.architecture),
        defer: true,
        serial,
        interrupt: &options.interrupt,
        progress: &*options.progress,
        epoch: options.epoch,
        total,
        done: AtomicUsize::new(0),
    }
}

fn jobs(packages: &[Package], which: impl Fn(usize) -> bool) -> Vec<Job<'_>> {
    packages
        .iter()
        .enumerate()
        .filter(|(number, _)| which(*number))
        .map(|(number, package)| Job { number, package })
        .collect()
}

/// The top-level directories that are links into `usr` on `architecture` (merged /usr: Debian since 12, Ubuntu since
/// 20.10).
fn merged(architecture: &str) -> &'static [&'static str] {
    if architecture == "amd64" { &["bin", "lib", "lib64", "sbin"] } else { &["bin", "lib", "sbin"] }
}

/// Makes the links of a merged /usr, before any package could bring directories of these names.
fn prepare(root: &Root, options: &Options<'_>) -> Result<(), Error> {
    for directory in merged(options.architecture) {
        let link = EntryPath::parse(directory.as_bytes()).map_err(tree::Error::from)?;
        let target = format!("usr/{directory}");
        folder::ensure_all(
            root,
            &EntryPath::parse(target.as_bytes()).map_err(tree::Error::from)?,
            options.epoch,
        )?;
        root.symlink(&link, target.as_bytes(), &Metadata::new(0o777, options.epoch))?;
    }
    Ok(())
}
