//! Listens to what the broker has retained of this installation, and to others that use its names.

use crate::publish::instance::Instance;
use crate::publish::mqtt::{Reaction, Received, Subscriber};
use crossbeam_channel::{Receiver, Sender, bounded};

/// Messages that wait for the publisher, at most: several for each meter of a whole street, for a tenth of a second.
const MAX_FOUND: usize = 50_000;

/// Message found at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Retain flag: the broker stored the message before this subscription.
    pub is_retained: bool,
}

/// Hands messages on to the publisher.
#[derive(Clone, Debug)]
pub struct RetainedListener {
    filters: Vec<String>,
    about_topic: String,
    /// First levels of Home Assistant's topics, if it is configured.
    discovery_prefix: Option<String>,
    found: Sender<Found>,
}

impl RetainedListener {
    /// Listens to the topics of an installation under the first levels `readings`, and to announcements under Home Assistant's
    /// `discovery_prefix`.
    pub fn new(
        instance: &Instance,
        readings: &str,
        discovery_prefix: Option<&str>,
    ) -> (Self, Receiver<Found>) {
        let (sender, receiver) = bounded(MAX_FOUND);
        let mut filters = instance.filters();
        if let Some(prefix) = discovery_prefix {
            filters.extend([
                format!("{prefix}/device/+/config"),
                format!("{prefix}/+/+/+/config"),
                format!("{prefix}/status"),
            ]);
        }
        // What it has left from before it had a name is taken over or deleted, unless somebody else is there.
        if !instance.name().is_empty() {
            let unnamed = Instance::new(readings, "");
            filters.extend(unnamed.filters());
            filters.push(unnamed.status_topic());
        }
        // The last one: what the broker has retained on the others precedes what is published on this one afterwards.
        filters.push(instance.about_topic());
        let listener = RetainedListener {
            filters,
            about_topic: instance.about_topic(),
            discovery_prefix: discovery_prefix.map(str::to_owned),
            found: sender,
        };
        (listener, receiver)
    }

    /// Returns what follows Home Assistant's prefix in `topic`.
    fn discovery<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let prefix = self.discovery_prefix.as_deref()?;
        topic.strip_prefix(prefix)?.strip_prefix('/')
    }
}

impl Subscriber for RetainedListener {
    fn topic_filters(&self) -> Vec<String> {
        self.filters.clone()
    }

    fn receive(&self, message: &Received<'_>) -> Reaction {
        if self.discovery(message.topic) == Some("status") {
            // Retained, it is about a start in the past.
            if message.payload == b"online" && !message.is_retained {
                tracing::info!("Home Assistant has started; announcing all meters again");
                return Reaction::AnnounceAgain;
            }
            return Reaction::Ignore;
        }
        let is_about = message.topic == self.about_topic;
        let is_discovery = self.discovery(message.topic).is_some();
        // Live messages are mostly our own. Announcements of other programs are no concern of ours.
        let is_wanted = match is_discovery {
            true => contains(message.payload, b"metertap"),
            false => is_about || message.is_retained,
        };
        if is_wanted && !message.payload.is_empty() {
            let found = Found {
                topic: message.topic.to_owned(),
                payload: message.payload.to_vec(),
                is_retained: message.is_retained,
            };
            if self.found.try_send(found).is_err() {
                tracing::debug!(topic = message.topic, "Retained message not looked at");
            }
        }
        Reaction::Ignore
    }
}

fn contains(payload: &[u8], part: &[u8]) -> bool {
    payload.windows(part.len()).any(|window| window == part)
}
