//! Blocks that servers run: connectors (section 2.11 of the contract) and blocks without source (2.12).

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use http::{Authorization, Call, Cancel, Http, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::event::{Answer, Event};

/// The longest answer of a server, in bytes.
const MAX_ANSWER: u64 = 256 << 20;

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
                let action = utf8_percent_encode(&action, NON_ALPHANUMERIC);
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
                let id = utf8_percent_encode(&id, NON_ALPHANUMERIC);
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
        let task = format!("{tasks}/{id}");
        let deadline = (time > 0).then(|| Instant::now() + Duration::from_secs(time));
        let (mut pause, mut page) = (FIRST_POLL, 1);
        loop {
            self.wait(pause)?;
            pause = POLL;
            let state = self.call(Method::Get, &task, &Value::Null, CONNECTOR_TIME)?;
            page = self.logs(&task, page);
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

    /// Passes on what the block has written since; gives the next page. That there is none is no failure.
    fn logs(&self, task: &str, page: u32) -> u32 {
        let url = format!("{task}/logs?page={page}");
        let Ok(answer) = self.call(Method::Get, &url, &Value::Null, CONNECTOR_TIME) else { return page };
        let list = answer.get("logs").or_else(|| answer.get("data")).unwrap_or(&answer);
        let lines = list.as_array().map_or(&[][..], Vec::as_slice);
        for line in lines {
            let text = line.as_str().or_else(|| line.get("message")?.as_str()).unwrap_or_default();
            self.tell(Answer::Log(text.to_owned()));
        }
        if lines.is_empty() { page } else { page + 1 }
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
                retries: 0,
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
            let message = parsed.ok().and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
            return Err(format!("{url}: status {}: {}", answer.status, message.unwrap_or_else(text)));
        }
        parsed.map_err(|error| format!("{url}: the answer is no JSON ({error}): {}", text()))
    }
}

/// The values of a connector's answer: by name, or all of them where the only output is `output`.
fn connector_outputs(answer: &Value, outputs: &[String]) -> Result<Map<String, Value>, String> {
    if answer.get("success") != Some(&Value::Bool(true)) {
        let part = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (message, code) = (part("message"), part("errorCode"));
        let message = if message.is_empty() { crate::log::cut(&answer.to_string()) } else { message };
        return Err(if code.is_empty() { message } else { format!("{message} ({code})") });
    }
    let data = answer.get("data").cloned().unwrap_or_default();
    if matches!(outputs, [only] if only == "output") {
        return Ok([("output".to_owned(), data)].into_iter().collect());
    }
    Ok(data.as_object().cloned().unwrap_or_default())
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
