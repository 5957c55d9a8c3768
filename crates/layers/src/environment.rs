//! Where the engine runs: whose home, which user, since which start of the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::CONFIG_NAME;
use crate::{Error, Result};

/// The store that is used when there is no configuration.
const DEFAULT_STORE: &str = "/opt/ovmlayer";

/// What the engine takes from its surroundings, as values, so that a test can give others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `$HOME`, if it is set.
    pub home: Option<PathBuf>,
    /// The home that the user database names for the effective user.
    pub passwd_home: Option<PathBuf>,
    /// The effective user id outside of any namespace of ours.
    pub euid: u32,
    /// What tells this start of the machine from others.
    pub boot_id: String,
    /// The store that is used when there is no configuration.
    pub default_store: PathBuf,
}

impl Environment {
    /// What this process finds. To be called before [`crate::Engine::enter`].
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn of_process() -> Result<Self> {
        let euid = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Ok(Self {
            home: std::env::var_os("HOME").and_then(absolute),
            passwd_home: home_of(&passwd, euid),
            euid,
            boot_id: sandbox::mounts::boot_id()
                .map_err(Error::sandbox("tell this start of the machine from others"))?,
            default_store: DEFAULT_STORE.into(),
        })
    }

    /// Whether mounts can be made without a namespace of our own.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.euid == 0
    }

    /// Where a configuration is looked for, best place first.
    pub(crate) fn config_paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = [&self.home, &self.passwd_home]
            .into_iter()
            .flatten()
            .map(|home| home.join(CONFIG_NAME))
            .collect();
        paths.dedup();
        paths
    }

    /// Where `setup` writes the configuration.
    pub(crate) fn config_path(&self) -> Result<PathBuf> {
        let why = || "there is no home folder for the configuration; set HOME".to_owned();
        self.config_paths().into_iter().next().ok_or_else(|| Error::Setup { why: why() })
    }
}

fn absolute(path: OsString) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// The home folder of a user in the text of passwd(5).
fn home_of(passwd: &str, uid: u32) -> Option<PathBuf> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (id, home) = (fields.get(2)?, fields.get(5)?);
        (id.parse() == Ok(uid) && Path::new(home).is_absolute()).then(|| PathBuf::from(home))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_come_from_the_user_database() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\na:x:1000:1000::/home/a:/bin/sh\nb:x:7:7:::/bin/sh\n";
        assert_eq!(home_of(passwd, 0), Some("/root".into()));
        assert_eq!(home_of(passwd, 1000), Some("/home/a".into()));
        assert_eq!(home_of(passwd, 7), None);
        assert_eq!(home_of(passwd, 8), None);
    }
}
