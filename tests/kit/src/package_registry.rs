//! A stand-in for a package registry, the store that it sends files to, and GitHub's server of tokens, all at one address.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{Asked, Reply, Script};

/// What a job shows to get a token, and the token that it gets.
const JOB_TOKEN: &str = "job-t0ken";
const OIDC_TOKEN: &str = "eyJ.0idc.t0ken";
/// A part of the addresses of files that nobody else may learn.
const SIGNATURE: &str = "s1gned";

/// What the registry was told, in order.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Files by name, with the digest that came along.
    pub files: Vec<(String, Vec<u8>, Option<String>)>,
    /// What was published at last.
    pub published: Option<Value>,
    /// How many tokens were asked for.
    pub tokens: usize,
}

/// The registry on the loopback interface, with one package.
#[derive(Debug)]
pub struct PackageRegistry {
    server: Script,
    told: Arc<Mutex<Told>>,
}

impl PackageRegistry {
    /// Starts it with the package that `NAME/VERSION` names. `trouble` may answer first; it is told the path, and how often it
    /// was asked for.
    #[must_use]
    pub fn start(
        package: &str,
        trouble: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let (noted, seen) = (Arc::clone(&told), Mutex::new(Vec::new()));
        let place = format!("/-/oomol/packages/{package}/layers");
        let server = Script::start(move |asked| {
            let path = asked.request.target.split('?').next().unwrap_or_default().to_owned();
            let times = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(path.clone());
                seen.iter().filter(|known| **known == path).count()
            };
            let mut told = noted.lock().unwrap_or_else(PoisonError::into_inner);
            trouble(&path, times).unwrap_or_else(|| answer(asked, &path, &place, &mut told))
        });
        Self { server, told }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The variables that a job of GitHub's has which may ask for tokens.
    #[must_use]
    pub fn job(&self) -> [(&'static str, String); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/token?api-version=2.0", self.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_TOKEN.to_owned()),
        ]
    }

    /// What no output may show.
    #[must_use]
    pub fn secrets(&self) -> [&'static str; 3] {
        [JOB_TOKEN, OIDC_TOKEN, SIGNATURE]
    }

    /// What it was told so far.
    #[must_use]
    pub fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.server.requests().len()
    }
}

fn answer(asked: &Asked, path: &str, place: &str, told: &mut Told) -> Reply {
    let header = |name: &str| asked.request.header(name);
    let is = |name: &str, value: &str| header(name) == Some(value);
    if path == "/token" {
        told.tokens += 1;
        return match is("authorization", &format!("Bearer {JOB_TOKEN}")) {
            true => Reply::new(200, json!({ "value": OIDC_TOKEN }).to_string()),
            false => Reply::new(401, ""),
        };
    }
    if let Some(name) = path.strip_prefix("/store/") {
        // Whoever has the address may send: the token is not for the store.
        if asked.request.method != "PUT" || header("authorization").is_some() {
            return Reply::new(400, "");
        }
        told.files.push((name.to_owned(), asked.body.clone(), header("content-digest").map(str::to_owned)));
        return Reply::new(200, "");
    }
    if !is("authorization", &format!("github-action-{OIDC_TOKEN}")) {
        return Reply::new(401, "who are you");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else { return Reply::new(400, "no JSON") };
    match (asked.request.method.as_str(), path.strip_prefix(place)) {
        ("POST", Some("/presigned-upload-url")) => {
            let (host, name) =
                (header("host").unwrap_or_default(), body["fileKey"].as_str().unwrap_or_default());
            Reply::new(200, format!("http://{host}/store/{name}?signature={SIGNATURE}"))
        }
        ("PUT", Some("/file-paths")) => {
            told.published = Some(body);
            Reply::new(200, "")
        }
        _ => Reply::new(404, "no such package"),
    }
}
