//! One repository: its addresses, and a request to it with all that may have to be done before it is answered.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use cache::Digest;
use http::{Answer, Authorization, Call};

use super::auth::Wanted;
use super::upload::Session;
use super::{Registry, RegistryError};
use crate::{Blobs, Descriptor, Place, Result, Target, media};

/// What a repository is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Pull,
    /// For reading and writing.
    Push,
}

/// A repository of a registry.
#[derive(Debug)]
pub struct Repository {
    pub(super) registry: Arc<Registry>,
    pub(super) name: String,
    access: Access,
    /// Repositories of the same registry that contents may be taken over from.
    pub(super) mount_sources: Vec<String>,
    /// Uploads that the registry began when it could not take a content over.
    pub(super) sessions: Mutex<HashMap<Digest, Session>>,
    /// Held while the list of a manifest's referrers is changed.
    pub(super) referrers: Mutex<()>,
}

impl Repository {
    pub(super) fn new(registry: Arc<Registry>, name: &str, access: Access) -> Self {
        Self {
            registry,
            name: name.to_owned(),
            access,
            mount_sources: Vec::new(),
            sessions: Mutex::default(),
            referrers: Mutex::default(),
        }
    }

    /// Lets contents be taken over from `source`, if that is a repository of the same registry.
    pub fn mount_from(&mut self, source: &Repository) {
        if source.registry.name == self.registry.name && source.name != self.name {
            self.mount_sources.push(source.name.clone());
        }
    }

    /// The registry it is in.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `https://HOST/v2/NAME/REST`.
    pub(super) fn url(&self, rest: &str) -> Result<String, RegistryError> {
        Ok(format!("{}/v2/{}/{rest}", self.registry.base()?, self.name))
    }

    /// Asks as somebody who may use the repository as it was opened. 404 is an answer like others; `action` is for messages.
    pub(super) fn ask(&self, action: &str, call: &Call<'_>) -> Result<Answer, RegistryError> {
        self.ask_with(action, call, &[])
    }

    /// The same, with the right to read further repositories.
    pub(super) fn ask_with(
        &self,
        action: &str,
        call: &Call<'_>,
        others: &[&str],
    ) -> Result<Answer, RegistryError> {
        let scopes = self.scopes(others);
        let wanted = Wanted { repository: &self.name, scopes: &scopes, action };
        // An upload may go on at another server, whose business our credentials are not.
        let ours = http::same_server(call.url, &self.registry.base()?);
        let sent = if ours { self.registry.auth.held(wanted) } else { None };
        let mut answer = self.send(action, call, sent.as_ref())?;
        if answer.status == 401 && ours {
            // We told nothing yet, or what we held is no longer good.
            let fresh = self.registry.authorize(wanted, sent.as_ref(), &answer)?;
            answer = self.send(action, call, Some(&fresh))?;
        }
        match answer.status {
            401 | 403 => Err(self.registry.denied(action, &answer, &self.name)),
            _ => Ok(answer),
        }
    }

    fn send(
        &self,
        action: &str,
        call: &Call<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Answer, RegistryError> {
        let call = Call { authorization, ..call.clone() };
        self.registry.http.call(&call).map_err(|failure| RegistryError::transfer(action, failure))
    }

    /// What we hold for reading and writing here.
    pub(super) fn held(&self) -> Option<Authorization> {
        let scopes = self.scopes(&[]);
        self.registry.auth.held(Wanted { repository: &self.name, scopes: &scopes, action: "" })
    }

    fn scopes(&self, others: &[&str]) -> Vec<String> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let others = others.iter().map(|other| format!("repository:{other}:pull"));
        std::iter::once(format!("repository:{}:{actions}", self.name)).chain(others).collect()
    }

    /// What a failed request was about, for messages.
    pub(super) fn doing(&self, action: &str) -> String {
        format!("{action} {}", self.name())
    }
}

impl Place for Repository {
    fn name(&self) -> String {
        format!("{}/{}", self.registry.name, self.name)
    }
}

impl Blobs for Repository {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if media::is_index(&blob.media_type) || media::is_manifest(&blob.media_type) {
            self.open_manifest(blob)
        } else {
            self.open_blob(blob)
        }
    }
}

impl Target for Repository {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.has_blob(blob)?)
    }

    fn mount(&self, blob: &Descriptor) -> Result<bool> {
        Ok(self.mount_blob(blob)?)
    }

    fn put(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()> {
        self.upload(blob, contents)
    }

    fn put_manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        Ok(self.push_manifest(manifest, bytes, &manifest.digest_text())?)
    }

    fn tag(&self, manifest: &Descriptor, bytes: &[u8], tag: &str) -> Result<()> {
        Ok(self.push_manifest(manifest, bytes, tag)?)
    }
}
