//! Making package layers (`ovmlayer.md` of the contract, section 4, "bootstrap flow").

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::find::{Key, external_key};
use crate::ovmlayer::{Run, ending};
use crate::{Bind, Claim, Error, External, Layers, Package, PackageLayer, Result, Stored, Surroundings};

/// What came of making a package layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The layers.
    pub layer: PackageLayer,
    /// Whether they were there already.
    pub reused: bool,
}

impl Layers {
    /// The layers of a package; they are made when there are none of its version. `warn` is told of binds without a source.
    ///
    /// # Errors
    /// [`Error::Refused`] for a package that gets none; [`Error::Script`] when its bootstrap script fails; [`Error::Interrupted`];
    /// [`Error::Program`]. Nothing is left then.
    pub fn create(&self, package: &Package, with: &Surroundings, warn: &mut dyn FnMut(&str)) -> Result<Made> {
        package.check_runs_here()?;
        let _one_at_a_time = self.lock(&package.path)?;
        if let Some((_, layer)) = self.find(package)? {
            return Ok(Made { layer, reused: true });
        }
        let layer = self.make(package, with, warn, &Key::Path(package.path.clone()))?;
        Ok(Made { layer, reused: false })
    }

    /// The same, noted by name and version in the external store.
    ///
    /// # Errors
    /// As of [`Layers::create`].
    pub fn create_external(
        &self,
        name: &str,
        version: &str,
        package: &Package,
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Made> {
        package.check_runs_here()?;
        let key = external_key(name, version);
        let _one_at_a_time = self.lock(Path::new(&key))?;
        if self.external_status(name, version)? == crate::Status::Exist
            && let Some(layer) = self.external()?.packages.remove(&key)
        {
            return Ok(Made { layer, reused: true });
        }
        let mut named = package.clone();
        named.about.name = Some(name.to_owned());
        named.about.version = Some(version.to_owned());
        let layer = self.make(&named, with, warn, &Key::External(key))?;
        Ok(Made { layer, reused: false })
    }

    /// Keeps others from making the same layer at the same time.
    pub(crate) fn lock(&self, what: &Path) -> Result<fs::File> {
        let digest = hex::encode(Sha256::digest(what.as_os_str().as_encoded_bytes()));
        crate::files::lock(&self.places.claims().join(format!("{}.lock", &digest[..16])))
    }

    fn make(
        &self,
        package: &Package,
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
        key: &Key,
    ) -> Result<PackageLayer> {
        let mut claim = self.claim()?;
        let source_layer = self.new_layer("layer", &mut claim)?;
        let parent = package.path.parent().unwrap_or(Path::new("/"));
        self.ovmlayer.copy_to_layer(&package.path, &source_layer, parent)?;
        let bootstrap = package.about.bootstrap.clone().filter(|script| !script.trim().is_empty());
        let mut layer = PackageLayer {
            name: Some(package.name()),
            version: package.about.version.clone(),
            base_layers: None,
            source_layer,
            bootstrap,
            bootstrap_layer: None,
            package_path: package.path.clone(),
            other: serde_json::Map::new(),
        };
        if let Some(script) = layer.bootstrap.clone() {
            layer.bootstrap_layer = Some(self.bootstrap(&layer, &script, with, warn, &mut claim)?);
        }
        self.ovmlayer.check_interrupt()?;
        let old = self.note(key, &layer)?;
        claim.keep();
        if let Some(old) = old {
            // What cannot be deleted does no harm: the new layers are there.
            let _ = self.delete_injections(&old.package_path);
            let _ = self.delete_layers(&old);
        }
        Ok(layer)
    }

    pub(crate) fn claim(&self) -> Result<Claim> {
        Claim::new(&self.ovmlayer, &self.places.claims())
    }

    /// A new layer, claimed before it is made.
    pub(crate) fn new_layer(&self, kind: &str, claim: &mut Claim) -> Result<String> {
        let name = format!("{kind}_{}", crate::names::random());
        claim.layer(&name)?;
        self.ovmlayer.create(&name)?;
        Ok(name)
    }

    /// The layers that make the root of a package, the lowest first.
    pub(crate) fn stack(&self, layer: &PackageLayer) -> Result<Vec<String>> {
        let mut stack = self.below()?;
        stack.extend(layer.layers().iter().map(|&name| name.to_owned()));
        Ok(stack)
    }

    fn bootstrap(
        &self,
        layer: &PackageLayer,
        script: &str,
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
        claim: &mut Claim,
    ) -> Result<String> {
        let top = self.new_layer("layer", claim)?;
        let mut stack = self.stack(layer)?;
        stack.push(top.clone());
        let point = self.merge_claimed(&stack, claim)?;
        let script = Script { what: "the bootstrap script", text: script };
        self.run_script(&point, &layer.package_path, script, with, warn)?;
        claim.unmerge(&point)?;
        Ok(top)
    }

    /// Merges layers, the lowest first, at a point that is claimed before.
    pub(crate) fn merge_claimed(&self, stack: &[String], claim: &mut Claim) -> Result<String> {
        let point = format!("merge_{}", crate::names::random());
        claim.merge_point(&point)?;
        self.ovmlayer.merge(&stack.iter().map(String::as_str).collect::<Vec<_>>(), &point)?;
        Ok(point)
    }

    /// Runs a script in the folder of its package; of the script itself nothing stays.
    pub(crate) fn run_script(
        &self,
        point: &str,
        package: &Path,
        script: Script<'_>,
        with: &Surroundings,
        warn: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let file = ScriptFile::write(script.text)?;
        self.ovmlayer.copy_to_merged(&file.path, point, package)?;
        let inside = package.join(file.path.file_name().unwrap_or_default());
        let run = Run {
            point,
            mounts: with.mounts_with_caches(&mut |bind| warn(&missing(bind))),
            workdir: Some(package),
            variables: with.variables(),
            env_file: with.env_file.as_deref(),
        };
        let status = self.ovmlayer.show(self.ovmlayer.shell(&run, &quote(&inside)), with.stdout)?;
        if !status.success() {
            let what = script.what;
            return Err(Error::Script { what, package: package.to_owned(), ending: ending(status) });
        }
        let mut remove = OsString::from("rm -f -- ");
        remove.push(quote(&inside));
        let run = Run { point, ..Run::default() };
        self.ovmlayer.finish(&mut self.ovmlayer.shell(&run, &remove)).map(drop)
    }

    /// Notes a package layer; gives the one that was noted before.
    pub(crate) fn note(&self, key: &Key, layer: &PackageLayer) -> Result<Option<PackageLayer>> {
        match key {
            Key::Path(path) => self
                .package_store()
                .change(|store: &mut Stored| store.packages.insert(path.clone(), layer.clone())),
            Key::External(key) => self
                .external_store()
                .change(|store: &mut External| store.packages.insert(key.clone(), layer.clone())),
        }
    }
}

/// A script and what to call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'s> {
    pub(crate) what: &'static str,
    pub(crate) text: &'s str,
}

/// What is told of a bind without a source.
pub(crate) fn missing(bind: &Bind) -> String {
    format!("{} is not there and is not bound to {}", bind.source.display(), bind.target.display())
}

/// A script in a file of this machine, which goes with the value.
struct ScriptFile {
    path: PathBuf,
}

impl ScriptFile {
    fn write(script: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("script_{}.sh", crate::names::random()));
        let file = Self { path };
        let text = format!("#! /usr/bin/env zsh\nset -eo pipefail\n{script}\n");
        fs::write(&file.path, text).map_err(Error::io("write", &file.path))?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&file.path, mode).map_err(Error::io("change the mode of", &file.path))?;
        Ok(file)
    }
}

impl Drop for ScriptFile {
    fn drop(&mut self) {
        // A script that is left among temporary files does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// A word as a shell reads it.
pub(crate) fn quote(word: impl AsRef<std::ffi::OsStr>) -> OsString {
    let bytes = word.as_ref().as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return word.as_ref().to_owned();
    }
    let mut quoted = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    std::os::unix::ffi::OsStringExt::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_shell_as_they_are() {
        for word in ["a", "/a b/c", "it's", "", "$HOME", "a\nb", "=x", "~"] {
            let mut line = OsString::from("printf %s ");
            line.push(quote(word));
            let output = std::process::Command::new("sh").arg("-c").arg(line).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
