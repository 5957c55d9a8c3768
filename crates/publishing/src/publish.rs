//! All requests of a publication in order; a run that was broken off is continued by the next one.

use std::collections::BTreeMap;

use cache::{Cache, Digest};
use serde::{Deserialize, Serialize};

use crate::{Error, Exported, PackageId, PackageRegistry, Result, zip_name};

/// The kind of cache records that hold what was sent and is not published yet.
const RECORD: &str = "package-upload";

/// How often a new address is asked for when one turns out not to be good: they run out after a while.
const ADDRESSES: u32 = 3;

/// The layers for one architecture.
#[derive(Debug)]
pub struct Part {
    /// One of [`ARCHITECTURES`](crate::ARCHITECTURES).
    pub architecture: &'static str,
    /// Its zip.
    pub export: Exported,
}

/// What happens while a package is published.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A zip is about to be sent.
    Sending {
        /// What it is called in the registry.
        name: &'a str,
        /// Its length in bytes.
        size: u64,
    },
    /// An earlier run sent it.
    WasSent {
        /// What it is called in the registry.
        name: &'a str,
    },
    /// An address was no longer good, and another one is asked for.
    NewAddress {
        /// For which file.
        name: &'a str,
    },
}

/// What was sent: the digest of each file by its name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sent(BTreeMap<String, Digest>);

/// Sends all `parts`, and then says that they are the layers of `package`: the registry shows all of them or none. What an
/// earlier run sent, and the same bytes only, is not sent again; `cache` remembers it until the layers are published.
///
/// # Errors
/// Any [`Error`]; nothing is published then.
pub fn publish(
    registry: &PackageRegistry,
    package: &PackageId,
    parts: &[Part],
    cache: &Cache,
    tell: &dyn Fn(Event<'_>),
) -> Result<()> {
    let key = format!("{} {package}", registry.name());
    let mut sent = recall(cache, &key)?;
    let mut spared = false;
    for Part { architecture, export } in parts {
        let name = zip_name(architecture);
        if sent.0.get(&name) == Some(export.digest()) {
            tell(Event::WasSent { name: &name });
            spared = true;
            continue;
        }
        tell(Event::Sending { name: &name, size: export.size() });
        send(registry, package, &name, export, tell)?;
        export.check_unchanged()?;
        sent.0.insert(name, *export.digest());
        remember(cache, &key, &sent)?;
    }
    let files = parts.iter().map(|part| (part.architecture, zip_name(part.architecture))).collect();
    match registry.set_files(package, &files) {
        Ok(()) => remember(cache, &key, &Sent::default()),
        Err(error) => {
            // The registry may have thrown away what an earlier run sent: the next one starts anew.
            if spared && matches!(error, Error::Refused { .. }) {
                remember(cache, &key, &Sent::default())?;
            }
            Err(error)
        }
    }
}

fn send(
    registry: &PackageRegistry,
    package: &PackageId,
    name: &str,
    export: &Exported,
    tell: &dyn Fn(Event<'_>),
) -> Result<()> {
    for attempt in 0..ADDRESSES {
        if attempt > 0 {
            tell(Event::NewAddress { name });
        }
        let destination = registry.destination(package, name)?;
        if registry.send(&destination, name, export)? {
            return Ok(());
        }
    }
    Err(Error::Nonsense {
        action: format!("send {name}"),
        why: format!("{ADDRESSES} addresses that it gave for the file took nothing"),
    })
}

fn recall(cache: &Cache, key: &str) -> Result<Sent> {
    let bytes = cache.record(RECORD, key)?;
    // What cannot be read is of an older program: everything is sent again.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

fn remember(cache: &Cache, key: &str, sent: &Sent) -> Result<()> {
    // Names and digests: there is nothing in them that JSON could not say.
    let bytes = serde_json::to_vec(sent).unwrap_or_default();
    Ok(cache.put_record(RECORD, key, &bytes)?)
}
