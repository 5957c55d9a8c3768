//! Who we are at a registry: given on the command line, in the environment, or in the files of `docker login` and its
//! relatives (`containers-auth.json(5)`).

mod file;
mod helper;

use std::path::PathBuf;

use super::{RegistryError, Secret};
use crate::Result;

/// Who somebody is at a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that is worth tokens (OAuth 2, "refresh token").
    IdentityToken(Secret),
    /// A token for the registry itself.
    RegistryToken(Secret),
}

impl Identity {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "somebody without credentials".to_owned(),
            Self::Password { user, .. } => format!("the user `{user}`"),
            Self::IdentityToken(_) | Self::RegistryToken(_) => "the holder of our token".to_owned(),
        }
    }
}

/// A user and a password that were given for one registry, or for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Host and port; any registry when none.
    pub registry: Option<String>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    given: Vec<Given>,
    files: Vec<PathBuf>,
    /// Whether the first file was asked for by name, and so must be there.
    named: bool,
}

impl Credentials {
    /// Those that were given, then those of the environment: `OVMLAYER_REGISTRY_USER` and `OVMLAYER_REGISTRY_PASSWORD` (for
    /// the registry `OVMLAYER_REGISTRY_HOST`, or any), then the file `REGISTRY_AUTH_FILE` alone, or else
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config`) and
    /// `$DOCKER_CONFIG/config.json` (`~/.docker`), the first that knows the registry.
    ///
    /// # Errors
    /// [`RegistryError::Credentials`] for a user without a password.
    pub fn of_environment(
        given: Vec<Given>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, RegistryError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut all = given;
        if let Some(user) = variable("OVMLAYER_REGISTRY_USER") {
            let Some(password) = variable("OVMLAYER_REGISTRY_PASSWORD") else {
                return Err(RegistryError::Credentials {
                    whence: "OVMLAYER_REGISTRY_USER".to_owned(),
                    why: "OVMLAYER_REGISTRY_PASSWORD is not set".to_owned(),
                });
            };
            let registry = variable("OVMLAYER_REGISTRY_HOST");
            all.push(Given { registry, user, password: Secret::new(password) });
        }
        if let Some(path) = variable("REGISTRY_AUTH_FILE") {
            return Ok(Self { given: all, files: vec![path.into()], named: true });
        }
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let at_home = |folder: &str| variable("HOME").map(|home| PathBuf::from(home).join(folder));
        let files = [
            folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            folder("XDG_CONFIG_HOME")
                .or_else(|| at_home(".config"))
                .map(|folder| folder.join("containers/auth.json")),
            folder("DOCKER_CONFIG").or_else(|| at_home(".docker")).map(|folder| folder.join("config.json")),
        ];
        Ok(Self { given: all, files: files.into_iter().flatten().collect(), named: false })
    }

    /// Whether some were given for any registry, which is only safe when there is one.
    #[must_use]
    pub fn has_general(&self) -> bool {
        self.given.iter().any(|given| given.registry.is_none())
    }

    /// Who we are at `registry` for `repository`.
    ///
    /// # Errors
    /// [`RegistryError::Credentials`], [`RegistryError::Helper`].
    pub fn find(&self, registry: &str, repository: &str) -> Result<Identity, RegistryError> {
        let given = |given: &&Given| given.registry.as_ref().is_some_and(|host| host == registry);
        let general = |given: &&Given| given.registry.is_none();
        if let Some(found) =
            self.given.iter().find(given).or_else(|| self.given.iter().find(general)).cloned()
        {
            return Ok(Identity::Password { user: found.user, password: found.password });
        }
        for path in &self.files {
            let Some(file) = file::read(path, self.named)? else { continue };
            if let Some(found) = file.find(registry, repository)? {
                return Ok(found);
            }
        }
        Ok(Identity::Anonymous)
    }
}
