//! `run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Inside;

/// Where packages are looked for.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Folders with packages; can be given several times, or separated by commas.
    #[arg(long, alias = "block-search-paths", value_delimiter = ',', value_name = "DIR")]
    pub(crate) search_paths: Vec<PathBuf>,
}

/// Run a flow, a subflow or a task.
///
/// Progress, what blocks write and errors go to stderr; stdout is for results. A node that never ran, although no condition kept
/// it from running, is named with the input that it waited for, and the exit status is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  oocana run flows/demo
  oocana run tasks/echo --inputs '{\"x\": 5}' --json
  oocana run flows/demo --nodes-inputs '{\"node\": {\"handle\": 1}}'
  oocana run flows/demo --broker 127.0.0.1:47688 --reporter      report to others, through a broker of yours")]
pub(crate) struct Run {
    /// A folder with a flow, or any manifest of a flow or task.
    pub(crate) block: String,

    /// Values for the inputs of the block.
    #[arg(long, value_name = "JSON")]
    pub(crate) inputs: Option<String>,
    /// Run these nodes only, and what they need.
    #[arg(long, value_delimiter = ',', value_name = "NODE")]
    pub(crate) nodes: Option<Vec<String>>,
    /// Values for inputs of nodes that nothing is connected to, by node and handle.
    #[arg(long, value_name = "JSON")]
    pub(crate) nodes_inputs: Option<String>,
    /// Begin with the values of the last run.
    #[arg(long)]
    pub(crate) use_cache: bool,
    #[command(flatten)]
    pub(crate) search: Search,

    /// Print results on stdout as JSON: outputs, how often each node ran, errors.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// How progress is shown.
    #[arg(long, value_enum, default_value = "auto", help_heading = "Output")]
    pub(crate) progress: Progress,
    /// Nodes that never ran are no failure.
    #[arg(long, help_heading = "Output")]
    pub(crate) allow_starved: bool,
    /// Print the lines of the log on stdout.
    #[arg(long, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// With --verbose: print reports as lines of JSON on stdout.
    #[arg(long, help_heading = "Output")]
    pub(crate) report_to_console: bool,

    /// Use this broker instead of the one built in.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Messages")]
    pub(crate) broker: Option<String>,
    /// Publish reports for others.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Messages")]
    pub(crate) reporter: Option<bool>,
    /// The id of the session; a random one when it is left out.
    #[arg(long, value_name = "ID", help_heading = "Messages")]
    pub(crate) session: Option<String>,

    /// The folder of the session.
    #[arg(long, value_name = "DIR", help_heading = "Folders")]
    pub(crate) session_dir: Option<PathBuf>,
    /// The folder for what the block keeps.
    #[arg(long, value_name = "DIR", help_heading = "Folders")]
    pub(crate) project_data: Option<PathBuf>,
    /// The folder for what packages keep.
    #[arg(long, value_name = "DIR", help_heading = "Folders")]
    pub(crate) pkg_data_root: Option<PathBuf>,
    /// The folder for temporary files.
    #[arg(long, value_name = "DIR", env = "OOCANA_TEMP_ROOT", hide_env = true, help_heading = "Folders")]
    pub(crate) temp_root: Option<PathBuf>,

    /// Further variables for executors, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE", env = "OOCANA_ENV_FILE", hide_env = true, help_heading = "Executors")]
    pub(crate) env_file: Option<PathBuf>,
    /// Let executors listen for debuggers.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", help_heading = "Executors")]
    pub(crate) debug: Option<bool>,
    /// Let executors wait for a debugger.
    #[arg(long, help_heading = "Executors")]
    pub(crate) wait_for_client: bool,

    /// Where connectors are.
    #[arg(
        long,
        value_name = "URL",
        env = "OOCANA_CONNECTOR_BASE_URL",
        hide_env = true,
        help_heading = "Servers"
    )]
    pub(crate) connector_base_url: Option<String>,
    /// Where blocks without source run.
    #[arg(
        long,
        value_name = "URL",
        env = "OOCANA_REMOTE_BLOCK_URL",
        hide_env = true,
        help_heading = "Servers"
    )]
    pub(crate) remote_block_url: Option<String>,
    /// How long those may take, in seconds; 0 for any time.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "OOCANA_REMOTE_BLOCK_TIMEOUT",
        hide_env = true,
        help_heading = "Servers"
    )]
    pub(crate) remote_block_timeout: Option<u64>,

    /// Print the search paths and binds, and run nothing.
    #[arg(long, help_heading = "Layers")]
    pub(crate) dry_run: bool,
    /// Packages, by path, that run without a layer of their own.
    #[arg(long, value_delimiter = ',', value_name = "DIR", help_heading = "Layers")]
    pub(crate) exclude_packages: Vec<PathBuf>,
    /// The package in whose layer those run instead.
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub(crate) default_package: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inside: Inside,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Live on a terminal, else as lines.
    Auto,
    /// As lines.
    Plain,
    /// Not at all; errors are still shown.
    Off,
}
