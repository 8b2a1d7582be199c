//! Takeover from earlier processes: what the broker has retained of them is continued, migrated or deleted.

use crate::publish::homeassistant::announcer::{Announcer, Changes, MIGRATION, Phase, UNKNOWN_SILENCE};
use crate::publish::homeassistant::config::Discovery;
use crate::publish::homeassistant::device::MeterDevice;
use crate::publish::homeassistant::found::{FoundAnnouncement, Owner};
use crate::publish::homeassistant::state::{RADIO, Restored};
use crate::publish::message::{DeliveryClass, Message, topic_id};
use std::time::{Duration, Instant};

/// Foreign announcements of our meters that are logged, at most.
const MAX_CONFLICTS: usize = 100;
/// Silence in intervals after which a meter of an earlier process is offline, and its lower bound; as `meter::availability` learns it.
const SILENT_INTERVALS: u32 = 20;
const LEAST_SILENCE: Duration = Duration::from_secs(3600);

impl Announcer {
    /// Takes a retained state of a meter, by its id as in topics.
    pub fn found_state(&mut self, key: &str, payload: &[u8]) {
        if let (Phase::Searching, Some(restored)) = (self.phase, Restored::parse(payload)) {
            self.states.insert(key.to_owned(), restored);
        }
    }

    /// Takes the retained status of the installation without a name.
    pub fn found_unnamed(&mut self, is_online: bool) {
        self.is_unnamed_online = is_online;
    }

    /// Takes an announcement of any metertap. One that another installation makes of a meter of this one is logged.
    pub fn found_announcement(&mut self, topic: &str, payload: &[u8], is_retained: bool) {
        let Some(found) =
            FoundAnnouncement::parse(&self.config.prefix, &self.instance, &self.unnamed, topic, payload)
        else {
            return;
        };
        match (&found.owner, &found.meter) {
            (Owner::Other(status), Some(meter)) if !is_retained => {
                let key = topic_id(meter);
                let is_ours = self.devices.get(&key).is_some_and(|device| device.is_heard);
                if is_ours && self.conflicts.len() < MAX_CONFLICTS && self.conflicts.insert(key) {
                    tracing::warn!(
                        meter,
                        status,
                        "Another metertap announces this meter, too; leave it to one of them: `publish = \"listed\"` and [[meter]]"
                    );
                }
            }
            (Owner::Other(_), _) => {}
            _ if is_retained && self.phase == Phase::Searching => self.announcements.push(found),
            _ => {}
        }
    }

    /// Everything that the broker has retained was found: removes what is no longer part of this home, and begins to publish.
    pub fn settle(&mut self, now: Instant) -> Changes {
        let mut outcome = Changes::default();
        if self.phase != Phase::Searching {
            return outcome;
        }
        let stale = |topic: &str| {
            tracing::info!(topic, "Stale announcement deleted");
            Message::retained(topic, "", DeliveryClass::State)
        };
        let is_off = self.config.discovery == Discovery::Off;
        for (key, restored) in std::mem::take(&mut self.states) {
            let is_wanted = self
                .home
                .has_source(&key, &restored.source, self.config.unknown_meters);
            if is_off || !is_wanted {
                let topic = self.instance.meter_topic(&key);
                outcome
                    .messages
                    .push(Message::retained(topic, "", DeliveryClass::State));
                if !is_wanted {
                    outcome.gone.push(key);
                }
                continue;
            }
            let id = self.home.meter(&key).unwrap_or(&key).to_owned();
            let device = self
                .devices
                .entry(key)
                .or_insert_with(|| MeterDevice::new(&id, String::new(), restored.source.clone()));
            if !device.is_heard {
                let learned = restored
                    .interval
                    .map(|interval| (interval * SILENT_INTERVALS).max(LEAST_SILENCE));
                outcome.expected.push((id, learned.unwrap_or(UNKNOWN_SILENCE)));
            }
            device.state.restore(restored);
        }
        let mut is_migrating = false;
        for found in std::mem::take(&mut self.announcements) {
            let is_ours = found.owner == Owner::Ours;
            let Some(meter) = found.meter.clone() else {
                self.found_daemon(&found, &mut outcome.messages, &mut is_migrating);
                continue;
            };
            let key = topic_id(&meter);
            let is_gone = outcome.gone.contains(&key)
                || (found.is_radio() && !self.home.has_source(&key, RADIO, self.config.unknown_meters));
            if is_off || is_gone {
                // One of before there were names may be another installation's.
                if is_ours {
                    outcome.messages.push(stale(&found.topic));
                }
                if is_gone && is_ours && !outcome.gone.contains(&key) {
                    outcome.gone.push(key);
                }
                continue;
            }
            if !is_ours && self.is_unnamed_online {
                continue;
            }
            let is_second = self
                .known
                .get(&key)
                .is_some_and(|other| other.object_id != found.object_id);
            if is_second || found.is_by_device != (self.config.discovery == Discovery::Device) {
                is_migrating = true;
                outcome.messages.extend(migrated(&found.topic));
            }
            if let Some(device) = self.devices.get_mut(&key) {
                if !is_second {
                    device.object_id.clone_from(&found.object_id);
                }
                if is_ours || device.is_heard {
                    device.restore(&found.description, &found.components);
                }
            }
            let known = self.known.entry(key).or_insert_with(|| found.clone());
            if known.topic != found.topic {
                known.components.extend(found.components);
            }
        }
        // A state without an announcement: its meter is announced when it is received.
        self.configure();
        self.phase = match is_migrating {
            true => Phase::Migrating(now + MIGRATION),
            false => Phase::Settled,
        };
        if !is_migrating {
            outcome.messages.extend(self.everything(now));
        }
        outcome
    }

    /// The daemon's device of an earlier process, by whose ids its entities stay known.
    fn found_daemon(
        &mut self,
        found: &FoundAnnouncement,
        messages: &mut Vec<Message>,
        is_migrating: &mut bool,
    ) {
        let is_adopted = match found.owner {
            Owner::Ours => true,
            Owner::Unnamed => !self.is_unnamed_online,
            Owner::Other(_) => false,
        };
        if !is_adopted {
            return;
        }
        if self.config.discovery == Discovery::Off {
            messages.push(Message::retained(found.topic.clone(), "", DeliveryClass::State));
            return;
        }
        if found.is_by_device != (self.config.discovery == Discovery::Device) {
            *is_migrating = true;
            messages.extend(migrated(&found.topic));
        }
        self.daemon.take_over(found, &self.home.receivers);
    }
}

/// Messages that make Home Assistant unload the entities of an announcement, keep what the user has changed about them, and expect
/// them under another topic.
fn migrated(topic: &str) -> [Message; 2] {
    let migrate = Message {
        topic: topic.to_owned(),
        payload: r#"{"migrate_discovery":true}"#.to_owned(),
        is_retained: false,
        class: DeliveryClass::State,
    };
    [migrate, Message::retained(topic, "", DeliveryClass::State)]
}
