//! MQTT: readings to a broker, at least once.

mod check;
mod client;
mod settings;

pub use check::check;
pub use client::{Mqtt, Outcome, topic_id};
pub use settings::Settings;
