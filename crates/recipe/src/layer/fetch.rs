//! Gets archives into the cache.

use std::collections::BTreeSet;
use std::fs::File;

use cache::Digest;
use deps::npm::Integrity;

use super::inputs::Inputs;
use super::lock::{LayerLock, Npm};
use super::pack::pack;
use super::target_of;
use super::tools::{EXCHANGE, Tools, WantedWheel, keep};
use crate::Error;
use crate::build::Session;

/// Whether the cache has everything that a lock names.
pub(super) fn is_complete(lock: &LayerLock, session: &Session) -> Result<bool, Error> {
    let npm = lock.npm.iter().filter_map(|npm| npm.sha256.as_ref());
    for sha256 in lock.wheels.iter().map(|wheel| &wheel.sha256).chain(npm) {
        if !session.cache.contains(sha256)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fetches the wheels of `lock`.
pub(super) fn wheels(lock: &LayerLock, tools: &Tools<'_>) -> Result<(), Error> {
    for parent in &lock.parents {
        let wanted: Vec<WantedWheel<'_>> = lock
            .wheels
            .iter()
            .filter(|wheel| wheel.architectures.contains(&parent.architecture))
            .map(|wheel| WantedWheel {
                name: &wheel.name,
                version: &wheel.version,
                file: &wheel.file,
                sha256: wheel.sha256,
            })
            .collect();
        if !wanted.is_empty() {
            tools.fetch_wheels(&wanted, target_of(parent)?.python)?;
        }
    }
    Ok(())
}

/// Fetches the archives of npm packages, or packs them, and notes their digests in `lock`.
pub(super) fn npm(lock: &mut LayerLock, inputs: &Inputs<'_>, tools: &Tools<'_>) -> Result<(), Error> {
    for (step, node) in inputs.node.iter().enumerate() {
        if let Some(itself) = &node.itself {
            let is_this = |npm: &&mut Npm| npm.step == step && npm.package.place == itself.package.place;
            for npm in lock.npm.iter_mut().filter(is_this) {
                npm.sha256 = Some(pack(step, node, itself, npm.sha256, tools)?);
            }
        }
        let is_missing = |npm: &&mut Npm| npm.step == step && npm.package.integrity.is_some();
        let mut wanted = Vec::new();
        for npm in lock.npm.iter_mut().filter(is_missing) {
            let kept = npm.sha256.map(|sha256| tools.session().cache.contains(&sha256)).transpose()?;
            if kept != Some(true) {
                wanted.push(npm);
            }
        }
        if wanted.is_empty() {
            continue;
        }
        let specs: BTreeSet<String> =
            wanted.iter().map(|npm| format!("{}@{}", npm.package.name, npm.package.version)).collect();
        let folder = format!("npm-{step}");
        tools.give(&format!("{folder}/.npmrc"), node.npmrc.as_deref().unwrap_or_default())?;
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        tools.npm_cache_add(&format!("{EXCHANGE}/{folder}"), &specs)?;
        for npm in wanted {
            let Some(integrity) = &npm.package.integrity else { continue };
            let what = format!("{}@{}", npm.package.name, npm.package.version);
            npm.sha256 = Some(take(tools, &what, integrity, npm.sha256)?);
        }
    }
    Ok(())
}

/// Takes the archive of `what` out of npm's cache, which keeps contents by their hashes, into ours. The answer is its digest.
pub(super) fn take(
    tools: &Tools<'_>,
    what: &str,
    integrity: &Integrity,
    expected: Option<Digest>,
) -> Result<Digest, Error> {
    let hex = integrity.hex();
    let kept = format!(
        "npm-cache/_cacache/content-v2/{}/{}/{}/{}",
        integrity.algorithm.name(),
        &hex[..2],
        &hex[2..4],
        &hex[4..]
    );
    let path = tools.outside(&kept);
    let wrong = || deps::Error::Integrity { package: what.to_owned(), expected: integrity.to_string() };
    let mut file = File::open(&path).map_err(|_| wrong())?;
    if !integrity.is_of(&mut file).map_err(Error::io("read", &path))? {
        return Err(wrong().into());
    }
    keep(tools.session(), &path, what, expected)
}
