//! What a registry was told about us, kept per scope.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Answer, Authorization};

use super::challenge::{self, Challenge};
use super::{Identity, Registry, RegistryError, Secret};

/// What we hold for one registry.
#[derive(Debug, Default)]
pub(super) struct Auth {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the scopes, joined.
    held: HashMap<String, Held>,
    /// What the token server gave us to get further tokens with.
    refresh: Option<Secret>,
}

/// What is sent to the registry, and how long that is of use.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) authorization: Authorization,
    pub(super) until: Option<Instant>,
}

/// What a request needs to be allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The repository that the credentials are for.
    pub(super) repository: &'a str,
    /// `repository:NAME:pull,push` and the like.
    pub(super) scopes: &'a [String],
    /// What is being done, for messages.
    pub(super) action: &'a str,
}

impl Wanted<'_> {
    fn key(&self) -> String {
        self.scopes.join(" ")
    }
}

impl Auth {
    /// What was of use before and still should be.
    pub(super) fn held(&self, wanted: Wanted<'_>) -> Option<Authorization> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let held = state.held.get(&wanted.key())?;
        let fresh = held.until.is_none_or(|until| Instant::now() < until);
        fresh.then(|| held.authorization.clone())
    }
}

impl Registry {
    /// What to send after the registry answered 401 to `sent`. Of several threads that need the same, one gets it.
    pub(super) fn authorize(
        &self,
        wanted: Wanted<'_>,
        sent: Option<&Authorization>,
        answer: &Answer,
    ) -> Result<Authorization, RegistryError> {
        let mut state = self.auth.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = state.held.get(&wanted.key())
            && Some(&held.authorization) != sent
            && held.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(held.authorization.clone());
        }
        let challenges: Vec<Challenge> = answer.all("www-authenticate").flat_map(challenge::parse).collect();
        let identity = self.options.credentials.find(&self.name, wanted.repository)?;
        if let Identity::RegistryToken(token) = &identity {
            let authorization = Authorization::new(format!("Bearer {}", token.reveal()));
            return self.keep(&mut state, wanted, Held { authorization, until: None }, sent, answer);
        }
        let offers = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(bearer) = offers("bearer") {
            let refresh = state.refresh.clone();
            let (held, refresh) = self.token(bearer, wanted, &identity, refresh.as_ref())?;
            state.refresh = refresh.or(state.refresh.take());
            // A new token is worth a try even if it is spelt like the old one.
            state.held.insert(wanted.key(), held.clone());
            return Ok(held.authorization);
        }
        if offers("basic").is_some() {
            if let Identity::Password { user, password } = &identity {
                let held = Held { authorization: basic(user, password), until: None };
                return self.keep(&mut state, wanted, held, sent, answer);
            }
            return Err(self.denied(wanted.action, answer, wanted.repository));
        }
        let why = "it wants to know who we are, and names neither of the ways Basic and Bearer";
        Err(RegistryError::nonsense(wanted.action, why))
    }

    /// What never changes is worth no second try.
    fn keep(
        &self,
        state: &mut State,
        wanted: Wanted<'_>,
        held: Held,
        sent: Option<&Authorization>,
        answer: &Answer,
    ) -> Result<Authorization, RegistryError> {
        if sent == Some(&held.authorization) {
            return Err(self.denied(wanted.action, answer, wanted.repository));
        }
        state.held.insert(wanted.key(), held.clone());
        Ok(held.authorization)
    }

    /// The error for a 401 or 403.
    pub(super) fn denied(&self, action: &str, answer: &Answer, repository: &str) -> RegistryError {
        let identity = match self.options.credentials.find(&self.name, repository) {
            Ok(identity) => identity,
            Err(error) => return error,
        };
        RegistryError::Denied {
            action: action.to_owned(),
            registry: self.name.clone(),
            status: answer.status.into(),
            who: identity.name(),
            advice: self.advice(&identity, answer.status, &answer.body),
        }
    }

    /// What the registry says in the `body` of a refusal, and what to do about it.
    pub(super) fn advice(&self, identity: &Identity, status: u16, body: &[u8]) -> String {
        let hint = match (identity, status) {
            (Identity::Anonymous, _) => format!(
                "log in with `--creds USER` or with a tool that writes `auth.json` or `config.json`, such as `skopeo login {}`",
                self.name
            ),
            (Identity::Password { .. }, 401) => {
                "check the user name and the password, which may have run out".to_owned()
            }
            (_, 401) => format!("log in again: the token may have run out (`skopeo login {}`)", self.name),
            _ => "ask who runs the repository for the right to do so, and check its name".to_owned(),
        };
        format!("{}; {hint}", super::error::detail(body))
    }
}

/// RFC 7617.
pub(super) fn basic(user: &str, password: &Secret) -> Authorization {
    Authorization::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}
