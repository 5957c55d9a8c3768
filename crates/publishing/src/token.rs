//! Who we are for a package registry: a token that GitHub gives a job, or one of the environment.

use std::fmt;

use http::{Authorization, Call, Http, Method};
use serde::Deserialize;

use crate::{Error, Result};

/// A token that was got by other means.
const GIVEN: &str = "OVMLAYER_PACKAGE_TOKEN";
/// Where a job of GitHub gets its tokens, and what it shows there ("OpenID Connect reference" of GitHub's manual). Both are
/// only set with the permission `id-token: write`.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Where tokens come from. None of them is ever shown.
#[derive(Clone)]
pub struct Tokens(Source);

#[derive(Clone)]
enum Source {
    Given(String),
    Github { url: String, token: String },
    Nowhere,
}

#[derive(Deserialize)]
struct Issued {
    value: String,
}

/// A token, for the one server it is meant for.
pub(crate) struct Token(String);

impl Token {
    /// As the registry wants it.
    pub(crate) fn authorization(&self) -> Authorization {
        Authorization::new(format!("github-action-{}", self.0))
    }

    /// A text of the server without the token, should it repeat that.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}

impl Tokens {
    /// Where the environment says that tokens come from: `OVMLAYER_PACKAGE_TOKEN`, else GitHub's.
    #[must_use]
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self(match (set(GIVEN), set(REQUEST_URL), set(REQUEST_TOKEN)) {
            (Some(token), _, _) => Source::Given(token.trim().to_owned()),
            (None, Some(url), Some(token)) => Source::Github { url, token },
            _ => Source::Nowhere,
        })
    }

    /// A token for the next request. GitHub's are good for minutes, and an upload may take longer: each request gets its own.
    pub(crate) fn get(&self, http: &Http) -> Result<Token> {
        let (url, token) = match &self.0 {
            Source::Given(token) => return Ok(Token(token.clone())),
            Source::Github { url, token } => (url, token),
            Source::Nowhere => return Err(Error::NoToken),
        };
        if !http::is_confidential(url) {
            return Err(Error::NotConfidential { what: "the token of this job", address: shown(url) });
        }
        let authorization = Authorization::new(format!("Bearer {token}"));
        let call = Call { authorization: Some(&authorization), ..Call::new(Method::Get, url) }
            .header("accept", "application/json; api-version=2.0");
        let answer = http.call(&call).map_err(|failure| Error::Token { why: failure.to_string() })?;
        if answer.status != 200 {
            return Err(Error::Token { why: format!("it answers {}", answer.status) });
        }
        // What is wrong with the answer is not shown: a token may be in it.
        let issued: Option<Issued> = serde_json::from_slice(&answer.body).ok();
        let issued = issued.filter(|issued| !issued.value.is_empty());
        issued
            .map(|issued| Token(issued.value))
            .ok_or_else(|| Error::Token { why: "there is none in its answer".to_owned() })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Given(_) => "Tokens(given)",
            Source::Github { .. } => "Tokens(GitHub)",
            Source::Nowhere => "Tokens(nowhere)",
        })
    }
}

/// An address without what may be a secret in it.
pub(crate) fn shown(address: &str) -> String {
    let plain = http::without_password(address);
    plain.split(['?', '#']).next().unwrap_or_default().to_owned()
}
