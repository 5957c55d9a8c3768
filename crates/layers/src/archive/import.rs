//! Layers from a file into the store.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use tree::codec::{Format, decoder};
use tree::layer::{Marks, Unpacker, unpack_layer};
use tree::tar::Limits;
use tree::{Links, Root};

use super::{Dialect, Problem, Reader, limits, read_oci, threads};
use crate::{Engine, Error, LayerName, Result, Staging};

/// How a file is imported.
#[derive(Debug, Clone)]
pub struct Import {
    /// The name of the one layer in the file, in the place of the one it has there. Has to be given for [`Dialect::Oci`].
    pub rename: Option<LayerName>,
    /// What the file is.
    pub dialect: Dialect,
    /// Bounds on what is in it.
    pub limits: Limits,
}

impl Default for Import {
    fn default() -> Self {
        Self { rename: None, dialect: Dialect::default(), limits: limits() }
    }
}

impl Engine {
    /// Puts the layers in `file` into the runtime store, all of them or none, and gives their names. Layers of the same
    /// names are replaced. Compression (gzip, xz, zstd) is found out from the contents.
    ///
    /// When this returns the layers are durable. On failure nothing is left; it may be repeated.
    ///
    /// # Errors
    /// [`Error::Archive`] when the file is damaged, hostile or not an archive; [`Error::Used`] when a layer that would be
    /// replaced is in a live merge point; [`Error::NoSpace`].
    pub fn import(&self, file: &Path, how: &Import) -> Result<Vec<LayerName>> {
        self.runtime().writable("import layers")?;
        let opened = File::open(file).map_err(Error::io("open", file))?;
        let fail = || Error::archive("import", file);
        let plain = plain(opened).map_err(fail())?;
        let staged = match how.dialect {
            Dialect::Ovmlayer => self.stage_archive(plain, file, how)?,
            Dialect::Oci => {
                let Some(name) = &how.rename else {
                    let why = "an OCI layer has no name; give it one with `--rename`";
                    return Err(fail()(Problem::Names { why }));
                };
                let staging = self.stage()?;
                let (root, marks) = self.target(&staging)?;
                let read = |unpacker: &mut Unpacker<'_>| {
                    unpacker.allow_repeated_directories();
                    read_oci(plain, how.limits, unpacker)
                };
                unpack_layer(&root, marks, threads(), read).map_err(failed(file, &staging))?;
                vec![(name.clone(), staging)]
            }
        };
        let names = staged.iter().map(|(name, _)| name.clone()).collect();
        self.publish(staged)?;
        Ok(names)
    }

    fn stage_archive(
        &self,
        plain: Box<dyn Read + Send>,
        file: &Path,
        how: &Import,
    ) -> Result<Vec<(LayerName, Staging)>> {
        let fail = || Error::archive("import", file);
        let mut reader = Reader::open(plain, how.limits).map_err(fail())?;
        let mut names = reader.manifest().layers.clone();
        match (&how.rename, &mut names[..]) {
            (None, _) => {}
            (Some(rename), [name]) => *name = rename.clone(),
            (Some(_), _) => {
                let why = "it holds several layers, and `--rename` gives a name to one";
                return Err(fail()(Problem::Names { why }));
            }
        }
        let mut staged = Vec::with_capacity(names.len());
        for name in names {
            let staging = self.stage()?;
            let (root, marks) = self.target(&staging)?;
            unpack_layer(&root, marks, threads(), |unpacker| reader.layer(unpacker))
                .map_err(failed(file, &staging))?;
            staged.push((name, staging));
        }
        reader.finish().map_err(fail())?;
        Ok(staged)
    }

    fn target(&self, staging: &Staging) -> Result<(Root, Marks)> {
        let root = Root::open(staging.path(), Links::Refuse).map_err(Error::tree("open", staging.path()))?;
        Ok((root, self.runtime().form().marks()))
    }
}

/// For `map_err`: what failed between the file and the store. Of the two only the store can be full, or used up by a quota.
fn failed(file: &Path, staging: &Staging) -> impl FnOnce(Problem) -> Error {
    move |problem| match problem {
        Problem::Tree(error @ tree::Error::Entry { .. }) if is_full(&error) => {
            Error::tree("write", staging.path())(error)
        }
        problem => Error::archive("import", file)(problem),
    }
}

fn is_full(error: &tree::Error) -> bool {
    matches!(error.io_kind(), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// The uncompressed contents of a file, which may be a pipe.
pub(super) fn plain(mut file: File) -> Result<Box<dyn Read + Send>, Problem> {
    let mut start = Vec::new();
    (&mut file).take(6).read_to_end(&mut start).map_err(Problem::io("read"))?;
    let format = Format::sniff(&start);
    decoder(format, std::io::Cursor::new(start).chain(file)).map_err(Problem::io("decompress"))
}
