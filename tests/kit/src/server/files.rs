//! What a request for a file asks: all of it, a part of it, or only whether it has changed.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::http::{Head, date};

/// A file with what identifies its state.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

impl Found {
    pub(super) fn read(path: &Path) -> Option<Self> {
        let body = std::fs::read(path).ok()?;
        let modified = std::fs::metadata(path).ok()?.modified().ok()?;
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let etag = format!("\"{:x}-{:x}\"", age.as_nanos(), body.len());
        Some(Self { body, etag, modified })
    }

    /// Whether the client already has this state (RFC 9110, section 13.2.2).
    pub(super) fn unchanged(&self, request: &Head) -> bool {
        if let Some(tags) = request.header("if-none-match") {
            return tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == self.etag);
        }
        request.header("if-modified-since").is_some_and(|since| match jiff::fmt::rfc2822::parse(since) {
            Ok(since) => self.modified_seconds() <= since.timestamp().as_second(),
            Err(_) => false,
        })
    }

    /// The part asked for: `None` for all of it, an error when there is no such part.
    pub(super) fn part(&self, request: &Head) -> Result<Option<Range<usize>>, ()> {
        let Some(range) = request.header("range").and_then(|value| value.strip_prefix("bytes=")) else {
            return Ok(None);
        };
        if request.header("if-range").is_some_and(|state| state != self.etag && state != date(self.modified))
        {
            return Ok(None);
        }
        let length = self.body.len();
        let Some((first, last)) = range.split_once('-') else { return Ok(None) };
        let range = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => first..length.min(last.saturating_add(1)),
            (Ok(first), Err(_)) => first..length,
            (Err(_), Ok(suffix)) => length.saturating_sub(suffix)..length,
            (Err(_), Err(_)) => return Ok(None),
        };
        if range.is_empty() { Err(()) } else { Ok(Some(range)) }
    }

    fn modified_seconds(&self) -> i64 {
        let age = self.modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
    }
}
