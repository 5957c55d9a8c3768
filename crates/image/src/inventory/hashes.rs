//! What is kept of the contents of files: digests, and of the few that say what is installed, what they say.

use std::io::{self, Read};
use std::sync::Arc;

use cache::{Digest, Hasher};
use sha1::Digest as _;
use tree::EntryPath;

use super::fact::{Fact, Interest};
use super::file::Sha1;
use crate::error::LayerProblem;
use crate::flatten::{Files, Store};

/// How much memory all of it may take, estimated, in bytes.
const LIMIT: u64 = 512 << 20;

/// What the digests of one file take, in bytes.
const WEIGHT: u64 = size_of::<Hashed>() as u64;

const BUFFER: usize = 128 * 1024;

/// Which digests of files are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// SHA-256 alone.
    Sha256,
    /// SHA-1 too, which SPDX 2.3 demands.
    WithSha1,
}

/// All contents there were, by the number that they came with.
#[derive(Debug)]
pub(super) struct Hashes {
    digests: Digests,
    all: Vec<Hashed>,
    held: u64,
    buffer: Vec<u8>,
}

/// What is kept of one file's contents.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) sha256: Digest,
    pub(super) sha1: Option<Sha1>,
    /// What it was expected to say, and what it says.
    pub(super) said: Option<(Interest, Said)>,
}

/// What a file says.
#[derive(Debug)]
pub(super) enum Said {
    Fact(Arc<Fact>),
    /// It is longer than what is read of its kind.
    TooLong,
    /// Nothing that can be understood.
    Nothing,
}

impl Hashes {
    pub(super) fn new(digests: Digests) -> Self {
        Self { digests, all: Vec::new(), held: 0, buffer: vec![0; BUFFER] }
    }

    /// The contents with this number.
    pub(super) fn get(&self, number: u64) -> Option<&Hashed> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// Hashes `size` bytes; the first `most` of them are returned.
    fn hash(&mut self, contents: &mut dyn Read, size: u64, most: usize) -> io::Result<(Hashed, Vec<u8>)> {
        let mut sha256 = Hasher::new();
        let mut sha1 = (self.digests == Digests::WithSha1).then(sha1::Sha1::new);
        let mut beginning = Vec::new();
        let mut left = size;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let count = match contents.read(&mut self.buffer[..room]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = &self.buffer[..count];
            sha256.update(bytes);
            if let Some(sha1) = &mut sha1 {
                sha1.update(bytes);
            }
            let wanted = (most - beginning.len()).min(count);
            beginning.extend_from_slice(&bytes[..wanted]);
            left -= count as u64;
        }
        let sha1 = sha1.map(|sha1| Sha1(sha1.finalize().into()));
        Ok((Hashed { sha256: sha256.finish(), sha1, said: None }, beginning))
    }
}

impl Store for Hashes {
    fn store(
        &mut self,
        files: &Files,
        path: &EntryPath,
        contents: &mut dyn Read,
        size: u64,
    ) -> Result<u64, LayerProblem> {
        let path = files.real_path(path)?;
        let interest = Interest::of(&path);
        let (mut hashed, beginning) = self.hash(contents, size, interest.map_or(0, Interest::limit))?;
        hashed.said = interest.map(|interest| (interest, said(interest, &beginning, size, &path)));
        let weight = match &hashed.said {
            Some((_, Said::Fact(fact))) => fact.weight() as u64,
            _ => 0,
        };
        self.held += WEIGHT + weight;
        if self.held > LIMIT {
            return Err(LayerProblem::Limit { what: "bytes of digests and lists of packages", limit: LIMIT });
        }
        self.all.push(hashed);
        Ok(self.all.len() as u64 - 1)
    }
}

fn said(interest: Interest, beginning: &[u8], size: u64, path: &EntryPath) -> Said {
    if size > beginning.len() as u64 && !interest.may_be_cut() {
        return Said::TooLong;
    }
    Fact::read(interest, beginning, path).map_or(Said::Nothing, |fact| Said::Fact(Arc::new(fact)))
}
