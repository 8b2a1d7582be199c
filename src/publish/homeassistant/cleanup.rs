//! What the broker keeps of earlier announcements, and when Home Assistant wants to be told again.

use crate::meter::Meters;
use crate::publish::mqtt::topic_id;
use serde_json::Value;

/// What is looked for on the broker.
#[derive(Clone, Debug)]
pub struct DiscoveryCleanup {
    /// Home Assistant says here that it has started: it wants to be told all again.
    pub birth: String,
    /// All announcements, other programs' as well.
    pub announced: [String; 2],
    pub(crate) of_devices: String,
    pub(crate) is_by_device: bool,
    pub(crate) status: String,
    /// Of which meters of the radio may be announced; nothing: of all.
    pub(crate) home: Option<Meters>,
}

impl DiscoveryCleanup {
    /// Whether a retained announcement is ours, and of a meter that has left the configuration, or made in the other
    /// of the two ways.
    pub fn is_stale(&self, topic: &str, payload: &[u8]) -> bool {
        let Ok(payload) = serde_json::from_slice::<Value>(payload) else {
            return false;
        };
        let named = payload["availability"].as_array().into_iter().flatten();
        let is_ours = payload["origin"]["name"] == "metertap"
            && (payload["state_topic"] == self.status.as_str()
                || named.into_iter().any(|one| one["topic"] == self.status.as_str()));
        if !is_ours {
            return false;
        }
        if topic.starts_with(&self.of_devices) != self.is_by_device {
            return true;
        }
        let Some(id) = payload["device"]["serial_number"].as_str() else {
            return false;
        };
        // Meters of a wire are ours by themselves; who is not heard may only be asleep.
        let object_id = topic
            .split('/')
            .rev()
            .find(|part| part.starts_with("metertap_") && topic_ends_id(part, id));
        let kind = object_id.and_then(|part| part.rsplit('_').next());
        let is_of_the_radio = kind.is_some_and(|kind| kind.parse::<metertap_decode::ert::Kind>().is_ok());
        is_of_the_radio && self.home.as_ref().is_some_and(|home| !home.contains(id))
    }
}

/// Whether a part of a topic is `metertap_<id>_<type>`.
fn topic_ends_id(part: &str, id: &str) -> bool {
    let begin = format!("metertap_{}_", topic_id(id));
    part.strip_prefix(&begin).is_some_and(|kind| !kind.is_empty())
}
