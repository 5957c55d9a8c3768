//! How pip and npm of this machine reach their registries, handed into a merge point as callers do: files by `--mount`,
//! variables by `--env`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{run, tool};

use crate::stage::{Stage, text};

/// Variables that tell pip, npm and the libraries below them how to reach a registry.
const VARIABLES: [&str; 11] = [
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "UV_INDEX_URL",
    "CURL_CA_BUNDLE",
];

/// Files in which pip keeps its settings, where the home's begin with `~`.
const PIP_FILES: [&str; 4] =
    ["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"];

/// The arguments for `ovmlayer run` that hand over the settings. Files are copied into the stage first, for the machine's
/// own may be for root alone.
pub(crate) fn registries(stage: &Stage) -> Vec<String> {
    let mut files = BTreeSet::new();
    let mut arguments = Vec::new();
    for (name, value) in std::env::vars() {
        let lower = name.to_lowercase();
        if !VARIABLES.contains(&name.as_str())
            && !lower.starts_with("pip_")
            && !lower.starts_with("npm_config_")
        {
            continue;
        }
        files.extend(Path::new(&value).is_file().then(|| value.clone()));
        arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
    }
    let npm = |what: &str| {
        let mut command = Command::new(tool("npm"));
        text(&run(command.args(["config", "get", what]))).trim().to_owned()
    };
    files.extend(Some(npm("cafile")).filter(|path| Path::new(path).is_file()));
    let mut mounts: Vec<(PathBuf, String)> =
        files.into_iter().map(|path| (path.clone().into(), path)).collect();
    for (setting, inside) in [("userconfig", "/root/.npmrc"), ("globalconfig", "/etc/npmrc")] {
        mounts.push((npm(setting).into(), inside.to_owned()));
    }
    arguments.extend(["--env".to_owned(), "npm_config_globalconfig=/etc/npmrc".to_owned()]);
    let home = std::env::var("HOME").unwrap_or_default();
    for file in PIP_FILES {
        mounts.push((file.replacen('~', &home, 1).into(), file.replacen('~', "/root", 1)));
    }
    mounts.retain(|(source, _)| source.is_file());
    for (number, (source, inside)) in mounts.iter().enumerate() {
        let content = std::fs::read_to_string(source).unwrap_or_else(|error| panic!("{source:?}: {error}"));
        let copy = stage.file(&format!("settings/{number}"), &content, 0o644);
        arguments.push(format!("--mount=type=bind,src={copy},dst={inside},ro,nonrecursive"));
    }
    arguments
}
