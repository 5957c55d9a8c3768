//! Reports: what happens, for user interfaces and for blocks that have started others (section 2.14 of the contract).

use std::path::Path;
use std::sync::Arc;

use flow::FlowKind;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::mqtt::{Audience, Bus};
use crate::stack::Stack;
use crate::{Payload, Value};

/// Publishes reports.
pub(crate) struct Reporter {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) session: Arc<str>,
    /// Whether reports are wanted as text, whoever else listens.
    pub(crate) as_text: bool,
}

/// What a report is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) job: Arc<str>,
    pub(crate) stack: Stack,
    /// The manifest of a block, or of a flow.
    pub(crate) path: Option<Arc<Path>>,
    /// What kind of flow, when it is one.
    pub(crate) flow: Option<FlowKind>,
    /// Whether a block has started it, which then listens.
    pub(crate) is_requested: bool,
}

/// A field of a report.
pub(crate) enum Field<'f> {
    Text(&'f str),
    Json(Json),
    Value(&'f Value),
    Values(&'f [(String, Value)]),
    Null,
}

/// The time as reports have it: milliseconds since 1970.
pub(crate) fn now() -> Field<'static> {
    Field::Json(Timestamp::now().as_millisecond().into())
}

impl Reporter {
    /// Publishes a report about a job; its text when that is wanted.
    pub(crate) fn job(&self, kind: &str, subject: &Subject, fields: &[(&str, Field<'_>)]) -> Option<String> {
        let audience = if subject.is_requested { Audience::Everyone } else { Audience::People };
        if !self.as_text && !self.bus.has_listeners(audience) {
            return None;
        }
        let mut payload = self.begin(kind);
        payload.text(",\"job_id\":").json(&&*subject.job).text(",\"stacks\":").text(subject.stack.json());
        let key = if subject.flow.is_some() { ",\"flow_path\":" } else { ",\"block_path\":" };
        payload.text(key).json(&subject.path.as_deref());
        self.end(payload, fields, audience)
    }

    /// Publishes a report about the session.
    pub(crate) fn session(&self, kind: &str, fields: &[(&str, Field<'_>)]) -> Option<String> {
        self.end(self.begin(kind), fields, Audience::Everyone)
    }

    fn begin(&self, kind: &str) -> Payload {
        let mut payload = Payload::new();
        payload.text("{\"type\":").json(&kind).text(",\"session_id\":").json(&&*self.session);
        payload
    }

    fn end(&self, mut payload: Payload, fields: &[(&str, Field<'_>)], audience: Audience) -> Option<String> {
        for (name, field) in fields {
            payload.text(",").json(name).text(":");
            match field {
                Field::Text(text) => payload.json(text),
                Field::Json(json) => payload.json(json),
                Field::Value(value) => payload.value(value),
                Field::Values(values) => {
                    payload.map(values.iter().map(|(name, value)| (name.as_str(), value)))
                }
                Field::Null => payload.text("null"),
            };
        }
        payload.text("}");
        let text = self.as_text.then(|| payload.to_text());
        if self.bus.has_listeners(audience) {
            self.bus.report(payload, audience);
        }
        text
    }
}

/// The names of the reports about a flow: beginning, end, output.
pub(crate) const fn flow_reports(kind: FlowKind) -> [&'static str; 3] {
    match kind {
        FlowKind::Flow => ["FlowStarted", "FlowFinished", "FlowOutput"],
        FlowKind::Subflow => ["SubflowBlockStarted", "SubflowBlockFinished", "SubflowBlockOutput"],
        FlowKind::Slotflow => ["SlotflowStarted", "SlotflowFinished", "SlotflowOutput"],
    }
}

/// `_error` of a report: what failed, from the outside inwards.
pub(crate) fn error_stack(lines: &[String]) -> Json {
    let mut map = Map::new();
    map.insert("message".to_owned(), lines.first().cloned().into());
    map.insert("stack".to_owned(), lines.into());
    Json::Object(map)
}
