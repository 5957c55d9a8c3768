//! The phases of a build, in order.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use cache::Cache;
use tree::{EntryPath, Links, Metadata, Root};

use crate::configure;
use crate::database::{Control, Database, admin};
use crate::diversion::Diversions;
use crate::folder;
use crate::ledger::Ledger;
use crate::order::{configurable, next_batch};
use crate::script::{Progress, Scripts};
use crate::staging;
use crate::unpack::{Job, Outcome, Stop, Unpacked, Unpacker};
use crate::{Error, Interrupt, Package};

/// Where and how a root is built.
pub struct Options<'a> {
    /// An empty folder that becomes the root.
    pub root: &'a Path,
    /// An empty folder on the same file system, for files on their way into the root.
    pub staging: &'a Path,
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
    /// How many packages are unpacked, and how many dpkg has begun to configure.
    unpacked: AtomicUsize,
    configured: AtomicUsize,
}

/// How packages are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Several at the same time.
    SideBySide,
    /// One after the other, in dpkg's order.
    InOrder,
}

/// Where the packages of a build are on their way.
#[derive(Debug, Default)]
struct State {
    unpacked: Vec<Unpacked>,
    /// Those whose `preinst` has to run before they are unpacked.
    waiting: Vec<(usize, Control)>,
    /// The numbers of those that dpkg was told to configure by name.
    configured: BTreeSet<usize>,
}

impl State {
    /// Sorts `outcomes`, and gives the packages that are new in the tree.
    fn sort(&mut self, outcomes: Vec<(usize, Outcome)>) -> Vec<Unpacked> {
        let mut new = Vec::new();
        for (number, outcome) in outcomes {
            match outcome {
                Outcome::Unpacked(package) => new.push(package),
                Outcome::NeedsPreinst(control) => self.waiting.push((number, control)),
            }
        }
        new
    }
}

impl<'a> Build<'a> {
    /// Installs `packages`, given in dpkg's order, into the empty folder `options.root`: unpacks them and runs their
    /// maintainer scripts.
    ///
    /// # Errors
    /// What [`Error`] says. The folder then holds an unfinished root.
    pub fn install(options: Options<'a>, packages: &'a [Package]) -> Result<Self, Error> {
        let mut build = Self::empty(options, packages)?;
        match build.install_all(Manner::SideBySide) {
            Ok(()) => Ok(build),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::OrderMatters(_)) => {
                folder::clear(&build.root, &EntryPath::ROOT)?;
                folder::clear(&Root::open(build.options.staging, Links::Refuse)?, &EntryPath::ROOT)?;
                let mut build = Self::empty(build.options, packages)?;
                build.install_all(Manner::InOrder).map_err(Stop::into_error)?;
                Ok(build)
            }
        }
    }

    /// A root with nothing but what packages expect to be there.
    fn empty(options: Options<'a>, packages: &'a [Package]) -> Result<Self, Error> {
        let scripts = Scripts::new(
            options.root,
            options.epoch,
            options.interrupt.clone(),
            Arc::clone(&options.progress),
        );
        let root = Root::open(options.root, Links::WithinRoot)?;
        prepare(&root, &options)?;
        let database = Database::create(&root, options.epoch)?;
        let ledger = Ledger::default();
        let (unpacked, configured) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { options, packages, root, ledger, database, scripts, unpacked, configured })
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

    /// As installers do: the essential packages are complete before scripts of others run.
    fn install_all(&mut self, manner: Manner) -> Result<(), Stop> {
        let mut state = State::default();
        let (essential, others) = self.jobs();
        let unpacker = self.unpacker(&self.root, Diversions::default());
        let outcomes = match manner {
            Manner::SideBySide => unpacker.side_by_side(&essential, self.options.jobs)?,
            Manner::InOrder => unpacker.in_order(&essential, Vec::new())?,
        };
        let mut new = state.sort(outcomes);
        self.record(&mut [], &mut new, false)?;
        let outcomes = match manner {
            Manner::SideBySide => self.configure_and_stage(&new, &others)?,
            Manner::InOrder => {
                self.configure_essential(&new)?;
                let known = new.iter().map(|package| (package.number, package.control.clone())).collect();
                self.unpacker(&self.root, self.diversions()?).in_order(&others, known)?
            }
        };
        state.configured.extend(new.iter().map(|package| package.number));
        state.unpacked.extend(new);
        let mut new = state.sort(outcomes);
        self.record(&mut state.unpacked, &mut new, true)?;
        state.unpacked.extend(new);
        while !state.waiting.is_empty() {
            self.later_wave(&mut state)?;
        }
        Ok(self.configure(None)?)
    }

    /// Configures the essential packages, and meanwhile unpacks the others aside, where no script sees them half done.
    fn configure_and_stage(
        &self,
        essential: &[Unpacked],
        others: &[Job<'_>],
    ) -> Result<Vec<(usize, Outcome)>, Stop> {
        let staging = Root::open(self.options.staging, Links::Refuse)?;
        if let Some(info) = admin("info") {
            folder::ensure_all(&staging, &info, self.options.epoch)?;
        }
        let unpacker = self.unpacker(&staging, Diversions::default());
        // Scripts keep one processor busy.
        let workers = self.options.jobs.saturating_sub(1).max(1);
        let (configured, outcomes) = std::thread::scope(|scope| {
            let stage = scope.spawn(|| unpacker.side_by_side(others, workers));
            let configured = self.configure_essential(essential);
            (configured, stage.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        configured?;
        let outcomes = outcomes?;
        staging::move_in(&staging, &self.root, &self.diversions()?)?;
        Ok(outcomes)
    }

    fn configure_essential(&self, essential: &[Unpacked]) -> Result<(), Error> {
        if essential.is_empty() {
            return Ok(());
        }
        configure::without_services(&self.root, || {
            essential
                .iter()
                .try_for_each(|package| configure::preinst(&self.scripts, &self.root, &package.control))
        })?;
        self.configure(Some(&configure::names(essential.iter())))
    }

    /// Configures what can be, then runs the `preinst` of the next packages and unpacks them.
    fn later_wave(&mut self, state: &mut State) -> Result<(), Error> {
        let controls: Vec<_> =
            state.unpacked.iter().map(|package| (package.number, &package.control)).collect();
        let ready = configurable(&controls);
        // What is configured dpkg would refuse to do again.
        let new =
            |package: &&Unpacked| ready.contains(&package.number) && state.configured.insert(package.number);
        let names = configure::names(state.unpacked.iter().filter(new));
        if !names.is_empty() {
            self.configure(Some(&names))?;
        }
        let waiting: Vec<_> = state.waiting.iter().map(|(number, control)| (*number, control)).collect();
        let batch = next_batch(&waiting);
        for (_, control) in waiting.iter().filter(|(number, _)| batch.contains(number)) {
            configure::preinst(&self.scripts, &self.root, control)?;
        }
        state.waiting.retain(|(number, _)| !batch.contains(number));
        let jobs: Vec<Job<'_>> =
            batch.iter().map(|&number| Job { number, package: &self.packages[number] }).collect();
        let known = state.unpacked.iter().map(|package| (package.number, package.control.clone())).collect();
        let unpacker = Unpacker { defer: false, ..self.unpacker(&self.root, self.diversions()?) };
        let outcomes = unpacker.in_order(&jobs, known)?;
        let mut new = state.sort(outcomes);
        self.record(&mut state.unpacked, &mut new, true)?;
        state.unpacked.extend(new);
        Ok(())
    }

    /// Finishes the unpacking of `new`: directories get their metadata, the database its entries. Packages of `earlier`
    /// waves lose what `new` ones took over. `again` when dpkg has run before.
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
        let done = configure::without_services(&self.root, || {
            let progress = &*self.options.progress;
            configure::configure(&self.scripts, progress, names, &self.configured, self.packages.len())
        });
        // Scripts may have put other folders in the place of those that are held open.
        self.root.forget_parents();
        done
    }

    fn diversions(&self) -> Result<Diversions, Error> {
        let Some(path) = admin("diversions") else { return Ok(Diversions::default()) };
        Diversions::parse(&self.root.read(&path, 16 << 20)?.unwrap_or_default())
    }

    /// The essential packages and the others, each in dpkg's order.
    fn jobs(&self) -> (Vec<Job<'a>>, Vec<Job<'a>>) {
        let all = self.packages.iter().enumerate().map(|(number, package)| Job { number, package });
        all.partition(|job| job.package.essential)
    }

    fn unpacker<'u>(&'u self, root: &'u Root, diversions: Diversions) -> Unpacker<'u> {
        Unpacker {
            root,
            cache: self.options.cache,
            ledger: &self.ledger,
            diversions,
            merged: merged(self.options.architecture),
            defer: true,
            serial: None,
            interrupt: &self.options.interrupt,
            progress: &*self.options.progress,
            epoch: self.options.epoch,
            total: self.packages.len(),
            done: &self.unpacked,
        }
    }
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
