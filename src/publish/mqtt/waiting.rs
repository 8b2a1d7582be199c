//! Messages that wait for their acknowledgement, as seen by the policies.

use crate::publish::message::Message;
use crate::store::record::Record;

/// Messages handed to a connection and not acknowledged, at most. The broker's limit is usually lower (20 for mosquitto);
/// it then takes them from rumqttc as it can.
pub(crate) const IN_FLIGHT: usize = 100;

/// Reason for refusing a message at which the connection was closed.
pub(crate) const HUNG_UP: &str = "the broker closes the connection at it: not allowed, or too large";

/// Reading that is not acknowledged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub message: Message,
    /// Key in the backlog; `None` without a spool.
    pub key: Option<u64>,
    /// An earlier process may have published it.
    pub may_have_arrived: bool,
}

/// Reason for which a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub reason: String,
    /// True if the broker will refuse it for ever, false if it may accept it later.
    pub is_final: bool,
}

/// Fate of a message that has left the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Key in the backlog.
    pub key: Option<u64>,
    pub is_reading: bool,
    pub topic: String,
    /// Length of the payload.
    pub bytes: usize,
    /// `Err`: the broker does not accept it; a reading is lost.
    pub result: Result<(), Refusal>,
}

impl From<Record> for Message {
    /// Only readings are spooled.
    fn from(record: Record) -> Self {
        Message::reading(record.topic, record.payload, record.is_retained)
    }
}
