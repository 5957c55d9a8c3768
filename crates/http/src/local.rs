//! Archives on this machine: `file:` and `copy:` addresses.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use reqwest::Url;

use crate::Cancel;
use crate::{Failure, Fetched, Sink, Size, Status, Validators};

/// Copies a local file into `sink`, under the same bounds as one from a server.
pub(super) fn copy(url: &Url, size: Size, sink: &mut dyn Sink, cancel: &Cancel) -> Result<Fetched, Failure> {
    let path = path(url)?;
    let read = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::Status(Status::NotFound),
        _ => Failure::Read(error.to_string()),
    };
    let mut file = File::open(&path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(Failure::Read("it is not a regular file".to_owned()));
    }
    size.check_offer(metadata.len())?;
    if sink.held() != 0 {
        sink.restart()?;
    }
    let mut buffer = vec![0; 128 << 10];
    loop {
        if cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let count = file.read(&mut buffer).map_err(read)?;
        if count == 0 {
            break;
        }
        size.check_held(sink.held() + count as u64)?;
        sink.take(&buffer[..count])?;
    }
    size.check_end(sink.held())?;
    Ok(Fetched::Complete(Validators::default()))
}

/// apt knows `file:/path` and `file:///path`; a host name is not meant.
fn path(url: &Url) -> Result<PathBuf, Failure> {
    let mut local = url.clone();
    if url.host_str().is_some_and(|host| !host.is_empty() && host != "localhost") {
        return Err(Failure::Address("a local address has no host: write file:///path".to_owned()));
    }
    // `to_file_path` decodes percent escapes, but only for this scheme.
    if url.scheme() == "copy" {
        local = Url::parse(&url.as_str().replacen("copy:", "file:", 1))
            .map_err(|error| Failure::Address(error.to_string()))?;
    }
    local.to_file_path().map_err(|()| Failure::Address("it is not an absolute path".to_owned()))
}
