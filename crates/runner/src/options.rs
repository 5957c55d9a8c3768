//! What a run is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// What is to be run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The block: a manifest, a folder with one, or a reference.
    pub block: String,
    /// Where paths begin; absolute.
    pub cwd: PathBuf,
    /// Where packages are looked for.
    pub search: Vec<PathBuf>,
    /// The id of the session; a random one when there is none.
    pub session: Option<String>,
    /// How messages go.
    pub wire: WireOptions,
    /// Whether log lines and reports are printed.
    pub verbose: bool,
    /// Whether executors listen for debuggers.
    pub debug: bool,
    /// Whether they wait for one.
    pub wait_for_client: bool,
    /// Whether values of an earlier run are used.
    pub use_cache: bool,
    /// The nodes to run, with what they need; all when there is none.
    pub nodes: Option<Vec<String>>,
    /// Values for inputs of the block.
    pub inputs: Map<String, Value>,
    /// Values for inputs of nodes.
    pub nodes_inputs: BTreeMap<String, Map<String, Value>>,
    /// The folder of this session.
    pub session_dir: Option<PathBuf>,
    /// The folder for what the block keeps.
    pub project_data: PathBuf,
    /// The folder in which packages have folders for what they keep.
    pub pkg_data_root: PathBuf,
    /// The folder for temporary files.
    pub temp_root: PathBuf,
    /// The folder for logs and caches.
    pub oocana_dir: PathBuf,
    /// Variables of executors, beside those of the runner.
    pub variables: Vec<(String, String)>,
    /// Where connectors are.
    pub connector_url: Option<String>,
    /// Where blocks without source run.
    pub remote_url: Option<String>,
    /// How long those may take, in seconds; 0 for any time.
    pub remote_timeout: u64,
    /// Who we are to servers.
    pub token: Option<String>,
    /// Where secrets of accounts are.
    pub vault_url: Option<String>,
    /// The program, and its first arguments, that calls [`crate::supervise`] with what follows after `--`. `--runtime NAME` before
    /// that names a stack of layers that has to go when the program has ended.
    pub supervisor: (PathBuf, Vec<OsString>),
    /// How executors run in layers of packages; on this machine as it is when there is none.
    pub layers: Option<LayerOptions>,
}

/// How executors run in layers of packages.
#[derive(Debug, Clone)]
pub struct LayerOptions {
    /// The program, and its first arguments, that runs what follows after `--` in the stack `--runtime NAME` with the layers of the
    /// package `--package DIR`, which it makes when they are not there. It says [`LAYER_READY`] as soon as the stack is.
    pub command: (PathBuf, Vec<OsString>),
    /// Packages, by path, that run on this machine as it is.
    pub exclude: Vec<PathBuf>,
    /// The package in whose layers those run instead.
    pub default_package: Option<PathBuf>,
}

/// The line that tells that an executor begins to start in its layers.
pub const LAYER_READY: &str = "oocana: the layers are ready";

/// How messages go.
#[derive(Debug, Clone, Default)]
pub struct WireOptions {
    /// A broker that is there, as `host:port`; one of our own when there is none.
    pub broker: Option<String>,
    /// Whether reports are published for others.
    pub reporter: bool,
    /// Whether reports are printed as lines of JSON.
    pub report_to_console: bool,
}
