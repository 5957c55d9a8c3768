//! Images from one place to another.
//!
//! Contents go first, side by side, then manifests, those that are named before those that name them, then what is about
//! them, then tags. Whoever looks in between sees nothing that is not whole; what an earlier copy brought is not sent again.

mod plan;

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::PoisonError;

use http::{Cancel, parallel};

use crate::blobs::Blobs;
use crate::events::{Event, Events, Outcome};
use crate::{Descriptor, Error, Platform, Referrers, Result, Target};

use plan::Plan;

/// How often a content is sent whole before it is given up.
const ATTEMPTS: u32 = 3;

/// What of an image is copied, and how.
pub struct Options<'a> {
    /// The platforms; all there are when none is named. One makes a copy of that platform's manifest alone; several make a new
    /// index of these, which has another digest than the one that was read.
    pub platforms: Vec<Platform>,
    /// What the copy is called; only found by its digest when nothing.
    pub tags: Vec<String>,
    /// How many contents are copied at the same time; at least 1.
    pub jobs: usize,
    /// Who knows what is about the image, if that is to be copied as well.
    pub referrers: Option<&'a dyn Referrers>,
    /// The wish to stop.
    pub cancel: Cancel,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { platforms: Vec::new(), tags: Vec::new(), jobs: 4, referrers: None, cancel: Cancel::default() }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("platforms", &self.platforms)
            .field("tags", &self.tags)
            .field("jobs", &self.jobs)
            .field("referrers", &self.referrers.is_some())
            .finish_non_exhaustive()
    }
}

/// Contents and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Count {
    /// How many.
    pub blobs: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, blob: &Descriptor) {
        self.blobs += 1;
        self.bytes += blob.size;
    }
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What was copied: the root that was given, or what was made of it for the platforms that were asked for.
    pub root: Descriptor,
    /// Contents that were sent.
    pub sent: Count,
    /// Contents that were there already.
    pub skipped: Count,
    /// Contents that the registry took over from another repository.
    pub mounted: Count,
    /// Manifests and indices that were stored, those about the image not counted.
    pub manifests: usize,
    /// Manifests about the image.
    pub referrers: usize,
}

/// Copies the image or index that `root` names from `source` to `target`.
///
/// # Errors
/// Those of `source` and `target`; [`Error::NoPlatform`] for a platform that is not there. What was sent until then stays,
/// without a tag.
pub fn copy(
    source: &dyn Blobs,
    root: &Descriptor,
    target: &dyn Target,
    options: &Options<'_>,
    events: &dyn Events,
) -> Result<Copied> {
    let plan = Plan::new(source, root, options)?;
    let bytes = plan.blobs.iter().map(|blob| blob.size).sum();
    events.event(&Event::Planned { blobs: plan.blobs.len(), bytes });
    let copied = Mutex::new(Copied {
        root: plan.root.clone(),
        sent: Count::default(),
        skipped: Count::default(),
        mounted: Count::default(),
        manifests: plan.manifests.len(),
        referrers: plan.referrers.len(),
    });
    let work = Work { source, target, events, cancel: &options.cancel };
    parallel::map(options.jobs, &plan.blobs, |blob| {
        let outcome = work.bring(blob)?;
        events.event(&Event::Finished { blob, outcome });
        let mut copied = copied.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Sent => copied.sent.add(blob),
            Outcome::Skipped => copied.skipped.add(blob),
            Outcome::Mounted => copied.mounted.add(blob),
        }
        Ok::<_, Error>(())
    })?;
    for (manifest, bytes) in &plan.manifests {
        work.check_cancelled()?;
        target.put_manifest(manifest, bytes)?;
    }
    for (manifest, bytes) in &plan.referrers {
        work.check_cancelled()?;
        target.put_referrer(manifest, bytes)?;
    }
    if let Some((root, bytes)) = plan.manifests.last() {
        for tag in &options.tags {
            target.tag(root, bytes, tag)?;
        }
    }
    Ok(copied.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Work<'a> {
    source: &'a dyn Blobs,
    target: &'a dyn Target,
    events: &'a dyn Events,
    cancel: &'a Cancel,
}

impl Work<'_> {
    /// Makes sure that a content is in the target.
    fn bring(&self, blob: &Descriptor) -> Result<Outcome> {
        self.check_cancelled()?;
        if self.target.has(blob)? {
            return Ok(Outcome::Skipped);
        }
        if self.target.mount(blob)? {
            return Ok(Outcome::Mounted);
        }
        let mut attempt = 1;
        loop {
            let contents = self.source.open(blob)?;
            let mut counted = Counted { inner: contents, work: self, bytes: 0 };
            let failure = match self.target.put(blob, &mut counted) {
                Ok(()) => return Ok(Outcome::Sent),
                Err(failure) => failure,
            };
            self.events.event(&Event::Sent { bytes: -counted.bytes });
            let again = matches!(&failure, Error::Registry(error) if error.begins_again());
            if !again || attempt == ATTEMPTS {
                return Err(failure);
            }
            attempt += 1;
            let event = Event::Retrying { what: &blob.digest_text(), failure: &failure.to_string() };
            self.events.event(&event);
        }
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(crate::registry::RegistryError::Cancelled.into());
        }
        Ok(())
    }
}

/// Tells how much of a content went through.
struct Counted<'a> {
    inner: Box<dyn Read + Send + 'a>,
    work: &'a Work<'a>,
    bytes: i64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.work.cancel.is_cancelled() {
            return Err(io::Error::other("stopped on request"));
        }
        let count = self.inner.read(buffer)?;
        let bytes = i64::try_from(count).unwrap_or(i64::MAX);
        self.bytes += bytes;
        self.work.events.event(&Event::Sent { bytes });
        Ok(count)
    }
}
