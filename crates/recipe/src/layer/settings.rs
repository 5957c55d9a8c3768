//! What the user's pip and npm are told, for those in the sandbox: files, variables, certificates. All of it is shown
//! read-only, and none of it is ever in a layer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandbox::Sandbox;

/// Variables that begin so are for pip, npm or uv.
const PREFIXES: &[&str] = &["PIP_", "NPM_CONFIG_", "npm_config_", "UV_"];

/// Variables about the network.
const NETWORK: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NETRC",
];

/// Variables that say where programs put things: those of the machine mean nothing inside.
const PLACES: &[&str] =
    &["CACHE", "PREFIX", "TARGET", "UV_PYTHON", "UV_PROJECT", "UV_TOOL", "UV_INSTALL", "LOG"];

/// Configuration in the user's home.
const IN_HOME: &[&str] = &[".npmrc", ".netrc", ".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml"];

/// Configuration of the machine.
const OF_MACHINE: &[&str] =
    &["/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/etc/uv/uv.toml", "/etc/npmrc", "/usr/local/etc/npmrc"];

/// Where Debian has the certificates of all authorities.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The home of programs in the sandbox.
const HOME: &str = "/root";

/// What is shown to programs in the sandbox.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Files and folders of this machine, each with its place inside.
    binds: Vec<(PathBuf, PathBuf)>,
    variables: Vec<(String, String)>,
}

impl Settings {
    /// Those of the user who runs this program.
    pub(super) fn of_user() -> Self {
        Self::read(std::env::vars().collect(), std::env::var_os("HOME").map(PathBuf::from).as_deref())
    }

    fn read(environment: Vec<(String, String)>, home: Option<&Path>) -> Self {
        let mut settings = Self::default();
        let mut named = BTreeSet::new();
        let in_home = home.into_iter().flat_map(|home| IN_HOME.iter().map(|name| home.join(name)));
        let inside = IN_HOME.iter().map(|name| Path::new(HOME).join(name));
        let of_machine = OF_MACHINE.iter().map(PathBuf::from);
        for (file, place) in in_home.zip(inside).chain(of_machine.map(|path| (path.clone(), path))) {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            named.extend(paths(&text));
            settings.binds.push((file, place));
        }
        for (name, value) in environment {
            let is_meant =
                PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NETWORK.contains(&&*name);
            let upper = name.to_uppercase();
            if !is_meant || PLACES.iter().any(|word| upper.contains(word)) {
                continue;
            }
            named.extend(paths(&value));
            settings.variables.push((name, value));
        }
        settings.trust(&mut named);
        settings.binds.extend(named.into_iter().map(|path| (path.clone(), path)));
        settings
    }

    /// Whom this machine trusts is trusted inside, by all programs in one way.
    fn trust(&mut self, named: &mut BTreeSet<PathBuf>) {
        let certificates = Path::new(CERTIFICATES);
        if !certificates.is_file() {
            return;
        }
        named.insert(certificates.to_owned());
        for name in ["SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"] {
            if !self.variables.iter().any(|(known, _)| known == name) {
                self.variables.push((name.to_owned(), CERTIFICATES.to_owned()));
            }
        }
    }

    /// Shows all of it to `sandbox`.
    pub(super) fn show(&self, mut sandbox: Sandbox) -> Sandbox {
        for (source, target) in &self.binds {
            sandbox = sandbox.bind_read_only(source, target);
        }
        for (name, value) in &self.variables {
            sandbox = sandbox.env(name, value);
        }
        sandbox.env("HOME", HOME)
    }
}

/// The files and folders of this machine that a text names by their whole paths.
fn paths(text: &str) -> Vec<PathBuf> {
    let ends = |c: char| c.is_whitespace() || "'\"=,;".contains(c);
    let words = text.split(ends).map(|word| word.strip_prefix("file://").unwrap_or(word));
    let is_shown = |path: &&Path| {
        let depth = path.components().count();
        let kernel = ["/proc", "/sys", "/dev"].iter().any(|folder| path.starts_with(folder));
        path.is_absolute() && depth > 1 && !kernel && path.exists()
    };
    // What lies in folders that programs come from would hide those of the sandbox.
    let is_system =
        |path: &&Path| matches!(path.to_str(), Some("/usr" | "/bin" | "/lib" | "/etc" | "/usr/bin"));
    let found = words.map(Path::new).filter(is_shown).filter(|path| !is_system(path));
    found.map(Path::to_path_buf).collect()
}

/// What pip says about indexes, in the words of uv.
pub(super) fn for_uv(configuration: &str) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    for line in configuration.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.rsplit('.').next().unwrap_or(key);
        let value = value.trim().trim_matches(['\'', '"']).replace("\\n", " ");
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match key {
            _ if value.is_empty() => {}
            "index-url" => variables.push(("UV_DEFAULT_INDEX", value)),
            "extra-index-url" => {
                variables.push(("UV_INDEX", value));
                // As pip does it: the best version of all indexes.
                variables.push(("UV_INDEX_STRATEGY", "unsafe-best-match".to_owned()));
            }
            "find-links" => variables.push(("UV_FIND_LINKS", value.replace(' ', ","))),
            "trusted-host" => variables.push(("UV_INSECURE_HOST", value)),
            "no-index" if value == "true" || value == "1" => {
                variables.push(("UV_NO_INDEX", "1".to_owned()));
            }
            _ => {}
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_variables_and_what_they_name_are_shown() {
        let home = tempfile::tempdir().expect("a folder");
        let wheels = home.path().join("wheels");
        std::fs::create_dir(&wheels).expect("a folder");
        std::fs::write(home.path().join(".npmrc"), format!("cafile={}\n", wheels.display())).expect("a file");
        let environment = [
            ("PIP_INDEX_URL", "https://u:secret@example.org/simple"),
            ("npm_config_cache", "/var/cache"),
            ("https_proxy", "http://p"),
            ("EDITOR", "vi"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let settings = Settings::read(environment, Some(home.path()));
        let shown = |path: &Path, place: &Path| settings.binds.contains(&(path.into(), place.into()));
        assert!(shown(&home.path().join(".npmrc"), Path::new("/root/.npmrc")), "{settings:?}");
        assert!(shown(&wheels, &wheels), "{settings:?}");
        let has = |name: &str| settings.variables.iter().any(|(known, _)| known == name);
        assert!(has("PIP_INDEX_URL") && has("https_proxy") && !has("EDITOR") && !has("npm_config_cache"));
    }

    #[test]
    fn uv_is_told_what_pip_is_told() {
        let text = "global.index-url='https://a/simple'\n:env:.extra-index-url='https://b\\nhttps://c'\n\
                    install.find-links='/w /x'\nglobal.timeout='60'\n";
        let variables = for_uv(text);
        assert!(variables.contains(&("UV_DEFAULT_INDEX", "https://a/simple".to_owned())));
        assert!(variables.contains(&("UV_INDEX", "https://b https://c".to_owned())));
        assert!(variables.contains(&("UV_FIND_LINKS", "/w,/x".to_owned())));
        assert_eq!(variables.len(), 4);
    }
}
