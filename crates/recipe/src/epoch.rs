//! `SOURCE_DATE_EPOCH`: the time that a build calls now.
//!
//! It is the build time of the newest package, which dpkg-deb writes into the header of each `.deb`'s first member. So it
//! depends on the lock alone, and every build of one lock has the same.

use std::io::Read;

use cache::Cache;

use crate::Error;
use crate::lock::Package;

/// The length of the archive's magic and of one member header, in bytes (ar(5)).
const HEAD: usize = 8 + 60;

/// The epoch of a build of `packages`, in seconds: the environment's value when the user set one.
pub(crate) fn of(cache: &Cache, packages: &[&Package]) -> Result<i64, Error> {
    if let Some(epoch) = of_environment()? {
        return Ok(epoch);
    }
    let mut newest = 0;
    for package in packages {
        newest = newest.max(built(cache, package)?);
    }
    Ok(newest)
}

/// The environment's value, in seconds, when the user set one.
pub(crate) fn of_environment() -> Result<Option<i64>, Error> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let text = value.to_string_lossy();
    let epoch = text.parse().ok().filter(|epoch| *epoch >= 0);
    epoch.map(Some).ok_or_else(|| Error::Epoch { value: text.into_owned() })
}

fn built(cache: &Cache, package: &Package) -> Result<i64, Error> {
    let Some(mut file) = cache.file(&package.sha256)? else { return Ok(0) };
    let mut head = [0; HEAD];
    if file.read_exact(&mut head).is_err() {
        return Ok(0);
    }
    // The header's second field is the time, in decimal, padded with spaces.
    let text = std::str::from_utf8(&head[8 + 16..8 + 28]).unwrap_or_default();
    Ok(text.trim().parse().unwrap_or(0))
}
