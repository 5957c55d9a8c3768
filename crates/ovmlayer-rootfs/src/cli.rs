//! The command line.

mod fetch;
mod images;
mod look;
mod package;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use recipe::distro::Distro;
use recipe::plan::Base;

pub(crate) use fetch::Fetch;
pub(crate) use images::{Copy, Parts, Publish, Pull, Push, Registries, Signing};
pub(crate) use look::{Choice, Diff, Inspect, Sbom};
pub(crate) use package::{CreatePackage, ExportPackage, Exports, Package, PublishPackage};

/// Builds root filesystems from recipes: verified Debian and Ubuntu packages in, the same bits out on every machine.
///
/// No daemon and no root are needed. Downloads are kept in $XDG_CACHE_HOME/ovmlayer-rootfs. Start with
/// `ovmlayer-rootfs doctor`, which says what this machine can do, then `ovmlayer-rootfs build base-rootfs`.
#[derive(Debug, Parser)]
#[command(
    name = "ovmlayer-rootfs",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How progress is shown on stderr: a bar on a terminal and lines elsewhere, always lines, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORM", default_value = "auto", help_heading = "Output")]
    pub(crate) progress: Progress,
    /// Show what programs inside the root print.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// Print results on stdout as JSON.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    Auto,
    Plain,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build recipes into the output folder.
    ///
    /// Files appear under their final names when they are complete, with a lock that says exactly what is in them.
    #[command(after_help = "Examples:
  ovmlayer-rootfs build base-rootfs                     Ubuntu for amd64 and arm64 into dist/
  ovmlayer-rootfs build base-rootfs --distro debian     Debian instead
  ovmlayer-rootfs build base-rootfs --arch arm64 --out /tmp/out
  ovmlayer-rootfs build base-rootfs --locked --offline  the same bits again, without a network
  ovmlayer-rootfs build server-base --from ./image      a root filesystem from an image in a folder
  ovmlayer-rootfs build server-foundation --sbom spdx --push registry.lan:5000/server-foundation:v1")]
    Build(Build),
    /// List the recipes that can be built by name.
    List,
    /// Resolve a recipe and write its lock beside it, without building.
    ///
    /// The lock then pins the recipe: `build --locked` accepts nothing else. With `--update` an existing lock is refreshed
    /// and what changed is printed.
    Lock(Lock),
    /// Fetch an image from a registry into an image layout.
    ///
    /// All platforms come along, so that the digest stays what it was. What is fetched is checked, kept by its digest in the
    /// cache and not fetched again; a pull that breaks off goes on where it stopped.
    #[command(after_help = "Examples:
  ovmlayer-rootfs pull ghcr.io/oomol/server-base:latest dist/server-base
  ovmlayer-rootfs pull ghcr.io/oomol/server-base@sha256:… dist/server-base --platform linux/arm64
  ovmlayer-rootfs pull localhost:5000/app oci:dist/app:v1 --referrers

Who we are is found where `docker login`, `skopeo login` and their like leave it.")]
    Pull(Pull),
    /// Send an image to one or several references.
    ///
    /// Only what the registry lacks is sent; what another of its repositories has is taken over from there. Tags are set when
    /// all else is there.
    #[command(after_help = "Examples:
  ovmlayer-rootfs push dist/app ghcr.io/oomol/app:latest ghcr.io/oomol/app:v1.2
  ovmlayer-rootfs push oci:dist/app:v1 registry.lan:5000/app:v1 --ca ca.pem --creds alice
  OVMLAYER_REGISTRY_USER=ci OVMLAYER_REGISTRY_PASSWORD=$TOKEN ovmlayer-rootfs push dist/app ghcr.io/oomol/app:sha-1a2b3c")]
    Push(Push),
    /// Copy an image from one place to another: registries, image layouts, archives.
    ///
    /// Places are written as `skopeo` writes them: a reference, or docker://REFERENCE, is in a registry, `oci:DIR[:TAG]` is an
    /// image layout, `oci-archive:FILE[:TAG]` one in a tar, and `docker-archive:FILE[:NAME]` what `docker load` takes.
    #[command(after_help = "Examples:
  ovmlayer-rootfs copy ghcr.io/oomol/app:v1 registry.lan/mirror/app:v1
  ovmlayer-rootfs copy ghcr.io/oomol/app:v1 oci:app --platform linux/amd64 --platform linux/arm64
  ovmlayer-rootfs copy oci:app:v1 docker://localhost:5000/app:v1 --referrers --json")]
    Copy(Copy),
    /// Show what is in a tar, a folder or an image: packages, what takes the room, layers, configuration.
    ///
    /// Files and folders are told by what they are: a tar (plain or compressed with gzip, xz or zstd), an OCI image layout, or
    /// the root of a tree. Images may also be named as for `copy`, in a registry too. With `--json` everything is printed, in a form whose
    /// number `format` says when it changes.
    #[command(after_help = "Examples:
  ovmlayer-rootfs inspect dist/amd64-rootfs.tar
  ovmlayer-rootfs inspect dist/server-foundation --platform arm64
  ovmlayer-rootfs inspect amd64-rootfs.tar.zst --report size.html   a map for a browser, in one file
  ovmlayer-rootfs inspect amd64-rootfs.tar --json | jq '.packages[] | {name, version, bytes}'")]
    Inspect(Inspect),
    /// Show what has changed from one tar, folder or image to another.
    ///
    /// Packages that came, went or have another version; entries that came, went or differ in kind, mode, owner, size, contents,
    /// link target or extended attributes; and how an image is run. Times of modification are not compared.
    #[command(after_help = "Examples:
  ovmlayer-rootfs diff old/amd64-rootfs.tar dist/amd64-rootfs.tar
  ovmlayer-rootfs diff oci:dist/app:v1 oci:dist/app:v2 --json
  ovmlayer-rootfs diff a.tar b.tar && echo the same

Exit status, as of diff(1): 0 the same, 1 different, 2 trouble.")]
    Diff(Diff),
    /// Write the bill of materials of a tar, a folder or an image.
    ///
    /// It lists the packages of dpkg, Python and npm with their versions, licences and files, and every file by its digest. The
    /// same tree gives the same bytes: the time in it is that of the newest file, or SOURCE_DATE_EPOCH.
    #[command(after_help = "Examples:
  ovmlayer-rootfs sbom dist/amd64-rootfs.tar --output amd64-rootfs.spdx.json
  ovmlayer-rootfs sbom dist/server-foundation --format cyclonedx --platform arm64
  ovmlayer-rootfs sbom oci:dist/app:v1 --attach     beside the image in its layout, whose digest stays")]
    Sbom(Sbom),
    /// Layers of one package of blocks, for a registry.
    #[command(subcommand)]
    Package(Package),
    /// Fetch released components into a folder: oocana, ovmlayer and a root filesystem.
    ///
    /// They come from the releases of their repositories on GitHub and are checked by the digests that are published there. The
    /// programs are taken out of their archives; `versions.json` says what came.
    #[command(after_help = "Examples:
  ovmlayer-rootfs fetch                                            the newest of each, for this machine
  ovmlayer-rootfs fetch --arch amd64,arm64 --out context --rootfs server-base@0.6.0
  ovmlayer-rootfs fetch --oocana v0.27.18 --ovmlayer none --rootfs none
  GITHUB_TOKEN_OVMLAYER=$APP_TOKEN ovmlayer-rootfs fetch           a token of its own for a private repository

Tokens are looked for in GITHUB_TOKEN_OOCANA, GITHUB_TOKEN_OVMLAYER and GITHUB_TOKEN_ROOTFS, then GH_TOKEN and GITHUB_TOKEN.")]
    Fetch(Fetch),
    /// Say what this machine can do, and what to do about the rest.
    Doctor(Doctor),
    /// Print a completion script for a shell.
    #[command(after_help = "Example: ovmlayer-rootfs completions zsh > ~/.zfunc/_ovmlayer-rootfs")]
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
}

/// What `build` takes.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Names or paths of recipes; all known ones when none is given.
    #[arg(value_name = "RECIPE")]
    pub(crate) recipes: Vec<String>,
    #[command(flatten)]
    pub(crate) from: From,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
    /// Make the root filesystem from this image in place of the one that the recipe names: a reference into a registry, the
    /// folder of an image layout, or an archive of either kind.
    #[arg(long = "from", value_name = "REF|LAYOUT")]
    pub(crate) image: Option<String>,
    /// Take a program of an image from there in place of where the recipe says: a folder with a Cargo workspace, or a file,
    /// in whose path {arch} stands for the architecture. Can be given several times.
    #[arg(long, value_name = "NAME=PATH", value_parser = component)]
    pub(crate) component: Vec<(String, String)>,
    /// The folder that artifacts are written to.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub(crate) out: PathBuf,
    /// Use exactly what the lock beside the recipe says, or fail.
    #[arg(long, conflicts_with = "update")]
    pub(crate) locked: bool,
    /// Ignore the lock beside the recipe, build what the archive has now, and refresh the lock.
    #[arg(long)]
    pub(crate) update: bool,
    /// How many packages are unpacked, and threads compress, at the same time [default: the number of processors].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Where roots are built before they are written [default: in memory when there is plenty, else build/ in the cache].
    #[arg(long, value_name = "DIR")]
    pub(crate) build_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) publish: Publish,
}

/// Reads `NAME=PATH`.
fn component(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !name.is_empty() && !source.is_empty() => {
            Ok((name.to_owned(), source.to_owned()))
        }
        _ => Err("give it as NAME=PATH".to_owned()),
    }
}

/// What `lock` takes.
#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// The name or path of a recipe.
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: String,
    #[command(flatten)]
    pub(crate) from: From,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
    /// Refresh a lock that is there already.
    #[arg(long)]
    pub(crate) update: bool,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Where downloads are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// Where packages come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where packages come from")]
pub(crate) struct From {
    /// The architectures, separated by commas [default: the recipe's].
    #[arg(long, value_name = "ARCH", value_delimiter = ',')]
    pub(crate) arch: Vec<String>,
    /// The distribution [default: the recipe's, which is ubuntu].
    #[arg(long, value_name = "NAME")]
    pub(crate) distro: Option<Distro>,
    /// The suite [default: the current stable release or LTS].
    #[arg(long, value_name = "SUITE")]
    pub(crate) suite: Option<String>,
    /// The base of the main archive [default: the recipe's, this machine's own for the distribution, or a built-in one].
    ///
    /// Ubuntu has arm64 at another place than amd64: give `--mirror amd64=URL --mirror arm64=URL`, or one URL for an archive
    /// that has all architectures.
    #[arg(long, value_name = "[ARCH=]URL")]
    pub(crate) mirror: Vec<Base>,
    /// The base of the security archive; like `--mirror`, it can be given for each architecture.
    #[arg(long, value_name = "[ARCH=]URL")]
    pub(crate) security_mirror: Vec<Base>,
    /// A file of OpenPGP keys that sign the archive, instead of the distribution's.
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
    /// Take packages as they were at this time: YYYYMMDDTHHMMSSZ.
    #[arg(long, value_name = "DATE")]
    pub(crate) snapshot: Option<String>,
}

/// How the network is used, and where what comes from it is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network and cache")]
pub(crate) struct Network {
    /// Give a server up after this many seconds without a byte [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: Option<u64>,
    /// Use what is in the cache, and no network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where downloads are kept [default: $XDG_CACHE_HOME/ovmlayer-rootfs].
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}
