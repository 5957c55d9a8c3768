//! What executors say on the topic of the session (section 3.5 of the contract).

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Value;

/// A message of an executor.
#[derive(Debug)]
pub(crate) enum Message {
    BlockReady {
        job: String,
    },
    Output {
        job: String,
        handle: String,
        value: Value,
        to: Option<Destination>,
    },
    Outputs {
        job: String,
        values: Vec<(String, Value)>,
    },
    Progress {
        job: String,
        percent: f64,
    },
    Error {
        job: String,
        error: String,
    },
    Finished {
        job: String,
        result: Vec<(String, Value)>,
        error: Option<String>,
    },
    Request {
        job: String,
        id: String,
        request: serde_json::Value,
    },
    /// A kind of message that this runner does not know or need: that an executor is ready, it sees by what it asks for.
    Other,
}

/// Who alone is to get an output.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Destination {
    to_node: Option<Vec<NodeInput>>,
    to_flow: Option<Vec<FlowOutput>>,
}

#[derive(Debug, Clone, Deserialize)]
struct NodeInput {
    node_id: String,
    input_handle: String,
}

#[derive(Debug, Clone, Deserialize)]
struct FlowOutput {
    output_handle: String,
}

impl Destination {
    pub(crate) fn includes_node(&self, node: &str, handle: &str) -> bool {
        self.to_node.iter().flatten().any(|to| to.node_id == node && to.input_handle == handle)
    }

    pub(crate) fn includes_output(&self, handle: &str) -> bool {
        self.to_flow.iter().flatten().any(|to| to.output_handle == handle)
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    job_id: Option<Cow<'a, str>>,
    #[serde(default)]
    handle: Option<String>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    outputs: Option<&'a RawValue>,
    #[serde(default)]
    options: Option<Options>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    progress: Option<&'a RawValue>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    target: Option<Destination>,
}

impl Message {
    /// Parses a message; why it is none otherwise. Values stay where they are.
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, String> {
        let raw: Raw<'_> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let job = raw.job_id.map(Cow::into_owned).ok_or_else(|| "it has no `job_id`".to_owned());
        Ok(match raw.r#type.as_ref() {
            "BlockReady" => Self::BlockReady { job: job? },
            "BlockOutput" => Self::Output {
                job: job?,
                handle: raw.handle.ok_or("it has no `handle`")?,
                value: raw.output.map_or_else(Value::null, |raw| Value::in_message(payload, raw)),
                to: raw.options.and_then(|options| options.target),
            },
            "BlockOutputs" => Self::Outputs { job: job?, values: values(payload, raw.outputs) },
            "BlockProgress" => {
                let percent = raw.progress.and_then(|raw| raw.get().parse().ok());
                Self::Progress { job: job?, percent: percent.unwrap_or_default() }
            }
            "BlockError" => Self::Error { job: job?, error: text(raw.error).unwrap_or_default() },
            "BlockFinished" => {
                Self::Finished { job: job?, result: values(payload, raw.result), error: text(raw.error) }
            }
            "BlockRequest" => Self::Request {
                job: job?,
                id: raw.request_id.ok_or("it has no `request_id`")?,
                request: serde_json::from_slice(payload).map_err(|error| error.to_string())?,
            },
            _ => Self::Other,
        })
    }
}

/// The values of a map; none when it is no map.
pub(crate) fn values(payload: &Bytes, raw: Option<&RawValue>) -> Vec<(String, Value)> {
    let Some(raw) = raw else { return Vec::new() };
    let map: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    map.into_iter().map(|(key, raw)| (key, Value::in_message(payload, raw))).collect()
}

/// A text, or the JSON of what is none; nothing for `null`.
fn text(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw?.get();
    if raw == "null" {
        return None;
    }
    Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let parse = |text: &'static str| Message::parse(&Bytes::from_static(text.as_bytes()));
        let output = parse(r#"{"type":"BlockOutput","job_id":"j","handle":"h","output":[1, "\ud800"]}"#);
        let Ok(Message::Output { value, to: None, .. }) = output else { panic!("{output:?}") };
        assert_eq!(value.bytes(), &br#"[1, "\ud800"]"#[..]);
        let finished =
            parse(r#"{"type":"BlockFinished","job_id":"j","result":{"b":null,"a":1.50},"error":null}"#);
        let Ok(Message::Finished { result, error: None, .. }) = finished else { panic!("{finished:?}") };
        let texts: Vec<_> = result.iter().map(|(key, value)| (key.as_str(), &value.bytes()[..])).collect();
        assert_eq!(texts, [("a", &b"1.50"[..]), ("b", &b"null"[..])]);
        assert!(matches!(parse(r#"{"type":"Strange"}"#), Ok(Message::Other)));
        assert!(parse(r#"{"type":"BlockReady"}"#).is_err());
        assert!(parse("nothing").is_err());
        let error = parse(r#"{"type":"BlockError","job_id":"j","error":{"a":1}}"#);
        assert!(matches!(error, Ok(Message::Error { error, .. }) if error == r#"{"a":1}"#));
    }

    #[test]
    fn destinations() {
        let text = r#"{"to_node":[{"node_id":"n","input_handle":"i"}],"to_flow":null}"#;
        let to: Destination = serde_json::from_str(text).expect("it parses");
        assert!(to.includes_node("n", "i") && !to.includes_node("n", "j") && !to.includes_output("o"));
    }
}
