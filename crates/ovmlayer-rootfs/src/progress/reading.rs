//! Shows how much of a tar, a folder or an image has been read.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use image::{Blobs, Descriptor, Place};
use indicatif::HumanBytes;
use serde_json::json;

use super::Shown;

/// How far one source has been read, shown in the form of the program's other progress.
pub(crate) struct Reading {
    shown: Arc<Shown>,
    source: String,
    /// As many bytes there are, where that is known before.
    total: Option<u64>,
    count: Mutex<(u64, Instant)>,
}

impl Reading {
    pub(crate) fn new(shown: Arc<Shown>, source: String, total: Option<u64>) -> Self {
        Self { shown, source, total, count: Mutex::new((0, Instant::now())) }
    }

    /// The bytes of `inner`, which count when they have been read.
    pub(crate) fn of<R>(&self, inner: R) -> Counted<'_, R> {
        Counted { inner, reading: self }
    }

    /// The contents in `inner`, which count when they have been read.
    pub(crate) fn of_blobs<'a>(&'a self, inner: &'a dyn Blobs) -> CountedBlobs<'a> {
        CountedBlobs { inner, reading: self }
    }

    fn add(&self, bytes: u64) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, last) = &mut *count;
        *done += bytes;
        let of = self.total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
        let text = format!("read {}{of} of {}", HumanBytes(*done), self.source);
        let json = json!({"event": "read", "source": self.source, "bytes": *done, "total_bytes": self.total});
        self.shown.share(&text, (*done, self.total.unwrap_or(0)), &json, last);
    }
}

/// A reader that tells how far it is.
pub(crate) struct Counted<'a, R> {
    inner: R,
    reading: &'a Reading,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.reading.add(count as u64);
        Ok(count)
    }
}

/// Contents that tell how much of them has been read.
pub(crate) struct CountedBlobs<'a> {
    inner: &'a dyn Blobs,
    reading: &'a Reading,
}

impl Place for CountedBlobs<'_> {
    fn name(&self) -> String {
        self.inner.name()
    }
}

impl Blobs for CountedBlobs<'_> {
    fn open(&self, blob: &Descriptor) -> image::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.reading.of(self.inner.open(blob)?)))
    }
}
