//! The configuration: which stores there are and where the root filesystem is.
//!
//! `$HOME/.ovmlayer_cfg.json`, else the same name in the home that the user database names. It is replaced in one
//! rename; a symbolic link with that name stays one, and what it points to is replaced.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record;
use crate::{Environment, Error, Result};

/// The name of the configuration in a home folder.
pub(crate) const CONFIG_NAME: &str = ".ovmlayer_cfg.json";

/// The format that this program writes.
const FORMAT: u32 = 1;

/// No configuration of ours is larger, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What `setup` has decided. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The format of the file, 1.
    pub format: u32,
    /// The runtime store, where layers are made and mounted.
    pub runtime: PathBuf,
    /// The external store, where layers are moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<PathBuf>,
    /// Stores that are only read, for instance those that come with an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_only: Vec<PathBuf>,
    /// The root filesystem.
    pub rootfs: PathBuf,
    /// What is mounted at the runtime store, if `setup` had to provide a file system for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
}

/// A file system that is mounted at the runtime store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Volume {
    /// ext4 in this file.
    Disk(PathBuf),
    /// In memory: what is in it is gone after a restart of the machine.
    Memory,
}

impl Config {
    /// A configuration with one store and nothing else.
    #[must_use]
    pub fn new(runtime: PathBuf, rootfs: PathBuf) -> Self {
        Self { format: FORMAT, runtime, external: None, read_only: Vec::new(), rootfs, volume: None }
    }

    /// The layout that holds when nothing was configured: the rootfs is in the store, under its reserved name.
    #[must_use]
    pub fn default_layout(store: &Path) -> Self {
        Self::new(store.to_owned(), store.join(crate::store::LAYERS).join(crate::name::BASE_ROOTFS))
    }

    /// Reads the configuration of this environment; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Format`], and failures to read other than that it is not there or not ours to read.
    pub fn read(env: &Environment) -> Result<Option<Self>> {
        for path in env.config_paths() {
            match fs::File::open(&path) {
                Ok(file) => return Self::parse(&path, file).map(Some),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(Error::io("read", &path)(error)),
            }
        }
        Ok(None)
    }

    fn parse(path: &Path, file: fs::File) -> Result<Self> {
        let mut text = String::new();
        file.take(MAX_SIZE).read_to_string(&mut text).map_err(Error::io("read", path))?;
        let bad = |why: String| Error::Config { path: path.to_owned(), why };
        record::check_format(path, &text, FORMAT, &bad)?;
        let config: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let mut paths = vec![&config.runtime, &config.rootfs];
        paths.extend(&config.external);
        paths.extend(&config.read_only);
        if let Some(Volume::Disk(image)) = &config.volume {
            paths.push(image);
        }
        match paths.into_iter().find(|path| !path.is_absolute()) {
            Some(relative) => Err(bad(format!("`{}` is no absolute path", relative.display()))),
            None => Ok(config),
        }
    }

    /// Writes the configuration in one rename, and says where. One that is there and says the same stays, so that it may lie
    /// where nothing can be written.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is still there then.
    pub fn write(&self, env: &Environment) -> Result<PathBuf> {
        let path = env.config_path()?;
        if fs::File::open(&path).is_ok_and(|file| Self::parse(&path, file).is_ok_and(|there| there == *self))
        {
            return Ok(path);
        }
        // Of a link, what it leads to is replaced, also when that does not exist yet.
        let target = fs::canonicalize(&path).or_else(|_| follow(&path)).unwrap_or_else(|_| path.clone());
        record::replace(&target, self, record::Durable::Yes)?;
        Ok(path)
    }
}

/// Where a symbolic link to nothing points.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let target = fs::read_link(path)?;
    Ok(path.parent().unwrap_or(Path::new("/")).join(target))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn env(home: &Path, passwd_home: &Path) -> Environment {
        Environment {
            home: Some(home.to_owned()),
            passwd_home: Some(passwd_home.to_owned()),
            euid: 0,
            boot_id: "boot".to_owned(),
            default_store: "/nowhere".into(),
        }
    }

    #[test]
    fn home_comes_first_and_the_user_database_second() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let env_both = env(home.path(), other.path());
        assert_eq!(Config::read(&env_both).unwrap(), None);
        let first = Config::new("/a".into(), "/r".into());
        first.write(&env(other.path(), other.path())).unwrap();
        assert_eq!(Config::read(&env_both).unwrap().as_ref(), Some(&first));
        let mut second = Config::new("/b".into(), "/r".into());
        second.external = Some("/e".into());
        second.volume = Some(Volume::Disk("/image".into()));
        second.write(&env_both).unwrap();
        assert_eq!(Config::read(&env_both).unwrap(), Some(second));
        assert_eq!(Config::read(&env(other.path(), other.path())).unwrap(), Some(first));
    }

    #[test]
    fn what_is_there_and_says_the_same_stays() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path(), home.path());
        // Not as we would write it: by this it is seen that it was left alone.
        let text = "{ \"format\": 1, \"runtime\": \"/a\", \"rootfs\": \"/r\" }";
        let path = home.path().join(CONFIG_NAME);
        fs::write(&path, text).unwrap();
        Config::new("/a".into(), "/r".into()).write(&env).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        Config::new("/b".into(), "/r".into()).write(&env).unwrap();
        assert_eq!(Config::read(&env).unwrap().unwrap().runtime, Path::new("/b"));
    }

    #[test]
    fn a_link_stays_a_link() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let env = env(home.path(), home.path());
        let link = home.path().join(CONFIG_NAME);
        symlink(other.path().join("real.json"), &link).unwrap();
        for store in ["/a", "/b"] {
            Config::new(store.into(), "/r".into()).write(&env).unwrap();
            assert!(link.is_symlink());
            assert_eq!(Config::read(&env).unwrap().unwrap().runtime, Path::new(store));
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let home = tempfile::tempdir().unwrap();
        let env = env(home.path(), home.path());
        let table = [
            ("{", "is not usable"),
            ("{}", "is not usable"),
            (r#"{"format":1,"runtime":"a","rootfs":"/r"}"#, "`a` is no absolute path"),
            (r#"{"format":2}"#, "has format 2, this program knows format 1"),
        ];
        for (text, expected) in table {
            fs::write(home.path().join(CONFIG_NAME), text).unwrap();
            let message = Config::read(&env).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
