//! Binary packages (deb(5)): an `ar` archive of a version, a tar of control files and a tar of the package's files.
//!
//! A package is read once, from its beginning to its end: [`Deb::open`] reads up to the files, [`Deb::into_data`] gives
//! these as a tar. Everything in it is hostile until shown otherwise: sizes and counts are bounded, names go through
//! [`tree::EntryPath`], and what cannot be is refused with an error that says which part of the package it is about.

mod ar;
mod control;
mod error;

use std::io::Read;

use tree::codec::{self, Format};
use tree::tar;

pub use control::{ControlArchive, ControlFile};
pub use error::DebError;

/// The greatest size of the `debian-binary` member in bytes; it holds `2.0` and a line end.
const MAX_VERSION: u64 = 1024;

/// A package whose control files have been read and whose other files come next.
#[derive(Debug)]
pub struct Deb<R> {
    archive: ar::Archive<R>,
    control: ControlArchive,
    data: DataMember,
}

/// The member that holds the package's files.
#[derive(Debug)]
struct DataMember {
    name: String,
    size: u64,
    format: Format,
}

/// The files of a package, as a tar to be read member by member.
pub type DataReader<'a> = tar::Reader<Box<dyn Read + Send + 'a>>;

impl<'a, R: Read + Send + 'a> Deb<R> {
    /// Reads a package up to the beginning of its files.
    ///
    /// # Errors
    /// What is wrong with the package, or with reading it.
    pub fn open(source: R) -> Result<Deb<R>, DebError> {
        let mut archive = ar::Archive::open(source)?;
        check_version(&mut archive)?;
        let header = archive.next_part()?.ok_or(DebError::Missing("control.tar"))?;
        let format = compression(&header.name, "control.tar")?;
        let plain = codec::decoder(format, archive.contents(header.size))
            .map_err(|source| DebError::Read { member: header.name.clone(), source })?;
        let control = control::read(plain, &header.name)?;
        archive.finish_member(&header.name)?;
        let header = archive.next_part()?.ok_or(DebError::Missing("data.tar"))?;
        let format = compression(&header.name, "data.tar")?;
        let data = DataMember { name: header.name, size: header.size, format };
        Ok(Deb { archive, control, data })
    }

    /// The control files.
    pub fn control(&self) -> &ControlArchive {
        &self.control
    }

    /// How the package's files are compressed.
    pub fn data_format(&self) -> Format {
        self.data.format
    }

    /// The package's files, and its control files. At most `limit` bytes of tar are read, so that a package that expands
    /// without end stops; derive it from what the package's index promises.
    ///
    /// Device nodes come as [`tree::Kind::CharDevice`] and [`tree::Kind::BlockDevice`]; whoever extracts refuses them.
    ///
    /// # Errors
    /// When the decoder cannot be set up. Exceeding the limit is an [`DebError::Expands`] in the chain of the error that
    /// reading the tar gives.
    pub fn into_data(self, limit: u64) -> Result<(ControlArchive, DataReader<'a>), DebError> {
        let DataMember { name, size, format } = self.data;
        let contents = self.archive.into_contents(size);
        let plain = codec::decoder(format, contents)
            .map_err(|source| DebError::Read { member: name.clone(), source })?;
        let bounded: Box<dyn Read + Send + 'a> = Box::new(Promised { plain, name, limit, left: limit });
        Ok((self.control, tar::Reader::new(bounded)))
    }
}

/// The first member says which version of the format this is; `2.x` is the only one there has been since 1995.
fn check_version<R: Read>(archive: &mut ar::Archive<R>) -> Result<(), DebError> {
    let header = archive.next_member()?.ok_or(DebError::Missing("debian-binary"))?;
    if header.name != "debian-binary" {
        return Err(DebError::Unexpected { found: header.name, wanted: "debian-binary" });
    }
    if header.size > MAX_VERSION {
        return Err(DebError::TooLarge { name: header.name, size: header.size, limit: MAX_VERSION });
    }
    let mut text = Vec::new();
    archive
        .contents(header.size)
        .read_to_end(&mut text)
        .map_err(|source| DebError::Read { member: header.name.clone(), source })?;
    archive.finish_member(&header.name)?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let minor = line.strip_prefix(b"2.").unwrap_or_default();
    if minor.is_empty() || !minor.iter().all(u8::is_ascii_digit) || line.len() == text.len() {
        return Err(DebError::Version(line.iter().copied().take(32).collect()));
    }
    Ok(())
}

/// The compression that a member's name tells, when it is `stem` with one of the endings.
fn compression(name: &str, stem: &'static str) -> Result<Format, DebError> {
    match name.strip_prefix(stem) {
        Some("") => Ok(Format::Plain),
        Some(".gz") => Ok(Format::Gzip),
        Some(".xz") => Ok(Format::Xz),
        Some(".zst") => Ok(Format::Zstd),
        Some(".bz2" | ".lzma") => Err(DebError::Compression(name.to_owned())),
        _ => Err(DebError::Unexpected { found: name.to_owned(), wanted: stem }),
    }
}

/// A stream that may not be longer than the package's index lets one expect.
struct Promised<R> {
    plain: R,
    name: String,
    limit: u64,
    left: u64,
}

impl<R: Read> Read for Promised<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.plain.read(&mut buffer[..room])?;
        match self.left.checked_sub(got as u64) {
            Some(left) => {
                self.left = left;
                Ok(got)
            }
            None => {
                let error = DebError::Expands { member: self.name.clone(), limit: self.limit };
                Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, error))
            }
        }
    }
}
