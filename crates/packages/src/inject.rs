//! What flows install into packages that they run blocks in (`oocana.md` of the contract, section 8, item 4).
//!
//! A node of a flow may run in the layers of another package, and scripts may prepare those for it. What the scripts change goes into
//! an injection layer, one for each flow and package, which is used again while the version of the package and the scripts are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::create::Script;
use crate::files::Store;
use crate::{Layers, PackageLayer, Result, Surroundings};

/// `injection_store.json`: injection layers by flow, then by package.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Injections {
    #[serde(default)]
    flows: BTreeMap<PathBuf, BTreeMap<PathBuf, Injected>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// One injection layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Injected {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package_version: Option<String>,
    /// The layer over which the scripts ran: another one may be of the same version.
    source_layer: String,
    scripts: Vec<String>,
    layer: String,
}

impl Layers {
    fn injection_store(&self) -> Store {
        Store::at(&self.places.injection_store())
    }

    /// The layer with what a flow's scripts install into a package, which is made when there is none; nothing without scripts.
    ///
    /// # Errors
    /// As of [`Layers::create`].
    pub fn inject(
        &self,
        flow: &Path,
        package: &PackageLayer,
        scripts: &[String],
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Option<String>> {
        if scripts.is_empty() {
            return Ok(None);
        }
        let _one_at_a_time = self.lock(&self.places.injection_store())?;
        let store: Injections = self.injection_store().read()?;
        let known = store.flows.get(flow).and_then(|flow| flow.get(&package.package_path));
        let is_same = |known: &&Injected| {
            known.package_version == package.version
                && known.source_layer == package.source_layer
                && known.scripts == scripts
        };
        if let Some(known) = known.filter(is_same)
            && self.ovmlayer.layers()?.contains(&known.layer)
        {
            return Ok(Some(known.layer.clone()));
        }
        let old = known.map(|known| known.layer.clone());
        let layer = self.make_injection(flow, package, scripts, with, warn)?;
        if let Some(old) = old.filter(|old| crate::names::is_plain(old)) {
            // One that a run still uses stays until its package goes.
            let _ = self.ovmlayer.delete(&old);
        }
        Ok(Some(layer))
    }

    fn make_injection(
        &self,
        flow: &Path,
        package: &PackageLayer,
        scripts: &[String],
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
    ) -> Result<String> {
        let mut claim = self.claim()?;
        let layer = self.new_layer("injection", &mut claim)?;
        let mut stack = self.stack(package)?;
        stack.push(layer.clone());
        let point = self.merge_claimed(&stack, &mut claim)?;
        for script in scripts {
            let script = Script { what: "a script that is injected into the layers", text: script };
            self.run_script(&point, &package.package_path, script, with, warn)?;
        }
        claim.unmerge(&point)?;
        let injected = Injected {
            package_version: package.version.clone(),
            source_layer: package.source_layer.clone(),
            scripts: scripts.to_vec(),
            layer: layer.clone(),
        };
        self.injection_store().change(|store: &mut Injections| {
            store.flows.entry(flow.to_owned()).or_default().insert(package.package_path.clone(), injected)
        })?;
        claim.keep();
        Ok(layer)
    }

    /// Forgets all of them.
    pub(crate) fn forget_injections(&self) -> Result<()> {
        if self.places.injection_store().exists() {
            self.injection_store().change(|store: &mut Injections| store.flows.clear())?;
        }
        Ok(())
    }

    /// Forgets and deletes what has been installed into the package at `path` for flows.
    pub(crate) fn delete_injections(&self, path: &Path) -> Result<()> {
        if !self.places.injection_store().exists() {
            return Ok(());
        }
        let removed = self.injection_store().change(|store: &mut Injections| {
            let removed = store.flows.values_mut().filter_map(|flow| flow.remove(path)).collect::<Vec<_>>();
            store.flows.retain(|_, flow| !flow.is_empty());
            removed
        })?;
        for injected in removed.iter().filter(|injected| crate::names::is_plain(&injected.layer)) {
            self.ovmlayer.delete(&injected.layer)?;
        }
        Ok(())
    }
}
