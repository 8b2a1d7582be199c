//! MQTT: each reading is with us until the broker has acknowledged it.

mod address;
mod check;
mod client;
mod config;
mod connection;
pub mod message;
mod session;

mod spool_queue;
mod tls;

pub use address::BrokerAddress;
pub use check::check;
pub use client::{HURRIED, Mqtt, Outcome};
pub use config::{MqttConfig, Retain};
pub use message::{BirthAndWill, DeliveryClass, Message, is_topic, topic_id};
