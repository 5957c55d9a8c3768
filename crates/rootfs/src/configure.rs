//! Runs maintainer scripts: `preinst` by hand, everything else through the root's own dpkg.

use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::Network;
use tree::{EntryPath, Metadata, Root};

use crate::Error;
use crate::database::Control;
use crate::folder;
use crate::script::{Progress, Scripts};
use crate::unpack::Unpacked;

/// Where invoke-rc.d(8) asks whether a service may be started.
const POLICY: &str = "usr/sbin/policy-rc.d";

/// Exit status 101 is "action forbidden by policy": nothing is started in a root that is being built.
const FORBID: &[u8] = b"#!/bin/sh\nexit 101\n";

/// Runs the `preinst` of `control`, whose files are not there yet, as `dpkg --unpack` would (Debian Policy, 6.5).
pub(crate) fn preinst(scripts: &Scripts, root: &Root, control: &Control) -> Result<(), Error> {
    if control.preinst().is_none() {
        return Ok(());
    }
    // dpkg has all control files there at this point, and debconf reads some of them.
    let folder = EntryPath::parse(b"var/lib/dpkg/tmp.ci").map_err(tree::Error::from)?;
    folder::ensure_all(root, &folder, 0)?;
    for file in control.files() {
        let path = folder.join(file.name.as_bytes()).map_err(tree::Error::from)?;
        root.write_file(&path, &Metadata::new(file.mode, 0), &mut &file.contents[..])?;
    }
    let done = run_preinst(scripts, control);
    root.remove_all(&folder)?;
    done
}

fn run_preinst(scripts: &Scripts, control: &Control) -> Result<(), Error> {
    let env = [
        ("DPKG_MAINTSCRIPT_PACKAGE", control.name()),
        ("DPKG_MAINTSCRIPT_ARCH", control.architecture()),
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_ROOT", ""),
    ];
    let what = format!("the preinst script of `{}`", control.name());
    scripts.run(&what, &["/var/lib/dpkg/tmp.ci/preinst", "install"], &env, Network::None)
}

/// Configures the packages called `names`, or all that wait for it. `done` counts the packages of the whole build, which
/// takes several calls.
pub(crate) fn configure(
    scripts: &Scripts,
    progress: &dyn Progress,
    names: Option<&[String]>,
    done: &AtomicUsize,
    total: usize,
) -> Result<(), Error> {
    let mut argv = vec!["/usr/bin/dpkg", "--force-confold", "--configure"];
    match names {
        Some(names) => argv.extend(names.iter().map(String::as_str)),
        None => argv.push("--pending"),
    }
    scripts.run_with("dpkg", &argv, &[], Network::None, &mut |line| {
        if let Some(package) =
            line.strip_prefix("Setting up ").and_then(|rest| rest.split_whitespace().next())
        {
            progress.configuring(package, done.fetch_add(1, Ordering::Relaxed), total);
        }
    })
}

/// Forbids packages to start services while `work` runs.
pub(crate) fn without_services<T>(root: &Root, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let path = EntryPath::parse(POLICY.as_bytes()).map_err(tree::Error::from)?;
    let ours = root.lstat(&path)?.is_none();
    if ours {
        root.write_file(&path, &Metadata::new(0o755, 0), &mut &FORBID[..])?;
    }
    let result = work();
    if ours {
        root.remove_file(&path)?;
    }
    result
}

/// The names by which `dpkg --configure` knows `packages`.
pub(crate) fn names<'a>(packages: impl Iterator<Item = &'a Unpacked>) -> Vec<String> {
    packages.map(|package| package.control.info_name()).collect()
}
