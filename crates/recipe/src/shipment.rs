//! What an image carries beside what its packages and steps make: layers on its root, a store of them, and programs.
//!
//! The store holds the root as it was before, and each layer by itself, ready to be mounted by `ovmlayer` where they lie. They
//! are further names of the files that the image has anyway: contents are in it once.
//!
//! The store is made to lie beneath another overlay, as the root of a container does. An overlay shows neither devices 0:0 nor
//! `trusted.overlay.*` attributes of what is below it, so layers that need such marks are refused.

mod link;
mod unpack;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cache::{Hasher, Scratch};
use sandbox::IdMap;
use tree::{EntryPath, Metadata, Root};

use crate::build::{Options, Session};
use crate::component::{self, Program};
use crate::concerns::Concerns;
use crate::find::Found;
use crate::format::{Image, ShippedStore};
use crate::lock::Package;
use crate::output::Shape;
use crate::steps::Slim;
use crate::{Error, find, layer};
use link::link_tree;

/// What the names of labels begin with that say versions.
const LABEL: &str = "io.oomol.";

/// The folder of the root filesystem in a store's folder, and that of the store.
const ROOTFS: &str = "rootfs";
const LAYERS: &str = "store/layer_dir";

/// What is carried for all architectures.
#[derive(Debug)]
pub(crate) struct Shipment {
    /// The name of the image's recipe.
    recipe: String,
    /// By architecture, in the order in which they are put on each other.
    layers: BTreeMap<String, Vec<Archived>>,
    programs: BTreeMap<String, Vec<Program>>,
    store: Option<ShippedStore>,
    /// Has the layers.
    _scratch: Scratch,
}

/// A layer in a file.
#[derive(Debug)]
struct Archived {
    recipe: String,
    path: PathBuf,
    digest: String,
}

impl Shipment {
    /// Makes everything that `found` carries, for `architectures`.
    ///
    /// # Errors
    /// Those of builds of layers; [`Error::Component`].
    pub(crate) fn prepare(
        session: &Session,
        found: &Found,
        options: &Options,
        architectures: &[String],
        ids: &IdMap,
    ) -> Result<Self, Error> {
        let settings = found.recipe.image.clone().unwrap_or_default();
        let folder = options.build_dir.clone().unwrap_or_else(|| session.cache().root().join("build"));
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let scratch = Scratch::new(&folder, "shipment")?;
        let mut programs = BTreeMap::new();
        for architecture in architectures {
            let these = component::provide(session, found, options, architecture, ids)?;
            programs.insert(architecture.clone(), these);
        }
        let mut layers: BTreeMap<String, Vec<Archived>> = BTreeMap::new();
        // The scratch folder itself is locked, and whoever writes artifacts locks their folder.
        let out = scratch.path().join("layers");
        std::fs::create_dir(&out).map_err(Error::io("create", &out))?;
        let out = Options { out, ..options.clone() };
        for name in &settings.with_layers {
            let layer = layer_for(found, &settings, name)?;
            for (architecture, (path, digest)) in layer::archives(session, &layer, &out, ids)? {
                let archived = Archived { recipe: layer.name.clone(), path, digest };
                layers.entry(architecture).or_default().push(archived);
            }
        }
        Ok(Self { recipe: found.name.clone(), layers, programs, store: settings.store, _scratch: scratch })
    }

    /// Puts what is carried into the finished root of one architecture, and notes where each of it is from.
    pub(crate) fn put(
        &self,
        architecture: &str,
        root: &Root,
        concerns: &mut Concerns,
        shape: &Shape<'_>,
    ) -> Result<(), Error> {
        let top = Metadata::new(0o755, shape.epoch);
        let store = self.store.as_ref().map(|store| absolute(&store.path)).transpose()?;
        if let (Some(store), Some(path)) = (&self.store, &store) {
            let slim = Slim::of_globs(&self.recipe, "without", &store.without)?;
            let leave_out = |entry: &EntryPath| {
                entry.starts_with(path) || slim.leaves_out(entry) || (shape.leave_out)(entry)
            };
            let rootfs = beneath(path, ROOTFS)?;
            root.make_parents(&rootfs, &top)?;
            root.make_dir(&rootfs, &top)?;
            link_tree(root, &EntryPath::ROOT, &rootfs, &leave_out)?;
        }
        for archived in self.layers.get(architecture).into_iter().flatten() {
            let name = unpack::name_of(&archived.path, &archived.recipe)?;
            let kept = match &store {
                Some(store) => beneath(store, &format!("{LAYERS}/{name}"))?,
                None => {
                    EntryPath::ROOT.join(format!(".layer-{name}").as_bytes()).map_err(tree::Error::from)?
                }
            };
            root.make_parents(&kept, &top)?;
            root.make_dir(&kept, &top)?;
            unpack::unpack(archived, &root.subroot(&kept)?, shape.threads)?;
            let mut put = link_tree(root, &kept, &EntryPath::ROOT, &|_| false)?;
            if store.is_some() {
                put.extend(under(root, &kept)?);
            } else {
                root.remove_all(&kept)?;
            }
            concerns.assign(put, "layers");
        }
        for program in self.programs.get(architecture).into_iter().flatten() {
            let path = beneath(&absolute("/usr/bin")?, &program.name)?;
            root.make_parents(&path, &top)?;
            root.remove_file(&path)?;
            let file = std::fs::File::open(&program.path).map_err(Error::io("open", &program.path))?;
            root.copy_file(&path, &Metadata::new(0o755, shape.epoch), &file)?;
            concerns.assign([path], "programs");
        }
        root.forget_parents();
        Ok(())
    }

    /// Labels that say what is carried for one architecture; `locked` is what the root is made of.
    pub(crate) fn labels(&self, architecture: &str, locked: &[&Package]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let mut label =
            |name: &str, version: String| labels.insert(format!("{LABEL}{name}.version"), version);
        for program in self.programs.get(architecture).into_iter().flatten() {
            label(&program.name, program.version.clone());
        }
        let layers = self.layers.get(architecture).map_or(&[][..], Vec::as_slice);
        for layer in layers {
            label(&layer.recipe, format!("sha256:{}", layer.digest));
        }
        if self.store.is_some() {
            let mut hasher = Hasher::new();
            locked.iter().for_each(|package| hasher.update(package.sha256.to_string().as_bytes()));
            label(ROOTFS, format!("sha256:{}", hasher.finish()));
        }
        labels
    }
}

/// The recipe of a layer that goes into the image of `found`, put on what that is made of.
fn layer_for(found: &Found, settings: &Image, name: &str) -> Result<Found, Error> {
    let mut layer = find(&found.named_here(name))?;
    let below = match &settings.rootfs {
        Some(rootfs) => find(&found.named_here(rootfs))?,
        None => found.clone(),
    };
    if layer.recipe.kind != crate::format::Kind::Layer {
        let message = "its recipe is of another kind than `layer`".to_owned();
        return Err(Error::ShippedLayer { name: layer.name, message });
    }
    // Said here, so that no image stands in for it.
    layer.recipe.layer.get_or_insert_default().parent = Some(below.name.clone());
    layer.parent = Some(Box::new(below));
    Ok(layer)
}

/// Every path at and beneath `top`.
fn under(root: &Root, top: &EntryPath) -> Result<Vec<EntryPath>, Error> {
    let scanned = root.subroot(top)?;
    scanned.scan().map(|entry| Ok(link::joined(top, &entry?.path)?)).collect()
}

fn absolute(path: &str) -> Result<EntryPath, Error> {
    let path = path.trim_matches('/');
    Ok(EntryPath::parse(path.as_bytes()).map_err(tree::Error::from)?)
}

fn beneath(folder: &EntryPath, inner: &str) -> Result<EntryPath, Error> {
    Ok(link::joined(folder, &absolute(inner)?)?)
}
