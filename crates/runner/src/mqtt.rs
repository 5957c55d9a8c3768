//! Messages to executors: MQTT 3.1.1, as far as executors use it.
//!
//! * [`packet`] reads and writes packets and owns no connection.
//! * [`Broker`] is the one that every run has of its own, on a loopback port that nobody else knows.
//! * [`Bridge`] joins it to a broker that was there before, such as mosquitto, for those who listen there.
//!
//! Both are a [`Bus`] to the engine. Executors are always clients of our own broker: only that one can deliver what the published
//! Python executor must hear but does not always ask for, and only there it is seen when an executor really is ready.

mod bridge;
mod broker;
mod bus;
mod client;
mod connection;
pub mod packet;

pub use bridge::Bridge;
pub(crate) use bridge::SERVICE_MESSAGE;
pub use broker::Broker;
pub use bus::{Audience, Bus, BusEvent, TooLarge};
