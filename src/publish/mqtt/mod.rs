//! MQTT client: every reading is kept until the broker has acknowledged it.
//!
//! ```text
//!   publisher ─▶ journal, inbox ─▶ spool thread ─▶ connection task ─▶ rumqttc ─▶ broker
//!   (client)     (inbox)           (backlog)       (delivery)         (session)
//! ```

mod address;
mod announced;
mod backlog;
mod birth;
mod broker;
mod check;
mod client;
mod client_id;
mod connection;
mod delivery;
mod feed;
mod inbox;
mod link;
#[cfg(test)]
mod model;
mod options;
mod outcome;
mod quarantine;
mod queues;
mod session;
mod session_error;
mod spool_thread;
mod subscriber;
mod takeover;
mod tls;
mod waiting;

pub use address::BrokerAddress;
pub(crate) use address::one_or_several;
pub use broker::{BrokerConfig, Login, SpoolConfig, Version};
pub use check::check;
pub use client::Mqtt;
pub(crate) use client_id::installation_id;
pub use feed::{messages, subscribe};
pub use options::MqttOptions;
pub use outcome::{HURRIED, Outcome};
pub use subscriber::{Reaction, Received, Subscriber};
pub use tls::TlsConfig;
pub(crate) use tls::problem as tls_problem;
