//! What `fetch` takes.

use std::path::PathBuf;

use clap::Args;

/// What `fetch` takes.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The folder that is filled; with several architectures, each gets a folder in it.
    #[arg(long, value_name = "DIR", default_value = "components")]
    pub(crate) out: PathBuf,
    /// The architectures, separated by commas [default: this machine's].
    #[arg(long, value_name = "ARCH", value_delimiter = ',', value_parser = ["amd64", "arm64"])]
    pub(crate) arch: Vec<String>,
    /// The release of oocana: a tag, `latest`, or `none`.
    #[arg(long, value_name = "TAG", default_value = "latest", help_heading = "Components")]
    pub(crate) oocana: String,
    /// The release of ovmlayer: a tag, `latest`, or `none`.
    #[arg(long, value_name = "TAG", default_value = "latest", help_heading = "Components")]
    pub(crate) ovmlayer: String,
    /// The release with the root filesystem: a tag, `latest` (of those called server-base@VERSION), or `none`.
    #[arg(long, value_name = "TAG", default_value = "latest", help_heading = "Components")]
    pub(crate) rootfs: String,
    /// Take a component from another repository, such as ovmlayer=me/ovmlayer; can be given several times.
    #[arg(long, value_name = "COMPONENT=OWNER/REPOSITORY", value_parser = source, help_heading = "Components")]
    pub(crate) repository: Vec<(String, String)>,
    /// The address of the API [default: GITHUB_API_URL, else GitHub's].
    #[arg(long, value_name = "URL", help_heading = "Network and cache")]
    pub(crate) api_url: Option<String>,
    /// Trust the certificates in this file (PEM) beside those of the machine; can be given several times.
    #[arg(long, value_name = "FILE", help_heading = "Network and cache")]
    pub(crate) ca: Vec<PathBuf>,
    /// Give a server up after this many seconds without a byte [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = "Network and cache")]
    pub(crate) timeout: Option<u64>,
    /// Where downloads are kept [default: $XDG_CACHE_HOME/ovmlayer-rootfs].
    #[arg(long, value_name = "DIR", help_heading = "Network and cache")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// Reads `COMPONENT=OWNER/REPOSITORY`.
fn source(text: &str) -> Result<(String, String), String> {
    let is_word = |word: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !word.is_empty() && word.bytes().all(known) && !word.starts_with('.')
    };
    let known = |name: &str| releases::COMPONENTS.iter().any(|component| component.name == name);
    match text.split_once('=').and_then(|(name, place)| Some((name, place, place.split_once('/')?))) {
        Some((name, place, (owner, repository))) if known(name) && is_word(owner) && is_word(repository) => {
            Ok((name.to_owned(), place.to_owned()))
        }
        _ => Err("it is oocana=OWNER/REPOSITORY, ovmlayer=… or rootfs=…".to_owned()),
    }
}
