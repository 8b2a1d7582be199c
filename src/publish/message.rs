//! MQTT messages before they are sent: topic, payload, retain flag, and how much depends on their delivery.

/// Message to be published with QoS 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: String,
    /// Retain flag: the broker stores the message for later subscribers.
    pub is_retained: bool,
    /// Fate of the message while the broker is away.
    pub class: DeliveryClass,
}

/// Fate of a message while the broker is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryClass {
    /// Must arrive: kept in memory or in the spool until the broker has acknowledged it.
    Reading,
    /// Published again, with its latest payload, after every reconnection. Not spooled.
    Announcement,
    /// Superseded by the next one of its topic. Not spooled.
    State,
}

impl Message {
    /// Returns a message that must not be lost.
    pub fn reading(topic: impl Into<String>, payload: impl Into<String>, is_retained: bool) -> Self {
        Message {
            topic: topic.into(),
            payload: payload.into(),
            is_retained,
            class: DeliveryClass::Reading,
        }
    }

    /// Returns a retained message.
    pub fn retained(topic: impl Into<String>, payload: impl Into<String>, class: DeliveryClass) -> Self {
        Message {
            topic: topic.into(),
            payload: payload.into(),
            is_retained: true,
            class,
        }
    }

    /// Returns true if the message must not be lost.
    pub fn is_reading(&self) -> bool {
        self.class == DeliveryClass::Reading
    }

    /// Adds `"resent":true` to a reading that is a JSON object: subscribers may have received it before. Other payloads
    /// have no place for the mark and stay as they are.
    pub fn mark_resent(&mut self) {
        const MARK: &str = ",\"resent\":true}";
        let is_object = self.payload.starts_with("{\"") && self.payload.ends_with('}');
        if self.is_reading() && is_object && !self.payload.ends_with(MARK) {
            self.payload.truncate(self.payload.len() - 1);
            self.payload.push_str(MARK);
        }
    }
}

/// Messages about the publisher itself, tied to the life of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BirthAndWill {
    /// Last will: published by the broker when the connection breaks.
    pub will: Option<Message>,
    /// Birth message: published first on every connection.
    pub birth: Option<Message>,
    /// Published on a reconnection once all announcements are out.
    pub ready: Option<Message>,
    /// Published before a clean disconnect, when the broker discards the will.
    pub goodbye: Option<Message>,
}

impl BirthAndWill {
    /// `online` at birth, `offline` as will and goodbye; retained on `topic`.
    pub fn online_offline(topic: &str) -> Self {
        let status = |status: &str| Some(Message::retained(topic, status, DeliveryClass::State));
        BirthAndWill {
            will: status("offline"),
            birth: status("online"),
            ready: None,
            goodbye: status("offline"),
        }
    }
}

/// Returns true if `text` is a topic, or a prefix of topics: not empty, no wildcard, no slash at the end.
pub fn is_topic(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#']) && !text.ends_with('/')
}

/// Turns a meter id into a topic level: every character but ASCII letters, digits and `-` becomes `_`. Wired meters send
/// ids of arbitrary text.
pub fn topic_id(id: &str) -> String {
    id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_reading_that_is_sent_again_then_an_object_is_marked_once_and_an_array_never() {
        let mut message = Message::reading("t", r#"{"a":1}"#, false);
        message.mark_resent();
        message.mark_resent();
        assert_eq!(message.payload, r#"{"a":1,"resent":true}"#);
        let mut array = Message::reading("t", "[1]", false);
        array.mark_resent();
        assert_eq!(array.payload, "[1]");
    }
}
