//! The requests of a package registry: an address to send a file to, the file, and the names of all files.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Answer, Call, Failure, Http, Method, Payload};
use serde::Deserialize;
use serde_json::json;

use crate::token::{Token, Tokens, shown};
use crate::{Error, Exported, PackageId, Result};

/// The most characters of a server's own words that a message shows.
const MAX_DETAIL: usize = 300;

/// A package registry, as somebody who may publish there.
#[derive(Debug)]
pub struct PackageRegistry {
    base: String,
    tokens: Tokens,
    http: Http,
}

/// An address that a file can be sent to by whoever knows it: a secret.
pub(crate) struct Destination(String);

/// The answer that holds an address, where it is not the address itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Presigned {
    Text(String),
    Object { url: String },
}

impl PackageRegistry {
    /// The registry at `address`, `https://HOST[/PATH]`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::NotConfidential`] when others could read the token on its way there.
    pub fn new(address: &str, tokens: Tokens, http: Http) -> Result<Self> {
        let base = address.trim_end_matches('/').to_owned();
        if !http::is_confidential(&base) {
            return Err(Error::NotConfidential { what: "a token", address: shown(&base) });
        }
        Ok(Self { base, tokens, http })
    }

    /// How messages name it, and how what was sent to it is remembered.
    pub(crate) fn name(&self) -> String {
        shown(&self.base)
    }

    fn address(&self, package: &PackageId, what: &str) -> String {
        format!("{}/-/oomol/packages/{}/layers/{what}", self.base, package.path())
    }

    /// Asks where the file `name` is to be sent.
    pub(crate) fn destination(&self, package: &PackageId, name: &str) -> Result<Destination> {
        let action = format!("get an address for {name} from {}", self.name());
        let url = self.address(package, "presigned-upload-url");
        let answer = self.ask(&action, Method::Post, &url, json!({ "fileKey": name }).to_string())?;
        let nonsense = |why: &str| Error::Nonsense { action: action.clone(), why: why.to_owned() };
        let text = String::from_utf8(answer.body).map_err(|_| nonsense("it is no text"))?;
        let text = text.trim();
        let address = match serde_json::from_str(text) {
            Ok(Presigned::Text(url) | Presigned::Object { url }) => url,
            Err(_) => text.to_owned(),
        };
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(nonsense("there is no address in it"));
        }
        if !http::is_confidential(&address) {
            return Err(Error::NotConfidential { what: "a layer", address: shown(&address) });
        }
        Ok(Destination(address))
    }

    /// Sends the zip to where the registry said. `false` when the address is no longer, or not yet, good.
    pub(crate) fn send(&self, to: &Destination, name: &str, export: &Exported) -> Result<bool> {
        let action = format!("send {name} to {}", shown(&to.0));
        let body = Payload::file(Arc::clone(export.file()), export.size());
        // RFC 9530: stores that know the field refuse what was damaged on the way.
        let digest = format!("sha-256=:{}:", STANDARD.encode(export.digest().0));
        let call = Call { body, repeatable: true, ..Call::new(Method::Put, &to.0) }
            .header("content-type", "application/octet-stream")
            .header("content-digest", digest);
        let answer = self.http.call(&call).map_err(|failure| transfer(&action, failure))?;
        match answer.status {
            200..=204 => Ok(true),
            400 | 401 | 403 => Ok(false),
            // Stores tell in their answers what was signed, so their words are not shown.
            status => Err(Error::Refused { action, status, detail: String::new(), advice: advice(status) }),
        }
    }

    /// Says which file is for which architecture: from here on the layers are published.
    pub(crate) fn set_files(&self, package: &PackageId, files: &BTreeMap<&str, String>) -> Result<()> {
        let action = format!("publish the layers of {package} in {}", self.name());
        let url = self.address(package, "file-paths");
        self.ask(&action, Method::Put, &url, json!(files).to_string()).map(drop)
    }

    fn ask(&self, action: &str, method: Method, url: &str, body: String) -> Result<Answer> {
        let token = self.tokens.get(&self.http)?;
        let authorization = token.authorization();
        let call = Call {
            authorization: Some(&authorization),
            body: body.into(),
            repeatable: true,
            ..Call::new(method, url)
        }
        .header("content-type", "application/json");
        let answer = self.http.call(&call).map_err(|failure| transfer(action, failure))?;
        if matches!(answer.status, 200..=204) {
            return Ok(answer);
        }
        let (action, status, detail) = (action.to_owned(), answer.status, detail(&answer.body, &token));
        Err(Error::Refused { action, status, detail, advice: advice(status) })
    }
}

/// A failure as a message may show it: an address that it names may be a secret.
fn transfer(action: &str, failure: Failure) -> Error {
    let source = match failure {
        Failure::BadRedirect(address) => Failure::BadRedirect(shown(&address)),
        Failure::Redirects { limit, last } => Failure::Redirects { limit, last: shown(&last) },
        other => other,
    };
    Error::Transfer { action: action.to_owned(), source }
}

/// The beginning of what a server says in words.
fn detail(body: &[u8], token: &Token) -> String {
    let text = token.hide_in(&String::from_utf8_lossy(body));
    let text: String = text.trim().chars().filter(|letter| !letter.is_control()).take(MAX_DETAIL).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}

const fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "the registry must know this repository as one that may publish the package, and the token must be fresh"
        }
        404 => {
            "check the name, the version and the address of the registry: the version itself is published before its layers"
        }
        409 => "this version has other layers already: publish a new version",
        413 => "the registry takes no files of this size",
        _ => "run this again later, it goes on where it stopped, or ask who runs the registry",
    }
}
