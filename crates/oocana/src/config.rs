//! The configuration file.

use std::path::{Path, PathBuf};

use packages::Places;
use serde::Deserialize;

/// What a file may say. Other keys are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Config {
    /// The file it was read from.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    pub(crate) global: Global,
    pub(crate) run: RunDefaults,
}

/// Of all commands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Global {
    pub(crate) oocana_dir: Option<String>,
    pub(crate) store_dir: Option<String>,
    #[serde(alias = "registry_store_file")]
    pub(crate) external_store_file: Option<String>,
    pub(crate) env_file: Option<String>,
    pub(crate) bind_path_file: Option<String>,
    pub(crate) search_paths: Vec<String>,
}

/// Of `run`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunDefaults {
    pub(crate) broker: Option<String>,
    pub(crate) reporter: Option<bool>,
    pub(crate) debug: Option<bool>,
    pub(crate) exclude_packages: Vec<String>,
    pub(crate) extra: Extra,
}

/// Beside what the command line says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    pub(crate) search_paths: Vec<String>,
}

impl Config {
    /// Reads the file that was named, else one of the usual places; there need be none.
    ///
    /// # Errors
    /// With what is wrong with the file.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, String> {
        let usual = || {
            let names = ["config.json", "config.toml", "config.json5"];
            names.iter().map(|name| home().join(".oocana").join(name)).find(|path| path.is_file())
        };
        let Some(path) = named.map(Path::to_owned).or_else(usual) else { return Ok(Self::default()) };
        let wrong = |why: String| format!("the configuration {} is not usable: {why}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            return Ok(Self { file: Some(path), ..config });
        }
        // JSON, and what JSON5 adds but for its comments, is YAML too.
        let yaml =
            flow::yaml::parse(&path, text.as_bytes()).map_err(|problems| wrong(problems.to_string()))?;
        let config: Self = serde_json::from_value(yaml.to_json())
            .map_err(|error| wrong(format!("{error}; both `global` and `run` are needed")))?;
        Ok(Self { file: Some(path), ..config })
    }

    /// The folder for logs and caches.
    pub(crate) fn oocana_dir(&self) -> PathBuf {
        self.global.oocana_dir.as_deref().map_or_else(|| home().join(".oocana"), expand)
    }

    /// The stores of package layers. A variable that names one counts more than the file.
    pub(crate) fn places(&self) -> Places {
        let configured =
            || self.global.external_store_file.as_deref().map(|path| expand(path).into_os_string());
        let variable = |name: &str| {
            let is_last = name == "OOMOL_REGISTRY_STORE_FILE";
            std::env::var_os(name).or_else(|| if is_last { configured() } else { None })
        };
        let mut places = Places::in_home(&home(), variable);
        places.oocana_dir = self.oocana_dir();
        if let Some(folder) = &self.global.store_dir {
            places.store_dir = expand(folder);
        }
        places
    }

    /// The search paths: those of the command line or of the file, then the further ones.
    pub(crate) fn search(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        let own = self.global.search_paths.iter().map(|path| expand(path));
        let named = named.iter().map(|path| expand(&path.to_string_lossy()));
        let first: Vec<PathBuf> = if named.len() > 0 { named.collect() } else { own.collect() };
        first.into_iter().chain(self.run.extra.search_paths.iter().map(|path| expand(path))).collect()
    }
}

/// The home of the user.
pub(crate) fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// A path with `~` for the home.
pub(crate) fn expand(path: &str) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home(),
        Some(rest) if rest.starts_with('/') => home().join(&rest[1..]),
        _ => PathBuf::from(path),
    }
}
