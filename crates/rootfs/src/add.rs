//! Further packages into a root that is there already, by its own apt: it knows which ones have to be configured before others
//! may be unpacked.

use cache::Cache;
use sandbox::Network;
use tree::{EntryPath, Metadata, Root};

use crate::{Error, Package, Scripts, configure};

/// Where apt keeps archives, and we put them for it.
const ARCHIVES: &str = "var/cache/apt/archives";

/// apt's command and its options: nothing is asked, nothing fetched, and nobody else but root is there to read archives.
const INSTALL: &[&str] = &[
    "/usr/bin/apt-get",
    "--quiet",
    "--yes",
    "--no-install-recommends",
    "--option=APT::Sandbox::User=root",
    "--option=Dpkg::Use-Pty=0",
    "--option=Dpkg::Options::=--force-confold",
    "install",
];

/// What apt and scripts are told: what Python keeps of its own accord has times in it, other than what packages have it keep.
const ENV: &[(&str, &str)] = &[("PYTHONDONTWRITEBYTECODE", "1")];

/// Installs `packages` into `root`, in which `scripts` run programs: all of a set that is complete together with what is
/// installed. Those that are `automatic` apt may remove again when nothing needs them.
///
/// # Errors
/// [`Error::NoApt`]; [`Error::NotCached`]; [`Error::Script`] when apt or a maintainer script fails.
pub fn add(
    root: &Root,
    scripts: &Scripts,
    cache: &Cache,
    packages: &[Package],
    automatic: &[&str],
) -> Result<(), Error> {
    let apt = EntryPath::parse(b"usr/bin/apt-get").map_err(tree::Error::from)?;
    if root.lstat(&apt)?.is_none() {
        return Err(Error::NoApt);
    }
    let mut archives = Vec::new();
    for package in packages {
        let version = package.version.replace(':', "%3a");
        let name = format!("{ARCHIVES}/{}_{version}_{}.deb", package.name, package.architecture);
        let contents = cache.file(&package.digest)?;
        let contents = contents.ok_or_else(|| Error::NotCached { package: package.name.clone() })?;
        let path = EntryPath::parse(name.as_bytes()).map_err(tree::Error::from)?;
        root.make_parents(&path, &Metadata::new(0o755, 0))?;
        root.copy_file(&path, &Metadata::new(0o644, 0), &contents)?;
        archives.push((format!("/{name}"), path));
    }
    let done = configure::without_services(root, || {
        let install: Vec<&str> =
            INSTALL.iter().copied().chain(archives.iter().map(|(name, _)| name.as_str())).collect();
        scripts.run("apt-get", &install, ENV, Network::None)?;
        if automatic.is_empty() {
            return Ok(());
        }
        let mark: Vec<&str> = ["/usr/bin/apt-mark", "auto"].iter().chain(automatic).copied().collect();
        scripts.run("apt-mark", &mark, &[], Network::None)
    });
    // Scripts may have put other folders in the place of those that are held open.
    root.forget_parents();
    done?;
    archives.iter().try_for_each(|(_, path)| root.remove_file(path).map(drop)).map_err(Error::from)
}
