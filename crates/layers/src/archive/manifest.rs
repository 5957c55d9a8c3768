//! The list of layers that an archive begins with.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Problem};
use crate::LayerName;

/// The greatest length of the list in bytes.
const MAX: u64 = 1 << 20;

/// The digest behind each layer. Another one would be another format.
const DIGEST: &str = "blake3";

/// The first member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The layers in the archive, in its order: the lowest first, where they make a stack.
    pub layers: Vec<LayerName>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: u64,
    digest: String,
    layers: Vec<String>,
}

impl Manifest {
    /// The bytes of the member.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Problem> {
        let layers = self.layers.iter().map(ToString::to_string).collect();
        let text = Text { format: FORMAT.into(), digest: DIGEST.to_owned(), layers };
        let bad = |error: serde_json::Error| Problem::Manifest { why: error.to_string() };
        let mut bytes = serde_json::to_vec(&text).map_err(bad)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the member. Words that are not known are passed over; whatever changes the meaning of the rest is a new format.
    ///
    /// # Errors
    /// When it is no list of at least one layer, or of another format.
    pub fn read(contents: &mut dyn Read) -> Result<Manifest, Problem> {
        let mut bytes = Vec::new();
        contents.take(MAX + 1).read_to_end(&mut bytes).map_err(Problem::io("read"))?;
        let bad = |why: String| Problem::Manifest { why };
        if bytes.len() as u64 > MAX {
            return Err(bad(format!("it is longer than {MAX} bytes")));
        }
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        // The format comes first: of a newer one nothing else is known.
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found == u64::from(FORMAT) => {}
            Some(found) => return Err(Problem::Format { found }),
            None => return Err(bad("it has no `format`".to_owned())),
        }
        let text: Text = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        if text.digest != DIGEST {
            return Err(bad(format!("its `digest` is not `{DIGEST}`")));
        }
        let names = text.layers.into_iter().map(LayerName::new).collect::<Result<Vec<_>, _>>();
        let layers = names.map_err(|error| bad(error.to_string()))?;
        check(&layers).map_err(|why| bad(why.to_owned()))?;
        Ok(Manifest { layers })
    }
}

/// At least one layer, and none of them twice.
pub(super) fn check(layers: &[LayerName]) -> Result<(), &'static str> {
    let mut sorted: Vec<_> = layers.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        _ if layers.is_empty() => Err("it names no layer"),
        true => Err("it names a layer twice"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let table: &[(&str, Option<&str>)] = &[
            (r#"{"format":1,"digest":"blake3","layers":["a","b"],"later":[]}"#, None),
            (r#"{"format":2,"layers":7}"#, Some("it has format 2, this program knows format 1")),
            (r#"{"digest":"blake3","layers":["a"]}"#, Some("no `format`")),
            (r#"{"format":1,"digest":"md5","layers":["a"]}"#, Some("`digest` is not `blake3`")),
            (r#"{"format":1,"digest":"blake3","layers":[]}"#, Some("names no layer")),
            (r#"{"format":1,"digest":"blake3","layers":["a","b","a"]}"#, Some("names a layer twice")),
            (r#"{"format":1,"digest":"blake3","layers":["../a"]}"#, Some("cannot be the name of a layer")),
            (r#"{"format":1,"digest":"blake3","layers":["base_rootfs"]}"#, Some("reserved")),
            ("{", Some("EOF")),
        ];
        for (text, want) in table {
            match (Manifest::read(&mut text.as_bytes()), want) {
                (Ok(manifest), None) => {
                    let again = manifest.to_bytes().unwrap();
                    assert_eq!(Manifest::read(&mut &again[..]).unwrap(), manifest);
                }
                (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{error}"),
                (got, want) => panic!("{text}: {got:?}, not {want:?}"),
            }
        }
        assert!(Manifest::read(&mut std::io::repeat(b' ')).is_err());
    }
}
