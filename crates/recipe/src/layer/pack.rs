//! Packages that are built of a folder: what `npm pack` makes of it, where the tools are.

use cache::Digest;

use super::inputs::{Itself, Node};
use super::tools::{EXCHANGE, Tools, keep};
use crate::Error;

/// What facts about such packages are called in the cache.
const KIND: &str = "npm-pack";

/// The options of npm that keep it from saying and doing more than it is asked for.
const QUIET: &[&str] =
    &["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=warn", "--cache", "/exchange/npm-cache"];

/// The digest of the archive of the package `itself`, which belongs to the step `number` and is in the cache then. What was
/// made of the same files before is taken from there. It has to be `expected`, if that is known.
pub(super) fn pack(
    number: usize,
    node: &Node<'_>,
    itself: &Itself,
    expected: Option<Digest>,
    tools: &Tools<'_>,
) -> Result<Digest, Error> {
    let cache = &tools.session().cache;
    let key = itself.digest.to_string();
    let known = cache.record(KIND, &key)?;
    let known = known.and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<Digest>().ok());
    if let Some(known) = known
        && expected.is_none_or(|expected| expected == known)
        && cache.contains(&known)?
    {
        return Ok(known);
    }
    let folder = format!("pack-{number}");
    for (path, contents) in &itself.files {
        tools.give(&format!("{folder}/{path}"), contents)?;
    }
    tools.give(&format!("{folder}/.npmrc"), node.npmrc.as_deref().unwrap_or_default())?;
    let (inside, packed) = (format!("{EXCHANGE}/{folder}"), format!("{folder}-packed"));
    let install = [&["npm", "--prefix", &inside, "ci", "--ignore-scripts"], QUIET].concat();
    tools.run("install with npm what a package is built with", &install, &[])?;
    let destination = tools.outside(&packed);
    std::fs::create_dir_all(&destination).map_err(Error::io("create", &destination))?;
    let to = format!("{EXCHANGE}/{packed}");
    let pack = [&["npm", "pack", &inside, "--pack-destination", &to], QUIET].concat();
    tools.run("build a package with npm", &pack, &[])?;
    let what = format!("{}@{}", itself.package.name, itself.package.version);
    let archives = std::fs::read_dir(&destination).map_err(Error::io("read", &destination))?;
    let archive =
        archives.flatten().map(|entry| entry.path()).find(|path| path.extension() == Some("tgz".as_ref()));
    let archive = archive.ok_or_else(|| Error::NotFetched { what: what.clone() })?;
    let digest = keep(tools.session(), &archive, &what, expected)?;
    cache.put_record(KIND, &key, digest.to_string().as_bytes())?;
    Ok(digest)
}
