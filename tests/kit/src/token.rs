//! A server of tokens for a registry: the other half of the flow "Bearer".

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::registry::Certificate;
use crate::server::{Asked, Reply, Request, Script};
use crate::tool::{run, tool};

/// Gives everybody the right to read, and the one account that there is, all that it asks for.
#[derive(Debug)]
pub struct TokenServer {
    script: Script,
}

impl TokenServer {
    /// Starts to give tokens that are signed with `certificate`, to the user and password of `account`, whose identity
    /// token is the password with `-identity` after it.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(certificate: Arc<Certificate>, account: (&'static str, &'static str)) -> Self {
        Self { script: Script::start(move |asked| answer(asked, &certificate, account)) }
    }

    /// The address of its only page.
    #[must_use]
    pub fn realm(&self) -> String {
        format!("{}/token", self.script.url())
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.script.requests()
    }
}

fn answer(asked: &Asked, certificate: &Certificate, (user, password): (&str, &str)) -> Reply {
    let query = match asked.request.method.as_str() {
        "POST" => String::from_utf8_lossy(&asked.body).into_owned(),
        _ => asked.request.target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default(),
    };
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), crate::server::percent_decode(value).unwrap_or_default()))
        .collect();
    let given = asked.request.header("authorization").map(str::to_owned);
    let refresh = pairs.iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.as_str());
    let basic = format!("Basic {}", base64(format!("{user}:{password}").as_bytes(), false));
    let known = match (given, refresh) {
        (None, None) => false,
        (Some(given), _) if given == basic => true,
        (_, Some(refresh)) if refresh == format!("{password}-identity") => true,
        _ => return Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}"#),
    };
    let scopes = pairs.iter().filter(|(name, _)| name == "scope").flat_map(|(_, value)| value.split(' '));
    let access: Vec<Value> = scopes.filter_map(|scope| granted(scope, known)).collect();
    let token = signed(certificate, &access);
    Reply::new(200, json!({"token": token, "expires_in": 300}).to_string())
}

/// What `TYPE:NAME:ACTIONS` comes to.
fn granted(scope: &str, known: bool) -> Option<Value> {
    let (subject, actions) = scope.rsplit_once(':')?;
    let (kind, name) = subject.split_once(':')?;
    let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

/// A JSON web token (RFC 7519) as the registry wants it.
fn signed(certificate: &Certificate, access: &[Value]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let der =
        run(Command::new(tool("openssl")).args(["x509", "-outform", "der", "-in"]).arg(certificate.path()));
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [base64(&der, false)]});
    let claims = json!({
        "iss": "test", "sub": "", "aud": "registry", "jti": "1",
        "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access,
    });
    let text = format!(
        "{}.{}",
        base64(header.to_string().as_bytes(), true),
        base64(claims.to_string().as_bytes(), true)
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text");
    std::fs::write(&path, &text).expect("a file");
    let mut sign = Command::new(tool("openssl"));
    sign.args(["dgst", "-sha256", "-sign"]).arg(certificate.key()).arg(&path).stderr(Stdio::null());
    format!("{text}.{}", base64(&run(&mut sign), true))
}

/// RFC 4648, section 4, or for web tokens section 5 without padding.
fn base64(bytes: &[u8], web: bool) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |index: u32| match (index, web) {
        (62, false) => '+',
        (63, false) => '/',
        (62, true) => '-',
        (63, true) => '_',
        (index, _) => char::from(alphabet[index as usize]),
    };
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word = piece.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        for place in 0..4 {
            match (place <= piece.len(), web) {
                (true, _) => text.push(letter(word >> (18 - 6 * place) & 63)),
                (false, false) => text.push('='),
                (false, true) => {}
            }
        }
    }
    text
}
