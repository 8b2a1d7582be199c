//! Messages that wait for their acknowledgement, as seen by the policies and by the spool.

use crate::publish::message::Message;
use crate::store::spool::Record;

/// Messages handed to a connection and not acknowledged, at most. The broker's limit is usually lower (20 for mosquitto);
/// it then takes them from rumqttc as it can.
pub(crate) const IN_FLIGHT: usize = 100;

/// Message that is not acknowledged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub message: Message,
    /// Key of its row in the spool, if it is there as well.
    pub key: Option<u64>,
}

/// Reason for which an MQTT 5 broker refuses a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub reason: String,
    /// True if the broker will refuse it for ever, false if it may accept it later.
    pub is_final: bool,
}

/// Fate of a message that has left the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub topic: String,
    /// `Err`: the broker will never accept it, and it is lost.
    pub result: Result<(), Refusal>,
}

/// Place in the queue as the spool sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Reading with a row in the spool.
    Spooled(u64),
    /// Reading that is only in memory.
    Unspooled(Record),
    /// Message that is not spooled.
    Other,
}

impl From<Message> for Record {
    fn from(message: Message) -> Self {
        Record {
            topic: message.topic,
            payload: message.payload,
            is_retained: message.is_retained,
        }
    }
}

impl From<Record> for Message {
    /// Only readings are spooled.
    fn from(record: Record) -> Self {
        Message::reading(record.topic, record.payload, record.is_retained)
    }
}
