//! A message on its way.

/// A message to be published.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
    /// And what becomes of it.
    pub sort: Sort,
}

/// What becomes of a message while the broker is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// It is kept.
    Reading,
    /// It is said again over every new connection.
    Announcement,
    /// The next one says more.
    State,
}

impl Message {
    /// One that must not be lost.
    pub fn reading(topic: String, payload: String, retain: bool) -> Self {
        Message {
            topic,
            payload,
            retain,
            sort: Sort::Reading,
        }
    }

    /// One that the broker keeps.
    pub fn retained(topic: String, payload: String, sort: Sort) -> Self {
        Message {
            topic,
            payload,
            retain: true,
            sort,
        }
    }

    /// Whether it must not be lost.
    pub fn is_reading(&self) -> bool {
        self.sort == Sort::Reading
    }
}

/// A message that is not acknowledged yet.
pub(super) struct Waiting {
    /// What.
    pub message: Message,
    /// Its number on the disk, if it is there.
    pub key: Option<u64>,
}

/// An id as it stands in a topic: those of wired meters are whatever their makers wrote.
pub fn topic_id(id: &str) -> String {
    id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")
}
