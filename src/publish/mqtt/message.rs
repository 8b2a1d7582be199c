//! A message on its way.

/// A message to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
    /// And what becomes of it.
    pub sort: DeliveryClass,
}

/// What becomes of a message while the broker is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryClass {
    /// It is kept.
    Reading,
    /// It is said again over every new connection.
    Announcement,
    /// The next one says more.
    State,
}

impl Message {
    /// One that must not be lost.
    pub fn reading(topic: impl Into<String>, payload: impl Into<String>, retain: bool) -> Self {
        Message {
            topic: topic.into(),
            payload: payload.into(),
            retain,
            sort: DeliveryClass::Reading,
        }
    }

    /// One that the broker keeps.
    pub fn retained(topic: impl Into<String>, payload: impl Into<String>, sort: DeliveryClass) -> Self {
        Message {
            topic: topic.into(),
            payload: payload.into(),
            retain: true,
            sort,
        }
    }

    /// Whether it must not be lost.
    pub fn is_reading(&self) -> bool {
        self.sort == DeliveryClass::Reading
    }

    /// Says in a JSON object that it is sent again, and may have come before. Other payloads are left as they are.
    pub fn mark_resent(&mut self) {
        const MARK: &str = ",\"resent\":true}";
        let is_object = self.payload.starts_with("{\"") && self.payload.ends_with('}');
        if self.is_reading() && is_object && !self.payload.ends_with(MARK) {
            self.payload.truncate(self.payload.len() - 1);
            self.payload.push_str(MARK);
        }
    }
}

/// What is said of ourselves over a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BirthAndWill {
    /// What the broker says when we are gone without a word.
    pub will: Option<Message>,
    /// Before everything else.
    pub hello: Option<Message>,
    /// Once all announcements are out.
    pub ready: Option<Message>,
    /// At a clean end, when the will is not published.
    pub goodbye: Option<Message>,
}

impl BirthAndWill {
    /// `online` and `offline`, retained.
    pub fn usual(topic: &str) -> Self {
        let status = |status: &str| Some(Message::retained(topic, status, DeliveryClass::State));
        BirthAndWill {
            will: status("offline"),
            hello: status("online"),
            ready: None,
            goodbye: status("offline"),
        }
    }
}

/// A message that is not acknowledged yet.
pub(crate) struct Waiting {
    /// What.
    pub message: Message,
    /// Its number on the disk, if it is there.
    pub key: Option<u64>,
}

/// Whether something may be a topic, or the beginning of one.
pub fn is_topic(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#']) && !text.ends_with('/')
}

/// An id as it stands in a topic: those of wired meters are whatever their makers wrote.
pub fn topic_id(id: &str) -> String {
    id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_object_that_is_sent_again_then_it_says_so_once() {
        let mut message = Message::reading("t", r#"{"a":1}"#, false);
        message.mark_resent();
        message.mark_resent();
        assert_eq!(message.payload, r#"{"a":1,"resent":true}"#);
        let mut array = Message::reading("t", "[1]", false);
        array.mark_resent();
        assert_eq!(array.payload, "[1]");
    }
}
