//! What Home Assistant is told of our meters: device discovery over MQTT, as it is since version 2024.11, or one
//! message a sensor, as before.
//!
//! One retained message a meter and type, `homeassistant/device/metertap_<id>_<type>/config`, and one for ourselves.
//! Neighbours' meters are announced only where that is asked for. Device classes that came after 2024.11 are left out:
//! an unknown one spoils the whole message.

mod class;
mod cleanup;

pub use cleanup::DiscoveryCleanup;

use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::throttle::PublishRate;
use crate::meter::{Meters, Reading, WireReading};
use crate::publish::mqtt;
use crate::publish::mqtt::{is_topic, topic_id};
use crate::publish::profiles::Topics;
use class::{Class, counter, of_field};
use metertap_decode::report::Value as Field;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Seconds after which a value of the moment is no longer true: power, voltage, flow of a meter that pushes.
const EXPIRY: u32 = 300;

/// The `[homeassistant]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistantConfig {
    /// Whether anything is announced, and how.
    #[serde(default)]
    discovery: Discovery,
    /// First part of Home Assistant's topics.
    #[serde(default = "prefix")]
    prefix: String,
    /// Whether neighbours' meters are announced as well.
    #[serde(default)]
    unknown_meters: bool,
}

/// How meters are announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Discovery {
    /// One message a device.
    #[default]
    Device,
    /// One message a sensor, as before 2024.11.
    Sensor,
    /// Not at all.
    Off,
}

impl<'de> Deserialize<'de> for Discovery {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false, \"device\" or \"sensor\"")]
        enum Written {
            Flag(bool),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Flag(true) => Ok(Discovery::Device),
            Written::Flag(false) => Ok(Discovery::Off),
            Written::Word(word) if word == "device" => Ok(Discovery::Device),
            Written::Word(word) if word == "sensor" => Ok(Discovery::Sensor),
            Written::Word(word) => Err(D::Error::custom(format!(
                "\"{word}\": true, false, \"device\" or \"sensor\""
            ))),
        }
    }
}

fn prefix() -> String {
    "homeassistant".into()
}

impl HomeAssistantConfig {
    /// What is wrong with them, in words that name the key.
    pub fn problem(&self) -> Option<String> {
        (!is_topic(&self.prefix))
            .then(|| format!("homeassistant.prefix = \"{}\" cannot begin a topic", self.prefix))
    }
}

/// A message to be retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Of what device: for [`Announcer::forget`].
    pub device: String,
    /// Where.
    pub topic: String,
    /// What; empty: forget it.
    pub payload: String,
}

/// Knows what has been announced.
pub struct Announcer {
    settings: HomeAssistantConfig,
    topics: Topics,
    /// `readings/metertap`
    states: String,
    /// Where it stands whether we are there.
    status: String,
    /// Components by device: a meter may show more of itself later.
    known: BTreeMap<String, Map<String, Value>>,
}

/// A device as it is announced.
struct Device {
    /// `metertap_<id>_<type>`
    object_id: String,
    about: Value,
    /// Where its values are.
    state_topic: String,
    /// Of whose availability it depends on, besides ours.
    meter: Option<String>,
}

impl Announcer {
    /// Announces readings that are published as `mqtt` says; nothing where nothing is to be announced.
    pub fn new(settings: HomeAssistantConfig, mqtt: &mqtt::MqttConfig) -> Option<Self> {
        (settings.discovery != Discovery::Off).then(|| Announcer {
            settings,
            topics: Topics::new(mqtt),
            states: format!("{}/metertap", mqtt.readings),
            status: mqtt.status_topic(),
            known: BTreeMap::new(),
        })
    }

    /// What is to be announced of a meter, if that is news.
    pub fn tell(&mut self, told: &ReadingEvent) -> Vec<Announcement> {
        match &told.origin {
            Origin::Radio(reading) => self.radio(told, reading),
            Origin::Wire(reading) => self.wire(told, reading),
            Origin::Interval(_) => Vec::new(),
        }
    }

    fn radio(&mut self, told: &ReadingEvent, reading: &Reading) -> Vec<Announcement> {
        if told.meter.is_none() && !self.settings.unknown_meters {
            return Vec::new();
        }
        let device = self.device_of(told);
        if self.known.contains_key(&device.object_id) {
            return Vec::new();
        }
        let (id, message) = (&told.id, &reading.message);
        let meter = told.meter_or_default();
        let key = meter.counter_name();
        let total = counter(
            meter.commodity(message),
            meter.unit.as_deref(),
            meter.device_class.as_deref(),
        );
        let mut components = Map::new();
        let template = format!("{{{{ value_json.reading.{key}.value }}}}");
        add(&mut components, id, key, Value::Null, &total, &template);
        let snr = Class::measurement("signal_strength", "dB").diagnostic();
        let corrected = Class::number().diagnostic();
        for (key, name, class) in [
            ("snr", "Signal to noise", &snr),
            ("corrected", "Corrected bits", &corrected),
        ] {
            let field = if key == "snr" { "snr_db" } else { key };
            let template = format!("{{{{ value_json.signal.{field} }}}}");
            add(&mut components, id, key, json!(name), class, &template);
        }
        add_last_seen(&mut components, id, "{{ value_json.Time }}");
        self.announce(&device, components)
    }

    fn wire(&mut self, told: &ReadingEvent, reading: &WireReading) -> Vec<Announcement> {
        let (id, sort) = (&reading.report.id, reading.report.sort);
        let device = self.device_of(told);
        let mut components = self.known.get(&device.object_id).cloned().unwrap_or_default();
        let before = components.len();
        let rate = told
            .meter
            .as_ref()
            .and_then(|meter| meter.rate)
            .unwrap_or_default();
        for (name, field) in &reading.report.reading.0 {
            let Some((class, path)) = of_field(name, field, sort, text(reading, "medium")) else {
                continue;
            };
            let template = format!("{{{{ value_json.reading.{name}{path} }}}}");
            let class = match (sort.pushes(), expiry(rate)) {
                (true, Some(expiry)) => class.expiring(expiry),
                _ => class,
            };
            add(&mut components, id, name, json!(spoken(name)), &class, &template);
        }
        add_last_seen(&mut components, id, "{{ value_json.time }}");
        if components.len() == before {
            return Vec::new();
        }
        self.announce(&device, components)
    }

    /// Ourselves.
    pub fn daemon(&mut self) -> Vec<Announcement> {
        let mut components = Map::new();
        let state = json!({
            "platform": "binary_sensor",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "unique_id": format!("{}_status", self.own_id()),
            "name": "Connected",
            "state_topic": self.status,
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [],
        });
        components.insert(format!("{}_status", self.own_id()), state);
        let device = self.own_device();
        self.announce(&device, components)
    }

    /// A receiver or port of ours, if that is news.
    pub fn receiver(&mut self, name: &str) -> Vec<Announcement> {
        let device = self.own_device();
        let unique_id = format!("{}_{}", self.own_id(), topic_id(name));
        let mut components = self.known.get(&device.object_id).cloned().unwrap_or_default();
        if components.contains_key(&unique_id) {
            return Vec::new();
        }
        let state_topic = format!("{}/{name}/state", self.states);
        let component = json!({
            "platform": "binary_sensor",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "unique_id": unique_id,
            "name": name,
            "state_topic": state_topic,
            "value_template": "{{ 'ON' if value_json.state == 'up' else 'OFF' }}",
        });
        components.insert(unique_id, component);
        self.announce(&device, components)
    }

    fn own_id(&self) -> String {
        format!("metertap_daemon_{}", topic_id(&self.status))
    }

    fn own_device(&self) -> Device {
        Device {
            object_id: self.own_id(),
            about: json!({
                "identifiers": [self.own_id()],
                "name": "metertap",
                "manufacturer": "metertap",
                "sw_version": env!("CARGO_PKG_VERSION"),
            }),
            state_topic: self.status.clone(),
            meter: None,
        }
    }

    /// The device of a meter, the same for all its types.
    fn device_of(&self, told: &ReadingEvent) -> Device {
        let id = &told.id;
        let meter = told.meter.as_deref();
        let (name, model, manufacturer) = match &told.origin {
            Origin::Wire(reading) => (
                format!("{} {id}", spoken(told.kind)),
                text(reading, "meter_type").unwrap_or(told.kind).to_owned(),
                text(reading, "manufacturer"),
            ),
            Origin::Radio(reading) => {
                let kind = reading.message.kind().rtlamr_name();
                let model = format!("{kind}, type {}", reading.message.meter_type());
                (format!("{kind} {id}"), model, None)
            }
            Origin::Interval(_) => (id.clone(), told.kind.to_owned(), None),
        };
        let mut about = json!({
            "identifiers": [format!("metertap_{}", topic_id(id))],
            "name": meter.and_then(|meter| meter.name.as_deref()).unwrap_or(&name),
            "model": model,
            "serial_number": id,
            "via_device": self.own_id(),
        });
        if let Some(manufacturer) = manufacturer {
            about["manufacturer"] = json!(manufacturer);
        }
        if let Some(area) = meter.and_then(|meter| meter.area.as_deref()) {
            about["suggested_area"] = json!(area);
        }
        Device {
            object_id: format!("metertap_{}_{}", topic_id(id), told.kind),
            about,
            state_topic: self.topics.topic(told),
            meter: told.is_own_meter().then(|| id.clone()),
        }
    }

    /// It could not be said: the next reading announces it again.
    pub fn forget(&mut self, device: &str) {
        self.known.remove(device);
    }

    fn announce(&mut self, device: &Device, components: Map<String, Value>) -> Vec<Announcement> {
        let mut availability = vec![json!({"topic": self.status})];
        if let Some(meter) = &device.meter {
            let topic = format!("{}/meters/{}/availability", self.states, topic_id(meter));
            availability.push(json!({"topic": topic}));
        }
        let shared = json!({
            "device": device.about,
            "origin": {"name": "metertap", "sw_version": env!("CARGO_PKG_VERSION")},
            "availability": availability,
            "availability_mode": "all",
            "state_topic": device.state_topic,
            "qos": 1,
        });
        let (prefix, id) = (&self.settings.prefix, &device.object_id);
        let announcement = |topic: String, payload: Value| Announcement {
            device: id.clone(),
            topic,
            payload: payload.to_string(),
        };
        let announcements = match self.settings.discovery {
            Discovery::Device => {
                let mut payload = shared;
                payload["components"] = json!(components);
                vec![announcement(format!("{prefix}/device/{id}/config"), payload)]
            }
            _ => components
                .iter()
                .map(|(key, component)| {
                    let platform = component["platform"].as_str().unwrap_or("sensor");
                    let mut payload = shared.clone();
                    for (key, value) in component.as_object().into_iter().flatten() {
                        payload[key] = value.clone();
                    }
                    payload.as_object_mut().map(|payload| payload.remove("platform"));
                    announcement(format!("{prefix}/{platform}/{id}/{key}/config"), payload)
                })
                .collect(),
        };
        self.known.insert(id.clone(), components);
        announcements
    }

    /// What the broker keeps that must be looked at: whatever was announced once.
    pub fn watch(&self, home: &Meters, all: bool) -> DiscoveryCleanup {
        let prefix = &self.settings.prefix;
        DiscoveryCleanup {
            birth: format!("{prefix}/status"),
            announced: [
                format!("{prefix}/device/+/config"),
                format!("{prefix}/+/+/+/config"),
            ],
            of_devices: format!("{prefix}/device/"),
            is_by_device: self.settings.discovery == Discovery::Device,
            status: self.status.clone(),
            home: if all && self.settings.unknown_meters {
                None
            } else {
                Some(home.clone())
            },
        }
    }
}

/// How long a value of the moment is true, where it is told so often.
fn expiry(rate: PublishRate) -> Option<u32> {
    match rate {
        PublishRate::Every => Some(EXPIRY),
        PublishRate::Once(every) => Some(EXPIRY.max(3 * every.as_secs() as u32)),
        // It stands until it changes.
        PublishRate::Change => None,
    }
}

fn text<'a>(reading: &'a WireReading, name: &str) -> Option<&'a str> {
    match reading.report.reading.get(name) {
        Some(Field::Text(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// Adds a sensor, if it is not there.
fn add(components: &mut Map<String, Value>, id: &str, key: &str, name: Value, class: &Class, template: &str) {
    let unique_id = format!("metertap_{}_{key}", topic_id(id));
    if components.contains_key(&unique_id) {
        return;
    }
    let mut component = class.component();
    component.insert("unique_id".into(), json!(unique_id));
    component.insert("name".into(), name);
    component.insert("value_template".into(), json!(template));
    components.insert(unique_id, Value::Object(component));
}

fn add_last_seen(components: &mut Map<String, Value>, id: &str, template: &str) {
    add(
        components,
        id,
        "last_seen",
        json!("Last seen"),
        &Class::time().diagnostic(),
        template,
    );
}

/// `energy_import_t1` as `Energy import T1`.
fn spoken(name: &str) -> String {
    let words = name
        .split('_')
        .enumerate()
        .map(|(i, word)| match word.as_bytes() {
            [b'l' | b't', b'0'..=b'9', ..] => word.to_uppercase(),
            [first, rest @ ..] if i == 0 => {
                format!(
                    "{}{}",
                    char::from(first.to_ascii_uppercase()),
                    String::from_utf8_lossy(rest)
                )
            }
            _ => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}
