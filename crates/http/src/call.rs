//! One request with a small answer: any method, headers, a body in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, Url};
use tokio::time::Instant;

use crate::payload::Counted;
use crate::transfer::TICK;
use crate::{Authorization, Failure, Http, Payload, Status, redirect, retry_after};

/// What is to be done to an address (RFC 9110, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl Method {
    const fn changes_nothing(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    fn of_reqwest(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Head => reqwest::Method::HEAD,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Patch => reqwest::Method::PATCH,
            Self::Delete => reqwest::Method::DELETE,
        }
    }
}

/// A request whose answer is small. Bodies may hold secrets, so neither it nor its [`Answer`] shows them.
#[derive(Clone)]
pub struct Call<'a> {
    /// What is to be done.
    pub method: Method,
    /// To what: an `http` or `https` address.
    pub url: &'a str,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Who we are; dropped when a redirect leads to another server.
    pub authorization: Option<&'a Authorization>,
    /// What is sent along; its length is announced.
    pub body: Payload,
    /// The greatest length of the answer's body in bytes.
    pub limit: u64,
    /// Whether doing it twice does no harm. What is not repeatable is tried again only when the server says that it did
    /// nothing (429).
    pub repeatable: bool,
}

impl<'a> Call<'a> {
    /// A request without body and headers, for an answer of at most 1 MiB; repeatable when the method changes nothing.
    #[must_use]
    pub fn new(method: Method, url: &'a str) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            authorization: None,
            body: Payload::default(),
            limit: 1 << 20,
            repeatable: method.changes_nothing(),
        }
    }

    /// With one more header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a server answered, whatever it was but for what may pass (408, 429, 5xx): that is a failure.
#[derive(Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; of a `HEAD` request, none.
    pub body: Vec<u8>,
    url: Url,
    headers: HeaderMap,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = crate::without_password(self.url);
        f.debug_struct("Call").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = crate::without_password(self.url.as_str());
        f.debug_struct("Answer").field("status", &self.status).field("url", &url).finish_non_exhaustive()
    }
}

impl Answer {
    /// The first header field of this name that is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All header fields of this name that are text.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    }

    /// The address that answered, after redirects.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The address that `reference` in the answer means, under the rules for redirects.
    ///
    /// # Errors
    /// [`Failure::BadRedirect`].
    pub fn follow(&self, reference: &str) -> Result<String, Failure> {
        redirect::follow(&self.url, reference).map(Into::into)
    }
}

/// Whether two addresses are of the same server: the same scheme, host and port.
#[must_use]
pub fn same_server(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => redirect::same_server(&one, &other),
        _ => false,
    }
}

impl Http {
    /// Asks, trying again after failures that may pass.
    ///
    /// # Errors
    /// Any [`Failure`]; a status that does not pass is none.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let url = Url::parse(call.url).map_err(|error| Failure::Address(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Address(format!("`{}` is not http or https", url.scheme())));
        }
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.call_patiently(&url, call)),
            None => Err(Failure::Setup("the client is being dropped".to_owned())),
        }
    }

    /// Waits as before attempt number `attempt`, which is at least 1, for callers that have attempts of their own.
    ///
    /// # Errors
    /// [`Failure::Cancelled`].
    pub fn pause_before(&self, attempt: u32) -> Result<(), Failure> {
        self.runtime.as_ref().map_or(Ok(()), |runtime| runtime.block_on(self.pause(attempt, None)))
    }

    async fn call_patiently(&self, url: &Url, call: &Call<'_>) -> Result<Answer, Failure> {
        let mut attempt = 0;
        loop {
            let mut wait = None;
            let failure = match self.call_once(url, call, &mut wait).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let did_nothing = matches!(failure, Failure::Status(Status::Passing(429)));
            attempt += 1;
            if !(failure.may_pass() && (call.repeatable || did_nothing)) || attempt > self.options.retries {
                return Err(failure);
            }
            self.check_wait(&failure, wait)?;
            self.pause(attempt, wait).await?;
        }
    }

    async fn call_once(
        &self,
        url: &Url,
        call: &Call<'_>,
        wait: &mut Option<std::time::Duration>,
    ) -> Result<Answer, Failure> {
        let (url, mut response) = self.send(url, call).await?;
        let status = Status::from(response.status().as_u16());
        if matches!(status, Status::Passing(_)) {
            *wait = retry_after::asked(&response);
            return Err(Failure::Status(status));
        }
        let body = self.small_body(&mut response, call.limit).await?;
        Ok(Answer { status: response.status().as_u16(), body, url, headers: response.headers().clone() })
    }

    /// Sends the request, following redirects, until there is an answer.
    async fn send(&self, first: &Url, call: &Call<'_>) -> Result<(Url, Response), Failure> {
        let mut url = first.clone();
        for _ in 0..=self.options.redirects {
            let mut headers = headers(call)?;
            let own = redirect::same_server(first, &url);
            if let Some(value) = call.authorization.filter(|_| own).and_then(Authorization::header) {
                headers.insert(AUTHORIZATION, value);
            }
            let response = self.send_once(&url, call, headers).await?;
            let status = response.status().as_u16();
            let kept = matches!(status, 307 | 308);
            if !kept && !matches!(status, 301..=303) {
                return Ok((url, response));
            }
            let next = redirect::target(&url, &response)?;
            // What changes something, or carries a secret in its body, is done again only as it is, and only there.
            let stays = kept && redirect::same_server(&url, &next);
            if !(stays || call.method.changes_nothing()) {
                return Err(Failure::BadRedirect(crate::without_password(next.as_str())));
            }
            url = next;
        }
        let last = crate::without_password(url.as_str());
        Err(Failure::Redirects { limit: self.options.redirects, last })
    }

    /// Sends one request and waits for the head of the answer: as long as bytes go out, and then for a while.
    async fn send_once(&self, url: &Url, call: &Call<'_>, headers: HeaderMap) -> Result<Response, Failure> {
        let client = self.client(url)?;
        let request = client.request(call.method.of_reqwest(), url.clone()).headers(headers);
        let sent = Arc::new(AtomicU64::new(0));
        let (request, limit) = if call.method.changes_nothing() {
            (request, self.options.stall_timeout)
        } else {
            let body = Counted::new(call.body.clone(), Arc::clone(&sent));
            (request.body(reqwest::Body::wrap(body)), self.options.answer_timeout)
        };
        let mut future = std::pin::pin!(request.send());
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            if let Ok(result) = tokio::time::timeout(TICK, &mut future).await {
                return result.map_err(|error| self.classify(&error));
            }
            let now = sent.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            let unsent = now < call.body.len();
            let limit = if unsent { self.options.stall_timeout } else { limit };
            if since.elapsed() >= limit {
                return Err(Failure::Stalled(limit));
            }
        }
    }

    async fn small_body(&self, response: &mut Response, limit: u64) -> Result<Vec<u8>, Failure> {
        let promised = response.content_length();
        let mut body = Vec::new();
        loop {
            match self.patiently(response.chunk(), self.options.stall_timeout).await? {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(error) => {
                    let held = body.len() as u64;
                    let truncated = promised.map(|promised| Failure::Truncated { held, promised });
                    return Err(truncated.unwrap_or_else(|| self.classify(&error)));
                }
            }
            if body.len() as u64 > limit {
                return Err(Failure::TooLarge { limit });
            }
        }
    }
}

fn headers(call: &Call<'_>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let refuse = || Failure::Address(format!("`{name}` cannot be sent as it is"));
        let value = HeaderValue::from_str(value).map_err(|_| refuse())?;
        headers.append(HeaderName::from_static(name), value);
    }
    Ok(headers)
}
