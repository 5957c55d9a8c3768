//! Where the archives of a distribution are, for this machine.
//!
//! What enters: what the user or the recipe says, the machine's own apt sources, a snapshot date. What leaves: the
//! base addresses of the main and the security archive, and the [`Source`]s of the suites a base image has.
//!
//! The first of these that applies decides:
//!
//! 1. a snapshot, which never gives way to anything else: a pin that cannot apply is an error;
//! 2. the mirror that was given;
//! 3. the machine's own sources of that distribution ([`machine`] says how they are recognised);
//! 4. the built-in default. Debian has none.

pub mod machine;
mod snapshot;

use std::fmt;
use std::path::Path;

use crate::source::{SignedBy, Source};

pub use snapshot::Snapshot;

const UBUNTU_MAIN: &str = "http://archive.ubuntu.com/ubuntu";
const UBUNTU_SECURITY: &str = "http://security.ubuntu.com/ubuntu";
/// Ubuntu keeps every architecture but two on other machines.
const UBUNTU_PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports";

/// A distribution whose archives are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
        })
    }
}

/// What decides where packages come from.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The distribution.
    pub distribution: Distribution,
    /// The architecture, in Debian's words (`amd64`, `arm64`).
    pub architecture: &'a str,
    /// The base address of the main archive, if the user or the recipe gives one. It may hold `{snapshot}`.
    pub mirror: Option<&'a str>,
    /// The base address of the security archive, if the user or the recipe gives one. It may hold `{snapshot}`.
    pub security_mirror: Option<&'a str>,
    /// The date to which everything is pinned.
    pub snapshot: Option<Snapshot>,
    /// The folder of apt's configuration; `/etc/apt` but for tests.
    pub apt: &'a Path,
}

/// Where the archives of a distribution are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The base address of the main archive, without a slash at its end.
    pub main: String,
    /// The base address of the security archive, without a slash at its end.
    pub security: String,
    /// Who decided.
    pub decided: Decided,
}

/// Who decided on a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// The user or the recipe.
    Given,
    /// The machine's own apt sources.
    Machine,
    /// The built-in default.
    BuiltIn,
    /// The distribution's snapshot service.
    Snapshot,
}

/// There is no place to take packages from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// Neither the user nor the machine says where Debian is.
    #[error(
        "no mirror of Debian is known: this machine's apt sources name none for {architecture}; give one with `--mirror URL` \
         (and `--security-mirror URL`)"
    )]
    NoMirror {
        /// The architecture.
        architecture: String,
    },
    /// A mirror was given, and where its security archive is cannot be told.
    #[error(
        "no security archive is known beside the mirror `{mirror}`: give it with `--security-mirror URL`"
    )]
    NoSecurity {
        /// The mirror.
        mirror: String,
    },
    /// A snapshot was asked for, and the address leads to the present.
    #[error(
        "the snapshot {snapshot} cannot be had from `{address}`: put `{{snapshot}}` in the address, where its date belongs, \
         or leave the address out"
    )]
    SnapshotDoesNotApply {
        /// The snapshot.
        snapshot: Snapshot,
        /// The address.
        address: String,
    },
    /// An address speaks of a snapshot, and none was asked for.
    #[error("the address `{address}` needs the date of a snapshot: give it with `--snapshot DATE`")]
    SnapshotNeeded {
        /// The address.
        address: String,
    },
    /// Not a date.
    #[error("`{0}` is not a date: write 20250520, 2025-05-20 or 20250520T120000Z")]
    Date(String),
}

/// Decides where the archives are.
///
/// # Errors
/// [`MirrorError`].
pub fn choose(wanted: &Wanted<'_>) -> Result<Mirrors, MirrorError> {
    if let Some(main) = wanted.mirror {
        return given(wanted, main);
    }
    let chosen = match wanted.snapshot {
        Some(snapshot) => of_snapshot(wanted.distribution, snapshot),
        None => match machine::mirrors(wanted.apt, wanted.distribution, wanted.architecture) {
            Some(found) => found,
            None => built_in(wanted)?,
        },
    };
    match wanted.security_mirror {
        Some(security) => Ok(Mirrors { security: pin(security, wanted.snapshot)?, ..chosen }),
        None => Ok(chosen),
    }
}

fn given(wanted: &Wanted<'_>, main: &str) -> Result<Mirrors, MirrorError> {
    let main = pin(main, wanted.snapshot)?;
    let security = match wanted.security_mirror {
        Some(security) => pin(security, wanted.snapshot)?,
        None => security_beside(wanted.distribution, &main)?,
    };
    Ok(Mirrors { main, security, decided: Decided::Given })
}

/// The security archive of a mirror: Ubuntu's is within the main one, Debian's in `debian-security` beside `debian`.
pub(crate) fn security_beside(distribution: Distribution, main: &str) -> Result<String, MirrorError> {
    match distribution {
        Distribution::Ubuntu => Ok(main.to_owned()),
        Distribution::Debian => main
            .rsplit_once('/')
            .filter(|(_, last)| *last == "debian")
            .map(|(base, _)| format!("{base}/debian-security"))
            .ok_or_else(|| MirrorError::NoSecurity { mirror: main.to_owned() }),
    }
}

/// Puts the date into an address that has a place for it; one without a place cannot be pinned.
///
/// # Errors
/// [`MirrorError::SnapshotDoesNotApply`], [`MirrorError::SnapshotNeeded`].
pub fn pin(address: &str, snapshot: Option<Snapshot>) -> Result<String, MirrorError> {
    const PLACE: &str = "{snapshot}";
    let address = address.trim_end_matches('/');
    match (snapshot, address.contains(PLACE)) {
        (Some(snapshot), true) => Ok(address.replace(PLACE, &snapshot.to_string())),
        (None, false) => Ok(address.to_owned()),
        (Some(snapshot), false) => {
            Err(MirrorError::SnapshotDoesNotApply { snapshot, address: address.to_owned() })
        }
        (None, true) => Err(MirrorError::SnapshotNeeded { address: address.to_owned() }),
    }
}

fn of_snapshot(distribution: Distribution, snapshot: Snapshot) -> Mirrors {
    let (main, security) = match distribution {
        Distribution::Debian => {
            let base = "http://snapshot.debian.org/archive";
            (format!("{base}/debian/{snapshot}"), format!("{base}/debian-security/{snapshot}"))
        }
        Distribution::Ubuntu => {
            let main = format!("https://snapshot.ubuntu.com/ubuntu/{snapshot}");
            (main.clone(), main)
        }
    };
    Mirrors { main, security, decided: Decided::Snapshot }
}

fn built_in(wanted: &Wanted<'_>) -> Result<Mirrors, MirrorError> {
    let (main, security) = match wanted.distribution {
        Distribution::Debian => {
            return Err(MirrorError::NoMirror { architecture: wanted.architecture.to_owned() });
        }
        Distribution::Ubuntu if on_main_archive(wanted.architecture) => (UBUNTU_MAIN, UBUNTU_SECURITY),
        Distribution::Ubuntu => (UBUNTU_PORTS, UBUNTU_PORTS),
    };
    Ok(Mirrors { main: main.to_owned(), security: security.to_owned(), decided: Decided::BuiltIn })
}

/// Whether Ubuntu's main archive has an architecture; all others are among the ports.
pub(crate) fn on_main_archive(architecture: &str) -> bool {
    matches!(architecture, "amd64" | "i386")
}

/// The suites of a base image: the release, its updates and its security updates, in the order of a user's sources.
///
/// Debian's unstable and experimental are archives without updates.
#[must_use]
pub fn standard_sources(
    distribution: Distribution,
    suite: &str,
    components: &[String],
    mirrors: &Mirrors,
) -> Vec<Source> {
    let source = |uri: &str, suite: String| Source {
        uri: uri.to_owned(),
        suite,
        components: components.to_vec(),
        architectures: Vec::new(),
        signed_by: SignedBy::Distribution,
    };
    let mut sources = vec![source(&mirrors.main, suite.to_owned())];
    let rolling = matches!(suite, "sid" | "unstable" | "experimental" | "rc-buggy");
    if !(distribution == Distribution::Debian && rolling) {
        sources.push(source(&mirrors.main, format!("{suite}-updates")));
        sources.push(source(&mirrors.security, format!("{suite}-security")));
    }
    sources
}
