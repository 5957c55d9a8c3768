//! Layers of the stores into a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use tree::codec::{Encoder, Format};
use tree::{Links, Root};

use super::early::write_early;
use super::output::Output;
use super::{Dialect, Problem, Source, threads, write, write_oci};
use crate::lock::Access;
use crate::{Engine, Error, Form, LayerLock, LayerName, Locked, Result, unpacked};

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// How many layers.
    pub layers: usize,
    /// How many entries and marks they have together.
    pub entries: u64,
}

impl Engine {
    /// Writes layers into the file `destination`, compressed as its name says: `.tar.zst`, `.tar.gz`, `.tar.xz`, else not
    /// at all. A file that is there is replaced once the new one is complete.
    ///
    /// The same layers give the same bytes. A layer that is written to meanwhile is an error, not a mixture.
    ///
    /// # Errors
    /// [`Error::NoLayers`], [`Error::UnknownLayer`], [`Error::Twice`]; [`Error::Archive`], also for several layers in
    /// [`Dialect::Oci`].
    pub fn export(&self, layers: &[LayerName], destination: &Path, dialect: Dialect) -> Result<Exported> {
        if layers.is_empty() {
            return Err(Error::NoLayers);
        }
        if dialect == Dialect::Oci && layers.len() > 1 {
            let why = "the tar of an OCI layer holds one layer; export the others into files of their own";
            return Err(Error::archive("write", destination)(Problem::Names { why }));
        }
        let locked = self.lock(layers, Access::Shared)?;
        let folders = locked.iter().map(|one| self.folder(one)).collect::<Result<Vec<_>>>()?;
        let sources = folders.iter().zip(layers).map(|(folder, name)| folder.source(name));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let (output, file) = Output::create(destination)?;
        let write = |sink: &mut (dyn Write + Send)| pour(&sources, destination, dialect, sink);
        let entries = if output.is_straight() {
            write(&mut &file)
        } else {
            write_early(&file, |mut early| write(&mut early))
        };
        let entries =
            entries.map_err(|problem| Error::archive("write", destination)(problem.while_reading()))?;
        output.commit(&file)?;
        Ok(Exported { layers: layers.len(), entries })
    }

    /// Where the content of a layer is, which may have to be unpacked first.
    fn folder(&self, one: &Locked) -> Result<Folder> {
        if one.layer.archived {
            let (path, lock) = unpacked::provide(self, &one.layer, &one.lock)?;
            return Ok(Folder { path, form: self.runtime().form(), _lock: Some(lock) });
        }
        Ok(Folder { path: one.layer.path.clone(), form: one.layer.store.form(), _lock: None })
    }
}

struct Folder {
    path: PathBuf,
    form: Form,
    /// Keeps what was unpacked.
    _lock: Option<LayerLock>,
}

impl Folder {
    fn source<'a>(&self, name: &'a LayerName) -> Result<Source<'a>> {
        let root = Root::open(&self.path, Links::Refuse).map_err(Error::tree("read", &self.path))?;
        Ok(Source { name, root, marks: self.form.marks() })
    }
}

/// Writes and compresses.
fn pour(
    sources: &[Source<'_>],
    name: &Path,
    dialect: Dialect,
    sink: &mut (dyn Write + Send),
) -> Result<u64, Problem> {
    let format = Format::from_file_name(&name.to_string_lossy());
    let encoder = Encoder::new(format, sink, threads()).map_err(Problem::io("compress"))?;
    let (encoder, entries) = match (dialect, sources) {
        (Dialect::Oci, [source]) => write_oci(source, encoder)?,
        _ => write(sources, encoder)?,
    };
    encoder.finish().map_err(Problem::io("write"))?;
    Ok(entries)
}
