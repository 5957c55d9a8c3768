//! A stand-in for GitHub's API: releases of repositories, and the other server that their files are on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Asked, Reply, Script};

/// A release as the API shows it, with its files.
#[derive(Debug, Clone)]
pub struct Published {
    tag: &'static str,
    flag: Option<&'static str>,
    /// Files by name, and whether the API knows their digests.
    assets: Vec<(String, Vec<u8>, bool)>,
}

impl Published {
    /// One without files.
    #[must_use]
    pub fn new(tag: &'static str) -> Self {
        Self { tag, flag: None, assets: Vec::new() }
    }

    /// The same as a `draft` or a `prerelease`.
    #[must_use]
    pub fn flagged(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// With one more file.
    #[must_use]
    pub fn asset(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.assets.push((name.into(), bytes.into(), true));
        self
    }

    /// With one more file that was published before the API knew digests.
    #[must_use]
    pub fn asset_without_digest(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.assets.push((name.into(), bytes.into(), false));
        self
    }

    fn json(&self, host: &str) -> Value {
        let asset = |(name, bytes, known): &(String, Vec<u8>, bool)| {
            let digest = known.then(|| format!("sha256:{}", hex::encode(Sha256::digest(bytes))));
            let url = format!("http://{host}/assets/{}/{name}", self.tag);
            json!({ "name": name, "size": bytes.len(), "url": url, "digest": digest })
        };
        json!({
            "tag_name": self.tag,
            "draft": self.flag == Some("draft"),
            "prerelease": self.flag == Some("prerelease"),
            "assets": self.assets.iter().map(asset).collect::<Vec<_>>(),
        })
    }
}

/// Releases by repository, `OWNER/NAME`, in the order in which the API lists them.
pub type Releases = BTreeMap<&'static str, Vec<Published>>;

/// The API on the loopback interface, and a store of files behind it, as GitHub has.
#[derive(Debug)]
pub struct GithubApi {
    api: Script,
    store: Script,
}

impl GithubApi {
    /// Starts both. `trouble` may answer in the API's place; it is told how often the same was asked.
    ///
    /// # Panics
    /// The store's thread does when somebody shows it a token, so its request fails.
    #[must_use]
    pub fn start(
        releases: Releases,
        trouble: impl Fn(&Asked, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let store = store(&releases);
        let (behind, seen) = (store.url(), Mutex::new(Vec::new()));
        let releases = Arc::new(releases);
        let api = Script::start(move |asked| {
            let target = asked.request.target.clone();
            let times = {
                let mut seen = seen.lock().expect("the list");
                seen.push(target.clone());
                seen.iter().filter(|known| **known == target).count()
            };
            trouble(asked, times).unwrap_or_else(|| match target.strip_prefix("/assets") {
                Some(_) if asked.request.header("accept") != Some("application/octet-stream") => {
                    Reply::new(415, "")
                }
                Some(path) => Reply::new(302, "").with("Location", format!("{behind}{path}")),
                None => answer(&releases, asked),
            })
        });
        Self { api, store }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.api.url()
    }

    /// How many files were fetched from the store.
    #[must_use]
    pub fn fetched(&self) -> usize {
        self.store.requests().len()
    }
}

fn store(releases: &Releases) -> Script {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for release in releases.values().flatten() {
        for (name, bytes, _) in &release.assets {
            files.insert(format!("/{}/{name}", release.tag), bytes.clone());
        }
    }
    Script::start(move |asked| {
        assert_eq!(asked.request.header("authorization"), None, "the token is not for the store");
        match files.get(&asked.request.target) {
            Some(bytes) => Reply::new(200, bytes.clone()),
            None => Reply::new(404, ""),
        }
    })
}

fn answer(releases: &Releases, asked: &Asked) -> Reply {
    let host = asked.request.header("host").unwrap_or_default();
    let found = releases.iter().find_map(|(name, list)| {
        Some((list, asked.request.target.strip_prefix(&format!("/repos/{name}/releases"))?))
    });
    let Some((list, rest)) = found else { return Reply::new(404, "{}") };
    match rest.strip_prefix("/tags/").map(crate::server::percent_decode) {
        Some(tag) => match list.iter().find(|release| Some(release.tag) == tag.as_deref()) {
            Some(release) => Reply::new(200, release.json(host).to_string()),
            None => Reply::new(404, "{}"),
        },
        None => {
            let (size, page) = (number(rest, "per_page", 30), number(rest, "page", 1));
            let page = list.iter().skip((page - 1) * size).take(size);
            let list: Vec<Value> = page.map(|release| release.json(host)).collect();
            Reply::new(200, Value::from(list).to_string())
        }
    }
}

/// A number of a query, or `otherwise`; at least 1.
fn number(query: &str, name: &str, otherwise: usize) -> usize {
    let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.into_iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok());
    found.unwrap_or(otherwise).max(1)
}
