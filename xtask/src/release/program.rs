//! Built programs: what kind they are, and how they are run.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Fields of ELF64 files (System V ABI, "ELF Header" and "Program Header").
const MACHINE: usize = 18;
const HEADERS: usize = 32;
const HEADER_SIZE: usize = 54;
const HEADER_COUNT: usize = 56;
/// The kind of a program header that names a dynamic linker.
const INTERPRETER: u32 = 3;

/// Checks that a program is for `machine` and needs no library of the machine that it will run on.
pub(super) fn check(path: &Path, machine: u16) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let problem = problem(&bytes, machine);
    problem.map_or(Ok(()), |problem| Err(format!("{} {problem}", path.display())))
}

/// What is wrong with a program.
fn problem(bytes: &[u8], machine: u16) -> Option<&'static str> {
    let number = |place: usize, length: usize| {
        let field = bytes.get(place..place.checked_add(length)?)?;
        let value = field.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        usize::try_from(value).ok()
    };
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Some("is no 64-bit ELF file");
    }
    if number(MACHINE, 2) != Some(machine.into()) {
        return Some("is for another architecture");
    }
    let headers = || {
        let (start, size, count) = (number(HEADERS, 8)?, number(HEADER_SIZE, 2)?, number(HEADER_COUNT, 2)?);
        let kinds = (0..count).map(|index| number(start.checked_add(index * size)?, 4));
        kinds.collect::<Option<Vec<usize>>>()
    };
    match headers() {
        None => Some("is cut off"),
        Some(kinds) if kinds.contains(&(INTERPRETER as usize)) => {
            Some("is not static: it names a dynamic linker; build it with the settings in .cargo/config.toml")
        }
        Some(_) => None,
    }
}

/// A command that runs the program, by an emulator when it is for another machine.
pub(super) fn runnable(path: &Path, is_native: bool) -> Result<Command, String> {
    if is_native {
        return Ok(Command::new(path));
    }
    let emulator = if cfg!(target_arch = "aarch64") { "qemu-x86_64-static" } else { "qemu-aarch64-static" };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&folders).any(|folder| folder.join(emulator).is_file()) {
        return Err(format!("there is no `{emulator}` in PATH, which the program's manual pages come by"));
    }
    let mut command = Command::new(emulator);
    command.arg(path);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with headers of these kinds.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[MACHINE..][..2].copy_from_slice(&machine.to_le_bytes());
        bytes[HEADERS] = 64;
        bytes[HEADER_SIZE] = 56;
        bytes[HEADER_COUNT] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            let mut header = [0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn what_is_released_is_static() {
        let whole = elf(62, &[6, 1, 1]);
        for (summary, bytes, expected) in [
            ("static", &whole[..], None),
            ("dynamic", &elf(62, &[6, INTERPRETER, 1]), Some("is not static")),
            ("another machine", &elf(183, &[1]), Some("is for another architecture")),
            ("cut off", &whole[..100], Some("is cut off")),
            ("a script", b"#!/bin/sh\n", Some("is no 64-bit ELF file")),
            ("nothing", b"", Some("is no 64-bit ELF file")),
        ] {
            let found = problem(bytes, 62);
            assert_eq!(found.is_some(), expected.is_some(), "{summary}: {found:?}");
            assert!(
                found.unwrap_or_default().starts_with(expected.unwrap_or_default()),
                "{summary}: {found:?}"
            );
        }
        let this = std::env::current_exe().unwrap();
        let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        assert_eq!(check(&this, machine), Ok(()), "this test is static as everything here");
    }
}
