//! Manifests that are about another one: signatures, SBOMs, provenance (distribution specification, "Listing Referrers").
//!
//! Registries of version 1.1 list them. In older ones a tag made of the digest, `sha256-…`, names an index that lists
//! them, and whoever stores a referrer keeps it up to date ("Referrers Tag Schema").

use std::sync::PoisonError;

use http::{Call, Method};
use serde::Deserialize;

use super::tags::next;
use super::{RegistryError, Repository};
use crate::manifest::SIZE_LIMIT;
use crate::{Descriptor, Index, Manifest, Referrers, Result, media};

/// The most pages that are read.
const PAGES: usize = 100;

/// What of a referrer goes into the list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Referrers for Repository {
    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        if let Some(found) = self.listed_referrers(subject)? {
            return Ok(found);
        }
        Ok(self.tagged_referrers(subject)?.map_or_else(Vec::new, |index| index.manifests))
    }
}

impl Repository {
    /// What the registry lists; none when it does not know referrers.
    fn listed_referrers(&self, subject: &Descriptor) -> Result<Option<Vec<Descriptor>>> {
        let action = self.doing(&format!("list the referrers of {} in", subject.digest_text()));
        let mut url = self.url(&format!("referrers/{}", subject.digest_text()))?;
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let call =
                Call { limit: SIZE_LIMIT, ..Call::new(Method::Get, &url) }.header("accept", media::INDEX);
            let answer = self.ask(&action, &call)?;
            let kind = answer.header("content-type").unwrap_or_default();
            match answer.status {
                200 if kind.starts_with(media::INDEX) => {}
                // Also what answers every address with a page for people.
                200 | 400 | 404 | 405 | 501 => return Ok(None),
                _ => return Err(RegistryError::refused(&action, &answer).into()),
            }
            found.extend(Index::parse(&answer.body, &action)?.manifests);
            match next(&action, &answer)? {
                Some(next) => url = next,
                None => return Ok(Some(found)),
            }
        }
        Err(RegistryError::nonsense(&action, format!("the list has more than {PAGES} pages")).into())
    }

    fn tagged_referrers(&self, subject: &Descriptor) -> Result<Option<Index>> {
        let tag = tag(subject);
        match self.tagged(&tag)? {
            Some(bytes) => Ok(Some(Index::parse(&bytes, &format!("the list of referrers `{tag}`"))?)),
            None => Ok(None),
        }
    }

    /// Puts `referrer` into the list of `subject`, for a registry that does not do so itself.
    pub(super) fn list_referrer(
        &self,
        subject: &Descriptor,
        referrer: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let _guard = self.referrers.lock().unwrap_or_else(PoisonError::into_inner);
        let action = self.doing(&format!("list the referrer {} in", referrer.digest_text()));
        let nonsense = |error: crate::Error| match error {
            crate::Error::Registry(error) => *error,
            other => RegistryError::nonsense(&action, other.to_string()),
        };
        let listed = self.tagged_referrers(subject).map_err(nonsense)?;
        let mut index = listed.unwrap_or_else(|| Index::new(Vec::new()));
        if index.manifests.iter().any(|known| known.digest == referrer.digest) {
            return Ok(());
        }
        index.manifests.push(described(referrer, bytes));
        let bytes = index.to_bytes();
        let descriptor = Descriptor::of(media::INDEX, &bytes);
        self.push_manifest(&descriptor, &bytes, &tag(subject))
    }
}

/// A referrer as lists have it.
pub(crate) fn described(referrer: &Descriptor, bytes: &[u8]) -> Descriptor {
    let mut entry = Descriptor::new(&referrer.media_type, referrer.digest, referrer.size);
    if let Ok(read) = serde_json::from_slice::<Described>(bytes) {
        entry.artifact_type = read.artifact_type.or(read.config.map(|config| config.media_type));
        entry.annotations = read.annotations;
    }
    entry
}

/// The tag of the list of a manifest's referrers.
fn tag(subject: &Descriptor) -> String {
    subject.digest_text().replace(':', "-")
}

/// What a manifest is about, if that is what it says.
pub(crate) fn subject(bytes: &[u8]) -> Option<Descriptor> {
    Manifest::parse(bytes, "a referrer").ok()?.subject
}
