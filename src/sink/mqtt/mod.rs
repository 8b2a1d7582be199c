//! MQTT: readings to a broker, at least once.

mod client;
mod settings;

pub use client::{Mqtt, Outcome};
pub use settings::Settings;
