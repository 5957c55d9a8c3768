//! From a plan to a lock and to packages in the cache, by the archive room.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::client::{self, Client, Download};
use archive::keyring::Keyring;
use archive::mirror::{self, Snapshot, Wanted};
use archive::solver::{Item, Request, Solution, solve};
use archive::source::{SignedBy, Source};
use archive::universe::{Origin as Suite, Universe};
use archive::{Cancel, Clock};

use crate::build::Session;
use crate::distro::machine_architecture;
use crate::events::{Event, Events};
use crate::format::Variant;
use crate::lock::{FORMAT, Lock, Package, Release};
use crate::plan::{Archive, ArchiveKind, Base, Origin, Plan};
use crate::{Error, emulator};

/// Where this machine's apt has its configuration.
const APT: &str = "/etc/apt";

/// Seconds since 1970 that stand for now when dates of release files are checked, for those who rebuild in the past.
const NOW: &str = "OVMLAYER_ROOTFS_NOW";

/// Resolves and fetches for one plan.
pub(crate) struct Resolver<'a> {
    plan: &'a Plan,
    origin: &'a Origin,
    snapshot: Option<Snapshot>,
    client: Client,
}

impl<'a> Resolver<'a> {
    /// Makes a resolver; nothing is fetched yet.
    pub(crate) fn new(session: &Session, plan: &'a Plan, origin: &'a Origin) -> Result<Self, Error> {
        let snapshot = origin
            .snapshot
            .as_deref()
            .map(str::parse::<Snapshot>)
            .transpose()
            .map_err(|error| Error::Archive(error.into()))?;
        let keyring = match &origin.keyring {
            Some(path) => Keyring::from_file(path),
            None => Keyring::of(plan.distro.distribution()),
        };
        let keyring = keyring.map_err(archive::Error::from)?;
        let mut options = client::Options::new(session.cache.clone(), Arc::new(keyring));
        options.offline = origin.offline;
        options.snapshot = snapshot;
        options.clock = clock();
        options.cancel = Cancel::from_flag(Arc::clone(session.interrupt.flag()));
        options.events = Arc::new(Counting::new(Arc::clone(&session.events)));
        if let Some(seconds) = origin.timeout {
            options.http.connect_timeout = Duration::from_secs(seconds);
            options.http.stall_timeout = Duration::from_secs(seconds);
        }
        if !origin.offline {
            let variable = |name: &str| std::env::var(name).ok();
            options.http.proxies = http::Proxies::of_machine(Path::new(APT), variable)
                .map_err(|failure| Error::Proxy { message: failure.to_string() })?;
        }
        Ok(Self { plan, origin, snapshot, client: Client::new(options)? })
    }

    /// The lock for what the archives have now.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let mut releases = Vec::new();
        let mut packages = Vec::new();
        let mut tools = Vec::new();
        let machine = machine_architecture();
        let foreign = self.plan.architectures.iter().any(|architecture| architecture != machine);
        let mut architectures = self.plan.architectures.clone();
        if foreign && !architectures.iter().any(|architecture| architecture == machine) {
            architectures.push(machine.to_owned());
        }
        let archives = self.archives(&architectures)?;
        for architecture in &architectures {
            let (universe, found) = self.universe(architecture, &archives)?;
            if self.plan.architectures.contains(architecture) {
                packages.extend(self.solve(&universe, architecture)?);
                releases.extend(found);
            }
            if foreign {
                tools.extend(
                    emulator::package(&universe).map(|tool| locked(&tool, architecture, 0)).transpose()?,
                );
            }
        }
        releases.sort();
        releases.dedup();
        Ok(Lock {
            format: FORMAT,
            recipe: self.plan.recipe.clone(),
            distro: self.plan.distro,
            suite: self.plan.suite.clone(),
            request: self.plan.request(),
            architectures: self.plan.architectures.clone(),
            releases,
            packages,
            tools,
        })
    }

    /// The packages of this machine that run programs of foreign architectures.
    pub(crate) fn tools(&self) -> Result<Vec<Package>, Error> {
        let machine = machine_architecture();
        let archives = self.archives(&[machine.to_owned()])?;
        let (universe, _) = self.universe(machine, &archives)?;
        let tool = emulator::package(&universe).ok_or_else(|| Error::CannotRun {
            architecture: "another architecture".to_owned(),
            reason: format!(
                "{} {} has no package `{}`: say another `distro` in the recipe or with `--distro`",
                self.plan.distro,
                self.plan.suite,
                emulator::PACKAGES[1]
            ),
        })?;
        Ok(vec![locked(&tool, machine, 0)?])
    }

    /// Fetches packages into the cache.
    pub(crate) fn download(&self, packages: &[&Package]) -> Result<(), Error> {
        let mut bases = BTreeMap::new();
        let mut downloads = Vec::new();
        for package in packages {
            let key = (package.root.as_str(), package.archive.as_str());
            if let std::collections::btree_map::Entry::Vacant(vacant) = bases.entry(key) {
                vacant.insert(self.base(&package.root, &package.archive)?);
            }
            let base = bases.get(&key).map(String::as_str).unwrap_or_default();
            downloads.push(Download {
                name: format!("{} {} ({})", package.name, package.version, package.architecture),
                path: package.path.clone(),
                archive: format!("the {} archive of {}", package.archive, self.plan.distro),
                size: package.size,
                sha256: package.sha256,
                urls: vec![format!("{}/{}", base.trim_end_matches('/'), package.path)],
            });
        }
        self.client.download(&downloads)?;
        Ok(())
    }

    /// The verified release files that roots of `architectures` need, each fetched once.
    fn archives(&self, architectures: &[String]) -> Result<Vec<client::Archive>, Error> {
        let mut sources: Vec<Source> = Vec::new();
        for architecture in architectures {
            for (_, source) in self.sources(architecture)? {
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
        }
        Ok(self.client.releases(&sources)?)
    }

    /// All packages for roots of `architecture`, and the release files that vouch for them.
    fn universe(
        &self,
        architecture: &str,
        known: &[client::Archive],
    ) -> Result<(Universe, Vec<Release>), Error> {
        let mut names = Vec::new();
        let mut archives = Vec::new();
        for (name, source) in self.sources(architecture)? {
            names.push(name);
            archives.extend(known.iter().find(|archive| archive.source == source).cloned());
        }
        let indices = self.client.indices(&archives, architecture)?;
        let mut universe = Universe::new(architecture);
        for index in indices {
            let found = &archives[index.archive];
            let mut suite = Suite::new(&names[index.archive]);
            suite.suites = [
                Some(found.source.suite.clone()),
                found.release.suite.clone(),
                found.release.codename.clone(),
            ]
            .into_iter()
            .flatten()
            .collect();
            suite.pin = match (found.release.not_automatic, found.release.but_automatic_upgrades) {
                (false, _) => Suite::AUTOMATIC,
                (true, true) => Suite::AUTOMATIC_UPGRADES,
                (true, false) => Suite::NOT_AUTOMATIC,
            };
            universe
                .add_index(suite, index.read()?)
                .map_err(|error| Error::Index { message: error.to_string() })?;
        }
        let releases = names.iter().zip(&archives).map(|(name, found)| Release {
            archive: name.clone(),
            suite: found.source.suite.clone(),
            date: found.release.date.to_string(),
            sha256: found.digest,
        });
        Ok((universe, releases.collect()))
    }

    fn solve(&self, universe: &Universe, architecture: &str) -> Result<Vec<Package>, Error> {
        let mut items = Vec::new();
        if self.plan.variant != Variant::Essential {
            items.push(Item::named("apt"));
        }
        for name in &self.plan.packages {
            items.push(
                name.parse::<Item>().map_err(|error| Error::PackageName { message: error.to_string() })?,
            );
        }
        let request = Request { items, essential: true, required: self.plan.variant == Variant::Minbase };
        let solution = solve(universe, &request)?;
        let base = solve(universe, &essential(&solution))?;
        let requested = |name: &str| {
            request.items.iter().any(|item| item.name == name)
                || (request.required && is_required(&solution, name))
        };
        let packages = solution.packages.iter().zip(0..).map(|(found, order)| {
            let mut package = locked(found, architecture, order)?;
            package.essential = base.packages.iter().any(|essential| essential.name() == package.name);
            package.requested = requested(&package.name);
            Ok(package)
        });
        packages.collect()
    }

    /// The sources for roots of `architecture`, each with the name of its archive.
    fn sources(&self, architecture: &str) -> Result<Vec<(String, Source)>, Error> {
        let mut sources = Vec::new();
        for archive in &self.plan.archives {
            let uri = self.base(architecture, &archive.name)?;
            for suite in &archive.suites {
                let source = Source {
                    uri: uri.clone(),
                    suite: suite.clone(),
                    components: archive.components.clone(),
                    architectures: Vec::new(),
                    signed_by: archive.signed_by.clone().map_or(SignedBy::Distribution, SignedBy::File),
                };
                sources.push((archive.name.clone(), source));
            }
        }
        Ok(sources)
    }

    /// The base address of the archive called `name` for `architecture`.
    fn base(&self, architecture: &str, name: &str) -> Result<String, Error> {
        let archive =
            self.plan.archive(name).ok_or_else(|| Error::UnknownArchive { name: name.to_owned() })?;
        if let (ArchiveKind::Extra, Some(address)) = (archive.kind, &archive.recipe_address) {
            return Ok(mirror::pin(address, self.snapshot).map_err(archive::Error::from)?);
        }
        let security = self.plan.archives.iter().find(|archive| archive.kind == ArchiveKind::Security);
        let main = self.plan.archives.iter().find(|archive| archive.kind == ArchiveKind::Main);
        let given = |command: &[Base], archive: Option<&'a Archive>| -> Option<String> {
            let command = Base::choose(command, architecture).map(str::to_owned);
            command.or_else(|| archive.and_then(|archive| archive.recipe_address.clone()))
        };
        let (main, security) =
            (given(&self.origin.mirror, main), given(&self.origin.security_mirror, security));
        let wanted = Wanted {
            distribution: self.plan.distro.distribution(),
            architecture,
            mirror: main.as_deref(),
            security_mirror: security.as_deref(),
            snapshot: self.snapshot,
            apt: Path::new(APT),
        };
        let chosen = mirror::choose(&wanted).map_err(archive::Error::from)?;
        Ok(if archive.kind == ArchiveKind::Security { chosen.security } else { chosen.main })
    }
}

/// A request for the packages that say that they are essential. apt counts itself among them, other tools do not.
fn essential(solution: &Solution<'_>) -> Request {
    let says_so = solution.packages.iter().filter(|package| package.field("Essential") == Some("yes"));
    Request { items: says_so.map(|package| Item::named(package.name())).collect(), ..Request::default() }
}

fn is_required(solution: &Solution<'_>, name: &str) -> bool {
    let required = Some(archive::universe::Priority::Required);
    solution.packages.iter().any(|package| package.name() == name && package.priority() == required)
}

/// A package of an index as a lock has it.
fn locked(package: &archive::universe::Package<'_>, root: &str, order: u32) -> Result<Package, Error> {
    let lacks = |field: &str| Error::Index {
        message: format!("the index gives no {field} for package `{}` {}", package.name(), package.version()),
    };
    Ok(Package {
        root: root.to_owned(),
        order,
        name: package.name().to_owned(),
        version: package.version().to_owned(),
        architecture: package.architecture().to_owned(),
        archive: package.origin().id.clone(),
        path: package.filename().ok_or_else(|| lacks("Filename"))?.to_owned(),
        size: package.size().ok_or_else(|| lacks("Size"))?,
        sha256: cache::Digest(package.sha256().ok_or_else(|| lacks("SHA256"))?),
        essential: false,
        requested: false,
    })
}

fn clock() -> Clock {
    let now = std::env::var(NOW).ok().and_then(|text| text.parse().ok());
    now.and_then(|seconds| archive::Timestamp::from_second(seconds).ok()).map_or(Clock::System, Clock::Fixed)
}

/// Adds up what the client tells.
struct Counting {
    events: Arc<dyn Events>,
    files: AtomicU64,
    total_files: AtomicU64,
    bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl Counting {
    fn new(events: Arc<dyn Events>) -> Self {
        Self {
            events,
            files: AtomicU64::new(0),
            total_files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
        }
    }
}

impl client::Events for Counting {
    fn event(&self, event: &client::Event<'_>) {
        match event {
            client::Event::Planned { files, bytes } => {
                self.total_files.fetch_add(*files as u64, Ordering::Relaxed);
                self.total_bytes.fetch_add(*bytes, Ordering::Relaxed);
            }
            client::Event::Received { bytes } => {
                self.bytes.fetch_add(*bytes, Ordering::Relaxed);
            }
            client::Event::Adjusted { bytes } => {
                self.bytes.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
            }
            client::Event::Finished { .. } => {
                self.files.fetch_add(1, Ordering::Relaxed);
            }
            client::Event::Retrying { name, failure } => {
                self.events
                    .event(Event::Warning { message: format!("trying again to fetch {name}: {failure}") });
                return;
            }
            _ => return,
        }
        self.events.event(Event::Downloaded {
            files: self.files.load(Ordering::Relaxed),
            total_files: self.total_files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
        });
    }
}
