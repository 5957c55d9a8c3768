//! What the commands for package layers take.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use image::Reference;
use publishing::PackageId;

use super::{Network, Registries};

/// What is done with the layers of a package.
#[derive(Debug, Subcommand)]
pub(crate) enum Package {
    /// Make the layers of a package, unless there are some of its version.
    ///
    /// The source layer has the folder of the package, the bootstrap layer what `scripts.bootstrap` of its package.oo.yaml changes when
    /// it is run over that, the layers of `layer.json` (the executor layer) and the root filesystem. All of it is done by `ovmlayer`,
    /// which lies beside this program or in PATH and has been set up.
    #[command(after_help = "Examples:
  ovmlayer-rootfs package create ./my-package
  ovmlayer-rootfs package create ./my-package --bind-paths src=/etc/pip.conf,dst=/etc/pip.conf,ro")]
    Create(CreatePackage),
    /// Write the layers of a package into a folder and into a zip, named after the architecture of this machine.
    ///
    /// The layers must be there. The folder is what `oocana package-layer import` takes, the zip what registries take. The same layers
    /// give the same bytes.
    #[command(
        after_help = "Example: ovmlayer-rootfs package export ./my-package    writes dist/amd64-layer and dist/amd64-layer.zip"
    )]
    Export(ExportPackage),
    /// Send exported layers to a package registry, as an artifact to an OCI registry, or both.
    ///
    /// The zips of all architectures are read through before anything is sent, and the layers are published when all of them
    /// are there: never those of one architecture alone. A run that was broken off is continued by the next one.
    #[command(after_help = "Examples:
  ovmlayer-rootfs package publish dist --registry https://registry.example
  ovmlayer-rootfs package publish --amd64 a.zip --arm64 b.zip --package @oomol/zip@1.2.0 --registry https://registry.example
  ovmlayer-rootfs package publish dist --oci ghcr.io/oomol/zip:1.2.0

Package registries are shown the token in OVMLAYER_PACKAGE_TOKEN, or else one that GitHub gives a job with the permission
`id-token: write`. OCI registries know us as for `push`.")]
    Publish(PublishPackage),
}

/// What `package create` takes.
#[derive(Debug, Args)]
pub(crate) struct CreatePackage {
    /// The folder of the package.
    #[arg(value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// A folder or file that the script sees: `src=PATH,dst=PATH[,ro|rw][,recursive|nonrecursive]`; can be given several times.
    #[arg(long, value_name = "BIND")]
    pub(crate) bind_paths: Vec<String>,
    /// A file with such binds, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) bind_path_file: Option<PathBuf>,
    /// Variables that are passed on to the script, beside OOMOL_*.
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    pub(crate) retain_env_keys: Vec<String>,
    /// Further variables for the script, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

/// What `package export` takes.
#[derive(Debug, Args)]
pub(crate) struct ExportPackage {
    /// The folder of the package.
    #[arg(value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// The folder that the export is written to.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub(crate) out: PathBuf,
}

/// What `package publish` takes.
#[derive(Debug, Args)]
pub(crate) struct PublishPackage {
    #[command(flatten)]
    pub(crate) exports: Exports,
    /// The package and its version, NAME@VERSION; needed when the exports do not name it, and compared when they do.
    #[arg(long, value_name = "NAME@VERSION")]
    pub(crate) package: Option<PackageId>,
    /// The address of the package registry.
    #[arg(long, value_name = "URL", required_unless_present = "oci")]
    pub(crate) registry: Option<String>,
    /// The name of the artifact in an OCI registry; can be given several times.
    #[arg(long, value_name = "REF")]
    pub(crate) oci: Vec<Reference>,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// Where exported layers are.
#[derive(Debug, Args)]
pub(crate) struct Exports {
    /// A folder with amd64-layer.zip and arm64-layer.zip.
    #[arg(value_name = "DIR", required_unless_present = "amd64")]
    pub(crate) folder: Option<PathBuf>,
    /// The zip for amd64, instead of a folder.
    #[arg(long, value_name = "FILE", requires = "arm64", conflicts_with = "folder")]
    pub(crate) amd64: Option<PathBuf>,
    /// The zip for arm64, instead of a folder.
    #[arg(long, value_name = "FILE", requires = "amd64", conflicts_with = "folder")]
    pub(crate) arm64: Option<PathBuf>,
}
