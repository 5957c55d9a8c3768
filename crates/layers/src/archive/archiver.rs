//! Layers that a store can only keep as archives.

use std::fs::File;
use std::path::Path;

use tree::layer::unpack_layer;
use tree::{Links, Root};

use super::{Problem, Reader, Source, limits, threads, write};
use crate::{Archiver, Error, Form, LayerName, Result};

/// Keeps a layer as an archive of ours with one layer in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TarArchiver;

impl Archiver for TarArchiver {
    fn pack(&self, name: &LayerName, layer: &Path, form: Form, archive: &mut File) -> Result<()> {
        let root = Root::open(layer, Links::Refuse).map_err(Error::tree("read", layer))?;
        let source = Source { name, root, marks: form.marks() };
        write(&[source], archive).map(drop).map_err(Error::archive("archive", layer))
    }

    fn unpack(&self, archive: &mut File, layer: &Path, form: Form) -> Result<()> {
        let root = Root::open(layer, Links::Refuse).map_err(Error::tree("open", layer))?;
        let unpack = || {
            let mut reader = Reader::open(archive, limits())?;
            if reader.manifest().layers.len() != 1 {
                let why = "it holds several layers, where one is kept";
                return Err(Problem::Names { why });
            }
            unpack_layer(&root, form.marks(), threads(), |unpacker| reader.layer(unpacker))?;
            reader.finish()
        };
        unpack().map_err(Error::archive("unpack the archive into", layer))
    }
}

impl Form {
    /// The same, for reading and writing layers.
    #[must_use]
    pub fn marks(self) -> tree::layer::Marks {
        match self {
            Self::User => tree::layer::Marks::User,
            Self::Trusted => tree::layer::Marks::Trusted,
        }
    }
}
