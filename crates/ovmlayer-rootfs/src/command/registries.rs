//! Places that images are in, opened as the command line says.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use http::Cancel;
use image::events::Events;
use image::registry::{Access, Credentials, Given, Options, Repository, Secret, open_repository};
use image::{Blobs, Descriptor, Layout, Location, Place, Reference, Referrers, Remote, Source, open_source};
use recipe::build::Interrupt;

use crate::cli::{Network, Registries};
use crate::progress::{Shown, Transfer};

/// No password is longer, in bytes.
const PASSWORD_LIMIT: u64 = 64 << 10;

/// How to reach the registries that `locations` lie in.
pub(super) fn options(
    registries: &Registries,
    network: &Network,
    locations: &[&Location],
    events: Arc<dyn Events>,
    cancel: Cancel,
) -> Result<Options, Box<dyn Error>> {
    let cache = match &network.cache_dir {
        Some(path) => Cache::open(path)?,
        None => Cache::open(&Cache::default_path()?)?,
    };
    let variable = |name: &str| std::env::var(name).ok();
    let given = registries.creds.iter().map(|text| given(text, &variable)).collect::<Result<_, _>>()?;
    let credentials = Credentials::of_environment(given, variable)?;
    let hosts: BTreeSet<&str> = locations
        .iter()
        .filter_map(|location| match location {
            Location::Registry(reference) => Some(reference.registry.as_str()),
            _ => None,
        })
        .collect();
    if credentials.has_general() && hosts.len() > 1 {
        let hosts: Vec<&str> = hosts.into_iter().collect();
        return Err(format!(
            "the credentials are for one registry, and there are {}: say for which, by `--creds HOST=USER` or \
             OVMLAYER_REGISTRY_HOST",
            hosts.join(" and ")
        )
        .into());
    }
    let mut http = http::Options { proxies: http::Proxies::of_environment(variable)?, ..Default::default() };
    for path in &registries.ca {
        http.extra_roots.extend(http::Roots::read(path)?);
    }
    if let Some(seconds) = network.timeout {
        http.connect_timeout = Duration::from_secs(seconds);
        http.stall_timeout = Duration::from_secs(seconds);
    }
    Ok(Options {
        http,
        plain_http: registries.plain_http.clone(),
        credentials,
        offline: network.offline,
        events,
        cancel,
        ..Options::new(cache)
    })
}

/// Reads `[HOST=]USER[:PASSWORD]`. What is wrong with it is said without showing it.
fn given(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Given, Box<dyn Error>> {
    // A registry's name can be told from the beginning of a name and a password: it makes a reference.
    let is_host = |host: &str| format!("{host}/x").parse::<Reference>().is_ok_and(|it| it.registry == host);
    let (registry, rest) = match text.split_once('=') {
        Some((host, rest)) if is_host(host) => (Some(host.to_owned()), rest),
        _ => (None, text),
    };
    let (user, password) = match rest.split_once(':') {
        Some((user, "-")) => (user, first_line_of_input()?),
        Some((user, password)) => (user, password.to_owned()),
        None => {
            let known = variable("OVMLAYER_REGISTRY_PASSWORD").filter(|password| !password.is_empty());
            (rest, known.ok_or("`--creds` has no password: set OVMLAYER_REGISTRY_PASSWORD, or write USER:- and give it on standard input")?)
        }
    };
    if user.is_empty() {
        return Err("`--creds` has no user: it is [HOST=]USER[:PASSWORD]".into());
    }
    Ok(Given { registry, user: user.to_owned(), password: Secret::new(password) })
}

fn first_line_of_input() -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().lock().take(PASSWORD_LIMIT).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// An image where it is.
pub(super) struct Opened {
    place: Held,
    /// Its manifest or index.
    root: Descriptor,
}

enum Held {
    Layout(Layout),
    Archive(Box<dyn Source>),
    Repository(Box<Repository>),
}

impl Opened {
    /// Opens the image that `location` names.
    pub(super) fn open(location: &Location, options: &Options) -> image::Result<Self> {
        match location {
            Location::Registry(reference) => Self::of_registry(reference, options),
            Location::Layout { path, tag } => {
                let layout = Layout::open(path)?;
                let root = layout.find(tag.as_deref())?;
                Ok(Self { place: Held::Layout(layout), root })
            }
            Location::LayoutTar { .. } | Location::DockerArchive { .. } => {
                let scratch = options.cache.root().join("build");
                let io = |source| image::Error::Io { operation: "create", path: scratch.clone(), source };
                std::fs::create_dir_all(&scratch).map_err(io)?;
                let source = open_source(location, &scratch, None)?;
                let root = source.root().clone();
                Ok(Self { place: Held::Archive(source), root })
            }
        }
    }

    /// Opens the image that `reference` names.
    pub(super) fn of_registry(reference: &Reference, options: &Options) -> image::Result<Self> {
        let repository = open_repository(reference, Access::Pull, options)?;
        let root = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => repository.resolve_digest(digest)?,
            (None, tag) => repository.resolve_tag(tag.as_deref().unwrap_or("latest"))?,
        };
        Ok(Self { place: Held::Repository(Box::new(repository)), root })
    }

    /// What is about it; none where nothing can say so.
    pub(super) fn referrers(&self) -> Option<&dyn Referrers> {
        match &self.place {
            Held::Layout(layout) => Some(layout),
            Held::Archive(_) => None,
            Held::Repository(repository) => Some(&**repository),
        }
    }

    /// The repository it is in, if it is in one.
    pub(super) fn repository(&self) -> Option<&Repository> {
        match &self.place {
            Held::Repository(repository) => Some(repository),
            Held::Layout(_) | Held::Archive(_) => None,
        }
    }

    fn blobs(&self) -> &dyn Blobs {
        match &self.place {
            Held::Layout(layout) => layout,
            Held::Archive(source) => &**source,
            Held::Repository(repository) => &**repository,
        }
    }
}

impl Place for Opened {
    fn name(&self) -> String {
        self.blobs().name()
    }
}

impl Blobs for Opened {
    fn open(&self, blob: &Descriptor) -> image::Result<Box<dyn Read + Send + '_>> {
        self.blobs().open(blob)
    }
}

impl Source for Opened {
    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn tags(&self) -> &[String] {
        match &self.place {
            Held::Archive(source) => source.tags(),
            Held::Layout(_) | Held::Repository(_) => &[],
        }
    }
}

/// A way to registries for builds from `images`.
pub(super) fn for_builds<'a>(
    registries: &Registries,
    network: &Network,
    images: impl Iterator<Item = &'a String>,
    interrupt: &Interrupt,
    shown: &Arc<Shown>,
) -> Result<Arc<Remote<'static>>, Box<dyn Error>> {
    // What cannot be read as a location is found out where it is used.
    let locations: Vec<Location> = images.filter_map(|image| Location::guess(image).ok()).collect();
    let events = Arc::new(Transfer::new(Arc::clone(shown)));
    let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
    let options = options(registries, network, &locations.iter().collect::<Vec<_>>(), events, cancel)?;
    Ok(Arc::new(move |reference| Ok(Box::new(Opened::of_registry(reference, &options)?))))
}
