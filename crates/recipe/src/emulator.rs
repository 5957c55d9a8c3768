//! The emulator for programs of a foreign architecture: qemu's user mode, taken from the archive like any package.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use archive::deb::Deb;
use archive::universe::Universe;
use cache::{Cache, Digest};
use tree::Kind;

use crate::Error;
use crate::lock::Package;

/// The packages that hold static emulators, newest naming first: since Debian 13 `qemu-user-static` only links to
/// `qemu-user`.
pub(crate) const PACKAGES: [&str; 2] = ["qemu-user", "qemu-user-static"];

/// The most bytes that the package's data may expand to.
const MAX_DATA: u64 = 2 << 30;

/// The kind of record under which the cache remembers which emulator a package holds.
const RECORD: &str = "emulator";

/// The package of `universe` that holds static emulators.
pub(crate) fn package(universe: &Universe) -> Option<archive::universe::Package<'_>> {
    let static_name = universe.candidate(PACKAGES[1])?;
    let links = static_name.field("Depends").is_some_and(|depends| depends.contains("qemu-user"));
    if links { universe.candidate(PACKAGES[0]) } else { Some(static_name) }
}

/// The emulator for programs of `architecture` out of `package`, as a file of the cache.
pub(crate) fn interpreter(cache: &Cache, package: &Package, architecture: &str) -> Result<File, Error> {
    let key = format!("{} {architecture}", package.sha256);
    if let Some(record) = cache.record(RECORD, &key)? {
        let known = String::from_utf8_lossy(&record).trim().parse::<Digest>().ok();
        if let Some(file) = known.map(|digest| cache.file(&digest)).transpose()?.flatten() {
            return Ok(file);
        }
    }
    let digest = extract(cache, package, architecture)?;
    cache.put_record(RECORD, &key, format!("{digest}\n").as_bytes())?;
    cache.file(&digest)?.ok_or_else(|| missing(package, architecture))
}

fn extract(cache: &Cache, package: &Package, architecture: &str) -> Result<Digest, Error> {
    let cpu = match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    };
    let names = [format!("usr/bin/qemu-{cpu}-static"), format!("usr/bin/qemu-{cpu}")];
    let file = cache.file(&package.sha256)?.ok_or_else(|| missing(package, architecture))?;
    let wrong = |source: archive::deb::DebError| Error::CannotRun {
        architecture: architecture.to_owned(),
        reason: format!("cannot read package `{}`: {source}", package.name),
    };
    let (_, mut data) = Deb::open(file).and_then(|deb| deb.into_data(MAX_DATA)).map_err(wrong)?;
    while let Some(member) = data.next()? {
        let is_file = matches!(member.entry.kind, Kind::File { .. });
        if is_file && names.iter().any(|name| name.as_bytes() == member.entry.path.as_bytes()) {
            let mut writer = cache.insert()?;
            io::copy(&mut data.data(), &mut writer).map_err(Error::io("write", cache.root()))?;
            let digest = writer.commit(None)?;
            let path = cache.path(&digest);
            // The kernel takes only a file that may be executed.
            fs::set_permissions(&path, Permissions::from_mode(0o555))
                .map_err(Error::io("make executable", &path))?;
            return Ok(digest);
        }
    }
    Err(missing(package, architecture))
}

fn missing(package: &Package, architecture: &str) -> Error {
    Error::CannotRun {
        architecture: architecture.to_owned(),
        reason: format!("package `{}` {} holds no static emulator for it", package.name, package.version),
    }
}
