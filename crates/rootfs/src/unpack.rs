//! Unpacks packages side by side into the tree.
//!
//! Every worker reads one `.deb` from its first byte to its last, once. Workers share the tree and a [`Ledger`]; when the
//! ledger finds that the order of two packages would decide about a path, the whole attempt is dropped and repeated by
//! one worker in dpkg's order, with dpkg's rules for replaced files ([`crate::conflict`]). That is rare: a file in two
//! packages of one suite is a bug that archives look for.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archive::deb::Deb;
use cache::Cache;
use md5::{Digest as _, Md5};
use tree::{EntryPath, Kind, Metadata, Root};

use crate::conflict::{Settlement, settle};
use crate::database::Control;
use crate::diversion::Diversions;
use crate::folder;
use crate::ledger::{Claim, Ledger};
use crate::preinst::does_nothing_at_first;
use crate::script::Progress;
use crate::{Error, Interrupt, Package};

/// The suffix under which dpkg unpacks a configuration file, until it is configured.
const NEW_CONFFILE: &[u8] = b".dpkg-new";

/// One package to unpack and its place in dpkg's order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) number: usize,
    pub(crate) package: &'a Package,
}

/// A package whose files are in the tree.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) number: usize,
    pub(crate) control: Control,
    /// The paths as its members name them, absolute, in the order of the members; what its `.list` will say.
    pub(crate) paths: Vec<Vec<u8>>,
}

impl Unpacked {
    /// Takes what is at `path` in the tree off the package's list; tells whether it was there.
    pub(crate) fn lose(&mut self, path: &EntryPath, merged: &[&str]) -> bool {
        let is_it = |named: &Vec<u8>| {
            EntryPath::parse(named.strip_prefix(b"/").unwrap_or(named))
                .is_ok_and(|named| merge_usr(&named, merged) == *path)
        };
        let before = self.paths.len();
        self.paths.retain(|named| !is_it(named));
        self.paths.len() != before
    }
}

/// What became of a package.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the tree.
    Unpacked(Unpacked),
    /// It has a `preinst` that has to run first.
    NeedsPreinst(Control),
}

/// Why an attempt ended early.
pub(crate) enum Stop {
    /// For good.
    Failed(Error),
    /// Two packages share a path: to be repeated in dpkg's order.
    OrderMatters(Error),
}

impl Stop {
    /// The error that it is when nothing can be repeated.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Failed(error) | Self::OrderMatters(error) => error,
        }
    }
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Everything that the workers share.
pub(crate) struct Unpacker<'a> {
    pub(crate) root: &'a Root,
    pub(crate) cache: &'a Cache,
    pub(crate) ledger: &'a Ledger,
    pub(crate) diversions: Diversions,
    /// Top-level directories that are links into `usr`.
    pub(crate) merged: &'a [&'static str],
    /// Leave packages alone whose `preinst` has to run first.
    pub(crate) defer: bool,
    /// The controls of the packages unpacked so far, when one worker goes in dpkg's order.
    pub(crate) serial: Option<Mutex<Vec<(usize, Control)>>>,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) progress: &'a dyn Progress,
    /// The modification time of what no package gives one, in seconds.
    pub(crate) epoch: i64,
    pub(crate) total: usize,
    pub(crate) done: &'a AtomicUsize,
}

impl Unpacker<'_> {
    /// Unpacks all `jobs` one after the other, in dpkg's order.
    /// `known` are the packages that are in the tree already.
    pub(crate) fn in_order(
        self,
        jobs: &[Job<'_>],
        known: Vec<(usize, Control)>,
    ) -> Result<Vec<(usize, Outcome)>, Error> {
        let unpacker = Self { serial: Some(Mutex::new(known)), ..self };
        jobs.iter().map(|job| Ok((job.number, unpacker.package(*job).map_err(Stop::into_error)?))).collect()
    }

    /// Unpacks all `jobs` with `workers` threads; the outcomes are in dpkg's order.
    pub(crate) fn side_by_side(
        &self,
        jobs: &[Job<'_>],
        workers: usize,
    ) -> Result<Vec<(usize, Outcome)>, Stop> {
        let mut queue: Vec<Job<'_>> = jobs.to_vec();
        // The largest first, so that no worker is left alone with one at the end.
        queue.sort_by_key(|job| std::cmp::Reverse(job.package.size));
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let outcomes = Mutex::new(Vec::with_capacity(queue.len()));
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..workers.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(job) = queue.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        match self.package(*job) {
                            Ok(outcome) => {
                                outcomes
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push((job.number, outcome));
                            }
                            Err(error) => {
                                stop.store(true, Ordering::Relaxed);
                                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        if let Some(stop) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(stop);
        }
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(number, _)| *number);
        Ok(outcomes)
    }

    fn package(&self, job: Job<'_>) -> Result<Outcome, Stop> {
        let name = &job.package.name;
        let file = self
            .cache
            .file(&job.package.digest)?
            .ok_or_else(|| Error::NotCached { package: name.clone() })?;
        let failed = |source| Error::Deb { package: name.clone(), source };
        let deb = Deb::open(file).map_err(failed)?;
        let control = Control::read(job.package, deb.control())?;
        if self.defer && !job.package.essential && control.preinst().is_some() {
            return Ok(Outcome::NeedsPreinst(control));
        }
        if let Some(unpacked) = &self.serial {
            unpacked.lock().unwrap_or_else(PoisonError::into_inner).push((job.number, control.clone()));
        }
        let limit = control.expanded_limit(job.package.size);
        let mut members = Members {
            unpacker: self,
            job,
            control: &control,
            paths: Vec::new(),
            links: Vec::new(),
            seen: HashSet::new(),
            sums: None,
        };
        if control.file("md5sums").is_none() {
            members.sums = Some(Sums::default());
        }
        let (_, mut data) = deb.into_data(limit).map_err(failed)?;
        while let Some(mut member) =
            data.next().map_err(|source| Error::Unpack { package: name.clone(), source })?
        {
            if self.interrupt.is_set() {
                return Err(Error::Interrupted.into());
            }
            // dpkg knows whole seconds only.
            member.entry.metadata.mtime_nanos = 0;
            members.place(&member.entry, &mut data.data())?;
        }
        let (mut paths, links, sums) = (members.paths, members.links, members.sums);
        paths.extend(links);
        control.write_info(self.root, self.epoch, sums.map(|sums| sums.text))?;
        self.progress.unpacked(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
        Ok(Outcome::Unpacked(Unpacked { number: job.number, control, paths }))
    }
}

/// Puts the members of one package into the tree.
struct Members<'a> {
    unpacker: &'a Unpacker<'a>,
    job: Job<'a>,
    control: &'a Control,
    paths: Vec<Vec<u8>>,
    /// Those of symbolic links: dpkg makes and lists them after everything else.
    links: Vec<Vec<u8>>,
    /// The directories that this package has brought.
    seen: HashSet<EntryPath>,
    /// The text of `md5sums`, when the package brings none: dpkg makes one then.
    sums: Option<Sums>,
}

/// The text of a `md5sums` in the making, and the sums by path, for hard links have that of their file.
#[derive(Default)]
struct Sums {
    text: String,
    by_path: HashMap<EntryPath, String>,
}

impl Sums {
    fn add(&mut self, path: &EntryPath, sum: String) {
        self.text.push_str(&format!("{sum}  {}\n", String::from_utf8_lossy(path.as_bytes())));
        self.by_path.insert(path.clone(), sum);
    }
}

impl Members<'_> {
    fn place(&mut self, entry: &tree::Entry, data: &mut dyn Read) -> Result<(), Stop> {
        let named = absolute(&entry.path);
        let path = merge_usr(&entry.path, self.unpacker.merged);
        let path = self.unpacker.diversions.target(&path, &self.job.package.name).clone();
        match &entry.kind {
            Kind::Directory => self.directory(&entry.path, &path, &entry.metadata)?,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                return Err(self.refused(&entry.path, "a device node").into());
            }
            _ => {
                if !self.other(entry, &path, data)? {
                    return Ok(());
                }
            }
        }
        let list = if matches!(entry.kind, Kind::Symlink { .. }) { &mut self.links } else { &mut self.paths };
        list.push(named);
        Ok(())
    }

    fn directory(&mut self, named: &EntryPath, path: &EntryPath, metadata: &Metadata) -> Result<(), Stop> {
        if self.is_merged(named) {
            return Ok(());
        }
        if !self.seen.insert(path.clone()) {
            return Ok(());
        }
        self.parent(path)?;
        match self.unpacker.ledger.directory(path, self.job.number, metadata) {
            // Shared: another worker may have claimed it and not made it yet.
            Claim::New | Claim::Shared => folder::ensure(self.unpacker.root, path, self.unpacker.epoch)
                .map_err(|source| self.failed(source).into()),
            Claim::OrderMatters(owner) if owner == self.job.number => {
                Err(self.refused(path, "as or beneath what it has as a link or file").into())
            }
            Claim::OrderMatters(owner) => self.directory_over(path, metadata, owner),
        }
    }

    /// Settles about a directory where package number `owner` has something else.
    fn directory_over(&mut self, path: &EntryPath, metadata: &Metadata, owner: usize) -> Result<(), Stop> {
        let (root, epoch) = (self.unpacker.root, self.unpacker.epoch);
        // dpkg keeps a link that leads to a directory.
        if self.unpacker.serial.is_some() && folder::ensure(root, path, epoch).is_ok() {
            return Ok(());
        }
        if self.settle(path, owner)? {
            self.unpacker.ledger.take_over(path, self.job.number, Some(metadata.clone()));
            folder::ensure(root, path, epoch).map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// Makes sure that the directory above `path` is there, also when the package does not bring it.
    fn parent(&mut self, path: &EntryPath) -> Result<(), Stop> {
        match path.parent() {
            Some(parent) if !self.seen.contains(&parent) => {
                self.directory(&parent.clone(), &parent, &Metadata::new(0o755, self.unpacker.epoch))
            }
            _ => Ok(()),
        }
    }

    /// Places anything but a directory; tells whether the package owns it now.
    fn other(&mut self, entry: &tree::Entry, path: &EntryPath, data: &mut dyn Read) -> Result<bool, Stop> {
        if self.is_merged(&entry.path) {
            if !leads_into_usr(entry) {
                return Err(self.refused(&entry.path, "where a merged /usr has its link").into());
            }
            self.unpacker
                .root
                .set_metadata(&entry.path, &entry.metadata)
                .map_err(|source| self.failed(source))?;
            return Ok(true);
        }
        self.parent(path)?;
        let mut target = path.clone();
        match self.unpacker.ledger.other(path, self.job.number) {
            Claim::New | Claim::Shared => {}
            Claim::OrderMatters(owner) if owner == self.job.number => {
                return Err(self.refused(path, "which it has already").into());
            }
            Claim::OrderMatters(owner) => {
                if !self.settle(path, owner)? {
                    return Ok(false);
                }
            }
        }
        let is_conffile = self.control.is_conffile(&absolute(&entry.path));
        if is_conffile && matches!(entry.kind, Kind::File { .. }) {
            target =
                with_suffix(path, NEW_CONFFILE).map_err(|_| self.refused(path, "whose name is too long"))?;
        }
        self.create(entry, &target, data)?;
        Ok(true)
    }

    fn create(&mut self, entry: &tree::Entry, target: &EntryPath, data: &mut dyn Read) -> Result<(), Stop> {
        let root = self.unpacker.root;
        let done = match &entry.kind {
            Kind::File { .. } => match &mut self.sums {
                Some(sums) => {
                    let mut hashing = Hashing { inner: data, md5: Md5::new() };
                    let done = root.write_file(target, &entry.metadata, &mut hashing).map(drop);
                    sums.add(&entry.path, hex::encode(hashing.md5.finalize()));
                    done
                }
                None => root.write_file(target, &entry.metadata, data).map(drop),
            },
            Kind::Symlink { target: to } => root.symlink(target, to, &entry.metadata),
            Kind::HardLink { target: first } => {
                let merged = merge_usr(first, self.unpacker.merged);
                let mut first_path = self.unpacker.diversions.target(&merged, &self.job.package.name).clone();
                if self.control.is_conffile(&absolute(first)) {
                    first_path = with_suffix(&first_path, NEW_CONFFILE)
                        .map_err(|_| self.refused(&first_path, "whose name is too long"))?;
                }
                if let Some(sums) = &mut self.sums
                    && let Some(sum) = sums.by_path.get(first).cloned()
                {
                    sums.add(&entry.path, sum);
                }
                root.hard_link(target, &first_path)
            }
            Kind::Fifo => root.make_fifo(target, &entry.metadata),
            Kind::Directory | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Ok(()),
        };
        done.map_err(|source| self.failed(source).into())
    }

    /// Decides about a path that package number `owner` has: whether this package gets it.
    fn settle(&self, path: &EntryPath, owner: usize) -> Result<bool, Stop> {
        let Some(unpacked) = &self.unpacker.serial else {
            return Err(Stop::OrderMatters(self.refused(path, "which another package has too")));
        };
        let unpacked = unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, theirs)) = unpacked.iter().find(|(number, _)| *number == owner) else { return Ok(true) };
        match settle(self.control, theirs) {
            Settlement::TakeOver => {
                self.unpacker.ledger.take_over(path, self.job.number, None);
                self.unpacker.root.remove_file(path).map_err(|source| self.failed(source))?;
                Ok(true)
            }
            Settlement::Keep => Ok(false),
            Settlement::Refuse => Err(Error::FileConflict {
                first: theirs.name().to_owned(),
                second: self.control.name().to_owned(),
                path: String::from_utf8_lossy(path.as_bytes()).into_owned(),
            }
            .into()),
        }
    }

    fn is_merged(&self, named: &EntryPath) -> bool {
        self.unpacker.merged.iter().any(|directory| directory.as_bytes() == named.as_bytes())
    }

    fn refused(&self, path: &EntryPath, what: &'static str) -> Error {
        Error::Refused {
            package: self.job.package.name.clone(),
            path: String::from_utf8_lossy(path.as_bytes()).into_owned(),
            what,
        }
    }

    fn failed(&self, source: tree::Error) -> Error {
        Error::Unpack { package: self.job.package.name.clone(), source }
    }
}

/// Reads through and hashes what passes.
struct Hashing<'a> {
    inner: &'a mut dyn Read,
    md5: Md5,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.md5.update(&buffer[..count]);
        Ok(count)
    }
}

/// `path` as dpkg's database names it: absolute, the root as `/.`.
fn absolute(path: &EntryPath) -> Vec<u8> {
    if path.is_root() { b"/.".to_vec() } else { [b"/", path.as_bytes()].concat() }
}

/// Whether `entry` is the link that a merged /usr has in its place.
fn leads_into_usr(entry: &tree::Entry) -> bool {
    let Kind::Symlink { target } = &entry.kind else { return false };
    let relative = target.strip_prefix(b"/").unwrap_or(target);
    relative.strip_prefix(b"usr/") == Some(entry.path.as_bytes())
}

/// Where `path` really is when the directories `merged` are links into `usr`.
fn merge_usr(path: &EntryPath, merged: &[&str]) -> EntryPath {
    let bytes = path.as_bytes();
    let is_merged = merged.iter().any(|directory| {
        bytes.strip_prefix(directory.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    });
    if !is_merged {
        return path.clone();
    }
    EntryPath::parse(&[b"usr/", bytes].concat()).unwrap_or_else(|_| path.clone())
}

fn with_suffix(path: &EntryPath, suffix: &[u8]) -> Result<EntryPath, tree::PathError> {
    EntryPath::parse(&[path.as_bytes(), suffix].concat())
}

/// The `preinst` of a package when it does something at a first installation.
pub(crate) fn effective_preinst(script: Option<&[u8]>) -> Option<&[u8]> {
    script.filter(|script| !does_nothing_at_first(script))
}
