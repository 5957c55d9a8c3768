//! What the engine needs of a broker.

use bytes::Bytes;

use crate::Payload;

/// Something that happened on the bus.
#[derive(Debug, Clone)]
pub enum BusEvent {
    /// A message came.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Bytes,
    },
    /// A client wants messages of a topic.
    Subscribed {
        /// The client's id.
        client: String,
        /// The topic.
        topic: String,
    },
    /// A client wants them no longer.
    Unsubscribed {
        /// The topic.
        topic: String,
    },
    /// A client is gone.
    Gone {
        /// The client's id.
        client: String,
    },
    /// The broker is gone.
    Lost {
        /// Why, as far as that is known.
        why: String,
    },
}

/// Who is to hear a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// User interfaces.
    People,
    /// Executors, because user interfaces have heard it already.
    Executors,
    /// Executors too: they listen for the end of the session and for the blocks that their blocks have started.
    Everyone,
}

/// A message that MQTT cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message of {size} bytes is larger than MQTT can carry ({} bytes)",
    crate::mqtt::packet::MAX_LENGTH
)]
pub struct TooLarge {
    /// Its size in bytes.
    pub size: usize,
}

/// A broker, as the engine sees it.
pub trait Bus: Send {
    /// Where executors find it, as `host:port`.
    fn address(&self) -> String;

    /// Sends a message to all who want those of the topic.
    ///
    /// # Errors
    /// When it is too large.
    fn publish(&self, topic: &str, payload: Payload) -> Result<(), TooLarge>;

    /// Sends an answer to one who may not have asked for messages of the topic yet: it is kept until then.
    ///
    /// # Errors
    /// When it is too large.
    fn answer(&self, topic: &str, payload: Payload) -> Result<(), TooLarge>;

    /// Sends a report. It may be dropped where nobody listens, or somebody listens slowly.
    fn report(&self, payload: Payload, audience: Audience);

    /// Whether a report for `audience` would reach anybody.
    fn has_listeners(&self, audience: Audience) -> bool;

    /// Whether any client has asked for messages of a topic.
    fn has_subscriber(&self, topic: &str) -> bool;

    /// Gives a report of an executor to user interfaces that are not its clients.
    fn pass_on(&self, report: &Bytes);

    /// Sends what is still to be sent, and ends.
    fn close(&self);
}
