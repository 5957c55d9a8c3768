//! Tokens: the registry sends us to a server that vouches for us (distribution, "Token Authentication Specification" and
//! "OAuth2 Token Authentication").

use std::time::{Duration, Instant};

use http::{Answer, Authorization, Call, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::auth::{Held, Wanted, basic};
use super::{Challenge, Identity, Registry, RegistryError, Secret};

/// How token servers know the program.
const CLIENT: &str = "ovmlayer-rootfs";

/// How long a token is good for when its server does not say, in seconds; the specification's number.
const LIFETIME: u64 = 60;

/// What a token is no longer used for the last seconds of.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    expires_in: Option<u64>,
}

impl Registry {
    /// Gets a token as `challenge` says, and perhaps another one to get further tokens with.
    pub(super) fn token(
        &self,
        challenge: &Challenge,
        wanted: Wanted<'_>,
        identity: &Identity,
        refresh: Option<&Secret>,
    ) -> Result<(Held, Option<Secret>), RegistryError> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        self.check_realm(realm, wanted)?;
        let service = challenge.parameter("service");
        let scopes = scopes(wanted.scopes, challenge.parameter("scope").unwrap_or_default());
        let own = match identity {
            Identity::IdentityToken(token) => Some(token),
            _ => refresh,
        };
        let began = Instant::now();
        if let Some(token) = own {
            let body = form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", token.reveal()),
                ("service", service.unwrap_or_default()),
                ("scope", &scopes.join(" ")),
                ("client_id", CLIENT),
            ]);
            let call = Call { body: body.into(), repeatable: true, ..Call::new(Method::Post, realm) }
                .header("content-type", "application/x-www-form-urlencoded");
            let answer = self.ask_for_token(realm, &call, wanted)?;
            // A password is worth more than what was given for it earlier.
            if answer.status == 200 || !matches!(identity, Identity::Password { .. }) {
                return self.taken(&answer, realm, wanted, began);
            }
        }
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(service.map(|service| ("service", service)));
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let authorization = match identity {
            Identity::Password { user, password } => {
                query.extend([("account", user.as_str()), ("client_id", CLIENT), ("offline_token", "true")]);
                Some(basic(user, password))
            }
            _ => None,
        };
        let mark = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{mark}{}", form(&query));
        let call = Call { authorization: authorization.as_ref(), ..Call::new(Method::Get, &url) };
        let answer = self.ask_for_token(realm, &call, wanted)?;
        self.taken(&answer, realm, wanted, began)
    }

    fn ask_for_token(
        &self,
        realm: &str,
        call: &Call<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Answer, RegistryError> {
        let action =
            || format!("{}: cannot get a token from {}", wanted.action, http::without_password(realm));
        self.http.call(call).map_err(|failure| RegistryError::transfer(&action(), failure))
    }

    /// Secrets go to a token server without TLS only when the registry is spoken to without it.
    fn check_realm(&self, realm: &str, wanted: Wanted<'_>) -> Result<(), RegistryError> {
        let plain = self.base()?.starts_with("http://");
        if realm.starts_with("https://") || (plain && realm.starts_with("http://")) {
            return Ok(());
        }
        let shown: String =
            http::without_password(realm).chars().filter(|c| !c.is_control()).take(200).collect();
        let why = format!("it sends us for a token to `{shown}`, which is no https address");
        Err(RegistryError::nonsense(wanted.action, why))
    }

    fn taken(
        &self,
        answer: &Answer,
        realm: &str,
        wanted: Wanted<'_>,
        began: Instant,
    ) -> Result<(Held, Option<Secret>), RegistryError> {
        if matches!(answer.status, 400 | 401 | 403) {
            let identity = self.options.credentials.find(&self.name, wanted.repository)?;
            return Err(RegistryError::Denied {
                action: wanted.action.to_owned(),
                registry: format!("the token server {}", http::without_password(realm)),
                status: answer.status.into(),
                who: identity.name(),
                advice: self.advice(&identity, 401, &answer.body),
            });
        }
        let action = format!("{}: cannot get a token from {}", wanted.action, http::without_password(realm));
        if answer.status != 200 {
            return Err(RegistryError::refused(&action, answer));
        }
        let nonsense = |why: &str| RegistryError::nonsense(&action, why);
        // The message of the parser could show a part of the token.
        let token: Token =
            serde_json::from_slice(&answer.body).map_err(|_| nonsense("it is not JSON as expected"))?;
        let text = if token.token.is_empty() { token.access_token } else { token.token };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(nonsense("there is no token in it"));
        }
        let lifetime = Duration::from_secs(token.expires_in.unwrap_or(LIFETIME).min(24 * 60 * 60));
        let until = began + lifetime.saturating_sub(MARGIN).max(lifetime / 2);
        let held = Held { authorization: Authorization::new(format!("Bearer {text}")), until: Some(until) };
        let refresh = Some(token.refresh_token).filter(|token| !token.is_empty()).map(Secret::new);
        Ok((held, refresh))
    }
}

/// Our scopes, and those of the registry's that are about something else.
fn scopes(own: &[String], offered: &str) -> Vec<String> {
    let subject = |scope: &str| scope.rsplit_once(':').map(|(subject, _)| subject.to_owned());
    let mut all = own.to_vec();
    for scope in offered.split(' ').filter(|scope| !scope.is_empty()) {
        if !own.iter().any(|one| subject(one) == subject(scope)) {
            all.push(scope.to_owned());
        }
    }
    all
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let own = ["repository:a/b:pull,push".to_owned()];
        for (offered, expected) in [
            ("", "repository:a/b:pull,push"),
            ("repository:a/b:pull", "repository:a/b:pull,push"),
            ("repository:c:pull", "repository:a/b:pull,push repository:c:pull"),
        ] {
            assert_eq!(scopes(&own, offered).join(" "), expected);
        }
        assert_eq!(form(&[("a", "x y&z"), ("b", "")]), "a=x%20y%26z&b=");
    }
}
