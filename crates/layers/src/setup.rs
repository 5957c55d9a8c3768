//! Making the stores, the root filesystem and the configuration.
//!
//! It may be repeated at any time: what is there already is kept, layers above all.

mod rootfs;
mod volume;

use std::fs;
use std::path::{Path, PathBuf};

use crate::lock::{Access, LayerLock};
use crate::name::BASE_ROOTFS;
use crate::store::{LAYERS, Role, Store};
use crate::{Config, Engine, Environment, Error, Ids, Result};

pub(crate) use volume::attach;

/// What to set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setup {
    /// `setup dev --base-rootfs=TAR --layer-disk=IMAGE`: the default store, on a disk image.
    Dev {
        /// A tar of the root filesystem, compressed or not.
        base_rootfs: PathBuf,
        /// The image, made if it does not exist.
        layer_disk: PathBuf,
    },
    /// `setup production --base-rootfs=TAR`: the default store, where it is.
    Production {
        /// A tar of the root filesystem, compressed or not.
        base_rootfs: PathBuf,
    },
    /// `setup --runtime R --external E --rootfs-path P [--rootfs-tar T]`, and with `-d R,rw -d S,ro` for the stores.
    Stores {
        /// The runtime store.
        runtime: PathBuf,
        /// The external store.
        external: Option<PathBuf>,
        /// Stores that are only read.
        read_only: Vec<PathBuf>,
        /// The folder of the root filesystem.
        rootfs_path: PathBuf,
        /// A tar of it, compressed or not, for when the folder is missing or empty.
        rootfs_tar: Option<PathBuf>,
    },
}

/// What was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetUp {
    /// The configuration's file.
    pub config_path: PathBuf,
    /// The configuration.
    pub config: Config,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What is asked for, in one form.
struct Request {
    runtime: PathBuf,
    external: Option<PathBuf>,
    read_only: Vec<PathBuf>,
    rootfs: PathBuf,
    tar: Option<PathBuf>,
    disk: Option<PathBuf>,
}

impl Engine {
    /// Makes the stores, unpacks the rootfs if a tar of it is given and none is there, and writes the configuration.
    ///
    /// An ordinary user's process enters namespaces of its own for it: call it while there is one thread, and not
    /// after [`Engine::enter`].
    ///
    /// # Errors
    /// [`Error::Setup`], [`Error::NoRootfs`]; [`Error::Unsuitable`] when the runtime store can be on no file system that
    /// layers can be mounted from. The configuration is as it was then.
    pub fn setup(env: &Environment, setup: &Setup) -> Result<SetUp> {
        if !env.is_root() {
            sandbox::enter_user_namespace().map_err(Error::sandbox("get a namespace of one's own"))?;
        }
        let mut request = Request::new(env, setup)?;
        let mut notes = Vec::new();
        fs::create_dir_all(&request.runtime).map_err(Error::io("create the folder", &request.runtime))?;
        request.runtime = fs::canonicalize(&request.runtime).map_err(Error::io("open", &request.runtime))?;
        let before = Config::read(env).ok().flatten().filter(|config| config.runtime == request.runtime);
        let (volume, form) = volume::choose(
            &request.runtime,
            request.disk.as_deref(),
            before.and_then(|config| config.volume),
            env.is_root(),
            &mut notes,
        )?;
        let runtime = Store::create(&request.runtime, Role::Runtime, form, Ids::current()?)?;
        let mut config = Config::new(runtime.root().to_owned(), request.rootfs.clone());
        config.volume = volume;
        if let Some(external) = &request.external {
            config.external = Some(external_store(external, runtime.root(), &mut notes)?);
        }
        for path in &request.read_only {
            config.read_only.push(fs::canonicalize(path).map_err(Error::io("open the store", path))?);
        }
        config.rootfs = provide_rootfs(&request, &mut notes)?;
        let config_path = config.write(env)?;
        Ok(SetUp { config_path, config, notes })
    }
}

impl Request {
    fn new(env: &Environment, setup: &Setup) -> Result<Self> {
        let studio = |tar: &Path, disk: Option<&PathBuf>| {
            let runtime = env.default_store.clone();
            Ok(Self {
                rootfs: runtime.join(LAYERS).join(BASE_ROOTFS),
                runtime,
                external: None,
                read_only: Vec::new(),
                tar: Some(absolute(tar)?),
                disk: disk.map(|disk| absolute(disk)).transpose()?,
            })
        };
        match setup {
            Setup::Dev { base_rootfs, layer_disk } => studio(base_rootfs, Some(layer_disk)),
            Setup::Production { base_rootfs } => studio(base_rootfs, None),
            Setup::Stores { runtime, external, read_only, rootfs_path, rootfs_tar } => Ok(Self {
                runtime: absolute(runtime)?,
                external: external.as_deref().map(absolute).transpose()?,
                read_only: read_only.iter().map(|path| absolute(path)).collect::<Result<_>>()?,
                rootfs: absolute(rootfs_path)?,
                tar: rootfs_tar.as_deref().map(absolute).transpose()?,
                disk: None,
            }),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("find", path))
}

/// Makes the external store, or opens it where it cannot be written.
fn external_store(path: &Path, runtime: &Path, notes: &mut Vec<String>) -> Result<PathBuf> {
    fs::create_dir_all(path).map_err(Error::io("create the folder", path))?;
    let root = fs::canonicalize(path).map_err(Error::io("open", path))?;
    if root == runtime {
        return Err(Error::Setup { why: "the external store is the runtime store".to_owned() });
    }
    let form = match volume::abilities(&root) {
        Ok(abilities) => volume::kept_form(&abilities),
        Err(error) => {
            notes.push(format!("nothing can be moved to the external store `{}`: {error}", root.display()));
            return Ok(root);
        }
    };
    Store::create(&root, Role::External, form, Ids::current()?)?;
    Ok(root)
}

/// The folder of the rootfs, unpacked from the tar if it is not there.
fn provide_rootfs(request: &Request, notes: &mut Vec<String>) -> Result<PathBuf> {
    let path = &request.rootfs;
    // Two setups at once unpack it once.
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(Error::io("create the folder", parent))?;
    let _gate = LayerLock::wait(parent, Access::Exclusive)?;
    let there = rootfs::is_there(path)?;
    match (&request.tar, there) {
        (Some(tar), false) => notes.extend(rootfs::unpack(tar, path)?),
        (Some(_), true) => {
            notes.push(format!("the root filesystem in `{}` is there already and was kept", path.display()));
        }
        (None, true) => {}
        (None, false) => return Err(Error::NoRootfs { path: path.clone() }),
    }
    fs::canonicalize(path).map_err(Error::io("open", path))
}
