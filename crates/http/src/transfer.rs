//! One transfer over HTTP: attempts, redirects, ranges, bounds, patience.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode, Url};
use tokio::time::{Instant, timeout};

use crate::{
    Authorization, Failure, Fetched, Http, Request, Sink, Size, Status, Validators, redirect, retry_after,
};

/// How long a wish to stop may go unnoticed.
pub(super) const TICK: Duration = Duration::from_millis(50);

impl Size {
    /// Whether a file of this length, as the server announces it, may be the one.
    pub(super) fn check_offer(self, offered: u64) -> Result<(), Failure> {
        match self {
            Self::Exact(promised) if offered != promised => Err(Failure::WrongSize { offered, promised }),
            Self::AtMost(limit) if offered > limit => Err(Failure::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Whether so many bytes may have come.
    pub(super) fn check_held(self, held: u64) -> Result<(), Failure> {
        let (Self::Exact(limit) | Self::AtMost(limit)) = self;
        if held > limit { Err(Failure::TooLarge { limit }) } else { Ok(()) }
    }

    /// Whether the file may end here.
    pub(super) fn check_end(self, held: u64) -> Result<(), Failure> {
        match self {
            Self::Exact(promised) if held != promised => Err(Failure::Truncated { held, promised }),
            _ => Ok(()),
        }
    }
}

/// An attempt that brought so many bytes was worth another one.
const GETS_ON: u64 = 1 << 20;

/// What goes over from one attempt to the next.
#[derive(Default)]
struct Progress {
    /// The version of the file that the sink holds a part of, if the server named it.
    etag: Option<String>,
    /// How long a busy server asked us to wait.
    wait: Option<Duration>,
}

impl Http {
    pub(super) async fn get_patiently(
        &self,
        url: &Url,
        request: &Request<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Fetched, Failure> {
        let mut progress = Progress::default();
        let mut attempt = 0;
        loop {
            let held = sink.held();
            let failure = match self.attempt(url, request, sink, &mut progress).await {
                Err(failure) if failure.may_pass() => failure,
                other => return other,
            };
            // A server that breaks off again and again, but gets on each time, is not given up.
            attempt = if sink.held() >= held + GETS_ON { 1 } else { attempt + 1 };
            if attempt > self.options.retries {
                return Err(failure);
            }
            let wait = progress.wait.take();
            self.check_wait(&failure, wait)?;
            sink.retrying(&failure);
            self.pause(attempt, wait).await?;
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        request: &Request<'_>,
        sink: &mut dyn Sink,
        progress: &mut Progress,
    ) -> Result<Fetched, Failure> {
        let worthless = match request.size {
            // Too long, or whole and yet not believed.
            Size::Exact(promised) => sink.held() >= promised,
            // Perhaps of another version: without a digest, only the server can tell.
            Size::AtMost(_) => progress.etag.is_none(),
        };
        if worthless && sink.held() > 0 {
            sink.restart()?;
        }
        let response = self.respond(url, request, sink.held(), progress).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if request.validators.is_some() => return Ok(Fetched::NotModified),
            StatusCode::PARTIAL_CONTENT => check_range(&response, sink.held(), request.size)?,
            StatusCode::OK => {
                // The server ignores ranges, or has another version by now.
                if sink.held() != 0 {
                    sink.restart()?;
                }
                if let Some(offered) = response.content_length() {
                    request.size.check_offer(offered)?;
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if sink.held() != 0 => {
                sink.restart()?;
                return Err(Failure::Broken("the server has less of the file than we hold".to_owned()));
            }
            other => {
                progress.wait = retry_after::asked(&response);
                return Err(Failure::Status(Status::from(other.as_u16())));
            }
        }
        let validators = validators(response.headers());
        progress.etag = validators.etag.clone().filter(|etag| !etag.starts_with("W/"));
        self.receive(response, request.size, sink).await?;
        Ok(Fetched::Complete(validators))
    }

    /// Sends the request, following redirects, until there is an answer.
    async fn respond(
        &self,
        url: &Url,
        request: &Request<'_>,
        held: u64,
        progress: &Progress,
    ) -> Result<Response, Failure> {
        let first = url;
        let mut url = url.clone();
        for _ in 0..=self.options.redirects {
            let mut headers = headers(request, held, progress);
            let own = redirect::same_server(first, &url);
            if let Some(value) = request.authorization.filter(|_| own).and_then(Authorization::header) {
                headers.insert(AUTHORIZATION, value);
            }
            let sent = self.client(&url)?.get(url.clone()).headers(headers).send();
            let response = self
                .patiently(sent, self.options.stall_timeout)
                .await?
                .map_err(|error| self.classify(&error))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            url = redirect::target(&url, &response)?;
        }
        Err(Failure::Redirects { limit: self.options.redirects, last: url.to_string() })
    }

    /// Hands the body to the sink.
    async fn receive(&self, mut response: Response, size: Size, sink: &mut dyn Sink) -> Result<(), Failure> {
        let announced = response.content_length().map(|length| length + sink.held());
        let mut pace = Pace { since: Instant::now(), bytes: 0 };
        loop {
            let chunk = self.patiently(response.chunk(), self.options.stall_timeout).await?;
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    let truncated =
                        announced.map(|promised| Failure::Truncated { held: sink.held(), promised });
                    return Err(truncated.unwrap_or_else(|| self.classify(&error)));
                }
            };
            size.check_held(sink.held() + chunk.len() as u64)?;
            sink.take(&chunk)?;
            pace.check(chunk.len() as u64, self.options.slow_window, self.options.minimum_rate)?;
        }
        size.check_end(sink.held())
    }

    /// Waits for `future`, but not for ever, and not when somebody wants to stop.
    pub(super) async fn patiently<F: Future>(
        &self,
        future: F,
        limit: Duration,
    ) -> Result<F::Output, Failure> {
        let end = Instant::now() + limit;
        let mut future = pin!(future);
        loop {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let now = Instant::now();
            if now >= end {
                return Err(Failure::Stalled(limit));
            }
            if let Ok(output) = timeout(TICK.min(end - now), &mut future).await {
                return Ok(output);
            }
        }
    }

    /// Whether the server may be waited for as long as it asks.
    pub(super) fn check_wait(&self, failure: &Failure, asked: Option<Duration>) -> Result<(), Failure> {
        match (failure, asked) {
            (Failure::Status(status), Some(wait)) if wait > self.options.longest_wait => {
                Err(Failure::Busy { status: *status, wait })
            }
            _ => Ok(()),
        }
    }

    /// Waits before the next attempt, at least as long as the server asked.
    pub(super) async fn pause(&self, attempt: u32, asked: Option<Duration>) -> Result<(), Failure> {
        let base = self.options.backoff * 2u32.saturating_pow(attempt.saturating_sub(1)).min(64);
        // Builds that failed together must not come back together.
        let chance = RandomState::new().build_hasher().finish() % 512;
        let wait = base + base * u32::try_from(chance).unwrap_or(0) / 1024;
        let wait = wait.max(asked.unwrap_or_default());
        match self.patiently(std::future::pending::<()>(), wait).await {
            Err(Failure::Cancelled) => Err(Failure::Cancelled),
            _ => Ok(()),
        }
    }

    pub(super) fn classify(&self, error: &reqwest::Error) -> Failure {
        let detail = innermost(error);
        if error.is_timeout() {
            Failure::ConnectTimeout(self.options.connect_timeout)
        } else if is_tls(error) {
            Failure::Tls(detail)
        } else if error.is_connect() {
            Failure::Connect(detail)
        } else {
            Failure::Broken(detail)
        }
    }
}

/// The bytes of the present window.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn check(&mut self, count: u64, window: Duration, minimum_rate: u64) -> Result<(), Failure> {
        self.bytes += count;
        if self.since.elapsed() < window {
            return Ok(());
        }
        let least = u128::from(minimum_rate) * window.as_millis() / 1000;
        if u128::from(self.bytes) < least {
            return Err(Failure::TooSlow { minimum_rate, window });
        }
        *self = Self { since: Instant::now(), bytes: 0 };
        Ok(())
    }
}

fn headers(request: &Request<'_>, held: u64, progress: &Progress) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        // A validator that is no header value came from a broken server: it is left out.
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    // The bytes of the file, not those of a compressed transfer: digests and ranges are of the file.
    set(ACCEPT_ENCODING, "identity");
    if let Some(accept) = request.accept {
        set(ACCEPT, accept);
    }
    if let Some(validators) = request.validators {
        for (name, value) in
            [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)]
        {
            if let Some(value) = value {
                set(name, value);
            }
        }
    }
    if held > 0 {
        set(RANGE, &format!("bytes={held}-"));
        if let Some(etag) = &progress.etag {
            set(IF_RANGE, etag);
        }
    }
    headers
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

/// A partial answer must go on where the sink ends: `bytes FIRST-LAST/LENGTH`.
fn check_range(response: &Response, held: u64, size: Size) -> Result<(), Failure> {
    let text =
        response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wrong =
        || Failure::Protocol(format!("it answers a request from byte {held} with the range `{text}`"));
    let range = text.strip_prefix("bytes ").ok_or_else(wrong)?;
    let (range, length) = range.split_once('/').ok_or_else(wrong)?;
    let first = range.split('-').next().and_then(|first| first.parse().ok());
    if first != Some(held) {
        return Err(wrong());
    }
    match length.parse() {
        Ok(length) => size.check_offer(length),
        Err(_) if length == "*" => Ok(()),
        Err(_) => Err(wrong()),
    }
}

/// The last of a chain of errors is the one that says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An I/O error hands out its inner error only by `get_ref`, and there may be one in another.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    false
}
