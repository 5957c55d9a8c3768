//! Messages to executors: MQTT 3.1.1, as far as executors use it.
//!
//! * [`packet`] reads and writes packets and owns no connection.
//! * [`Broker`] is the one that every run has of its own, on a loopback port that nobody else knows.
//! * [`Client`] speaks to a broker that was there before.
//!
//! Both brokers are a [`Bus`] to the engine.

mod broker;
mod bus;
mod client;
mod connection;
pub mod packet;

pub use broker::Broker;
pub use bus::{Audience, Bus, BusEvent, TooLarge};
pub use client::Client;
