//! What a build tells while it runs. How it is shown is the program's business.

use std::path::PathBuf;

use cache::Digest;
use serde::Serialize;

/// Receives events, from several threads.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event);
}

/// One thing that happened. Serialised, it is the line that `--progress json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase began.
    Phase {
        /// The architecture it is about; none for all.
        architecture: Option<String>,
        /// Which one.
        phase: Phase,
    },
    /// How far the downloads are.
    Downloaded {
        /// Files that are complete.
        files: u64,
        /// Files in all.
        total_files: u64,
        /// Bytes that have arrived.
        bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// Packages are unpacked.
    Unpacked {
        /// The architecture.
        architecture: String,
        /// So many are done.
        done: usize,
        /// So many there are.
        total: usize,
    },
    /// dpkg begins to configure a package.
    Configuring {
        /// The architecture.
        architecture: String,
        /// The package.
        package: String,
        /// So many are done.
        done: usize,
        /// So many there are.
        total: usize,
    },
    /// A program inside the root printed a line.
    Output {
        /// The architecture.
        architecture: String,
        /// The line, without its end.
        line: String,
    },
    /// Something that the user should know and that is not an error.
    Warning {
        /// What.
        message: String,
    },
    /// The lock beside the recipe was refreshed, and this is different in it.
    LockChanged {
        /// One package, in words.
        change: String,
    },
    /// An artifact is there under its final name.
    Artifact {
        /// Where.
        path: PathBuf,
        /// Its size in bytes; of a folder that is no image, none.
        size: Option<u64>,
        /// Its SHA-256, of an image layout its index's; of another folder, none.
        sha256: Option<Digest>,
    },
}

/// The phases of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Release files and indices are fetched and verified, dependencies solved.
    Resolve,
    /// Packages are fetched.
    Fetch,
    /// The layers of an image are fetched and put together.
    Layers,
    /// Packages are unpacked.
    Unpack,
    /// Maintainer scripts run.
    Configure,
    /// Steps of the recipe run.
    Steps,
    /// The artifact is written.
    Write,
}
