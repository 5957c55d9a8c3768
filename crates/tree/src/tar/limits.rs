//! Bounds on what a tar may ask of its reader.

/// Bounds that a [`super::Reader`] enforces; an archive that exceeds one is refused with an error that names it.
///
/// Paths are bounded by [`crate::EntryPath::MAX`] in addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The greatest number of members. Default 4,000,000.
    pub entries: u64,
    /// The greatest length of a symbolic link's target in bytes. Default 4096, Linux's `PATH_MAX`.
    pub symlink: usize,
    /// The greatest sum in bytes of the extension headers (PAX records, GNU long names) of one member, and of those that
    /// PAX global headers keep for all. Default 1 MiB; Linux bounds the extended attributes of a file to 64 KiB.
    pub extensions: u64,
    /// The greatest length of the whole archive in bytes, headers included. Default 1 TiB.
    pub total: u64,
    /// The greatest size of a sparse file in bytes. A few bytes of archive can ask for any size, so only callers that
    /// restore holes should take them. Default 0: sparse files are refused.
    pub sparse: u64,
    /// The greatest number of a sparse file's data segments. Default 1,048,576, which take 16 MiB of memory.
    pub segments: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 4_000_000,
            symlink: 4096,
            extensions: 1 << 20,
            total: 1 << 40,
            sparse: 0,
            segments: 1 << 20,
        }
    }
}
