//! `cp`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use layers::{Copied, Transfer};

use super::{Outcome, done, engine};
use crate::cli::{Copy, Direction};
use crate::printer;

pub(crate) fn copy(copy: &Copy) -> Outcome {
    let transfer = transfer(copy)?;
    let copied = engine()?.copy(&transfer, copy.archive)?;
    let Copied { entries, bytes, devices, whiteouts, .. } = copied;
    if devices > 0 {
        printer::warning(&format!("{devices} devices were left out"));
    }
    if whiteouts > 0 {
        printer::warning(&format!("{whiteouts} marks of removed files were left out"));
    }
    done(&format!("copied {entries} entries, {bytes} bytes"))
}

fn transfer(copy: &Copy) -> Result<Transfer, layers::Error> {
    let source = || copy.source.clone().into();
    let folder = || copy.destination.clone().into();
    Ok(match copy.mode {
        Direction::HostToLayer => {
            let (layer, inside) = split(&copy.destination);
            Transfer::HostToLayer { source: source(), layer: layer.parse()?, inside: inside.to_owned() }
        }
        Direction::HostToMerged => {
            let (point, inside) = split(&copy.destination);
            Transfer::HostToMerged { source: source(), point: point.parse()?, inside: inside.to_owned() }
        }
        Direction::LayerToHost => {
            let (layer, inside) = split(&copy.source);
            Transfer::LayerToHost { layer: layer.parse()?, inside: inside.to_owned(), folder: folder() }
        }
        Direction::MergedToHost => {
            let (point, inside) = split(&copy.source);
            Transfer::MergedToHost { point: point.parse()?, inside: inside.to_owned(), folder: folder() }
        }
    })
}

/// `NAME:PATH` at its first colon; without one, all is the name and the path is that of the root.
fn split(text: &OsStr) -> (String, &OsStr) {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':');
    let (name, path) = match colon {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &b"/"[..]),
    };
    (String::from_utf8_lossy(name).into_owned(), OsStr::from_bytes(path))
}
