//! Writing our archive.

use std::io::Write;

use tree::layer::{Marks, Packing, Spelling, pack_layer};
use tree::tar::Writer;
use tree::{Entry, EntryPath, Kind, Metadata, Root};

use super::manifest::check;
use super::sums::{LENGTH, Summing};
use super::{LAYERS, MANIFEST, Manifest, Problem, SUMS, threads};
use crate::LayerName;

/// A layer on disk.
#[derive(Debug)]
pub struct Source<'a> {
    /// The name it gets in the archive.
    pub name: &'a LayerName,
    /// Its folder.
    pub root: Root,
    /// Where overlayfs has its marks there.
    pub marks: Marks,
}

/// Writes an archive of these layers and gives the sink back, with how many entries there are. The bytes depend on the layers
/// alone.
///
/// # Errors
/// When no layer is named or one twice; whatever reading and writing say.
pub fn write<W: Write>(layers: &[Source<'_>], sink: W) -> Result<(W, u64), Problem> {
    let names: Vec<_> = layers.iter().map(|layer| layer.name.clone()).collect();
    check(&names).map_err(|why| Problem::Manifest { why: why.to_owned() })?;
    let mut writer = Writer::new(Summing::new(sink));
    let manifest = Manifest { layers: names }.to_bytes()?;
    writer.append(&file(MANIFEST, manifest.len() as u64)?, &mut &manifest[..])?;
    let mut entries = 0;
    for layer in layers {
        let prefix = format!("{LAYERS}{}/", layer.name);
        let packing = Packing {
            marks: layer.marks,
            spelling: Spelling::Archive,
            prefix: prefix.as_bytes(),
            threads: threads(),
        };
        entries += pack_layer(&layer.root, &packing, &mut writer)?.entries;
        writer.append_late(&file(&format!("{SUMS}{}", layer.name), LENGTH)?, |sink| sink.line())?;
    }
    Ok((writer.finish()?.into_inner(), entries))
}

/// A member that belongs to no layer.
fn file(name: &str, size: u64) -> Result<Entry, Problem> {
    let path = EntryPath::parse(name.as_bytes()).map_err(tree::Error::from)?;
    Ok(Entry { path, kind: Kind::File { size }, metadata: Metadata::new(0o644, 0) })
}
