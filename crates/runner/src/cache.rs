//! Values that inputs had, kept for a later run (section 2.8 of the contract).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::Value;
use crate::random::uuid;

/// The values of a flow's inputs, by node and handle.
pub(crate) type Values = BTreeMap<String, BTreeMap<String, Vec<Value>>>;

/// The caches of a user: `cache_meta.json`, which names a file for each flow, and the folder `cache` with those files.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The caches in the folder of oocana.
    #[must_use]
    pub fn new(oocana_dir: &Path) -> Self {
        Self { folder: oocana_dir.to_owned() }
    }

    fn index_path(&self) -> PathBuf {
        self.folder.join("cache_meta.json")
    }

    /// Which file a flow has. A damaged index counts as empty: a cache can be made again.
    fn index(&self) -> Map<String, Json> {
        let bytes = fs::read(self.index_path()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The values of a flow, by its absolute path; none when there are none or they cannot be read.
    pub(crate) fn load(&self, flow: &Path) -> Values {
        let index = self.index();
        let Some(path) = index.get(&*flow.to_string_lossy()).and_then(Json::as_str) else {
            return Values::new();
        };
        let bytes = Bytes::from(fs::read(path).unwrap_or_default());
        let kept: BTreeMap<String, BTreeMap<String, Vec<&RawValue>>> =
            serde_json::from_slice(&bytes).unwrap_or_default();
        let value = |raw: &&RawValue| Value::in_message(&bytes, raw);
        let handles = |handles: BTreeMap<String, Vec<&RawValue>>| {
            handles.into_iter().map(|(handle, list)| (handle, list.iter().map(value).collect())).collect()
        };
        kept.into_iter().map(|(node, map)| (node, handles(map))).collect()
    }

    /// Whether there is a value for an input of a node of a flow.
    #[must_use]
    pub fn has(&self, flow: &Path, node: &str, handle: &str) -> bool {
        let values = self.load(flow);
        values.get(node).and_then(|handles| handles.get(handle)).is_some_and(|list| !list.is_empty())
    }

    /// Keeps the values of a flow.
    pub(crate) fn save(&self, flow: &Path, values: &Values) -> io::Result<()> {
        let folder = self.folder.join("cache");
        fs::create_dir_all(&folder)?;
        let mut index = self.index();
        let key = flow.to_string_lossy().into_owned();
        let known = index.get(&key).and_then(Json::as_str).map(PathBuf::from);
        let path = known
            .filter(|path| path.starts_with(&folder))
            .unwrap_or_else(|| folder.join(format!("{}.json", uuid())));
        replace(&path, |file| write(file, values))?;
        index.insert(key, path.to_string_lossy().into());
        replace(&self.index_path(), |file| Ok(serde_json::to_writer(file, &index)?))
    }

    /// Forgets all of them.
    ///
    /// # Errors
    /// When files cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        let ignore_missing = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        ignore_missing(fs::remove_file(self.index_path()))?;
        ignore_missing(fs::remove_dir_all(self.folder.join("cache")))
    }
}

/// Writes values as JSON, each as it is: none is made a tree of, which may take many times its size.
fn write(file: &mut impl Write, values: &Values) -> io::Result<()> {
    let mut map: BTreeMap<&str, BTreeMap<&str, Vec<&RawValue>>> = BTreeMap::new();
    for (node, handles) in values {
        for (handle, list) in handles {
            let list = list.iter().map(|value| serde_json::from_slice(value.bytes()));
            map.entry(node).or_default().insert(handle, list.collect::<Result<_, _>>()?);
        }
    }
    Ok(serde_json::to_writer(file, &map)?)
}

/// Writes a file so that it is either the old or the new one, whatever happens.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", uuid()));
    let written = File::create(&temporary).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.flush()
    });
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path());
        assert!(cache.load(Path::new("/f")).is_empty());
        let values =
            |value: Json| -> Values { [("n".into(), [("h".into(), vec![Value::of(&value)])].into())].into() };
        cache.save(Path::new("/f"), &values(json!(1))).expect("saved");
        cache.save(Path::new("/g"), &values(json!([2, {}]))).expect("saved");
        cache.save(Path::new("/f"), &values(json!(3))).expect("saved");
        assert_eq!(cache.load(Path::new("/f")), values(json!(3)));
        assert_eq!(cache.load(Path::new("/g")), values(json!([2, {}])));
        assert_eq!(fs::read_dir(folder.path().join("cache")).expect("there").count(), 2);
        cache.clear().expect("cleared");
        cache.clear().expect("cleared twice");
        assert!(cache.load(Path::new("/f")).is_empty());
    }
}
