//! What Home Assistant is told of our meters: device discovery over MQTT, as it is since version 2024.11.
//!
//! One retained message a meter and type, `homeassistant/device/metertap_<id>_<type>/config`. Neighbours' meters are
//! never announced. Device classes that came after 2024.11 are left out: an unknown one spoils the whole message.

mod class;

use crate::decode::report::Value as Field;
use crate::meter::{Home, Meter, Reading, WireReading};
use crate::sink::mqtt::topic_id;
use class::{Class, counter, of_field};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Seconds after which a value of the moment is no longer true: power, voltage, flow of a meter that pushes.
const EXPIRY: u32 = 300;

/// The `[homeassistant]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether anything is announced.
    #[serde(default = "yes")]
    discovery: bool,
    /// First part of Home Assistant's topics.
    #[serde(default = "prefix")]
    prefix: String,
}

fn yes() -> bool {
    true
}

fn prefix() -> String {
    "homeassistant".into()
}

impl Settings {
    /// What is wrong with them, in words that name the key.
    pub fn problem(&self) -> Option<String> {
        let is_wrong =
            self.prefix.is_empty() || self.prefix.contains(['+', '#']) || self.prefix.ends_with('/');
        is_wrong.then(|| format!("homeassistant.prefix = \"{}\" cannot begin a topic", self.prefix))
    }
}

/// A message to be retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where.
    pub topic: String,
    /// What; empty: forget it.
    pub payload: String,
}

/// Knows what has been announced.
pub struct Announcer {
    settings: Settings,
    /// First part of the topics of readings.
    readings: String,
    /// Where it stands whether we are there.
    status: String,
    /// Components by topic: a meter may show more of itself later.
    known: BTreeMap<String, Map<String, Value>>,
}

impl Announcer {
    /// Announces readings that are published under `readings`; nothing where nothing is to be announced.
    pub fn new(settings: Settings, readings: &str, status: &str) -> Option<Self> {
        settings.discovery.then(|| Announcer {
            settings,
            readings: readings.into(),
            status: status.into(),
            known: BTreeMap::new(),
        })
    }

    /// What is to be announced of a meter of the radio, if that is news.
    pub fn radio(&mut self, reading: &Reading, meter: &Meter) -> Option<Announcement> {
        let message = &reading.message;
        let (id, kind) = (message.id().to_string(), message.kind());
        let topic = self.topic(&id, kind.topic_name());
        if self.known.contains_key(&topic) {
            return None;
        }
        let key = if meter.unit.is_some() { "total" } else { "count" };
        let total = counter(meter.commodity(message), meter.unit.as_deref());
        let mut components = Map::new();
        let template = format!("{{{{ value_json.reading.{key}.value }}}}");
        add(&mut components, &id, key, Value::Null, &total, &template);
        let snr = Class::measurement("signal_strength", "dB").diagnostic();
        add(
            &mut components,
            &id,
            "snr",
            json!("Signal to noise"),
            &snr,
            "{{ value_json.signal.snr_db }}",
        );
        add_last_seen(&mut components, &id, "{{ value_json.Time }}");
        let model = format!("{}, type {}", kind.rtlamr_name(), message.meter_type());
        let device = device(
            &id,
            Some(meter),
            &format!("{} {id}", kind.rtlamr_name()),
            &model,
            None,
        );
        let payload = self.payload(&id, kind.topic_name(), &device, &components);
        self.known.insert(topic.clone(), components);
        Some(Announcement { topic, payload })
    }

    /// What is to be announced of a meter on a wire, if that is news.
    pub fn wire(&mut self, reading: &WireReading, meter: Option<&Meter>) -> Option<Announcement> {
        let (id, sort) = (&reading.report.id, reading.report.sort);
        let topic = self.topic(id, sort.topic_name());
        let text = |name: &str| match reading.report.reading.get(name) {
            Some(Field::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let mut components = self.known.get(&topic).cloned().unwrap_or_default();
        let before = components.len();
        for (name, field) in &reading.report.reading.0 {
            let Some((class, path)) = of_field(name, field, sort, text("medium")) else {
                continue;
            };
            let template = format!("{{{{ value_json.reading.{name}{path} }}}}");
            let class = if sort.pushes() {
                class.expiring(EXPIRY)
            } else {
                class
            };
            add(&mut components, id, name, json!(spoken(name)), &class, &template);
        }
        add_last_seen(&mut components, id, "{{ value_json.time }}");
        if components.len() == before {
            return None;
        }
        let name = format!("{} {id}", spoken(sort.topic_name()));
        let model = text("meter_type").unwrap_or(sort.topic_name());
        let device = device(id, meter, &name, model, text("manufacturer"));
        let payload = self.payload(id, sort.topic_name(), &device, &components);
        self.known.insert(topic.clone(), components);
        Some(Announcement { topic, payload })
    }

    /// It could not be said: the next reading announces it again.
    pub fn forget(&mut self, topic: &str) {
        self.known.remove(topic);
    }

    fn topic(&self, id: &str, kind: &str) -> String {
        format!(
            "{}/device/metertap_{}_{kind}/config",
            self.settings.prefix,
            topic_id(id)
        )
    }

    fn payload(&self, id: &str, kind: &str, device: &Value, components: &Map<String, Value>) -> String {
        json!({
            "device": device,
            "origin": {"name": "metertap", "sw_version": env!("CARGO_PKG_VERSION")},
            "availability": [{"topic": self.status}],
            "state_topic": format!("{}/{}/{kind}", self.readings, topic_id(id)),
            "qos": 1,
            "components": components,
        })
        .to_string()
    }

    /// What the broker keeps that must be looked at: whatever was announced once.
    pub fn watch(&self, home: &Home, all: bool) -> Watch {
        Watch {
            birth: format!("{}/status", self.settings.prefix),
            announced: format!("{}/device/+/config", self.settings.prefix),
            readings: self.readings.clone(),
            status: self.status.clone(),
            home: if all { None } else { Some(home.clone()) },
        }
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

/// The device of a meter, the same for all its types.
fn device(id: &str, meter: Option<&Meter>, name: &str, model: &str, manufacturer: Option<&str>) -> Value {
    let mut device = json!({
        "identifiers": [format!("metertap_{}", topic_id(id))],
        "name": meter.and_then(|meter| meter.name.as_deref()).unwrap_or(name),
        "model": model,
        "serial_number": id,
    });
    if let Some(manufacturer) = manufacturer {
        device["manufacturer"] = json!(manufacturer);
    }
    if let Some(area) = meter.and_then(|meter| meter.area.as_deref()) {
        device["suggested_area"] = json!(area);
    }
    device
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

/// What is looked for on the broker.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Home Assistant says here that it has started: it wants to be told all again.
    pub birth: String,
    /// All announcements, other programs' as well.
    pub announced: String,
    readings: String,
    status: String,
    /// Of which meters of the radio may be announced; nothing: of all.
    home: Option<Home>,
}

impl Watch {
    /// Whether a retained announcement is ours, and of a meter that has left the configuration.
    pub fn is_stale(&self, payload: &[u8]) -> bool {
        let Ok(payload) = serde_json::from_slice::<Value>(payload) else {
            return false;
        };
        let is_ours = payload["origin"]["name"] == "metertap"
            && payload["availability"][0]["topic"] == self.status.as_str();
        let topic = payload["state_topic"].as_str().unwrap_or_default();
        let reading = topic
            .strip_prefix(&self.readings)
            .and_then(|rest| rest.strip_prefix('/'));
        let Some((id, kind)) = reading.and_then(|rest| rest.split_once('/')) else {
            return false;
        };
        // Meters of a wire are ours by themselves; who is not heard may only be asleep.
        let is_of_the_radio = kind.parse::<crate::decode::ert::Kind>().is_ok();
        is_ours && is_of_the_radio && self.home.as_ref().is_some_and(|home| !home.contains(id))
    }
}
