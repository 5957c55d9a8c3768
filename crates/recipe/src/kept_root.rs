//! Roots for tools, kept in the cache: the same packages and steps need not be unpacked and configured again.

use std::fs::File;
use std::io;

use cache::{Cache, Digest};
use tree::codec::{Encoder, Format, decoder};
use tree::layer::{Marks, unpack_layer};
use tree::{Choice, Root, tar};

use crate::Error;
use crate::find::Found;
use crate::lock::Package;
use crate::steps::Slim;

/// What facts about such roots are called in the cache.
const KIND: &str = "kept-root";

/// How many bytes a root has for each byte that is kept of it.
const GROWTH: u64 = 5;

/// A root that is in the cache, or may be put there.
#[derive(Debug)]
pub(crate) struct KeptRoot<'a> {
    cache: &'a Cache,
    key: String,
    /// What the recipe leaves out.
    slim: Slim,
}

impl<'a> KeptRoot<'a> {
    /// The root that `found`, planned as `request`, comes to with `packages`. What another version of this program kept is not
    /// used.
    pub(crate) fn of(
        cache: &'a Cache,
        found: &Found,
        request: &Digest,
        packages: &[&Package],
    ) -> Result<Self, Error> {
        let packages = packages.iter().map(|package| package.sha256.to_string());
        let packages: Vec<String> = packages.collect();
        let version = env!("CARGO_PKG_VERSION");
        let whole = format!("2 {version} {request:?} {packages:?} {:?}", found.recipe.steps);
        let key = Digest::of(whole.as_bytes()).to_string();
        Ok(Self { cache, key, slim: Slim::new(&found.name, &found.recipe.steps)? })
    }

    /// What is kept of it, if it is.
    pub(crate) fn open(&self) -> Result<Option<Kept>, Error> {
        let digest = self.cache.record(KIND, &self.key)?;
        let digest = digest.and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<Digest>().ok());
        let Some(digest) = digest else { return Ok(None) };
        Ok(self.cache.file(&digest)?.map(Kept))
    }

    /// Keeps the root.
    pub(crate) fn keep(&self, root: &Root, threads: usize) -> Result<(), Error> {
        let failed =
            |source: io::Error| Error::Io { action: "write", path: self.cache.root().into(), source };
        let encoder = Encoder::new(Format::Zstd, self.cache.insert()?, threads).map_err(failed)?;
        let mut writer = tar::Writer::new(encoder);
        tree::pack(root, &mut writer, |path, _, _| {
            Ok::<_, Error>(if self.slim.leaves_out(path) { Choice::Drop } else { Choice::Keep })
        })?;
        let contents = writer.finish()?.finish().map_err(failed)?;
        let digest = contents.commit(None)?;
        Ok(self.cache.put_record(KIND, &self.key, digest.to_string().as_bytes())?)
    }
}

/// What is kept of a root.
#[derive(Debug)]
pub(crate) struct Kept(File);

impl Kept {
    /// About how many bytes the root takes.
    pub(crate) fn room(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len()).saturating_mul(GROWTH)
    }

    /// Puts the root into an empty folder.
    pub(crate) fn unpack(self, root: &Root, threads: usize) -> Result<(), Error> {
        let failed = |source: io::Error| Error::Io { action: "read", path: "a kept root".into(), source };
        let mut reader = tar::Reader::new(decoder(Format::Zstd, self.0).map_err(failed)?);
        unpack_layer(root, Marks::User, threads, |unpacker| {
            while let Some(member) = reader.next()? {
                unpacker.add(member.entry, member.segments.as_deref(), &mut reader.data())?;
            }
            Ok::<_, Error>(())
        })
    }
}
