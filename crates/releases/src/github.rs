//! Releases by GitHub's REST API ("REST API endpoints for releases" of its manual), or what speaks like it.

use http::{Answer, Authorization, Call, Failure, Fetched, Http, Method, Request, Sink, Size, Status};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::{Component, Error, Result, Version};

/// How many releases are asked for at a time, and how often at most: more than any repository has that is meant.
const PAGE: usize = 100;
const PAGES: usize = 50;

/// The most bytes of a page: releases have long notes and many files.
const PAGE_LIMIT: u64 = 64 << 20;
/// The most bytes of a list of digests.
const LIST_LIMIT: u64 = 1 << 20;
/// The largest asset: GitHub takes files below 2 GiB, others take larger ones.
const ASSET_LIMIT: u64 = 64 << 30;

/// How many tags a message shows.
const SHOWN: usize = 5;

/// The version of the interface that is spoken.
const INTERFACE: &str = "2022-11-28";
/// What is asked for: documents, or the bytes of an asset.
const JSON: &str = "application/vnd.github+json";
const BYTES: &str = "application/octet-stream";

/// A release and its files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// Its tag.
    #[serde(rename = "tag_name")]
    pub tag: String,
    /// Whether it is not public yet.
    #[serde(default)]
    pub draft: bool,
    /// Whether it is called unfit for use.
    #[serde(default)]
    pub prerelease: bool,
    /// Its files.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Where the API has it.
    pub url: String,
    /// Its length in bytes.
    pub size: u64,
    /// `sha256:DIGEST`; files from before 2025 have none.
    #[serde(default)]
    pub digest: Option<String>,
}

/// The API.
#[derive(Debug)]
pub struct Github {
    base: String,
    http: Http,
}

/// One repository, as somebody who may read it.
#[derive(Debug)]
pub(crate) struct Repository<'a> {
    github: &'a Github,
    pub(crate) name: &'a str,
    authorization: Option<Authorization>,
}

impl Github {
    /// The API at `address`, such as `https://api.github.com`. Nothing is asked yet.
    #[must_use]
    pub fn new(address: &str, http: Http) -> Self {
        Self { base: address.trim_end_matches('/').to_owned(), http }
    }

    /// The repository `name`, `OWNER/NAME`, with a token if it is given.
    pub(crate) fn repository<'a>(&'a self, name: &'a str, token: Option<&str>) -> Result<Repository<'a>> {
        if token.is_some() && !http::is_confidential(&self.base) {
            return Err(Error::NotConfidential { address: http::without_password(&self.base) });
        }
        let authorization = token.map(|token| Authorization::new(format!("Bearer {token}")));
        Ok(Repository { github: self, name, authorization })
    }
}

impl Repository<'_> {
    /// The release with this tag.
    pub(crate) fn release(&self, tag: &str) -> Result<Release> {
        let action = format!("find the release `{tag}` of {}", self.name);
        let tag_path = utf8_percent_encode(tag, NON_ALPHANUMERIC);
        let answer = self.ask(&action, &format!("releases/tags/{tag_path}"))?;
        if answer.status == 404 {
            let found =
                self.page(1)?.iter().take(SHOWN).map(|release| release.tag.clone()).collect::<Vec<_>>();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            return Err(Error::NoRelease { repository: self.name.to_owned(), tag: tag.to_owned(), found });
        }
        parse(&action, &answer)
    }

    /// The release of `component` with the highest version; drafts and pre-releases do not count.
    pub(crate) fn latest(&self, component: &Component) -> Result<Release> {
        let mut best: Option<(Version, Release)> = None;
        for number in 1..=PAGES {
            let page = self.page(number)?;
            let is_last = page.len() < PAGE;
            for release in page.into_iter().filter(|release| !release.draft && !release.prerelease) {
                let Some(version) = component.version(&release.tag) else { continue };
                if !version.is_pre_release() && best.as_ref().is_none_or(|(highest, _)| version > *highest) {
                    best = Some((version, release));
                }
            }
            if is_last {
                break;
            }
        }
        best.map(|(_, release)| release).ok_or_else(|| Error::NothingReleased {
            repository: self.name.to_owned(),
            component: component.name,
            form: component.tag_form(),
        })
    }

    fn page(&self, number: usize) -> Result<Vec<Release>> {
        let action = format!("list the releases of {}", self.name);
        let answer = self.ask(&action, &format!("releases?per_page={PAGE}&page={number}"))?;
        if answer.status == 404 {
            let advice = match self.authorization {
                Some(_) => "check the name, and whether the token may read it",
                None => "check the name, and set GITHUB_TOKEN to one that may read it",
            };
            return Err(Error::NoRepository { repository: self.name.to_owned(), advice });
        }
        parse(&action, &answer)
    }

    /// Fetches an asset into `sink`, which may hold the beginning of it.
    pub(crate) fn download(&self, asset: &Asset, sink: &mut dyn Sink) -> Result<()> {
        let action = format!("fetch {} of {}", asset.name, self.name);
        if asset.size > ASSET_LIMIT {
            let why = format!("the file is said to have {} bytes", asset.size);
            return Err(Error::Nonsense { action, why });
        }
        let request = Request {
            url: &asset.url,
            size: Size::Exact(asset.size),
            validators: None,
            authorization: self.authorization_for(&asset.url),
            accept: Some(BYTES),
        };
        match self.github.http.get(&request, sink) {
            Ok(Fetched::Complete(_) | Fetched::NotModified) => Ok(()),
            Err(Failure::Cache(error)) => Err(Error::Transfer { action, source: Failure::Cache(error) }),
            Err(failure) => Err(self.failed(action, failure)),
        }
    }

    /// The text of a small asset.
    pub(crate) fn text(&self, asset: &Asset) -> Result<String> {
        let action = format!("fetch {} of {}", asset.name, self.name);
        let call = Call {
            authorization: self.authorization_for(&asset.url),
            limit: LIST_LIMIT,
            ..Call::new(Method::Get, &asset.url)
        }
        .header("accept", BYTES);
        let answer = self.answer(&action, &call)?;
        match answer.status {
            200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            status => {
                Err(Error::Nonsense { action, why: format!("it answers {status} for a file that it lists") })
            }
        }
    }

    /// Asks about the repository. 404 is an answer.
    fn ask(&self, action: &str, rest: &str) -> Result<Answer> {
        let url = format!("{}/repos/{}/{rest}", self.github.base, self.name);
        let call = Call {
            authorization: self.authorization.as_ref(),
            limit: PAGE_LIMIT,
            ..Call::new(Method::Get, &url)
        }
        .header("accept", JSON)
        .header("x-github-api-version", INTERFACE);
        let answer = self.answer(action, &call)?;
        match answer.status {
            200 | 404 => Ok(answer),
            status => Err(Error::Nonsense { action: action.to_owned(), why: format!("it answers {status}") }),
        }
    }

    fn answer(&self, action: &str, call: &Call<'_>) -> Result<Answer> {
        let answer =
            self.github.http.call(call).map_err(|failure| self.failed(action.to_owned(), failure))?;
        match answer.status {
            403 if is_used_up(&answer) => Err(self.limited(action.to_owned(), until(&answer))),
            401 | 403 => Err(Error::Denied { action: action.to_owned(), status: answer.status }),
            _ => Ok(answer),
        }
    }

    /// The token goes to the API and to nobody else, whatever address an answer names.
    fn authorization_for(&self, url: &str) -> Option<&Authorization> {
        self.authorization.as_ref().filter(|_| http::same_server(url, &self.github.base))
    }

    fn failed(&self, action: String, failure: Failure) -> Error {
        match failure {
            Failure::Status(Status::Passing(429)) => self.limited(action, "for now".to_owned()),
            Failure::Busy { status: Status::Passing(429), wait } => {
                self.limited(action, format!("for {} s", wait.as_secs()))
            }
            Failure::Status(Status::Unauthorized) => Error::Denied { action, status: 401 },
            Failure::Status(Status::Forbidden) => Error::Denied { action, status: 403 },
            source => Error::Transfer { action, source },
        }
    }

    fn limited(&self, action: String, until: String) -> Error {
        let advice = match self.authorization {
            Some(_) => "wait until then, or use another token",
            None => "set GITHUB_TOKEN: with a token it answers many more",
        };
        Error::RateLimited { action, until, advice }
    }
}

/// Whether the answer says that the limit is used up ("Rate limits for the REST API").
fn is_used_up(answer: &Answer) -> bool {
    answer.header("x-ratelimit-remaining") == Some("0") || answer.header("retry-after").is_some()
}

/// When the API answers again, as it says.
fn until(answer: &Answer) -> String {
    let reset = answer.header("x-ratelimit-reset").and_then(|text| text.parse().ok());
    match reset.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
        Some(time) => format!("until {}", time.strftime("%Y-%m-%d %H:%M:%S UTC")),
        None => "for now".to_owned(),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(action: &str, answer: &Answer) -> Result<T> {
    let nonsense =
        |error: serde_json::Error| Error::Nonsense { action: action.to_owned(), why: error.to_string() };
    serde_json::from_slice(&answer.body).map_err(nonsense)
}
