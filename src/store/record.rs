//! Readings as they are kept on disk: topic, payload and retain flag.

/// A message on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// MQTT topic.
    pub topic: String,
    /// MQTT payload.
    pub payload: String,
    /// MQTT retain flag.
    pub is_retained: bool,
}
