//! Retained announcements of earlier processes: which are to be deleted, and when all are to be published again.

use crate::meter::Meters;
use crate::publish::message::topic_id;
use crate::publish::mqtt::{Reaction, Received, Subscriber};
use serde_json::Value;

/// Listens to Home Assistant's birth message and to everything announced under its prefix.
#[derive(Clone, Debug)]
pub struct DiscoveryCleanup {
    /// Topic of Home Assistant's birth message.
    birth_topic: String,
    /// Filters of announcements, also those of other programs.
    announcements: [String; 2],
    /// First levels of announcements of devices, as opposed to sensors.
    devices_prefix: String,
    /// Announce by device, not by sensor.
    is_by_device: bool,
    /// Topic of this publisher's `online` and `offline`, by which its announcements differ from those of another metertap.
    status_topic: String,
    /// Radio meters that may stay announced; `None`: all.
    meters: Option<Meters>,
}

impl DiscoveryCleanup {
    /// Watches the announcements under Home Assistant's `prefix`.
    pub fn new(prefix: &str, is_by_device: bool, status_topic: String, meters: Option<Meters>) -> Self {
        DiscoveryCleanup {
            birth_topic: format!("{prefix}/status"),
            announcements: [
                format!("{prefix}/device/+/config"),
                format!("{prefix}/+/+/+/config"),
            ],
            devices_prefix: format!("{prefix}/device/"),
            is_by_device,
            status_topic,
            meters,
        }
    }

    /// Returns true if an announcement is this publisher's, and is about a meter that has left the configuration or was
    /// made in the other form.
    fn is_stale(&self, topic: &str, payload: &[u8]) -> bool {
        let Ok(payload) = serde_json::from_slice::<Value>(payload) else {
            return false;
        };
        let mut availability = payload["availability"].as_array().into_iter().flatten();
        let is_own = payload["origin"]["name"] == "metertap"
            && (payload["state_topic"] == self.status_topic.as_str()
                || availability.any(|entry| entry["topic"] == self.status_topic.as_str()));
        if !is_own {
            return false;
        }
        if topic.starts_with(&self.devices_prefix) != self.is_by_device {
            return true;
        }
        let Some(id) = payload["device"]["serial_number"].as_str() else {
            return false;
        };
        // Wired meters need no section in the configuration: one that is not received may only be switched off.
        let object_id = topic.split('/').rev().find(|level| is_object_id(level, id));
        let kind = object_id.and_then(|level| level.rsplit('_').next());
        let is_radio = kind.is_some_and(|kind| kind.parse::<metertap_decode::ert::Kind>().is_ok());
        is_radio && self.meters.as_ref().is_some_and(|meters| !meters.contains(id))
    }
}

impl Subscriber for DiscoveryCleanup {
    fn topic_filters(&self) -> Vec<String> {
        let announcements = self.announcements.iter().cloned();
        announcements.chain([self.birth_topic.clone()]).collect()
    }

    fn receive(&self, message: &Received<'_>) -> Reaction {
        if message.topic == self.birth_topic {
            // Retained, it is about a start in the past.
            if message.payload == b"online" && !message.is_retained {
                tracing::info!("Home Assistant has started; announcing all meters again");
                return Reaction::AnnounceAgain;
            }
            return Reaction::Ignore;
        }
        match self.is_stale(message.topic, message.payload) {
            true => Reaction::Clear,
            false => Reaction::Ignore,
        }
    }
}

/// Returns true if a level of a topic is `metertap_<id>_<type>`.
fn is_object_id(level: &str, id: &str) -> bool {
    let prefix = format!("metertap_{}_", topic_id(id));
    level.strip_prefix(&prefix).is_some_and(|kind| !kind.is_empty())
}
