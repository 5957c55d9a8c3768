//! `package-layer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What `package-layer` does.
#[derive(Debug, Subcommand)]
pub(crate) enum PackageLayer {
    /// Make the layers of a package, unless there are some of its version.
    #[command(
        after_help = "Example: oocana package-layer create ./my-package --bind-paths src=/srv/cache,dst=/root/.cache"
    )]
    Create {
        /// The folder of the package.
        package: PathBuf,
        #[command(flatten)]
        script: Script,
    },
    /// The same, noted by name and version in the external store.
    #[command(alias = "create-registry", disable_version_flag = true)]
    CreateExternal {
        /// The name.
        name: String,
        /// The version.
        version: String,
        /// The folder of the package.
        package: PathBuf,
        #[command(flatten)]
        script: Script,
    },
    /// Delete the layers of a package that nobody else needs.
    Delete {
        /// The folder of the package, which need not be there any more.
        package: PathBuf,
    },
    /// The same, of the external store.
    #[command(alias = "delete-registry", disable_version_flag = true)]
    DeleteExternal {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
    /// Print `Exist` or `NotInStore`.
    #[command(disable_version_flag = true)]
    Get {
        /// The folder of the package.
        package: PathBuf,
        /// The name, instead of the one that the package says.
        #[arg(long, value_name = "NAME")]
        package_name: Option<String>,
        /// The version, instead of the one that the package says.
        #[arg(long = "version", value_name = "VERSION")]
        package_version: Option<String>,
    },
    /// The same, of the external store.
    #[command(alias = "get-registry", disable_version_flag = true)]
    GetExternal {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
    /// Print whether each package in some folders has a layer, as a JSON object by path.
    Scan {
        /// Folders with packages; can be given several times, or separated by commas.
        #[arg(long, alias = "block-search-paths", value_delimiter = ',', value_name = "DIR")]
        search_paths: Vec<PathBuf>,
        /// Where to; standard output when it is left out.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write the layers of a package into a folder.
    ///
    /// The folder gets `layers.tar`, `package-layer.json` and `layers.json`. The same layers give the same bytes.
    Export {
        /// The folder of the package.
        package: PathBuf,
        /// The folder to write into.
        dest: PathBuf,
    },
    /// Take over the layers in an exported folder.
    Import {
        /// The exported folder.
        export: PathBuf,
        /// Where the package is here; it may have been elsewhere when it was exported.
        package: PathBuf,
    },
    /// Move the layers of a package into the external store.
    Mv {
        /// The folder of the package.
        package: PathBuf,
    },
    /// List all package layers.
    List,
    /// Forget all package layers that are noted by path, and delete ALL layers of the runtime store, those of others too.
    DeleteAll,
}

/// What a bootstrap script sees of the machine.
#[derive(Debug, Args)]
pub(crate) struct Script {
    #[command(flatten)]
    pub(crate) inside: Inside,
    /// Variables for the script, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE", env = "OOCANA_ENV_FILE", hide_env = true, help_heading = "Layers")]
    pub(crate) env_file: Option<PathBuf>,
}

/// What is seen in layers, beside what they hold.
#[derive(Debug, Args)]
pub(crate) struct Inside {
    /// Variables that go into layers too, beside OOMOL_*.
    #[arg(long, value_delimiter = ',', value_name = "KEY", help_heading = "Layers")]
    pub(crate) retain_env_keys: Vec<String>,
    /// A folder or file that layers see: `src=PATH,dst=PATH[,ro|rw][,recursive|nonrecursive]`.
    #[arg(long, value_name = "BIND", help_heading = "Layers")]
    pub(crate) bind_paths: Vec<String>,
    /// A file with such binds, one a line.
    #[arg(
        long,
        value_name = "FILE",
        env = "OOCANA_BIND_PATH_FILE",
        hide_env = true,
        help_heading = "Layers"
    )]
    pub(crate) bind_path_file: Option<PathBuf>,
}
