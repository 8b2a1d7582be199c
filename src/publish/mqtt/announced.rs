//! What was announced on a connection that is gone: a broker that was restarted has lost it.

use crate::publish::message::{DeliveryClass, Message};
use std::collections::{BTreeMap, HashSet};

/// Topics that are remembered, at most; meters of the whole street are far fewer.
const MAX_TOPICS: usize = 20_000;

/// Latest payload of each announced topic.
#[derive(Default)]
pub(crate) struct Announced {
    accepted: BTreeMap<String, String>,
    /// Those that were refused, until they are tried again.
    refused: BTreeMap<String, String>,
}

impl Announced {
    /// Remembers `message` if it is an announcement.
    pub fn remember(&mut self, message: &Message) {
        let Message { topic, payload, .. } = message;
        if message.class != DeliveryClass::Announcement {
            return;
        }
        self.refused.remove(topic);
        if payload.is_empty() {
            // Deleted: nothing to be announced again.
            self.accepted.remove(topic);
        } else if self.accepted.len() < MAX_TOPICS || self.accepted.contains_key(topic) {
            self.accepted.insert(topic.clone(), payload.clone());
        }
    }

    /// Records that the broker refuses what was announced on `topic`: it is not repeated with every connection.
    pub fn refuse(&mut self, topic: &str) {
        if let Some((topic, payload)) = self.accepted.remove_entry(topic) {
            self.refused.insert(topic, payload);
        }
    }

    /// Returns true if anything is announced.
    pub fn is_any(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Returns true if something is announced on `topic`, or was refused there.
    pub fn contains(&self, topic: &str) -> bool {
        self.accepted.contains_key(topic) || self.refused.contains_key(topic)
    }

    /// Messages that announce everything again, except what is in the queue anyway; also what was refused, unless `is_blocked`.
    pub fn again(&mut self, queued: &HashSet<&str>, is_blocked: impl Fn(&Message) -> bool) -> Vec<Message> {
        for (topic, payload) in std::mem::take(&mut self.refused) {
            let is_blocked = is_blocked(&announcement(&topic, &payload));
            let again = if is_blocked {
                &mut self.refused
            } else {
                &mut self.accepted
            };
            again.insert(topic, payload);
        }
        let missing = self
            .accepted
            .iter()
            .filter(|(topic, _)| !queued.contains(topic.as_str()));
        missing
            .map(|(topic, payload)| announcement(topic, payload))
            .collect()
    }
}

fn announcement(topic: &str, payload: &str) -> Message {
    Message::retained(topic, payload, DeliveryClass::Announcement)
}
