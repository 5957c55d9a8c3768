//! Shows what a transfer of images tells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use image::events::{Event, Events, Outcome};
use indicatif::HumanBytes;
use serde_json::json;

use super::Shown;

/// The events of transfers, shown in the form of the program's others.
pub(crate) struct Transfer {
    shown: Arc<Shown>,
    /// None where how far it is is shown in another way.
    counts: Option<Mutex<Counts>>,
}

struct Counts {
    blobs: usize,
    done: usize,
    bytes: u64,
    received: i64,
    sent: i64,
    /// Bytes that did not have to be sent.
    spared: u64,
    last: Instant,
}

impl Transfer {
    pub(crate) fn new(shown: Arc<Shown>) -> Self {
        let last = Instant::now();
        let counts = Counts { blobs: 0, done: 0, bytes: 0, received: 0, sent: 0, spared: 0, last };
        Self { shown, counts: Some(Mutex::new(counts)) }
    }

    /// Shows what is tried again and nothing else.
    pub(crate) fn troubles(shown: Arc<Shown>) -> Self {
        Self { shown, counts: None }
    }
}

impl Events for Transfer {
    fn event(&self, event: &Event<'_>) {
        if let Event::Retrying { what, failure } = event {
            let json = json!({"event": "retrying", "what": what, "failure": failure});
            self.shown.tell(&format!("trying again with {what}: {failure}"), &json);
            return;
        }
        let Some(counts) = &self.counts else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Planned { blobs, bytes } => {
                counts.blobs += blobs;
                counts.bytes += bytes;
            }
            Event::Received { bytes } => counts.received += bytes,
            Event::Sent { bytes } => counts.sent += bytes,
            Event::Finished { blob, outcome } => {
                counts.done += 1;
                if *outcome != Outcome::Sent {
                    counts.spared += blob.size;
                }
            }
            _ => return,
        }
        counts.show(&self.shown);
    }
}

impl Counts {
    fn show(&mut self, shown: &Shown) {
        let (received, sent) = (self.received.max(0).cast_unsigned(), self.sent.max(0).cast_unsigned());
        // What comes from a registry is in the cache, whole, before it goes on.
        let (words, moved) = if received > sent { ("fetched", received) } else { ("stored", sent) };
        let moved = (moved + self.spared).min(self.bytes);
        let text = format!(
            "{words} {} of {}, {}/{} contents are there",
            HumanBytes(moved),
            HumanBytes(self.bytes),
            self.done,
            self.blobs
        );
        let json = json!({
            "event": "transferred",
            "contents": self.done,
            "total_contents": self.blobs,
            "received_bytes": received,
            "sent_bytes": sent,
            "total_bytes": self.bytes,
        });
        shown.share(&text, (moved, self.bytes), &json, &mut self.last);
    }
}
