//! From the cache into a folder: programs out of their archives, files as they are, each in one rename.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cache::{Digest, Hasher};
use tree::codec::{Bounded, Format, decoder};
use tree::{Kind, tar};

use crate::component::machine;
use crate::{Error, Result};

/// The most bytes of an archive of programs, unpacked.
const MAX_SIZE: u64 = 4 << 30;
/// The most programs that are taken out of an archive.
const MAX_PROGRAMS: usize = 64;

/// What an ELF file begins with, and where it says which machine it is for (System V ABI, "ELF Header").
const ELF: &[u8] = b"\x7fELF";
const MACHINE: std::ops::Range<usize> = 18..20;

/// A file in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its name there.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its digest.
    pub(crate) digest: Digest,
}

/// A file under a temporary name, which goes unless it gets its final one.
struct Draft {
    temporary: PathBuf,
    placed: Placed,
    /// Its first bytes.
    start: Vec<u8>,
}

impl Draft {
    /// Writes everything that `contents` gives into `folder`.
    fn write(folder: &Path, name: &str, mode: u32, contents: &mut dyn Read) -> Result<Self> {
        let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let placed = Placed { name: name.to_owned(), size: 0, digest: Digest::of(b"") };
        let mut draft = Self { temporary: temporary.clone(), placed, start: Vec::new() };
        let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = contents.read(&mut buffer).map_err(Error::io("fill", &temporary))?;
            if count == 0 {
                break;
            }
            let bytes = &buffer[..count];
            let room = MACHINE.end.saturating_sub(draft.start.len()).min(count);
            draft.start.extend_from_slice(&bytes[..room]);
            hasher.update(bytes);
            draft.placed.size += count as u64;
            file.write_all(bytes).map_err(Error::io("write", &temporary))?;
        }
        let mode = Permissions::from_mode(mode);
        file.set_permissions(mode).and_then(|()| file.sync_all()).map_err(Error::io("write", &temporary))?;
        draft.placed.digest = hasher.finish();
        Ok(draft)
    }

    fn commit(self, folder: &Path, name: &str) -> Result<Placed> {
        let path = folder.join(name);
        fs::rename(&self.temporary, &path).map_err(Error::io("write", &path))?;
        Ok(Placed { name: name.to_owned(), ..self.placed.clone() })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its final name it is not here any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Copies the file into `folder` as `name`.
pub(crate) fn keep(file: &mut File, folder: &Path, name: &str) -> Result<Placed> {
    Draft::write(folder, name, 0o644, file)?.commit(folder, name)
}

/// Takes the programs whose names begin with `name` out of the archive `asset`. One of them is called `name` afterwards: the
/// one that is so already, or the only one there is.
pub(crate) fn programs(
    file: &mut File,
    asset: &str,
    name: &'static str,
    architecture: &str,
    folder: &Path,
) -> Result<Vec<Placed>> {
    let refuse = |why: String| Error::Archive { asset: asset.to_owned(), why };
    let read = |error: io::Error| refuse(error.to_string());
    let (start, file) = peek(file, 6).map_err(read)?;
    let plain = Bounded::new(decoder(Format::sniff(&start), file).map_err(read)?, MAX_SIZE);
    let (start, plain) = peek(plain, ELF.len()).map_err(read)?;
    let drafts = if start == ELF {
        vec![Draft::write(folder, name, 0o755, &mut { plain })?]
    } else {
        unpack(plain, name, folder, &refuse)?
    };
    let is_main = |draft: &Draft| draft.placed.name == name || drafts.len() == 1;
    let Some(main) = drafts.iter().find(|draft| is_main(draft)) else {
        return Err(refuse(format!("there is no program `{name}` in it")));
    };
    check_machine(&main.start, architecture).map_err(refuse)?;
    let final_name = |draft: &Draft| if is_main(draft) { name.to_owned() } else { draft.placed.name.clone() };
    let names: Vec<String> = drafts.iter().map(final_name).collect();
    drafts.into_iter().zip(names).map(|(draft, name)| draft.commit(folder, &name)).collect()
}

/// The programs in a tar whose names begin with `prefix`, wherever in it they are.
fn unpack(
    plain: impl Read,
    prefix: &str,
    folder: &Path,
    refuse: &dyn Fn(String) -> Error,
) -> Result<Vec<Draft>> {
    let mut reader = tar::Reader::new(plain);
    let mut drafts: Vec<Draft> = Vec::new();
    while let Some(member) = reader.next().map_err(|error| refuse(chain(&error)))? {
        let entry = member.entry;
        let name = entry.path.file_name().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let is_program = matches!(entry.kind, Kind::File { .. }) && entry.metadata.mode & 0o111 != 0;
        if !is_program || !name.starts_with(prefix) {
            continue;
        }
        if drafts.iter().any(|draft| draft.placed.name == name) {
            return Err(refuse(format!("there are several programs `{name}` in it")));
        }
        if drafts.len() == MAX_PROGRAMS {
            return Err(refuse(format!("there are more than {MAX_PROGRAMS} programs in it")));
        }
        drafts.push(Draft::write(folder, name, 0o755, &mut reader.data())?);
    }
    Ok(drafts)
}

/// A program that is no script must be for the machine that it was asked for.
fn check_machine(start: &[u8], architecture: &str) -> Result<(), String> {
    let number = match (start.get(MACHINE), architecture) {
        (Some(bytes), _) if start.starts_with(ELF) => u16::from_le_bytes([bytes[0], bytes[1]]),
        _ => return Ok(()),
    };
    let expected = match architecture {
        "amd64" => 62,
        "arm64" => 183,
        _ => return Ok(()),
    };
    let machine = machine(architecture);
    if number == expected {
        Ok(())
    } else {
        Err(format!("its program is for another machine than {machine}"))
    }
}

/// The first bytes of a stream, and the stream from its beginning.
fn peek<R: Read>(mut source: R, count: usize) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut start = Vec::new();
    source.by_ref().take(count as u64).read_to_end(&mut start)?;
    Ok((start.clone(), io::Cursor::new(start).chain(source)))
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;

    /// The programs that are there afterwards, or what the error says.
    type Names<'a> = Result<Vec<&'a str>, &'a str>;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = ELF.to_vec();
        bytes.resize(MACHINE.start, 0);
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    #[test]
    fn programs_are_found_and_named() {
        let archive = |members: &[(&str, u32)]| {
            let mut tar = testkit::TarBuilder::new();
            for (name, mode) in members {
                tar = tar.member(testkit::Member::file(*name, elf(62)).mode(*mode));
            }
            tar.build()
        };
        let cases: [(&str, Vec<u8>, &str, Names<'_>); 7] = [
            (
                "the only one",
                archive(&[("oocana-cli-x", 0o755), ("README", 0o644)]),
                "amd64",
                Ok(vec!["oocana"]),
            ),
            (
                "several",
                archive(&[("bin/oocana", 0o755), ("bin/oocana-helper", 0o755), ("man/oocana.1", 0o644)]),
                "amd64",
                Ok(vec!["oocana", "oocana-helper"]),
            ),
            ("bare", elf(62), "amd64", Ok(vec!["oocana"])),
            ("none", archive(&[("README", 0o644)]), "amd64", Err("there is no program `oocana`")),
            ("twice", archive(&[("a/oocana", 0o755), ("b/oocana", 0o755)]), "amd64", Err("several programs")),
            ("another machine", elf(62), "arm64", Err("another machine than aarch64")),
            ("no archive", b"<html>".repeat(200), "amd64", Err("cannot be used")),
        ];
        for (summary, bytes, architecture, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let found = programs(&mut file(&bytes), "x.tar", "oocana", architecture, folder.path());
            let there = fs::read_dir(folder.path()).unwrap().count();
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    let names: Vec<&str> = found.iter().map(|placed| placed.name.as_str()).collect();
                    assert_eq!(names, expected, "{summary}");
                    assert_eq!(there, expected.len(), "{summary}");
                    let mode = fs::metadata(folder.path().join("oocana")).unwrap().permissions().mode();
                    assert_eq!(mode & 0o777, 0o755, "{summary}");
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{summary}: {error}");
                    assert_eq!(there, 0, "{summary}: nothing is left behind");
                }
                (found, _) => panic!("{summary}: {found:?}"),
            }
        }
    }
}
