//! How pip and npm of this machine reach their registries, handed into a merge point as callers do: files by `--mount`,
//! variables by `--env`.

use std::collections::BTreeMap;
use std::path::Path;
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

/// The arguments for `ovmlayer run` that hand over the settings. Files that they name, such as certificates, get a place
/// of their own inside, for packages put theirs at the usual one.
pub(crate) fn registries(stage: &Stage) -> Vec<String> {
    let mut settings = Settings { stage, files: BTreeMap::new(), arguments: Vec::new() };
    for (name, value) in std::env::vars() {
        let lower = name.to_lowercase();
        let wanted = lower.starts_with("pip_") || lower.starts_with("npm_config_");
        if wanted || VARIABLES.contains(&name.as_str()) {
            let value = settings.inside(&value);
            settings.variable(&name, &value);
        }
    }
    let npm =
        |what: &str| text(&run(Command::new(tool("npm")).args(["config", "get", what]))).trim().to_owned();
    let home = std::env::var("HOME").unwrap_or_default();
    for (source, variable) in
        [(npm("userconfig"), "npm_config_userconfig"), (npm("globalconfig"), "npm_config_globalconfig")]
    {
        settings.file(&source, variable);
    }
    for file in PIP_FILES {
        settings.file(&file.replacen('~', &home, 1), "PIP_CONFIG_FILE");
    }
    settings.arguments
}

/// What is handed over.
struct Settings<'s> {
    stage: &'s Stage,
    /// Places inside, by the machine's.
    files: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Settings<'_> {
    fn variable(&mut self, name: &str, value: &str) {
        self.arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
    }

    /// A file of lines `NAME = VALUE`, which `variable` names inside.
    fn file(&mut self, source: &str, variable: &str) {
        let Ok(content) = std::fs::read_to_string(source) else { return };
        let lines = content.lines().map(|line| match line.split_once('=') {
            Some((name, value)) => format!("{name}={}\n", self.inside(value.trim())),
            None => format!("{line}\n"),
        });
        let content: String = lines.collect::<Vec<_>>().concat();
        let inside = self.show(source, &content);
        self.variable(variable, &inside);
    }

    /// A value as it is, unless it names a file, which is then shown inside.
    fn inside(&mut self, value: &str) -> String {
        if !value.starts_with('/') || !Path::new(value).is_file() {
            return value.to_owned();
        }
        let content = std::fs::read_to_string(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        self.show(value, &content)
    }

    /// Shows a copy of a file, for the machine's own may be for root alone.
    fn show(&mut self, source: &str, content: &str) -> String {
        if let Some(inside) = self.files.get(source) {
            return inside.clone();
        }
        let number = self.files.len();
        let copy = self.stage.file(&format!("settings/{number}"), content, 0o644);
        let inside = format!("/registries/{number}");
        self.arguments.push(format!("--mount=type=bind,src={copy},dst={inside},ro,nonrecursive"));
        self.files.insert(source.to_owned(), inside.clone());
        inside
    }
}
