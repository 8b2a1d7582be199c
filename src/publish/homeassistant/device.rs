//! One device: its announcement, and the state of its meter.

use crate::meter::Meter;
use crate::meter::event::ReadingEvent;
use crate::publish::homeassistant::config::Discovery;
use crate::publish::homeassistant::description::description;
use crate::publish::homeassistant::entities::{MAX_ENTITIES, entities};
use crate::publish::homeassistant::state::MeterState;
use crate::publish::message::{DeliveryClass, Message, topic_id};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Components by unique id.
pub type Components = Map<String, Value>;

/// Counter of a meter without a unit, and with one: never both.
const COUNTERS: [&str; 2] = ["count", "total"];

/// What all announcements of an installation have in common.
pub struct Common<'a> {
    /// Home Assistant's first level.
    pub prefix: &'a str,
    /// Form of the announcements.
    pub discovery: Discovery,
    /// Id of the daemon's device.
    pub daemon_id: &'a str,
    /// Address of metertap's page.
    pub page: Option<&'a str>,
}

/// Device of a meter.
pub struct MeterDevice {
    /// Meter id.
    pub id: String,
    /// Level of the topic of its announcement.
    pub object_id: String,
    /// State of the meter.
    pub state: MeterState,
    /// Belongs to this home: its availability is known.
    pub is_own: bool,
    /// A reading was received by this process.
    pub is_heard: bool,
    /// Description as of a meter without configuration.
    description: Value,
    meter: Option<Arc<Meter>>,
    announcement: Announcement,
    /// The configuration has changed: the next reading replaces the components.
    is_outdated: bool,
    /// The state has changed since it was published.
    has_news: bool,
    published_at: Option<Instant>,
}

/// Shortest time between two states of a meter. Some meters send twenty telegrams a second; Home Assistant keeps every state.
pub const STATE_INTERVAL: Duration = Duration::from_secs(1);

/// Components that are announced, and what has been published of them.
#[derive(Default)]
pub struct Announcement {
    components: Components,
    /// Platforms of components that are gone, by unique id.
    removed: BTreeMap<String, String>,
    /// Latest payload by topic.
    published: BTreeMap<String, String>,
}

impl MeterDevice {
    /// Creates the device of a meter that has not been received.
    pub fn new(id: &str, object_id: String, source: String) -> Self {
        MeterDevice {
            id: id.to_owned(),
            object_id,
            state: MeterState::new(source),
            is_own: true,
            is_heard: false,
            description: Value::Null,
            meter: None,
            announcement: Announcement::default(),
            is_outdated: false,
            has_news: true,
            published_at: None,
        }
    }

    /// Takes the announcement of an earlier process, of the same form as those of this one.
    pub fn restore(&mut self, found_description: &Value, components: &Components) {
        if self.description.is_null() {
            self.description = found_description.clone();
        }
        for (unique_id, component) in components {
            self.announcement.restore(unique_id, component);
        }
        // A counter that has got its unit in the meantime, or has lost it.
        for key in COUNTERS {
            let (unique_id, other) = (self.unique_id(key), other_counter(key).unwrap_or_default());
            let is_replaced = self.announcement.has(&self.unique_id(other));
            if is_replaced && self.announcement.is_restored(&unique_id) {
                self.announcement.remove(&unique_id);
                self.state.remove(key);
            }
        }
    }

    /// Returns true if the device can be announced: a reading was received, or an earlier process has announced it.
    pub fn is_described(&self) -> bool {
        !self.description.is_null()
    }

    /// Takes a reading.
    pub fn update(&mut self, event: &ReadingEvent, now: Instant) {
        let has_other_types = self.state.types().iter().any(|kind| *kind != event.kind);
        let entities = entities(event, has_other_types);
        self.state.update(event, &entities, now);
        self.has_news = true;
        self.is_own = event.is_own_meter();
        // The first message describes the meter; another type may follow each time.
        if !self.is_heard || self.is_outdated {
            self.description = description(event);
        }
        self.is_heard = true;
        self.meter.clone_from(&event.meter);
        for entity in entities {
            let unique_id = self.unique_id(&entity.key);
            if let Some(other) = other_counter(&entity.key) {
                self.announcement.remove(&self.unique_id(other));
                self.state.remove(other);
            }
            let is_known = self.announcement.components.contains_key(&unique_id);
            let is_restored = self.announcement.is_restored(&unique_id);
            if is_restored
                || self.is_outdated
                || (!is_known && self.announcement.components.len() < MAX_ENTITIES)
            {
                self.announcement.add(&unique_id, entity.component);
            }
        }
        self.is_outdated = false;
    }

    /// Makes momentary values that are no longer valid unknown.
    pub fn expire(&mut self, now: Instant) {
        self.has_news |= self.state.expire(now);
    }

    /// Returns true if the state has changed since it was published.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Returns true if the state is to be published: it has changed, and the last one is old enough.
    pub fn is_due(&self, now: Instant) -> bool {
        let is_old = |at: Instant| now.duration_since(at) >= STATE_INTERVAL;
        self.has_news && self.published_at.is_none_or(is_old)
    }

    /// Returns the state, as it is published at `now`.
    pub fn take_state(&mut self, now: Instant) -> String {
        (self.has_news, self.published_at) = (false, Some(now));
        self.state.payload()
    }

    /// Changes the configuration of the meter.
    pub fn configure(&mut self, meter: Option<&Arc<Meter>>) {
        if self.meter.as_ref() != meter {
            self.meter = meter.cloned();
            self.is_outdated = true;
        }
    }

    /// Returns the announcement, as far as it is news. `availability`: topics that say whether it is available.
    pub fn announce(&mut self, common: &Common, state_topic: &str, availability: &[String]) -> Vec<Message> {
        if !self.is_described() {
            return Vec::new();
        }
        let mut description = self.description.clone();
        let meter = self.meter.as_deref();
        for (key, value) in [
            ("name", meter.and_then(|meter| meter.name.as_deref())),
            ("suggested_area", meter.and_then(|meter| meter.area.as_deref())),
            ("configuration_url", common.page),
            ("via_device", Some(common.daemon_id)),
        ] {
            if let Some(value) = value {
                description[key] = json!(value);
            }
        }
        let shared = shared(&description, availability, Some(state_topic));
        self.announcement.messages(common, &self.object_id, &shared)
    }

    /// Returns the deletion of everything published.
    pub fn clear(&mut self) -> Vec<Message> {
        self.announcement.clear()
    }

    fn unique_id(&self, key: &str) -> String {
        format!("metertap_{}_{key}", topic_id(&self.id))
    }
}

/// Name of the counter that takes the place of this one.
fn other_counter(key: &str) -> Option<&'static str> {
    let place = COUNTERS.iter().position(|counter| *counter == key)?;
    Some(COUNTERS[1 - place])
}

/// Returns what the components of a device have in common.
pub fn shared(description: &Value, availability: &[String], state_topic: Option<&str>) -> Map<String, Value> {
    let mut origin = json!({"name": "metertap", "sw_version": env!("CARGO_PKG_VERSION")});
    let repository = env!("CARGO_PKG_REPOSITORY");
    if !repository.is_empty() {
        origin["support_url"] = json!(repository);
    }
    let availability: Vec<Value> = availability.iter().map(|topic| json!({"topic": topic})).collect();
    let mut shared = Map::new();
    shared.insert("device".into(), description.clone());
    shared.insert("origin".into(), origin);
    shared.insert("availability".into(), json!(availability));
    shared.insert("availability_mode".into(), json!("all"));
    shared.extend(state_topic.map(|topic| ("state_topic".to_owned(), json!(topic))));
    shared.insert("qos".into(), json!(1));
    shared
}

/// Key of a component that an earlier process has announced; never published.
const RESTORED: &str = "restored";

impl Announcement {
    /// Adds a component, or replaces it.
    pub fn add(&mut self, unique_id: &str, component: Value) {
        self.removed.remove(unique_id);
        self.components.insert(unique_id.to_owned(), component);
    }

    /// Adds a component of an earlier process, unless this one has it or it is of an earlier version of metertap.
    fn restore(&mut self, unique_id: &str, component: &Value) {
        let template = component["value_template"].as_str().unwrap_or_default();
        let is_current = template.starts_with("{{ value_json['");
        if is_current && !self.components.contains_key(unique_id) {
            let mut component = component.clone();
            component[RESTORED] = json!(true);
            self.components.insert(unique_id.to_owned(), component);
        } else if !is_current && !component["value_template"].is_null() {
            // Those of the version before the state was merged: the next readings bring what is left of them.
            let has_counter = COUNTERS.iter().any(|key| unique_id.ends_with(&format!("_{key}")));
            if has_counter && !self.components.contains_key(unique_id) {
                let platform = component["platform"].as_str().unwrap_or("sensor");
                self.removed.insert(unique_id.to_owned(), platform.to_owned());
            }
        }
    }

    fn is_restored(&self, unique_id: &str) -> bool {
        self.components
            .get(unique_id)
            .is_some_and(|component| !component[RESTORED].is_null())
    }

    /// Removes a component: Home Assistant removes its entity.
    pub fn remove(&mut self, unique_id: &str) {
        if let Some(component) = self.components.remove(unique_id) {
            let platform = component["platform"].as_str().unwrap_or("sensor");
            self.removed.insert(unique_id.to_owned(), platform.to_owned());
        }
    }

    /// Returns true if there is a component with this id.
    pub fn has(&self, unique_id: &str) -> bool {
        self.components.contains_key(unique_id)
    }

    /// Unique ids of all components.
    pub fn unique_ids(&self) -> Vec<String> {
        self.components.keys().cloned().collect()
    }

    /// Returns what is to be published so that Home Assistant knows the present components.
    pub fn messages(
        &mut self,
        common: &Common,
        object_id: &str,
        shared: &Map<String, Value>,
    ) -> Vec<Message> {
        let prefix = common.prefix;
        let mut wanted: Vec<(String, String)> = Vec::new();
        let plain = |component: &Value| {
            let mut component = component.clone();
            if let Some(component) = component.as_object_mut() {
                component.remove(RESTORED);
            }
            component
        };
        match common.discovery {
            Discovery::Off => {}
            Discovery::Device => {
                let removed = self.removed.iter();
                let removed = removed.map(|(id, platform)| (id.clone(), json!({"platform": platform})));
                let present = self
                    .components
                    .iter()
                    .map(|(id, component)| (id.clone(), plain(component)));
                let components: Components = present.chain(removed).collect();
                let mut payload = shared.clone();
                payload.insert("components".into(), Value::Object(components));
                let topic = format!("{prefix}/device/{object_id}/config");
                wanted.push((topic, Value::Object(payload).to_string()));
            }
            Discovery::Sensor => {
                for (id, platform) in &self.removed {
                    wanted.push((
                        format!("{prefix}/{platform}/{object_id}/{id}/config"),
                        String::new(),
                    ));
                }
                for (id, component) in &self.components {
                    let platform = component["platform"].as_str().unwrap_or("sensor").to_owned();
                    let mut payload = shared.clone();
                    payload.extend(plain(component).as_object().cloned().unwrap_or_default());
                    payload.remove("platform");
                    let topic = format!("{prefix}/{platform}/{object_id}/{id}/config");
                    wanted.push((topic, Value::Object(payload).to_string()));
                }
            }
        }
        wanted.retain(|(topic, payload)| self.published.get(topic) != Some(payload));
        self.published.extend(wanted.iter().cloned());
        wanted
            .into_iter()
            .map(|(topic, payload)| Message::retained(topic, payload, DeliveryClass::Announcement))
            .collect()
    }

    /// Returns the deletion of everything published.
    pub fn clear(&mut self) -> Vec<Message> {
        let published = std::mem::take(&mut self.published).into_keys();
        published
            .map(|topic| Message::retained(topic, "", DeliveryClass::Announcement))
            .collect()
    }
}
