//! Reading our archive.

use std::io::Read;

use tree::layer::{Mark, Unpacker};
use tree::tar::{self, Limits, Member, Segment};
use tree::{Entry, EntryPath, Kind};

use super::names::{Expected, Role};
use super::sums::{LENGTH, Sum};
use super::{Manifest, Problem};
use crate::LayerName;

/// Takes the content of a layer.
pub trait Sink {
    /// An entry; `contents` gives the bytes of a file, of a sparse one those of its segments.
    ///
    /// # Errors
    /// Whatever it says ends the reading.
    fn entry(
        &mut self,
        entry: Entry,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> tree::Result<()>;

    /// A whiteout.
    ///
    /// # Errors
    /// As [`Sink::entry`].
    fn whiteout(&mut self, path: EntryPath) -> tree::Result<()>;

    /// A directory is opaque.
    ///
    /// # Errors
    /// As [`Sink::entry`].
    fn opaque(&mut self, path: &EntryPath) -> tree::Result<()>;
}

impl Sink for Unpacker<'_> {
    fn entry(
        &mut self,
        entry: Entry,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> tree::Result<()> {
        self.add(entry, segments, contents)
    }

    fn whiteout(&mut self, path: EntryPath) -> tree::Result<()> {
        Unpacker::whiteout(self, path)
    }

    fn opaque(&mut self, path: &EntryPath) -> tree::Result<()> {
        Unpacker::opaque(self, path)
    }
}

/// Reads an archive, layer by layer.
///
/// What a [`Sink`] has been given is worth nothing before [`Reader::layer`] returns well, and the archive as a whole before
/// [`Reader::finish`] does.
#[derive(Debug)]
pub struct Reader<R> {
    tar: tar::Reader<R>,
    sum: Sum,
    manifest: Manifest,
    /// The next layer in the list.
    next: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the list of layers from a plain tar.
    ///
    /// # Errors
    /// When this is no archive of ours, or of a newer format.
    pub fn open(source: R, limits: Limits) -> Result<Self, Problem> {
        let mut tar = tar::Reader::with_limits(source, limits);
        let sum = Sum::default();
        tar.set_tap(sum.tap());
        let first = match tar.next_named(&mut Expected::manifest()) {
            Ok(first) => first,
            Err(tree::Error::Tar(error)) if matches!(error.problem, tar::Problem::Checksum) => {
                return Err(Problem::NotOurs { why: "it is no tar" });
            }
            Err(tree::Error::Tar(error)) if matches!(error.problem, tar::Problem::Name(_)) => {
                return Err(Problem::NotOurs { why: "it does not begin with `ovmlayer.json`" });
            }
            Err(error) => return Err(error.into()),
        };
        let is_file = first.is_some_and(|member| matches!(member.entry.kind, Kind::File { .. }));
        if !is_file {
            return Err(Problem::NotOurs { why: "it does not begin with a file `ovmlayer.json`" });
        }
        let manifest = Manifest::read(&mut tar.stored())?;
        Ok(Self { tar, sum, manifest, next: 0 })
    }

    /// The list of layers.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads the next layer into `sink` and checks the digest behind it.
    ///
    /// # Errors
    /// [`Problem::Incomplete`], [`Problem::Digest`], [`Problem::Mark`]; what is wrong with the tar; what `sink` says.
    pub fn layer(&mut self, sink: &mut dyn Sink) -> Result<(), Problem> {
        let Some(name) = self.manifest.layers.get(self.next).cloned() else {
            return Err(Problem::Names { why: "there is no further layer in the archive" });
        };
        let mut names = Expected::layer(Some(&name));
        while let Some(member) = self.tar.next_named(&mut names)? {
            match names.role {
                Role::Inside(mark) => pass_on(&mut self.tar, member, mark, sink)?,
                Role::Sum | Role::Manifest => {
                    self.next += 1;
                    return self.check(&member, &name);
                }
            }
        }
        Err(Problem::Incomplete { name })
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// When there are layers that have not been read, or members behind the last.
    pub fn finish(mut self) -> Result<(), Problem> {
        if let Some(name) = self.manifest.layers.get(self.next) {
            return Err(Problem::Incomplete { name: name.clone() });
        }
        // Any member is refused by its name.
        self.tar.next_named(&mut Expected::layer(None))?;
        Ok(())
    }

    fn check(&mut self, member: &Member, name: &LayerName) -> Result<(), Problem> {
        self.tar.flush_tap();
        let want = self.sum.line();
        let mut found = Vec::new();
        if member.entry.kind == (Kind::File { size: LENGTH }) {
            self.tar.stored().read_to_end(&mut found).map_err(Problem::io("read"))?;
        }
        if found == want { Ok(()) } else { Err(Problem::Digest { name: name.clone() }) }
    }
}

/// Gives one member to the sink.
pub(super) fn pass_on<R: Read>(
    tar: &mut tar::Reader<R>,
    member: Member,
    mark: Mark,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let Member { entry, segments, .. } = member;
    if matches!(mark, Mark::Whiteout | Mark::Opaque) && entry.kind != (Kind::File { size: 0 }) {
        return Err(Problem::Mark { path: entry.path });
    }
    match mark {
        Mark::Entry => sink.entry(entry, segments.as_deref(), &mut tar.stored())?,
        Mark::Whiteout => sink.whiteout(entry.path)?,
        Mark::Opaque => sink.opaque(&entry.path)?,
        Mark::Aufs => {}
    }
    Ok(())
}
