//! MQTT: each reading is with us until the broker has acknowledged it.

mod address;
mod check;
mod client;
mod connection;
mod message;
mod session;
mod settings;
mod shelf;
mod spool;
mod tls;

pub use address::BrokerAddress;
pub use check::check;
pub use client::{HURRIED, Mqtt, Outcome};
pub use message::{Message, Presence, Sort, is_topic, topic_id};
pub use settings::{Retain, Settings};
