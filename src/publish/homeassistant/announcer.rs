//! Announcer: which devices Home Assistant knows, when their announcements and states are published, and which are removed.
//!
//! Nothing is published until the broker has sent what earlier processes left there ([`Announcer::settle`]): only then is it known
//! which ids are in use, and which values came before.

use crate::meter::Meters;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::config::{Discovery, HomeAssistantConfig};
use crate::publish::homeassistant::device::{Announcement, Common, MeterDevice, shared};
use crate::publish::homeassistant::found::{FoundAnnouncement, Owner};
use crate::publish::homeassistant::state::{RADIO, Restored, WIRE, source_of};
use crate::publish::instance::Instance;
use crate::publish::message::{DeliveryClass, Message, topic_id};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Meters that are announced although they are not in the configuration, at most.
pub const MAX_UNKNOWN: usize = 200;
/// Time for Home Assistant to unload entities before they are announced in another form.
const MIGRATION: Duration = Duration::from_secs(2);
/// Foreign announcements of our meters that are logged, at most.
const MAX_CONFLICTS: usize = 100;
/// Silence after which a meter of an earlier process is offline, if its interval is not known.
pub const UNKNOWN_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// The same in intervals, and its lower bound; as `meter::availability` learns it.
const SILENT_INTERVALS: u32 = 20;
const LEAST_SILENCE: Duration = Duration::from_secs(3600);

/// Part of the configuration that says what belongs to this installation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Home {
    /// Configured meters.
    pub meters: Meters,
    /// Readings of radio meters that are not in the configuration are published, too.
    pub publishes_all: bool,
    /// Names of all receivers and ports.
    pub names: BTreeSet<String>,
    /// Names of those that are announced: not recordings, which end.
    pub receivers: BTreeSet<String>,
    /// Names of the ports.
    pub ports: BTreeSet<String>,
}

impl Home {
    /// Configured meter by its id as in topics.
    pub fn meter(&self, key: &str) -> Option<&str> {
        self.meters
            .iter()
            .map(|(id, _)| id)
            .find(|id| topic_id(id) == key)
    }

    /// Returns whether readings of a meter come from `source` or, by radio, at all.
    pub fn has_source(&self, key: &str, source: &str, has_unknown: bool) -> bool {
        match source {
            RADIO => self.meter(key).is_some() || (self.publishes_all && has_unknown),
            wire => wire
                .strip_prefix(WIRE)
                .is_some_and(|port| self.ports.contains(port)),
        }
    }
}

/// Makes announcements and states of meters.
pub struct Announcer {
    config: HomeAssistantConfig,
    instance: Instance,
    /// This installation before it had a name.
    unnamed: Instance,
    /// Address of metertap's page.
    page: Option<String>,
    home: Home,
    daemon_id: String,
    daemon: Announcement,
    /// By id as in topics.
    devices: BTreeMap<String, MeterDevice>,
    phase: Phase,
    announcements: Vec<FoundAnnouncement>,
    states: BTreeMap<String, Restored>,
    /// Announcements of meters that were not received yet, by id as in topics.
    known: BTreeMap<String, FoundAnnouncement>,
    /// Another installation is at work under the names that were everybody's.
    is_unnamed_online: bool,
    unannounced: BTreeSet<String>,
    conflicts: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The broker has not sent everything.
    Searching,
    /// Entities are being unloaded.
    Migrating(Instant),
    Settled,
}

/// Consequences of what was found or has changed.
#[derive(Default)]
pub struct Changes {
    /// Messages to be published.
    pub messages: Vec<Message>,
    /// Ids, as in topics, of meters that are gone.
    pub gone: Vec<String>,
    /// Meters of an earlier process that are expected to be received, with the silence after which they are offline.
    pub expected: Vec<(String, Duration)>,
}

impl Announcer {
    /// Creates an announcer for the topics of the `[mqtt]` section. `page`: address of metertap's page.
    pub fn new(config: HomeAssistantConfig, mqtt: &MqttConfig, page: Option<String>, home: Home) -> Self {
        let instance = mqtt.instance();
        Announcer {
            unnamed: Instance::new(&mqtt.readings, ""),
            page: config.configuration_url.clone().or(page),
            config,
            home,
            daemon_id: daemon_id(&instance),
            instance,
            daemon: Announcement::default(),
            devices: BTreeMap::new(),
            phase: Phase::Searching,
            announcements: Vec::new(),
            states: BTreeMap::new(),
            known: BTreeMap::new(),
            is_unnamed_online: false,
            unannounced: BTreeSet::new(),
            conflicts: BTreeSet::new(),
        }
    }

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
            outcome.messages.extend(self.everything());
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
        self.daemon_id.clone_from(&found.object_id);
        let wanted: BTreeSet<String> = self.daemon_unique_ids().into_values().collect();
        for (unique_id, component) in &found.components {
            if !wanted.contains(unique_id) {
                self.daemon.add(unique_id, component.clone());
                self.daemon.remove(unique_id);
            }
        }
    }

    /// Takes a reading, and returns what is to be published of it.
    pub fn reading(&mut self, event: &ReadingEvent, now: Instant) -> Vec<Message> {
        let is_wanted = event.is_own_meter() || self.config.unknown_meters;
        let is_off = self.config.discovery == Discovery::Off;
        if is_off || !is_wanted || matches!(event.origin, Origin::Interval(_)) {
            return Vec::new();
        }
        let key = topic_id(&event.id);
        let is_new = self.devices.get(&key).is_none_or(|device| !device.is_heard);
        if is_new && !event.is_own_meter() {
            let unknown = self.devices.values().filter(|device| !device.is_own).count();
            if unknown >= MAX_UNKNOWN {
                if self.unannounced.is_empty() {
                    tracing::warn!(
                        limit = MAX_UNKNOWN,
                        "Too many meters of neighbors; Home Assistant is not told of the rest"
                    );
                }
                if self.unannounced.len() < MAX_UNKNOWN {
                    self.unannounced.insert(key);
                }
                return Vec::new();
            }
        }
        let known = self.known.remove(&key);
        let device = self.devices.entry(key.clone()).or_insert_with(|| {
            let object_id = known.as_ref().map(|known| known.object_id.clone());
            let object_id = object_id.unwrap_or_else(|| format!("metertap_{key}_{}", event.kind));
            MeterDevice::new(&event.id, object_id, source_of(event))
        });
        if known.is_none() && !device.is_described() {
            device.object_id = format!("metertap_{key}_{}", event.kind);
        }
        device.update(event, now);
        if let Some(known) = known {
            device.restore(&known.description, &known.components);
        }
        match self.phase {
            Phase::Settled => self.publish(&key),
            Phase::Searching | Phase::Migrating(_) => Vec::new(),
        }
    }

    /// Changes the configuration; returns what is to be published, and the meters that are gone.
    pub fn change(&mut self, home: Home) -> Changes {
        self.home = home;
        let mut outcome = Changes::default();
        let has_unknown = self.config.unknown_meters;
        let is_gone =
            |key: &str, device: &MeterDevice| !self.home.has_source(key, device.state.source(), has_unknown);
        let gone = self.devices.iter().filter(|(key, device)| is_gone(key, device));
        let gone: Vec<String> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            tracing::info!(
                meter = key,
                "A meter has left the configuration; Home Assistant forgets it"
            );
            if let Some(mut device) = self.devices.remove(&key) {
                outcome.messages.extend(device.clear());
                let topic = self.instance.meter_topic(&key);
                outcome
                    .messages
                    .push(Message::retained(topic, "", DeliveryClass::Announcement));
            }
            outcome.gone.push(key);
        }
        self.configure();
        if self.phase == Phase::Settled {
            outcome.messages.extend(self.everything());
        }
        outcome
    }

    /// Returns what is due by time.
    pub fn tick(&mut self, now: Instant) -> Vec<Message> {
        match self.phase {
            Phase::Searching => Vec::new(),
            Phase::Migrating(until) if now < until => Vec::new(),
            Phase::Migrating(_) => {
                self.phase = Phase::Settled;
                self.everything()
            }
            Phase::Settled => {
                let devices = self.devices.iter_mut();
                let expired =
                    devices.filter_map(|(key, device)| device.state.expire(now).then(|| key.clone()));
                let expired: Vec<String> = expired.collect();
                expired.iter().filter_map(|key| self.state_message(key)).collect()
            }
        }
    }

    /// Returns what waits for entities to be unloaded: the process ends.
    pub fn hurry(&mut self) -> Vec<Message> {
        if !matches!(self.phase, Phase::Migrating(_)) {
            return Vec::new();
        }
        self.phase = Phase::Settled;
        self.everything()
    }

    fn configure(&mut self) {
        for device in self.devices.values_mut() {
            device.configure(self.home.meters.get(&device.id));
        }
    }

    /// Everything there is to be published, as far as it is news.
    fn everything(&mut self) -> Vec<Message> {
        if self.config.discovery == Discovery::Off {
            return Vec::new();
        }
        let mut messages = self.daemon_messages();
        let keys: Vec<String> = self.devices.keys().cloned().collect();
        for key in keys {
            messages.extend(self.publish(&key));
        }
        messages
    }

    /// State and announcement of one meter. The state precedes what takes its values from it.
    fn publish(&mut self, key: &str) -> Vec<Message> {
        let state = self.state_message(key);
        let (common, device) = (
            Common {
                prefix: &self.config.prefix,
                discovery: self.config.discovery,
                daemon_id: &self.daemon_id,
                page: self.page.as_deref(),
            },
            self.devices.get_mut(key),
        );
        let announcement = device.map(|device| {
            let mut availability = vec![self.instance.status_topic()];
            if device.is_own {
                availability.push(self.instance.availability_topic(&device.id));
            }
            device.announce(&common, &self.instance.meter_topic(&device.id), &availability)
        });
        state
            .into_iter()
            .chain(announcement.into_iter().flatten())
            .collect()
    }

    fn state_message(&self, key: &str) -> Option<Message> {
        let device = self.devices.get(key)?;
        let topic = self.instance.meter_topic(&device.id);
        let payload = device.state.payload();
        // Announced again: whoever subscribes late, or to a broker that has lost everything, sees the counters at once.
        Some(Message::retained(topic, payload, DeliveryClass::Announcement))
    }

    /// Unique ids of the daemon's entities by receiver; the daemon itself has none.
    fn daemon_unique_ids(&self) -> BTreeMap<Option<&str>, String> {
        let id = |suffix: &str| format!("{}_{suffix}", self.daemon_id);
        let receivers = self.home.receivers.iter();
        let receivers = receivers.map(|name| (Some(name.as_str()), id(&topic_id(name))));
        [(None, id("status"))].into_iter().chain(receivers).collect()
    }

    /// Announcement of the daemon with its receivers and ports, as far as it is news.
    fn daemon_messages(&mut self) -> Vec<Message> {
        let components: Vec<(String, Value)> = self
            .daemon_unique_ids()
            .into_iter()
            .map(|(receiver, unique_id)| {
                let mut component = json!({
                    "platform": "binary_sensor",
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "unique_id": unique_id,
                });
                match receiver {
                    None => {
                        component["name"] = json!("Connected");
                        component["state_topic"] = json!(self.instance.status_topic());
                        component["payload_on"] = json!("online");
                        component["payload_off"] = json!("offline");
                        // Its state is its availability: it must not vanish when it is off.
                        component["availability"] = json!([]);
                    }
                    Some(name) => {
                        component["name"] = json!(name);
                        component["state_topic"] = json!(self.instance.receiver_topic(name));
                        component["value_template"] =
                            json!("{{ ('ON' if value_json.state == 'up' else 'OFF') if value_json is defined else None }}");
                    }
                }
                (unique_id, component)
            })
            .collect();
        for unique_id in self.daemon.unique_ids() {
            if !components.iter().any(|(wanted, _)| *wanted == unique_id) {
                self.daemon.remove(&unique_id);
            }
        }
        for (unique_id, component) in components {
            self.daemon.add(&unique_id, component);
        }
        let name = match self.instance.name() {
            "" => "metertap".to_owned(),
            name => format!("metertap {name}"),
        };
        let mut description = json!({
            "identifiers": [self.daemon_id],
            "name": name,
            "manufacturer": "metertap",
            "model": "metertap",
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(page) = &self.page {
            description["configuration_url"] = json!(page);
        }
        let shared = shared(&description, &[self.instance.status_topic()], None);
        let common = Common {
            prefix: &self.config.prefix,
            discovery: self.config.discovery,
            daemon_id: &self.daemon_id,
            page: None,
        };
        self.daemon.messages(&common, &self.daemon_id, &shared)
    }
}

/// Id of the daemon's device.
fn daemon_id(instance: &Instance) -> String {
    format!("metertap_daemon_{}", topic_id(&instance.status_topic()))
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
