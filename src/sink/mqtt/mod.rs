//! MQTT: readings to a broker, at least once.

mod check;
mod client;
mod connection;
mod message;
mod settings;
mod shelf;
mod spool;

pub use check::check;
pub use client::{Mqtt, Outcome};
pub use message::topic_id;
pub use settings::Settings;
