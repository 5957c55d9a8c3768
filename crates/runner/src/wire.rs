//! What the runner says to executors (section 3.6 of the contract).

use std::path::Path;

use flow::{ExecutorOptions, Handle, ServiceExecutor};
use serde_json::{Map, Value as Json, json};

use crate::stack::Stack;
use crate::{Payload, Value};

/// Handles as executors take them: a map by name; `null` without a list.
pub(crate) fn definitions(handles: Option<&[Handle]>, is_input: bool) -> Json {
    let Some(handles) = handles else { return Json::Null };
    Json::Object(handles.iter().map(|handle| (handle.name.clone(), handle.to_json(is_input))).collect())
}

/// What a job is told beside its inputs.
#[derive(Debug)]
pub(crate) struct JobText<'j> {
    pub(crate) session: &'j str,
    pub(crate) job: &'j str,
    pub(crate) stack: &'j Stack,
    pub(crate) identifier: &'j str,
}

/// `BlockPayload`: run a block.
pub(crate) fn block(
    text: &JobText<'_>,
    dir: &Path,
    name: &str,
    options: &ExecutorOptions,
    outputs: Option<&[Handle]>,
) -> Payload {
    let mut payload = Payload::new();
    payload
        .text("{\"type\":\"BlockPayload\"")
        .text(",\"session_id\":")
        .json(&text.session)
        .text(",\"executor_name\":")
        .json(&name)
        .text(",\"job_id\":")
        .json(&text.job)
        .text(",\"stacks\":")
        .text(text.stack.json())
        .text(",\"dir\":")
        .json(&dir)
        .text(",\"executor\":")
        .json(&json!({ "name": name, "options": options.to_json() }))
        .text(",\"outputs\":")
        .json(&definitions(outputs, false))
        .text(",\"identifier\":")
        .json(&text.identifier)
        .text("}");
    payload
}

/// `ServiceBlockPayload`: run a block of a service.
pub(crate) fn service_block(
    text: &JobText<'_>,
    dir: &Path,
    block: &str,
    executor: &ServiceExecutor,
    hash: &str,
    outputs: Option<&[Handle]>,
) -> Payload {
    let mut payload = Payload::new();
    payload
        .text("{\"type\":\"ServiceBlockPayload\"")
        .text(",\"session_id\":")
        .json(&text.session)
        .text(",\"job_id\":")
        .json(&text.job)
        .text(",\"stacks\":")
        .text(text.stack.json())
        .text(",\"executor_name\":")
        .json(&executor.name)
        .text(",\"dir\":")
        .json(&dir)
        .text(",\"block_name\":")
        .json(&block)
        .text(",\"service_executor\":")
        .json(&executor.to_json())
        .text(",\"outputs\":")
        .json(&definitions(outputs, false))
        .text(",\"service_hash\":")
        .json(&hash)
        .text(",\"identifier\":")
        .json(&text.identifier)
        .text("}");
    payload
}

/// `BlockInputs`: what goes into a block.
pub(crate) fn inputs(
    session: &str,
    job: &str,
    stack: &Stack,
    path: Option<&Path>,
    values: &[(String, Value)],
    handles: &[Handle],
    secrets: &Map<String, Json>,
) -> Payload {
    let mut payload = Payload::new();
    payload
        .text("{\"type\":\"BlockInputs\"")
        .text(",\"session_id\":")
        .json(&session)
        .text(",\"job_id\":")
        .json(&job)
        .text(",\"stacks\":")
        .text(stack.json())
        .text(",\"block_path\":")
        .json(&path)
        .text(",\"inputs\":")
        .map(values.iter().map(|(name, value)| (name.as_str(), value)))
        .text(",\"inputs_def\":")
        .json(&definitions(Some(handles), true))
        .text(",\"inputs_def_patch\":");
    if secrets.is_empty() {
        payload.text("null");
    } else {
        payload.json(secrets);
    }
    payload.text("}");
    payload
}
