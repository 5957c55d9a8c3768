//! Our own broker, joined to one that was there before.
//!
//! Reports go there, at QoS 1, and what user interfaces say to services comes from there.

use std::io;
use std::sync::mpsc::Sender;

use bytes::Bytes;

use super::broker::Broker;
use super::bus::{Audience, Bus, TooLarge};
use super::client::Client;
use crate::event::Event;
use crate::{Payload, Value};

/// The topic on which user interfaces speak to services.
pub(crate) const SERVICE_MESSAGE: &str = "/service/message";

/// Both brokers.
#[derive(Debug)]
pub struct Bridge {
    inner: Broker,
    outer: Client,
    /// Whether reports are wanted out there: nobody can ask that broker who listens.
    reporter: bool,
}

impl Bridge {
    /// Joins a new broker of our own to the one at `address`, where we go by `client_id`.
    ///
    /// # Errors
    /// When there is no broker, or it does not want us.
    pub fn start(address: &str, client_id: &str, reporter: bool, events: Sender<Event>) -> io::Result<Self> {
        let outer = Client::connect(address, client_id, &[SERVICE_MESSAGE], events.clone())?;
        Ok(Self { inner: Broker::start(events)?, outer, reporter })
    }
}

impl Bus for Bridge {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn publish(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        self.inner.publish(topic, payload)
    }

    fn answer(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        self.inner.answer(topic, payload)
    }

    fn report(&self, payload: Payload, audience: Audience) {
        if self.reporter && audience != Audience::Executors {
            self.outer.report(payload.clone(), audience);
        }
        self.inner.report(payload, audience);
    }

    fn has_listeners(&self, audience: Audience) -> bool {
        self.reporter || self.inner.has_listeners(audience)
    }

    fn has_subscriber(&self, topic: &str) -> bool {
        self.inner.has_subscriber(topic)
    }

    fn pass_on(&self, report: &Bytes) {
        if self.reporter {
            let mut payload = Payload::new();
            payload.value(&Value::from_bytes(report.clone()));
            self.outer.report(payload, Audience::People);
        }
    }

    fn close(&self) {
        self.inner.close();
        self.outer.close();
    }
}
