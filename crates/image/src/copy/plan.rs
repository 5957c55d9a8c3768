//! What a copy consists of: contents, and manifests in the order in which they are stored.

use std::collections::HashSet;

use cache::Digest;

use super::Options;
use crate::blobs::{Blobs, read_small};
use crate::{Config, Descriptor, Error, Index, Manifest, Platform, Result, media};

/// Indices within indices, and what is about what is about an image, are followed so far.
const DEPTH: usize = 4;

/// The most manifests that are copied at once: more is hostile.
const MANIFESTS: usize = 2000;

/// A manifest or an index with its bytes.
type Document = (Descriptor, Vec<u8>);

/// Everything that a copy consists of.
pub(super) struct Plan {
    /// What the copy will be found by.
    pub(super) root: Descriptor,
    /// Each once.
    pub(super) blobs: Vec<Descriptor>,
    /// Those that are named before those that name them; the root is the last.
    pub(super) manifests: Vec<Document>,
    /// Manifests about these.
    pub(super) referrers: Vec<Document>,
}

struct Search<'a> {
    source: &'a dyn Blobs,
    seen: HashSet<Digest>,
    blobs: Vec<Descriptor>,
    manifests: Vec<Document>,
}

impl Plan {
    pub(super) fn new(source: &dyn Blobs, root: &Descriptor, options: &Options<'_>) -> Result<Self> {
        let mut search = Search { source, seen: HashSet::new(), blobs: Vec::new(), manifests: Vec::new() };
        let (root, bytes) = narrow(source, root, &options.platforms)?;
        search.add(&root, bytes, 0)?;
        let manifests = std::mem::take(&mut search.manifests);
        let mut referrers = Vec::new();
        if let Some(known) = options.referrers {
            let mut subjects: Vec<Descriptor> =
                manifests.iter().map(|(manifest, _)| manifest.clone()).collect();
            for _ in 0..DEPTH {
                for subject in &std::mem::take(&mut subjects) {
                    for found in known.referrers(subject)? {
                        let bytes = read_small(source, &found)?;
                        search.add(&found, bytes, 0)?;
                    }
                }
                subjects.extend(search.manifests.iter().map(|(manifest, _)| manifest.clone()));
                referrers.append(&mut search.manifests);
            }
        }
        Ok(Self { root, blobs: search.blobs, manifests, referrers })
    }
}

impl Search<'_> {
    /// Adds a document after all that it names.
    fn add(&mut self, document: &Descriptor, bytes: Vec<u8>, depth: usize) -> Result<()> {
        if !self.seen.insert(document.digest) {
            return Ok(());
        }
        let what = format!("{} of {}", document.digest_text(), self.source.name());
        if depth > DEPTH || self.seen.len() > MANIFESTS {
            let message =
                format!("more than {DEPTH} indices lie in each other, or it has more than {MANIFESTS} parts");
            return Err(Error::Json { what, message });
        }
        if media::is_index(&document.media_type) {
            for child in Index::parse(&bytes, &what)?.manifests {
                let bytes = read_small(self.source, &child)?;
                self.add(&child, bytes, depth + 1)?;
            }
        } else if media::is_manifest(&document.media_type) {
            let manifest = Manifest::parse(&bytes, &what)?;
            for blob in std::iter::once(manifest.config).chain(manifest.layers) {
                if self.seen.insert(blob.digest) {
                    self.blobs.push(blob);
                }
            }
        } else {
            let message = format!("`{}` is neither a manifest nor an index", document.media_type);
            return Err(Error::Json { what, message });
        }
        // What an index says of it beside its name is no part of the document.
        let artifact_type = document.artifact_type.clone();
        let plain = Descriptor::new(&document.media_type, document.digest, document.size);
        self.manifests.push((Descriptor { artifact_type, ..plain }, bytes));
        Ok(())
    }
}

/// The root of a copy for `platforms`.
fn narrow(source: &dyn Blobs, root: &Descriptor, platforms: &[Platform]) -> Result<Document> {
    let bytes = read_small(source, root)?;
    if platforms.is_empty() {
        return Ok((root.clone(), bytes));
    }
    let what = format!("{} of {}", root.digest_text(), source.name());
    if !media::is_index(&root.media_type) {
        let config = Manifest::parse(&bytes, &what)?.config;
        let text = format!("the configuration {}", config.digest_text());
        let there = Config::parse(&read_small(source, &config)?, &text)?.platform();
        return match platforms.iter().find(|wanted| !there.satisfies(wanted)) {
            None => Ok((root.clone(), bytes)),
            Some(wanted) => Err(missing(source, wanted, vec![there.to_string()])),
        };
    }
    let index = Index::parse(&bytes, &what)?;
    let mut chosen: Vec<Descriptor> = Vec::new();
    for wanted in platforms {
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|there| there.satisfies(wanted));
        let Some(found) = index.manifests.iter().find(fits) else {
            let there = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
            return Err(missing(source, wanted, there.map(ToString::to_string).collect()));
        };
        if chosen.iter().all(|known| known.digest != found.digest) {
            chosen.push(found.clone());
        }
    }
    if let [one] = &chosen[..] {
        let bytes = read_small(source, one)?;
        return Ok((one.clone(), bytes));
    }
    let fewer = Index { manifests: chosen, ..index };
    let bytes = fewer.to_bytes();
    Ok((Descriptor::of(&root.media_type, &bytes), bytes))
}

fn missing(source: &dyn Blobs, wanted: &Platform, found: Vec<String>) -> Error {
    Error::NoPlatform { place: source.name(), wanted: wanted.clone(), found }
}
