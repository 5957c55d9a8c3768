//! What works in a merge point.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use layers::{Bind, PointName};

/// Run a command in a merge point.
///
/// The command sees the merged files as its root, processes of its own, and the machine's network, with names that
/// resolve. It is root there, starts in `/` with HOME=/root and a usual PATH, and gets of this environment only TERM,
/// COLORTERM, NO_COLOR and the proxy settings. When it ends, everything it started ends too. Its exit status is passed
/// on: 128 and the number for a signal, 127 for a command that is not found, 126 for one that cannot be run, 125 when
/// the merge point cannot be entered.
///
/// Everything after the first word that is no flag belongs to the command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ovmlayer run --merged-point work bash -c 'id; pwd'
  ovmlayer run --merged-point work --workdir /src --mount type=bind,src=$PWD,dst=/src,ro make
  ovmlayer run --merged-point work --env DEBIAN_FRONTEND=noninteractive apt-get install -y git")]
pub(crate) struct Run {
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
    /// The merge point.
    #[arg(long, short, value_name = "POINT")]
    pub(crate) merged_point: PointName,
    /// Show a file or folder of the machine inside. Can be given several times; done in the given order.
    ///
    /// `type=bind,src=PATH,dst=PATH` with any of `ro` or `rw`, `recursive` or `nonrecursive`; rw and nonrecursive unless
    /// told otherwise. `source` is the same as `src`; `target` and `destination` are the same as `dst`; `readonly` is the
    /// same as `ro`. A missing destination is made, and removed afterwards if it is still empty.
    #[arg(long, value_name = "BIND", value_parser = OsStringValueParser::new().try_map(|text| Bind::parse(&text)))]
    pub(crate) mount: Vec<Bind>,
    /// The folder inside in which the command starts [default: /].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Set a variable; `NAME` alone takes its value from this environment. Can be given several times.
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<OsString>,
    /// A file of lines NAME=VALUE; what --env says wins. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Show all devices of the machine instead of null, zero, full, random, urandom, tty and pseudo-terminals.
    #[arg(long, alias = "all-device")]
    pub(crate) all_devices: bool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// What a command may use; all off by default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// The most memory, in bytes or with a suffix k, m, g or t (powers of 1024).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// The most processors, such as 1.5.
    #[arg(long, value_name = "N", value_parser = processors)]
    pub(crate) cpus: Option<f64>,
    /// The most processes and threads.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pids: Option<u32>,
    /// A network of its own with nothing but a loopback device.
    #[arg(long)]
    pub(crate) no_network: bool,
    /// A seccomp profile, as OCI and Docker write it in JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) seccomp: Option<PathBuf>,
}

/// Copy a file or folder into a layer or merge point, or out of one.
///
/// The source is always copied into the destination folder under its own name, as in `cp -r SRC DIR/`; a missing folder
/// is made, with the mode and owner that the root filesystem has for it. A folder of that name is merged with, a file
/// is replaced. Modes, times, links, extended attributes and holes are kept. What is copied in belongs to root, what is
/// copied out to the caller.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ovmlayer cp --mode host2layer ./package mine:/app        becomes /app/package
  ovmlayer cp --mode host2merged setup.sh work:/tmp
  ovmlayer cp --mode layer2host mine:/app/package .
  ovmlayer cp --mode merged2host work:/etc/os-release /tmp")]
pub(crate) struct Copy {
    /// From where to where.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Direction,
    /// Keep owners and set-id bits as well.
    #[arg(long, short)]
    pub(crate) archive: bool,
    /// PATH, or NAME:PATH in a layer or merge point.
    #[arg(value_name = "SRC")]
    pub(crate) source: OsString,
    /// NAME:FOLDER in a layer or merge point, or FOLDER.
    #[arg(value_name = "DEST")]
    pub(crate) destination: OsString,
}

/// From where to where something is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// Into a layer: through the merge point when the layer is the top of one.
    #[value(name = "host2layer")]
    HostToLayer,
    /// Into a merge point, and thereby its top layer.
    #[value(name = "host2merged")]
    HostToMerged,
    /// Out of a layer: only what the layer itself holds.
    #[value(name = "layer2host")]
    LayerToHost,
    /// Out of a merge point.
    #[value(name = "merged2host")]
    MergedToHost,
}

/// A size in bytes, with a suffix of one letter for a power of 1024.
fn size(text: &str) -> Result<u64, String> {
    let text = text.to_ascii_lowercase();
    let (digits, power) = match text.char_indices().next_back() {
        Some((at, letter)) if letter.is_ascii_alphabetic() => {
            let power =
                "bkmgt".find(letter).ok_or_else(|| format!("`{letter}` is no unit: use k, m, g or t"))?;
            (&text[..at], power)
        }
        _ => (text.as_str(), 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{digits}` is no whole number"))?;
    let bytes = u32::try_from(power).ok().and_then(|power| number.checked_mul(1024_u64.checked_pow(power)?));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "it must be more than nothing, and fit in 64 bits".into())
}

/// A number of processors, of which a hundredth is the least.
fn processors(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.01..=1_000_000.0).contains(&number) { Ok(number) } else { Err("it must be at least 0.01".into()) }
}
