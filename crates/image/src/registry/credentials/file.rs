//! `config.json` and `auth.json`: `auths`, `credHelpers`, `credsStore`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::helper;
use crate::registry::{Identity, RegistryError, Secret};

/// No such file is longer, in bytes.
const LIMIT: u64 = 1 << 20;

/// What Docker calls its own registry in these files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// One file of credentials.
pub(super) struct AuthFile {
    path: PathBuf,
    document: Document,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// Reads a file; one that is not there is an error only when somebody `named` it.
pub(super) fn read(path: &Path, named: bool) -> Result<Option<AuthFile>, RegistryError> {
    let refuse = |why: String| RegistryError::Credentials { whence: path.display().to_string(), why };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if !named && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(refuse(error.to_string())),
        Ok(_) if bytes.len() as u64 > LIMIT => return Err(refuse(format!("it has more than {LIMIT} bytes"))),
        Ok(_) => {}
    }
    // The message of the parser names places and types, never values.
    let document = serde_json::from_slice(&bytes).map_err(|error| {
        refuse(format!("line {}, column {}: it is not JSON as expected", error.line(), error.column()))
    })?;
    Ok(Some(AuthFile { path: path.to_owned(), document }))
}

impl AuthFile {
    /// Who we are at `registry` for `repository`, if the file knows: the helper of the registry comes first, then what
    /// stands in the file, then the general helper.
    pub(super) fn find(&self, registry: &str, repository: &str) -> Result<Option<Identity>, RegistryError> {
        let names = names(registry);
        let special = names.iter().find_map(|name| Some((name, self.document.cred_helpers.get(*name)?)));
        if let Some((name, program)) = special
            && let Some(found) = helper::get(program, name, &self.path)?
        {
            return Ok(Some(found));
        }
        if let Some(found) = self.entry(&names, repository)? {
            return Ok(Some(found));
        }
        if self.document.creds_store.is_empty() {
            return Ok(None);
        }
        for name in names {
            if let Some(found) = helper::get(&self.document.creds_store, name, &self.path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The entry for the longest beginning of `REGISTRY/REPOSITORY`.
    fn entry(&self, names: &[&str], repository: &str) -> Result<Option<Identity>, RegistryError> {
        let mut path = repository;
        loop {
            for name in names {
                let key = format!("{name}/{path}");
                if let Some(entry) = self.document.auths.get(&key) {
                    return self.identity(&key, entry);
                }
            }
            match path.rsplit_once('/') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
        for name in names {
            let found = self.document.auths.iter().find(|(key, _)| key == name || host_of(key) == *name);
            if let Some((key, entry)) = found
                && let Some(identity) = self.identity(key, entry)?
            {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }

    fn identity(&self, key: &str, entry: &Entry) -> Result<Option<Identity>, RegistryError> {
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Identity::IdentityToken(Secret::new(entry.identitytoken.clone()))));
        }
        if !entry.registrytoken.is_empty() {
            return Ok(Some(Identity::RegistryToken(Secret::new(entry.registrytoken.clone()))));
        }
        if !entry.username.is_empty() {
            let password = Secret::new(entry.password.clone());
            return Ok(Some(Identity::Password { user: entry.username.clone(), password }));
        }
        // `docker login` with a helper leaves empty entries behind.
        if entry.auth.is_empty() {
            return Ok(None);
        }
        let decoded = STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
        match pair {
            Some((user, password)) => {
                let password = Secret::new(password.to_owned());
                Ok(Some(Identity::Password { user: user.to_owned(), password }))
            }
            None => Err(RegistryError::Credentials {
                whence: self.path.display().to_string(),
                why: format!("`auth` of `{key}` is not the base64 form of USER:PASSWORD; log in again"),
            }),
        }
    }
}

/// The names under which a registry may stand.
fn names(registry: &str) -> Vec<&str> {
    match registry {
        "docker.io" => vec![DOCKER_HUB, "docker.io", "index.docker.io", "registry-1.docker.io"],
        other => vec![other],
    }
}

/// Old entries are addresses: `https://HOST/v1/`.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    rest.map_or(key, |rest| rest.split('/').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AuthFile {
        AuthFile { path: "auth.json".into(), document: serde_json::from_str(text).unwrap() }
    }

    #[test]
    fn entries() {
        // "YTpi" is `a:b`, "YzpkOmU=" is `c:d:e`.
        let text = r#"{"auths": {
            "plain.org": {"auth": "YTpi"},
            "https://old.org/v1/": {"auth": "YzpkOmU="},
            "spaces.org/team": {"username": "t", "password": "w"},
            "spaces.org": {"auth": "YTpi"},
            "https://index.docker.io/v1/": {"auth": "YTpi"},
            "token.org:5000": {"identitytoken": "i"},
            "direct.org": {"registrytoken": "r"},
            "empty.org": {}
        }, "HttpHeaders": {"x": "y"}}"#;
        let file = file(text);
        let password = |user: &str, word: &str| Identity::Password {
            user: user.to_owned(),
            password: Secret::new(word.to_owned()),
        };
        for (registry, repository, expected) in [
            ("plain.org", "a/b", Some(password("a", "b"))),
            ("old.org", "x", Some(password("c", "d:e"))),
            ("spaces.org", "team/app", Some(password("t", "w"))),
            ("spaces.org", "teams/app", Some(password("a", "b"))),
            ("docker.io", "library/debian", Some(password("a", "b"))),
            ("token.org:5000", "x", Some(Identity::IdentityToken(Secret::new("i".to_owned())))),
            ("token.org", "x", None),
            ("direct.org", "x", Some(Identity::RegistryToken(Secret::new("r".to_owned())))),
            ("empty.org", "x", None),
            ("unknown.org", "x", None),
        ] {
            assert_eq!(file.find(registry, repository).unwrap(), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn messages_show_no_secret() {
        let broken = file(r#"{"auths": {"a.org": {"auth": "c2VjcmV0"}}}"#);
        let message = broken.find("a.org", "x").unwrap_err().to_string();
        assert!(
            message.contains("a.org") && !message.contains("secret") && !message.contains("c2Vj"),
            "{message}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"auths": {"a.org": "hunter2"}}"#).unwrap();
        let message = read(&path, false).err().unwrap().to_string();
        assert!(message.contains("line 1") && !message.contains("hunter2"), "{message}");
        assert!(read(&folder.path().join("none"), false).unwrap().is_none());
        assert!(read(&folder.path().join("none"), true).is_err());
    }
}
