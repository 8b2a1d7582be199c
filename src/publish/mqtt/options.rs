//! Settings of a connection that come from its user, not from the configuration.

use crate::publish::message::BirthAndWill;
use crate::publish::mqtt::subscriber::Subscriber;
use crate::status::sink::SinkMetrics;
use std::sync::Arc;

/// Everything about a connection besides the broker.
pub struct MqttOptions {
    /// Name of the connection's task, such as `mqtt`.
    pub task: String,
    /// Messages tied to the life of a connection.
    pub birth_and_will: BirthAndWill,
    /// Receiver of messages of other clients.
    pub subscriber: Option<Box<dyn Subscriber>>,
    /// Mark readings that are sent again with `"resent":true`.
    pub marks_resent: bool,
    /// Counters and condition.
    pub metrics: Arc<SinkMetrics>,
}
