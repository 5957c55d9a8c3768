//! Layers out of the files that `ovmlayer export` would write.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::path::Path;

use layers::archive::{Problem, Reader, Sink, limits};
use tree::codec::{Format, decoder};
use tree::layer::{Marks, Unpacker, unpack_layer};
use tree::tar::Segment;
use tree::{Entry, EntryPath, Root};

use super::Archived;
use crate::Error;
use crate::files::chain;

/// How many bytes tell how a file is compressed.
const START: u64 = 16;

/// The name of the one layer in a file.
pub(super) fn name_of(path: &Path, recipe: &str) -> Result<String, Error> {
    let reader = open(path, recipe)?;
    match reader.manifest().layers.as_slice() {
        [name] => Ok(name.to_string()),
        more => Err(refused(recipe, format!("its file has {} layers", more.len()))),
    }
}

/// Puts the one layer in a file into an empty folder.
pub(super) fn unpack(archived: &Archived, folder: &Root, threads: usize) -> Result<(), Error> {
    let recipe = &archived.recipe;
    let mut reader = open(&archived.path, recipe)?;
    unpack_layer(folder, Marks::User, threads, |unpacker| {
        let mut sink = Plain { unpacker, marked: None };
        reader.layer(&mut sink).map_err(|problem| refused(recipe, chain(problem)))?;
        match sink.marked {
            Some(path) => Err(refused(
                recipe,
                format!(
                    "it removes or hides `{path}`, and the mark for that is lost beneath another overlay"
                ),
            )),
            None => Ok(()),
        }
    })
}

fn open(path: &Path, recipe: &str) -> Result<Reader<impl Read>, Error> {
    let failed = || Error::io("read", path);
    let mut file = File::open(path).map_err(failed())?;
    let mut start = Vec::new();
    file.by_ref().take(START).read_to_end(&mut start).map_err(failed())?;
    file.rewind().map_err(failed())?;
    let plain = decoder(Format::sniff(&start), BufReader::new(file)).map_err(failed())?;
    Reader::open(plain, limits()).map_err(|problem: Problem| refused(recipe, chain(problem)))
}

fn refused(recipe: &str, message: String) -> Error {
    Error::ShippedLayer { name: recipe.to_owned(), message }
}

/// Takes entries, and notes the first that is a mark.
struct Plain<'a, 'u> {
    unpacker: &'a mut Unpacker<'u>,
    marked: Option<EntryPath>,
}

impl Sink for Plain<'_, '_> {
    fn entry(
        &mut self,
        entry: Entry,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> tree::Result<()> {
        self.unpacker.add(entry, segments, contents)
    }

    fn whiteout(&mut self, path: EntryPath) -> tree::Result<()> {
        self.marked.get_or_insert(path);
        Ok(())
    }

    fn opaque(&mut self, path: &EntryPath) -> tree::Result<()> {
        self.marked.get_or_insert_with(|| path.clone());
        Ok(())
    }
}
