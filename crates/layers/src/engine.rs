//! The opened stores, and the way into an ordinary user's own namespaces.

use std::path::Path;
use std::sync::Arc;

use crate::store::{Role, Store};
use crate::usage::is_mount_point;
use crate::{Config, Environment, Error, Form, Ids, Result};

/// The stores of a configuration. Nothing is kept in memory that another process could change.
#[derive(Debug)]
pub struct Engine {
    env: Environment,
    config: Config,
    /// The runtime store, then the external one, then those for reading: the order in which names are looked up.
    stores: Vec<Arc<Store>>,
}

impl Engine {
    /// Opens the stores of the configuration, or of the default layout when there is none.
    ///
    /// # Errors
    /// [`Error::NotSetUp`]; [`Error::Config`]; a store that is not there or of a newer format.
    pub fn open(env: &Environment) -> Result<Self> {
        let config = match Config::read(env)? {
            Some(config) => config,
            None if env.default_store.is_dir() => Config::default_layout(&env.default_store),
            None => {
                let config = env.config_paths().into_iter().next().unwrap_or_default();
                return Err(Error::NotSetUp { config, store: env.default_store.clone() });
            }
        };
        Self::with_config(env, config)
    }

    /// Opens the stores of a given configuration; mounts the volume of the runtime store if that is not mounted.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn with_config(env: &Environment, config: Config) -> Result<Self> {
        if let Some(volume) = &config.volume
            && env.is_root()
            && !is_mount_point(&config.runtime)
        {
            // The machine was started again.
            crate::setup::attach(volume, &config.runtime)?;
            Store::create(&config.runtime, Role::Runtime, Form::User, Ids::current()?)?;
        }
        let mut stores = vec![Arc::new(Store::open(&config.runtime, Role::Runtime)?)];
        if let Some(path) = &config.external {
            stores.push(Arc::new(Store::open(path, Role::External)?));
        }
        for path in &config.read_only {
            stores.push(Arc::new(Store::open(path, Role::ReadOnly)?));
        }
        Ok(Self { env: env.clone(), config, stores })
    }

    /// Makes an ordinary user root of a user and a mount namespace of his own, in which the content of layers can be
    /// read and written; for root nothing changes.
    ///
    /// To be called while there is one thread, before [`Engine::create`], [`Engine::delete`] and everything else that
    /// touches contents. Not before [`Engine::merge`], [`Engine::unmerge`] and [`Engine::join`], which for an
    /// ordinary user work from outside.
    ///
    /// # Errors
    /// [`Error::Sandbox`], which tells the one thing to do.
    pub fn enter(&self) -> Result<()> {
        if self.env.is_root() {
            return Ok(());
        }
        sandbox::enter_user_namespace().map(|_| ()).map_err(Error::sandbox("get a namespace of one's own"))
    }

    /// What the engine took from its surroundings.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.env
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All stores, in the order in which names are looked up.
    #[must_use]
    pub fn stores(&self) -> &[Arc<Store>] {
        &self.stores
    }

    /// The store in which layers are made and mounted.
    #[must_use]
    pub fn runtime(&self) -> &Arc<Store> {
        &self.stores[0]
    }

    /// The store to which layers are moved.
    ///
    /// # Errors
    /// [`Error::NoExternal`].
    pub fn external(&self) -> Result<&Arc<Store>> {
        self.stores.iter().find(|store| store.role() == Role::External).ok_or(Error::NoExternal)
    }

    /// The root filesystem.
    ///
    /// # Errors
    /// [`Error::NoRootfs`] when it is no folder.
    pub fn rootfs(&self) -> Result<&Path> {
        let path = &self.config.rootfs;
        if path.is_dir() { Ok(path) } else { Err(Error::NoRootfs { path: path.clone() }) }
    }
}
