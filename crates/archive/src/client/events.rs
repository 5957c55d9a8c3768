//! What a client tells about its work.

use http::Failure;

/// Something that happened. Files are called by what messages call them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So much is to be fetched, beside what was announced before.
    Planned {
        /// How many files.
        files: usize,
        /// How many bytes; none for release files, whose length nobody promises.
        bytes: u64,
    },
    /// A file is being fetched.
    Begun {
        /// The file.
        name: &'a str,
        /// Its length, if known.
        size: Option<u64>,
    },
    /// Bytes came.
    Received {
        /// How many.
        bytes: u64,
    },
    /// Bytes that came before turned out to be of no use, or were here from an earlier run: counted once, negative when lost.
    Adjusted {
        /// How many more (or fewer) bytes are here.
        bytes: i64,
    },
    /// An attempt failed, and there will be another.
    Retrying {
        /// The file.
        name: &'a str,
        /// Why.
        failure: &'a Failure,
    },
    /// A file is complete and checked.
    Finished {
        /// The file.
        name: &'a str,
    },
    /// A file was in the cache.
    Cached {
        /// The file.
        name: &'a str,
    },
}

/// Is told what happens, from many threads; must be quick.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: &Event<'_>) {}
}
