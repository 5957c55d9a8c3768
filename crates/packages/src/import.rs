//! Package layers from folders that were exported here or by other programs.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tree::codec::{Format, decoder};

use crate::export::{LAYERS_JSON, LAYERS_TAR, Names, PACKAGE_LAYER, absolute};
use crate::find::Key;
use crate::names::is_plain;
use crate::{Claim, Error, Layers, PackageLayer, Result};

/// The largest JSON file of an export, in bytes.
const MAX_JSON: u64 = 16 << 20;

/// The first member of an archive of layers (docs/layer-format.md), and the most that it may have, in bytes.
const LIST: &str = "ovmlayer.json";
const MAX_LIST: u64 = 1 << 20;

/// The length of a header of a tar.
const BLOCK: usize = 512;

/// What came of an import.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// The package layer is there now.
    Done(PackageLayer),
    /// It was there already.
    AlreadyThere,
}

impl Layers {
    /// Takes over the layers in an exported folder for the package at `path`, absolute, wherever it was when it was exported.
    ///
    /// # Errors
    /// [`Error::Export`] when the folder is not what it must be; [`Error::Taken`] when a layer of it is that of another package
    /// here; [`Error::Program`]. Nothing is left then.
    pub fn import(&self, folder: &Path, path: &Path) -> Result<Imported> {
        let mut layer: PackageLayer = read_json(&folder.join(PACKAGE_LAYER))?;
        let names: Names = read_json(&folder.join(LAYERS_JSON))?;
        check(&layer, folder)?;
        let _one_at_a_time = self.lock(path)?;
        let listed = self.ovmlayer.layers()?;
        let stored = self.stored()?;
        if let Some(known) = stored.packages.get(path) {
            let is_there = known.layers().iter().all(|name| listed.iter().any(|other| other == name));
            if is_there && known.version == layer.version {
                return Ok(Imported::AlreadyThere);
            }
        }
        self.check_free(&layer, path)?;
        let archives = archives(folder, &names)?;
        archives.iter().try_for_each(|archive| check_list(archive, &layer))?;
        let mut claim = self.claim()?;
        for name in layer.layers().into_iter().filter(|name| !listed.iter().any(|other| other == name)) {
            claim.layer(name)?;
        }
        for archive in &archives {
            self.ovmlayer.import(archive)?;
        }
        let now = self.ovmlayer.layers()?;
        if let Some(name) = layer.layers().into_iter().find(|name| !now.iter().any(|other| other == name)) {
            let why = format!("the layer `{name}` is not in it");
            return Err(Error::Export { path: folder.to_owned(), why });
        }
        self.migrate_layers(&layer, path, &mut claim)?;
        layer.package_path = path.to_owned();
        let old = self.note(&Key::Path(path.to_owned()), &layer)?;
        claim.keep();
        if let Some(old) = old {
            // What cannot be deleted does no harm: the new layers are there.
            let _ = self.delete_injections(path);
            let _ = self.delete_layers(&old);
        }
        Ok(Imported::Done(layer))
    }

    /// Sees to it that no layer of another package, or below all of them, is replaced.
    fn check_free(&self, layer: &PackageLayer, path: &Path) -> Result<()> {
        let base = self.below()?;
        let stored = self.stored()?.packages.into_iter().filter(|(other, _)| other != path);
        let stored = stored.map(|(other, layer)| (other.display().to_string(), layer));
        let others: Vec<(String, PackageLayer)> = stored.chain(self.external()?.packages).collect();
        for name in layer.own_layers() {
            let taken = |owner: &str| Error::Taken { layer: name.to_owned(), owner: owner.to_owned() };
            if base.iter().any(|other| other == name) {
                return Err(taken("all packages (`layer.json`)"));
            }
            if let Some((owner, _)) = others.iter().find(|(_, other)| other.layers().contains(&name)) {
                return Err(taken(owner));
            }
        }
        Ok(())
    }

    fn migrate_layers(&self, layer: &PackageLayer, path: &Path, claim: &mut Claim) -> Result<()> {
        if layer.package_path == path {
            return Ok(());
        }
        self.migrate(&layer.own_layers(), &layer.package_path, path, claim)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let wrong = |why: String| Error::Export { path: path.to_owned(), why };
    let bytes = crate::files::read(path, MAX_JSON).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

fn check(layer: &PackageLayer, folder: &Path) -> Result<()> {
    let path = folder.join(PACKAGE_LAYER);
    let wrong = |why: String| Err(Error::Export { path: path.clone(), why });
    if let Some(name) = layer.layers().into_iter().find(|name| !is_plain(name)) {
        return wrong(format!("`{name}` is no name of a layer"));
    }
    let is_clean = layer
        .package_path
        .components()
        .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    if !layer.package_path.is_absolute() || !is_clean || layer.package_path == Path::new("/") {
        return wrong(format!(
            "`package_path` is {}, not the path of a folder",
            layer.package_path.display()
        ));
    }
    Ok(())
}

/// The archives of layers in a folder: one with all of them, or in older exports one for each.
fn archives(folder: &Path, names: &Names) -> Result<Vec<PathBuf>> {
    let all = folder.join(LAYERS_TAR);
    if all.is_file() {
        return Ok(vec![absolute(&all)?]);
    }
    let wrong = |why: String| Error::Export { path: folder.join(LAYERS_JSON), why };
    if names.layers.is_empty() {
        return Err(wrong(format!("it names no layer, and there is no {LAYERS_TAR}")));
    }
    let one = |name: &String| {
        let file = Path::new(name).file_name().filter(|file| *file == name.as_str());
        let path = file
            .map(|file| folder.join(file))
            .filter(|path| fs::symlink_metadata(path).is_ok_and(|about| about.is_file()));
        absolute(
            &path.ok_or_else(|| wrong(format!("there is no {LAYERS_TAR} and no file `{name}` beside it")))?,
        )
    };
    names.layers.iter().map(one).collect()
}

/// Sees to it that an archive holds no layer but those of the package: importing replaces what has the same name.
fn check_list(archive: &Path, layer: &PackageLayer) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct List {
        layers: Vec<String>,
    }
    let wrong = |why: String| Error::Export { path: archive.to_owned(), why };
    let Some(bytes) = first_member(archive).map_err(Error::io("read", archive))? else {
        // Of another form: whether it is understood is for the program to say.
        return Ok(());
    };
    let list: List = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    match list.layers.iter().find(|name| !layer.layers().contains(&name.as_str())) {
        Some(name) => Err(wrong(format!("the layer `{name}` in it is none of the package"))),
        None => Ok(()),
    }
}

/// The list of layers in an archive.
fn first_member(archive: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut start = Vec::new();
    File::open(archive)?.take(6).read_to_end(&mut start)?;
    let mut reader = decoder(Format::sniff(&start), File::open(archive)?)?;
    let mut header = [0; BLOCK];
    if reader.read_exact(&mut header).is_err() || !header.starts_with(format!("{LIST}\0").as_bytes()) {
        return Ok(None);
    }
    // The size is octal, at offset 124 (POSIX.1-2017, pax, "ustar Interchange Format").
    let size = std::str::from_utf8(&header[124..135]).ok();
    let size = size.and_then(|text| u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok());
    let Some(size) = size.filter(|size| *size <= MAX_LIST) else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_that_lead_elsewhere_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = [
            (r#"{"source_layer":"s","package_path":"/a/b"}"#, None),
            (r#"{"source_layer":"--all","package_path":"/a"}"#, Some("`--all` is no name of a layer")),
            (r#"{"source_layer":"s","package_path":"/"}"#, Some("not the path of a folder")),
            (r#"{"source_layer":"s","package_path":"a"}"#, Some("not the path of a folder")),
            (r#"{"source_layer":"s","package_path":"/a/../b"}"#, Some("not the path of a folder")),
            (r#"{"package_path":"/a"}"#, Some("missing field `source_layer`")),
        ];
        let path = folder.path().join(PACKAGE_LAYER);
        for (text, expected) in cases {
            fs::write(&path, text).expect("a file");
            let found = read_json(&path).and_then(|layer| check(&layer, folder.path()));
            let error = found.err().map(|error| error.to_string());
            let is_right = match (&error, expected) {
                (None, None) => true,
                (Some(error), Some(part)) => error.contains(part) && error.contains(PACKAGE_LAYER),
                _ => false,
            };
            assert!(is_right, "{text}: {error:?}");
        }
    }

    #[test]
    fn older_exports_have_a_file_for_each_layer() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = |list: &[&str]| Names { layers: list.iter().map(|&name| name.to_owned()).collect() };
        fs::write(folder.path().join("a.tar"), "").expect("a file");
        assert_eq!(archives(folder.path(), &names(&["a.tar"])).expect("one"), [folder.path().join("a.tar")]);
        for wrong in [&[][..], &["b.tar"], &["../a.tar"], &["/etc/passwd"], &["a.tar", ".."]] {
            assert!(archives(folder.path(), &names(wrong)).is_err(), "{wrong:?}");
        }
        fs::write(folder.path().join(LAYERS_TAR), "").expect("a file");
        assert_eq!(archives(folder.path(), &names(&["b"])).expect("one"), [folder.path().join(LAYERS_TAR)]);
    }
}
