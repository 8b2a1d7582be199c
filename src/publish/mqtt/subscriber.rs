//! Messages that other clients publish and the connection listens to.

/// Receiver of messages of other clients. Implementations see every message of their topics, also the retained ones that
/// the broker sends after each subscription.
pub trait Subscriber: Send + Sync {
    /// Topic filters to subscribe to on every connection.
    fn topic_filters(&self) -> Vec<String>;

    /// Judges a message.
    fn receive(&self, message: &Received) -> Reaction;
}

/// Message of another client, or one of ours that the broker has retained.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Retain flag: the broker stored the message before this subscription.
    pub is_retained: bool,
}

/// Action that a received message calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Do nothing.
    Ignore,
    /// Publish all announcements again.
    AnnounceAgain,
    /// Delete the retained message from the broker, unless this process has announced its topic.
    Clear,
}
