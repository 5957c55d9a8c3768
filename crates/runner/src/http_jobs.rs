//! Blocks that servers run: connectors (section 2.11 of the contract) and blocks without source (2.12).

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use http::{Authorization, Call, Cancel, Http, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::event::{Answer, Event};

/// The longest answer of a server, in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// What is written as `%XX` in a segment of an address: all but what is unreserved (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most pages of a log that are read at once.
const MAX_PAGES: u32 = 1000;

/// How long a connector may take unless its node says otherwise.
const CONNECTOR_TIME: Duration = Duration::from_secs(30);

/// When the state of a remote block is asked for: first, then again and again.
const FIRST_POLL: Duration = Duration::from_millis(250);
const POLL: Duration = Duration::from_secs(2);

/// A job that a server does. It ends with the value.
#[derive(Debug)]
pub(crate) struct HttpJob {
    cancel: Cancel,
    /// Closed with the value, which ends a wait.
    _stop: Sender<()>,
}

impl Drop for HttpJob {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a server is asked to do.
#[derive(Debug)]
pub(crate) enum Work {
    Connector {
        base: String,
        action: String,
        inputs: Map<String, Value>,
        outputs: Vec<String>,
        time: Option<u64>,
    },
    Remote {
        base: String,
        package: String,
        version: Option<String>,
        block: String,
        inputs: Map<String, Value>,
        time: u64,
    },
    Secret {
        base: String,
        id: String,
        topic: String,
        reply: Map<String, Value>,
    },
}

/// Starts a job.
pub(crate) fn start(
    job: String,
    work: Work,
    token: Option<String>,
    events: Sender<Event>,
) -> std::io::Result<HttpJob> {
    let cancel = Cancel::default();
    let (stop, stopped) = channel();
    let own = cancel.clone();
    let run = move || {
        let server = Server { token, cancel: own, stopped, job, events, http: OnceLock::new() };
        let outcome = server.work(work).unwrap_or_else(Answer::Failed);
        server.tell(outcome);
    };
    thread::Builder::new().name("http-job".to_owned()).spawn(run)?;
    Ok(HttpJob { cancel, _stop: stop })
}

/// How far the log of a remote block was passed on: all pages before `page`, and `told` lines of that.
struct Log {
    page: u32,
    told: usize,
}

struct Server {
    token: Option<String>,
    cancel: Cancel,
    stopped: Receiver<()>,
    job: String,
    events: Sender<Event>,
    http: OnceLock<Result<Http, String>>,
}

impl Server {
    fn work(&self, work: Work) -> Result<Answer, String> {
        match work {
            Work::Connector { base, action, inputs, outputs, time } => {
                let action = utf8_percent_encode(&action, SEGMENT);
                let time = time.map_or(CONNECTOR_TIME, Duration::from_secs);
                let url = format!("{}/v1/actions/{action}", base.trim_end_matches('/'));
                let answer = self.call(Method::Post, &url, &json!({ "input": inputs }), time)?;
                connector_outputs(&answer, &outputs).map(Answer::Outputs)
            }
            Work::Remote { base, package, version, block, inputs, time } => {
                let body = json!({
                    "type": "serverless", "packageName": package, "packageVersion": version, "blockName": block,
                    "inputValues": inputs,
                });
                self.remote(&format!("{}/v3/users/me/tasks", base.trim_end_matches('/')), &body, time)
            }
            Work::Secret { base, id, topic, mut reply } => {
                let id = utf8_percent_encode(&id, SEGMENT);
                let url = format!("{}/v1/vaultlet/{id}", base.trim_end_matches('/'));
                match self.call(Method::Get, &url, &Value::Null, CONNECTOR_TIME) {
                    Ok(value) => reply.insert("result".to_owned(), value),
                    Err(error) => reply.insert("error".to_owned(), error.into()),
                };
                Ok(Answer::Reply { topic, body: reply.into() })
            }
        }
    }

    /// Has a block run far away and asks again and again how far it is.
    fn remote(&self, tasks: &str, body: &Value, time: u64) -> Result<Answer, String> {
        let created = self.call(Method::Post, tasks, body, CONNECTOR_TIME)?;
        let id = created.get("taskID").or_else(|| created.pointer("/data/taskID")).and_then(Value::as_str);
        let id = id.ok_or_else(|| {
            format!("the server has given no task: {}", crate::log::cut(&created.to_string()))
        })?;
        let task = format!("{tasks}/{}", utf8_percent_encode(id, SEGMENT));
        let deadline = (time > 0).then(|| Instant::now() + Duration::from_secs(time));
        let (mut pause, mut log) = (FIRST_POLL, Log { page: 1, told: 0 });
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.wait(left.map_or(pause, |left| pause.min(left)))?;
            pause = POLL;
            let state = self.call(Method::Get, &task, &Value::Null, CONNECTOR_TIME)?;
            self.pass_on(&task, &mut log);
            if let Some(percent) = state.get("progress").and_then(Value::as_f64) {
                self.tell(Answer::Progress(percent));
            }
            match state.get("status").and_then(Value::as_str) {
                Some("success") => {
                    let result =
                        self.call(Method::Get, &format!("{task}/result"), &Value::Null, CONNECTOR_TIME)?;
                    let result =
                        result.get("resultData").or_else(|| result.get("data")).cloned().unwrap_or(result);
                    return Ok(Answer::Outputs(result.as_object().cloned().unwrap_or_default()));
                }
                Some("failed") => {
                    let why = state
                        .get("failedMessage")
                        .and_then(Value::as_str)
                        .unwrap_or("the server says no reason");
                    return Err(why.to_owned());
                }
                _ => {}
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(format!(
                    "the block took longer than {time} s; `--remote-block-timeout` gives it more"
                ));
            }
        }
    }

    /// Passes on what the block has written since. A page may have grown, and further ones may have come.
    fn pass_on(&self, task: &str, log: &mut Log) {
        let (mut page, mut told) = (log.page, log.told);
        for _ in 0..MAX_PAGES {
            let lines = self.log_page(task, page);
            if lines.is_empty() {
                return;
            }
            for line in lines.iter().skip(told) {
                self.tell(Answer::Log(line.clone()));
            }
            *log = Log { page, told: lines.len().max(told) };
            (page, told) = (page + 1, 0);
        }
    }

    /// The lines of one page. That there is none is no failure.
    fn log_page(&self, task: &str, page: u32) -> Vec<String> {
        let url = format!("{task}/logs?page={page}");
        let answer = self.call(Method::Get, &url, &Value::Null, CONNECTOR_TIME).unwrap_or_default();
        let list = answer.get("logs").or_else(|| answer.get("data")).unwrap_or(&answer);
        let lines = list.as_array().map_or(&[][..], Vec::as_slice);
        let text = |line: &Value| line.as_str().or_else(|| line.get("message")?.as_str()).map(str::to_owned);
        lines.iter().map(|line| text(line).unwrap_or_else(|| line.to_string())).collect()
    }

    fn wait(&self, time: Duration) -> Result<(), String> {
        match self.stopped.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err("cancelled".to_owned()),
        }
    }

    fn tell(&self, outcome: Answer) {
        let _ = self.events.send(Event::Answer { job: self.job.clone(), outcome });
    }

    /// One question and its answer, which must be JSON.
    fn call(&self, method: Method, url: &str, body: &Value, time: Duration) -> Result<Value, String> {
        let http = self.http.get_or_init(|| {
            let options = http::Options {
                answer_timeout: time,
                stall_timeout: time,
                proxies: http::Proxies::of_environment(|name| std::env::var(name).ok())
                    .map_err(|failure| failure.to_string())?,
                ..Default::default()
            };
            Http::new(options, self.cancel.clone()).map_err(|failure| failure.to_string())
        });
        let http = http.as_ref().map_err(Clone::clone)?;
        let authorization = self.token.as_ref().map(|token| Authorization::new(format!("Bearer {token}")));
        let mut call = Call::new(method, url);
        call.authorization = authorization.as_ref();
        call.limit = MAX_ANSWER;
        if !body.is_null() {
            call = call.header("content-type", "application/json");
            call.body = body.to_string().into();
        }
        let answer = http.call(&call).map_err(|failure| format!("{url}: {failure}"))?;
        let parsed: Result<Value, _> = serde_json::from_slice(&answer.body);
        let text = || crate::log::cut(&String::from_utf8_lossy(&answer.body));
        if !(200..300).contains(&answer.status) {
            let message = parsed.ok().as_ref().and_then(complaint);
            return Err(format!("{url}: status {}: {}", answer.status, message.unwrap_or_else(text)));
        }
        parsed.map_err(|error| format!("{url}: the answer is no JSON ({error}): {}", text()))
    }
}

/// The values of a connector's answer: by name, or all of them where the only output is `output`.
fn connector_outputs(answer: &Value, outputs: &[String]) -> Result<Map<String, Value>, String> {
    if answer.get("success") != Some(&Value::Bool(true)) {
        return Err(complaint(answer).unwrap_or_else(|| crate::log::cut(&answer.to_string())));
    }
    let data = answer.get("data").cloned().unwrap_or_default();
    if matches!(outputs, [only] if only == "output") {
        return Ok([("output".to_owned(), data)].into_iter().collect());
    }
    Ok(data.as_object().cloned().unwrap_or_default())
}

/// What a server says about its refusal.
fn complaint(answer: &Value) -> Option<String> {
    let part = |name: &str| answer.get(name)?.as_str().filter(|text| !text.is_empty());
    match (part("message"), part("errorCode")) {
        (Some(message), Some(code)) => Some(format!("{message} ({code})")),
        (only, other) => only.or(other).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_connectors() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let answer = json!({ "success": true, "data": { "a": 1 } });
        let outputs = |outputs: &[&str]| connector_outputs(&answer, &names(outputs)).map(Value::from);
        assert_eq!(outputs(&["a"]), Ok(json!({ "a": 1 })));
        assert_eq!(outputs(&["output"]), Ok(json!({ "output": { "a": 1 } })));
        let failed = json!({ "success": false, "message": "no", "errorCode": "E1" });
        assert_eq!(connector_outputs(&failed, &[]), Err("no (E1)".to_owned()));
    }
}
