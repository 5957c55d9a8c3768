//! The command line.

mod package_layer;
mod run;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use package_layer::{Inside, PackageLayer, Script};
pub(crate) use run::{Progress, Run, Search};

/// Runs flows: graphs of blocks written in Python, Node.js or shell.
///
/// A flow is a folder with a `flow.oo.yaml`. Blocks run in executor processes, `python-executor` and `nodejs-executor`, which must
/// be in PATH; messages go through a broker that is built in.
#[derive(Debug, Parser)]
#[command(
    name = "oocana",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  oocana check flows/demo                     find every mistake without running anything
  oocana run flows/demo                       run a flow; progress goes to stderr
  oocana run flows/demo --inputs '{\"n\": 3}' --json
                                              with inputs, results as JSON on stdout
  oocana run flows/demo --nodes c --use-cache run one node with the values of the last run
  oocana graph flows/demo > demo.svg          draw it

Exit status of `run`: 0 done, 3 some nodes never ran, 255 failed or cancelled, 1 no broker, 2 wrong usage.
Configuration: --config, else OOCANA_CONFIG, else ~/.oocana/config.json, .toml or .json5.")]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(long, value_name = "FILE", global = true, env = "OOCANA_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<Run>),
    Check(Check),
    Graph(Graph),
    /// Values that were kept of earlier runs.
    #[command(subcommand)]
    Cache(Cache),
    /// Ask what a flow has, for programs.
    #[command(subcommand)]
    Query(Query),
    /// Make, find and move layers of packages.
    ///
    /// A package layer holds the folder of a package and what its bootstrap script has installed for it. It needs `ovmlayer`, set up,
    /// in PATH.
    #[command(subcommand)]
    PackageLayer(PackageLayer),
    /// Print a completion script for a shell.
    #[command(after_help = "Example: oocana completions zsh > ~/.zfunc/_oocana")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands into a folder, for those who package the program.
    #[command(hide = true)]
    Manual {
        /// The folder, which is there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Watch over a program that `run` has started.
    #[command(hide = true)]
    Supervise {
        /// The stack of layers that goes when the program has ended.
        #[arg(long)]
        runtime: Option<String>,
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a program in the layers of a package.
    #[command(hide = true)]
    InLayer(InLayer),
}

/// What `run` tells the process that becomes an executor in layers.
#[derive(Debug, Args)]
pub(crate) struct InLayer {
    /// The name of the stack.
    #[arg(long)]
    pub(crate) runtime: String,
    /// The package.
    #[arg(long)]
    pub(crate) package: PathBuf,
    /// The folder for what its blocks keep.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    /// The flow whose scripts are run in the layers first.
    #[arg(long)]
    pub(crate) inject_flow: Option<PathBuf>,
    /// Those scripts.
    #[arg(long)]
    pub(crate) inject_script: Vec<String>,
    #[arg(long)]
    pub(crate) bind_paths: Vec<String>,
    #[arg(long)]
    pub(crate) retain_env_keys: Vec<String>,
    #[arg(long)]
    pub(crate) env_file: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Find every mistake in a flow without running it.
///
/// Reads the flow and all that it refers to, and prints one line per mistake: FILE:LINE:COLUMN: what is wrong and what was
/// expected. Exits with 1 when there is any.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The flow, task or subflow.
    pub(crate) block: String,
    #[command(flatten)]
    pub(crate) search: Search,
    /// Print the mistakes as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Draw a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  oocana graph flows/demo --out demo.svg
  oocana graph flows/demo --format mermaid    to be put between ```mermaid and ``` in a README")]
pub(crate) struct Graph {
    /// The flow.
    pub(crate) flow: String,
    /// As what.
    #[arg(long, value_enum, default_value = "svg")]
    pub(crate) format: Format,
    /// Where to; standard output when it is left out.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) search: Search,
}

/// What a drawing is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// A picture.
    Svg,
    /// Text that Mermaid draws.
    Mermaid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Forget all of them.
    Clear,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Query {
    /// Which nodes would run for some of them.
    Upstream {
        /// The flow.
        flow: String,
        /// The nodes.
        #[arg(long, value_delimiter = ',', required = true)]
        nodes: Vec<String>,
        /// With values of the last run.
        #[arg(long)]
        use_cache: bool,
        #[command(flatten)]
        search: Search,
    },
    /// Which packages a flow uses, and whether each has a layer.
    Package {
        /// The flow.
        flow: String,
        #[command(flatten)]
        search: Search,
    },
    /// The inputs of a block.
    Inputs {
        /// The block.
        block: String,
        /// Where to; standard output when it is left out.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        search: Search,
    },
    /// The inputs of nodes that nothing is connected to.
    NodesInputs {
        /// The flow.
        flow: String,
        /// Where to; standard output when it is left out.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        search: Search,
    },
    /// The services of a flow.
    Service {
        /// The flow.
        flow: String,
        #[command(flatten)]
        search: Search,
    },
}
