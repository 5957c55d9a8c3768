//! What a layer is put on: which Python and Node.js are there, and what exactly it is.

use cache::{Digest, Hasher, Scratch};
use tree::{EntryPath, Links, Root};

use super::lock::Parent;
use crate::build::{Options, Session};
use crate::events::Event;
use crate::find::Found;
use crate::image_base::ImageBase;
use crate::plan::Plan;
use crate::resolve::Resolver;
use crate::{Error, find};

/// The recipe that stands in for an image that cannot be reached, and whose programs resolve and fetch dependencies.
pub(super) const FOUNDATION: &str = "server-foundation";

/// The size in bytes above which dpkg's database is not read.
const MAX_STATUS: u64 = 64 << 20;

/// What the layer of `found` is put on, for each of `architectures`.
pub(super) fn parents(
    session: &Session,
    found: &Found,
    options: &Options,
    architectures: &[String],
) -> Result<Vec<Parent>, Error> {
    let below = found.parent.as_deref().unwrap_or(found);
    let mut options = options.clone();
    options.origin.architectures = architectures.to_vec();
    if below.recipe.from.is_none() {
        return of_packages(session, below, &options);
    }
    let is_default = found.recipe.layer.as_ref().is_none_or(|layer| layer.parent.is_none());
    let stands_in = is_default && found.recipe.from.is_none() && options.from.is_none();
    if stands_in && options.origin.distro.is_some() {
        return stand_in(session, &options, &below.name, "`--distro` asks for packages");
    }
    match of_image(session, below, &options) {
        Err(Error::Image(error)) if stands_in && !session.interrupt.is_set() && is_unreachable(&error) => {
            stand_in(session, &options, &below.name, &crate::files::chain(error))
        }
        other => other,
    }
}

impl Parent {
    /// Whether it is what the command line asks for.
    pub(super) fn is_meant(&self, options: &Options) -> bool {
        let words = self.distro.as_deref().and_then(|words| words.split_once(' '));
        let fits = |wanted: Option<String>, word: fn((&str, &str)) -> String| {
            wanted.is_none_or(|wanted| words.map(word) == Some(wanted))
        };
        let is_image = options.from.as_ref().is_none_or(|from| *from == self.name);
        is_image
            && fits(options.origin.distro.map(|distro| distro.to_string()), |(distro, _)| distro.to_owned())
            && fits(options.origin.suite.clone(), |(_, suite)| suite.to_owned())
    }
}

/// Whether the image may well be all right, and only cannot be had from here.
fn is_unreachable(error: &image::Error) -> bool {
    matches!(
        error,
        image::Error::NoRegistry { .. } | image::Error::NotKept { .. } | image::Error::Registry(_)
    )
}

fn stand_in(session: &Session, options: &Options, name: &str, why: &str) -> Result<Vec<Parent>, Error> {
    let message = format!("the layer is put on `{FOUNDATION}` in place of `{name}`: {why}");
    session.events.event(Event::Warning { message });
    of_packages(session, &find(FOUNDATION)?, options)
}

/// Of a recipe that is made of packages, nothing has to be built to know them.
fn of_packages(session: &Session, below: &Found, options: &Options) -> Result<Vec<Parent>, Error> {
    let plan = Plan::new(below, &options.origin)?;
    let lock = Resolver::new(session, &plan, &options.origin)?.lock()?;
    let parent = |architecture: &String| {
        let packages = lock.root(architecture);
        let mut hasher = Hasher::new();
        hasher.update(lock.request.to_string().as_bytes());
        packages.iter().for_each(|package| hasher.update(package.sha256.to_string().as_bytes()));
        let versions = packages.iter().map(|package| (package.name.as_str(), package.version.as_str()));
        let mut parent = describe(architecture, &below.name, hasher.finish(), versions);
        parent.distro = Some(format!("{} {}", plan.distro, plan.suite));
        parent
    };
    Ok(plan.architectures.iter().map(parent).collect())
}

fn of_image(session: &Session, below: &Found, options: &Options) -> Result<Vec<Parent>, Error> {
    let Some(base) = ImageBase::of(session, below, options)? else { return Ok(Vec::new()) };
    let name = options.from.clone().or_else(|| below.recipe.from.clone()).unwrap_or_default();
    let mut parents = Vec::new();
    base.each(|architecture, _, image, mut flattened| {
        let folder = Scratch::new(&session.cache.root().join("build"), architecture)?;
        let root = Root::open(folder.path(), Links::Refuse)?;
        flattened.unpack(&root, session.interrupt.flag())?;
        let status = EntryPath::parse(b"var/lib/dpkg/status").map_err(tree::Error::from)?;
        let status = root.read(&status, MAX_STATUS)?.unwrap_or_default();
        let status = String::from_utf8_lossy(&status).into_owned();
        parents.push(describe(architecture, &name, image.descriptor.digest, installed(&status)));
        drop(root);
        Ok(folder.close()?)
    })?;
    Ok(parents)
}

/// The packages in dpkg's database.
fn installed(status: &str) -> impl Iterator<Item = (&str, &str)> {
    status.split("\n\n").filter_map(|paragraph| {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        field("Status").filter(|status| status.ends_with(" installed"))?;
        Some((field("Package")?, field("Version")?))
    })
}

fn describe<'p>(
    architecture: &str,
    name: &str,
    digest: Digest,
    packages: impl Iterator<Item = (&'p str, &'p str)>,
) -> Parent {
    let mut parent = Parent {
        architecture: architecture.to_owned(),
        name: name.to_owned(),
        distro: None,
        digest,
        python: None,
        glibc: None,
        node: None,
        node_abi: None,
    };
    for (package, version) in packages {
        let version = upstream(version);
        match package {
            "python3" => parent.python = minor(version),
            "libc6" => parent.glibc = minor(version),
            "nodejs" => parent.node = Some(version.to_owned()),
            // Debian names the library for the interface.
            _ => {
                if let Some(Ok(abi)) = package.strip_prefix("libnode").map(str::parse) {
                    parent.node_abi = Some(abi);
                }
            }
        }
    }
    parent
}

/// A package's version as those upstream know it: without epoch, revision and `+dfsg`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

/// The first two numbers.
fn minor(version: &str) -> Option<String> {
    let mut numbers = version.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_read_from_the_packages() {
        let status = "Package: python3\nStatus: install ok installed\nVersion: 3.13.5-1\n\n\
                      Package: libc6\nStatus: install ok installed\nVersion: 2.41-12+deb13u1\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                      Package: libnode115\nStatus: install ok installed\nVersion: 20.19.2+dfsg-1\n\n\
                      Package: nodejs\nStatus: install ok installed\nVersion: 1:20.19.2+dfsg-1\n";
        assert_eq!(installed(status).count(), 4);
        let parent = describe("amd64", "p", Digest::of(b""), installed(status));
        assert_eq!((parent.python.as_deref(), parent.glibc.as_deref()), (Some("3.13"), Some("2.41")));
        assert_eq!((parent.node.as_deref(), parent.node_abi), (Some("20.19.2"), Some(115)));
    }
}
