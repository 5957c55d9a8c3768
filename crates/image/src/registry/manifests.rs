//! Manifests and indices by tag and by digest (distribution specification, "Pulling manifests", "Pushing Manifests").

use std::io::{Cursor, Read};

use cache::Digest;
use http::{Answer, Call, Method};
use serde::Deserialize;

use super::{RegistryError, Repository};
use crate::manifest::SIZE_LIMIT;
use crate::{Descriptor, Place, Result, Verified, media};

/// The kind of cache records that hold what a tag led to when it was last asked for.
const RECORD: &str = "registry-tag";

/// How many tags a message shows.
const SHOWN_TAGS: usize = 12;

/// The part of a manifest or an index that says which of them it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    subject: Option<Descriptor>,
}

impl Repository {
    /// What a tag names now. With `offline`, what it named when it was last asked for.
    ///
    /// # Errors
    /// [`RegistryError::NoImage`], [`RegistryError::NoRepository`], [`RegistryError::Offline`] and those of any request.
    pub fn resolve_tag(&self, tag: &str) -> Result<Descriptor> {
        let options = &self.registry.options;
        let key = format!("{}:{tag}", self.name());
        if options.offline {
            let known =
                options.cache.record(RECORD, &key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let offline = RegistryError::Offline { what: format!("the tag `{tag}`"), place: self.name() };
            return known.ok_or_else(|| offline.into());
        }
        let answer = self.ask_for_manifest(Method::Head, tag)?;
        let described = match described(&answer) {
            Some(described) => described,
            // Some registries answer `HEAD` without saying what is there.
            None => self.fetch_manifest(tag, None)?,
        };
        options.cache.put_record(RECORD, &key, &crate::manifest::to_bytes(&described))?;
        Ok(described)
    }

    /// The manifest or index with this digest.
    ///
    /// # Errors
    /// As [`Repository::resolve_tag`].
    pub fn resolve_digest(&self, digest: &Digest) -> Result<Descriptor> {
        let options = &self.registry.options;
        let mut bytes = Vec::new();
        if let Some(file) = options.cache.file(digest)? {
            // What is no manifest is longer, or will not be understood.
            let _ = file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes);
            if Digest::of(&bytes) == *digest
                && let Some(kind) = media_type(&bytes, None)
            {
                return Ok(Descriptor::new(&kind, *digest, bytes.len() as u64));
            }
        }
        let text = crate::digest::spell(digest);
        if options.offline {
            return Err(RegistryError::Offline { what: text, place: self.name() }.into());
        }
        self.fetch_manifest(&text, Some(*digest))
    }

    /// A manifest's bytes, out of the cache or from the registry.
    pub(super) fn open_manifest(&self, manifest: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if manifest.size > SIZE_LIMIT {
            let what = format!("the manifest {}", manifest.digest_text());
            return Err(crate::Error::TooLarge { what, size: manifest.size, limit: SIZE_LIMIT });
        }
        let cache = &self.registry.options.cache;
        if !cache.contains(&manifest.digest)? {
            if self.registry.options.offline {
                let what = manifest.digest_text();
                return Err(RegistryError::Offline { what, place: self.name() }.into());
            }
            self.fetch_manifest(&manifest.digest_text(), Some(manifest.digest))?;
        }
        let mut bytes = Vec::new();
        if let Some(file) = cache.file(&manifest.digest)? {
            let read = |source| crate::Error::Read {
                what: manifest.digest_text(),
                place: cache.root().display().to_string(),
                source,
            };
            file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(read)?;
            if Digest::of(&bytes) != manifest.digest {
                // Damaged on our disk: the next one fetches it again.
                cache.discard(&manifest.digest)?;
            }
        }
        Ok(Box::new(Verified::new(Cursor::new(bytes), manifest)))
    }

    /// Fetches a manifest into the cache; `expected` is its digest if that is known.
    fn fetch_manifest(&self, version: &str, expected: Option<Digest>) -> Result<Descriptor> {
        let answer = self.ask_for_manifest(Method::Get, version)?;
        let found = Digest::of(&answer.body);
        let promised =
            answer.header("docker-content-digest").and_then(|text| crate::digest::parse(text).ok());
        for expected in [expected, promised].into_iter().flatten() {
            if expected != found {
                let what = format!("the manifest `{version}`");
                return Err(RegistryError::WrongDigest { what, place: self.name(), expected, found }.into());
            }
        }
        let said = answer.header("content-type");
        let Some(kind) = media_type(&answer.body, said) else {
            let action = self.doing(&format!("read the manifest `{version}` of"));
            return Err(RegistryError::nonsense(&action, not_known(said)).into());
        };
        let mut writer = self.registry.options.cache.insert()?;
        writer.append(&answer.body)?;
        writer.commit(Some(found))?;
        Ok(Descriptor::new(&kind, found, answer.body.len() as u64))
    }

    /// Asks for a manifest; anything but 200 is an error.
    fn ask_for_manifest(&self, method: Method, version: &str) -> Result<Answer, RegistryError> {
        let action = self.doing(&format!("read `{version}` of"));
        let url = self.url(&format!("manifests/{version}"))?;
        let call = Call { limit: SIZE_LIMIT, ..Call::new(method, &url) }
            .header("accept", media::MANIFESTS.join(", "));
        let answer = self.ask(&action, &call)?;
        match answer.status {
            200 => Ok(answer),
            404 => Err(self.no_image(version, &answer)),
            _ => Err(RegistryError::refused(&action, &answer)),
        }
    }

    /// The error for an image that is not there, after a look at what is.
    fn no_image(&self, version: &str, answer: &Answer) -> RegistryError {
        let unknown = super::error::has_code(&answer.body, "NAME_UNKNOWN");
        match self.first_tags(SHOWN_TAGS) {
            Ok(Some(tags)) if !unknown => {
                RegistryError::NoImage { place: self.name(), version: version.to_owned(), tags }
            }
            // Who may not see the tags knows nothing about the repository.
            Err(_) if !unknown => {
                RegistryError::NoImage { place: self.name(), version: version.to_owned(), tags: Vec::new() }
            }
            _ => self.no_repository(),
        }
    }

    pub(super) fn no_repository(&self) -> RegistryError {
        let registry = &self.registry;
        let identity = registry.options.credentials.find(&registry.name, &self.name);
        let identity = identity.unwrap_or(super::Identity::Anonymous);
        let anonymous = identity == super::Identity::Anonymous;
        RegistryError::NoRepository {
            repository: self.name.clone(),
            registry: registry.name.clone(),
            who: identity.name(),
            hint: if anonymous { ", and log in if it is not public" } else { "" },
        }
    }

    /// Stores a manifest under `version`, a tag or its digest, and makes it known to what it is about.
    pub(super) fn push_manifest(
        &self,
        manifest: &Descriptor,
        bytes: &[u8],
        version: &str,
    ) -> Result<(), RegistryError> {
        let action = self.doing(&format!("store the manifest `{version}` in"));
        let url = self.url(&format!("manifests/{version}"))?;
        let body = bytes::Bytes::copy_from_slice(bytes);
        let call = Call { body: body.into(), repeatable: true, ..Call::new(Method::Put, &url) }
            .header("content-type", manifest.media_type.as_str());
        let answer = self.ask(&action, &call)?;
        if !matches!(answer.status, 200..=202) {
            return Err(RegistryError::refused(&action, &answer));
        }
        let stored = answer.header("docker-content-digest").and_then(|text| crate::digest::parse(text).ok());
        if let Some(found) = stored.filter(|found| *found != manifest.digest) {
            let (what, expected) = (format!("the manifest `{version}`"), manifest.digest);
            return Err(RegistryError::WrongDigest { what, place: self.name(), expected, found });
        }
        let subject = serde_json::from_slice::<Kind>(bytes).ok().and_then(|kind| kind.subject);
        match subject {
            // A registry that knows referrers says so.
            Some(subject) if answer.header("oci-subject").is_none() => {
                self.list_referrer(&subject, manifest, bytes)
            }
            _ => Ok(()),
        }
    }

    /// The bytes of what a tag names; none when there is no such tag.
    pub(super) fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        let action = self.doing(&format!("read `{tag}` of"));
        let url = self.url(&format!("manifests/{tag}"))?;
        let call = Call { limit: SIZE_LIMIT, ..Call::new(Method::Get, &url) }
            .header("accept", media::MANIFESTS.join(", "));
        let answer = self.ask(&action, &call)?;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            _ => Err(RegistryError::refused(&action, &answer).into()),
        }
    }
}

/// The descriptor that the answer to a `HEAD` request gives, if it gives one that can be used.
fn described(answer: &Answer) -> Option<Descriptor> {
    let digest = crate::digest::parse(answer.header("docker-content-digest")?).ok()?;
    let size = answer.header("content-length")?.parse().ok().filter(|size| *size <= SIZE_LIMIT)?;
    let kind = plain(answer.header("content-type")?);
    media::MANIFESTS.contains(&kind).then(|| Descriptor::new(kind, digest, size))
}

/// What a document is: what it says itself, or else what the registry says, or else what it looks like.
fn media_type(bytes: &[u8], said: Option<&str>) -> Option<String> {
    let kind: Kind = serde_json::from_slice(bytes).ok()?;
    let known = |name: &str| media::MANIFESTS.contains(&name).then(|| name.to_owned());
    if let Some(own) = kind.media_type {
        return known(&own);
    }
    said.and_then(|said| known(plain(said))).or(match (kind.manifests, kind.config) {
        (Some(_), None) => Some(media::INDEX.to_owned()),
        (None, Some(_)) => Some(media::MANIFEST.to_owned()),
        _ => None,
    })
}

/// A media type without its parameters.
fn plain(field: &str) -> &str {
    field.split(';').next().unwrap_or(field).trim()
}

fn not_known(said: Option<&str>) -> String {
    let said = said.unwrap_or_default();
    if said.starts_with(media::DOCKER_SCHEMA1) {
        return "it is a manifest of Docker's schema 1, which is no longer read: have the image pushed again by a newer tool"
            .to_owned();
    }
    let shown: String = said.chars().filter(|letter| !letter.is_control()).take(100).collect();
    format!("it is neither a manifest nor an index, but `{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_is() {
        let own = format!(r#"{{"mediaType":"{}"}}"#, media::DOCKER_LIST);
        for (summary, bytes, said, expected) in [
            ("its own word comes first", own.as_str(), Some(media::MANIFEST), Some(media::DOCKER_LIST)),
            (
                "then the registry's",
                "{}",
                Some("application/vnd.oci.image.index.v1+json; charset=x"),
                Some(media::INDEX),
            ),
            ("then its looks", r#"{"manifests":[]}"#, None, Some(media::INDEX)),
            ("then its looks, a manifest", r#"{"config":{}}"#, Some("text/plain"), Some(media::MANIFEST)),
            ("both at once is a trick", r#"{"config":{},"manifests":[]}"#, None, None),
            ("something else", r#"{"mediaType":"text/plain","config":{}}"#, Some(media::MANIFEST), None),
            ("no JSON", "<html>", Some(media::MANIFEST), None),
        ] {
            assert_eq!(media_type(bytes.as_bytes(), said).as_deref(), expected, "{summary}");
        }
    }
}
