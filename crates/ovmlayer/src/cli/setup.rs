//! `setup`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

/// Prepare the stores and the root filesystem.
///
/// Run it once, or at every start: it makes what is missing and never removes a layer. What was chosen is written to
/// ~/.ovmlayer_cfg.json, except by `dev` and `production`, which use /opt/ovmlayer.
///
/// The runtime store must lie on a file system that can hold the top of an overlay, such as ext4, xfs or btrfs. Where it
/// cannot (the root of a container), layers are kept in a disk image in the same folder, and this is said.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ovmlayer setup --runtime R --external E --rootfs-path P
                        stores in folders R and E over the root filesystem that lies in P
  ovmlayer setup --runtime R --rootfs-path P --rootfs-tar T
                        the same, with tar T unpacked into P unless P has a root filesystem already
  ovmlayer setup -d DIR,rw --rootfs-path P
                        a store in DIR; further `-d DIR,ro` are stores that are only read
  ovmlayer setup production --base-rootfs=T
                        /opt/ovmlayer, its root filesystem from tar T
  ovmlayer setup dev --base-rootfs=T --layer-disk=IMG
                        the same in a disk image, for a machine whose /opt cannot hold layers")]
pub(crate) struct Setup {
    /// The /opt/ovmlayer layout, on a disk image or as it is.
    #[arg(value_enum, value_name = "LAYOUT", conflicts_with_all = ["runtime", "dir"])]
    pub(crate) mode: Option<Mode>,
    /// The store that layers are created in.
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    pub(crate) runtime: Option<PathBuf>,
    /// The store that `move` moves layers to; it may lie on a network.
    #[arg(long, value_name = "DIR", conflicts_with = "mode")]
    pub(crate) external: Option<PathBuf>,
    /// A store: the writable one (`DIR` or `DIR,rw`) or one that is only read (`DIR,ro`). Can be given several times.
    #[arg(long, short, value_name = "DIR[,rw|,ro]", value_parser = OsStringValueParser::new().try_map(|text| Folder::parse(&text)))]
    pub(crate) dir: Vec<Folder>,
    /// The folder of the root filesystem.
    #[arg(long, value_name = "DIR", conflicts_with = "mode")]
    pub(crate) rootfs_path: Option<PathBuf>,
    /// A tar that is unpacked into the folder of the root filesystem, unless one is there already.
    #[arg(long, value_name = "TAR", conflicts_with = "mode", requires = "rootfs_path")]
    pub(crate) rootfs_tar: Option<PathBuf>,
    /// A tar of the root filesystem for /opt/ovmlayer.
    #[arg(long, value_name = "TAR", requires = "mode")]
    pub(crate) base_rootfs: Option<PathBuf>,
    /// A disk image that holds /opt/ovmlayer, made when it is missing (with `dev`).
    #[arg(long, value_name = "IMG", requires = "mode")]
    pub(crate) layer_disk: Option<PathBuf>,
}

/// Become another command, with layers ready for use: the entrypoint of a container.
///
/// Control groups that are read-only are made writable, and stores are set up as by `setup`, at every start anew, by any
/// number of containers on one volume. Where layers cannot be used, one warning says why, and the command is started all the
/// same.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ovmlayer start -d /opt/ovmlayer,rw -d /usr/lib/ovmlayer/store,ro --rootfs-path /usr/lib/ovmlayer/rootfs bash")]
pub(crate) struct Start {
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
    /// A store: the writable one (`DIR` or `DIR,rw`) or one that is only read (`DIR,ro`). Can be given several times.
    #[arg(long, short, required = true, value_name = "DIR[,rw|,ro]", value_parser = OsStringValueParser::new().try_map(|text| Folder::parse(&text)))]
    pub(crate) dir: Vec<Folder>,
    /// The store that `move` moves layers to; it may lie on a network.
    #[arg(long, value_name = "DIR")]
    pub(crate) external: Option<PathBuf>,
    /// The folder of the root filesystem.
    #[arg(long, value_name = "DIR")]
    pub(crate) rootfs_path: PathBuf,
}

/// How /opt/ovmlayer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// In a disk image.
    Dev,
    /// As a folder, such as a volume of a container.
    Production,
}

/// A store as `-d` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) writable: bool,
}

impl Folder {
    /// Reads `DIR`, `DIR,rw` or `DIR,ro`; what follows another comma belongs to the folder's name.
    fn parse(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (path, writable) = match (bytes.strip_suffix(b",rw"), bytes.strip_suffix(b",ro")) {
            (Some(path), _) => (path, true),
            (_, Some(path)) => (path, false),
            _ => (bytes, true),
        };
        if path.is_empty() {
            return Err("the folder is missing before the comma".into());
        }
        Ok(Self { path: OsStr::from_bytes(path).into(), writable })
    }
}
