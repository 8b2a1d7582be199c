//! Announcer: which devices Home Assistant knows, and the discovery messages for those that are new.

use crate::meter::Meters;
use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::cleanup::DiscoveryCleanup;
use crate::publish::homeassistant::components::{Components, add_wire, display_name, of_radio, text_field};
use crate::publish::homeassistant::config::{Discovery, HomeAssistantConfig};
use crate::publish::message::topic_id;
use crate::publish::profiles::Topics;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Discovery message, to be retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Id of the device, for [`Announcer::forget`].
    pub device: String,
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: String,
}

/// Makes discovery messages, each once.
pub struct Announcer {
    settings: HomeAssistantConfig,
    topics: Topics,
    /// `readings/metertap`
    states_prefix: String,
    /// Topic of the publisher's `online` and `offline`.
    status_topic: String,
    /// Announced components by device.
    known: BTreeMap<String, Components>,
}

/// Device as it is announced.
struct Device {
    /// `metertap_<id>_<type>`
    object_id: String,
    /// Value of the key `device`.
    description: Value,
    /// Topic of its values.
    state_topic: String,
    /// Meter whose availability topic applies besides the publisher's.
    meter: Option<String>,
}

impl Announcer {
    /// Creates an announcer for the topics of the `[mqtt]` section; `None` if discovery is off.
    pub fn new(settings: HomeAssistantConfig, mqtt: &MqttConfig) -> Option<Self> {
        (settings.discovery != Discovery::Off).then(|| Announcer {
            settings,
            topics: mqtt.topics(),
            states_prefix: format!("{}/metertap", mqtt.readings),
            status_topic: mqtt.status_topic(),
            known: BTreeMap::new(),
        })
    }

    /// Returns the announcements that a reading calls for: of a new meter, or of new sensors of a known one.
    pub fn announce_meter(&mut self, event: &ReadingEvent) -> Vec<Announcement> {
        match &event.origin {
            Origin::Radio(reading) => {
                let is_wanted = event.meter.is_some() || self.settings.unknown_meters;
                let device = self.device_of(event);
                if !is_wanted {
                    return Vec::new();
                }
                let known = self.known.get(&device.object_id);
                // Flags of a water meter may be missing at first.
                if known.is_some() && reading.message.flags().is_none() {
                    return Vec::new();
                }
                let components = of_radio(event, reading);
                if known.is_some_and(|known| known.len() >= components.len()) {
                    return Vec::new();
                }
                self.announce(&device, components)
            }
            Origin::Wire(reading) => {
                let device = self.device_of(event);
                let mut components = self.known.get(&device.object_id).cloned().unwrap_or_default();
                let before = components.len();
                add_wire(&mut components, event, reading);
                if components.len() == before {
                    return Vec::new();
                }
                self.announce(&device, components)
            }
            Origin::Interval(_) => Vec::new(),
        }
    }

    /// Returns the announcement of the daemon itself.
    pub fn announce_daemon(&mut self) -> Vec<Announcement> {
        let unique_id = format!("{}_status", self.daemon_id());
        let status = json!({
            "platform": "binary_sensor",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "unique_id": unique_id,
            "name": "Connected",
            "state_topic": self.status_topic,
            "payload_on": "online",
            "payload_off": "offline",
            // Its state is its availability: it must not vanish when it is off.
            "availability": [],
        });
        let mut components = Components::new();
        components.insert(unique_id, status);
        let device = self.daemon_device();
        self.announce(&device, components)
    }

    /// Returns the announcement of a receiver or port, if it is new.
    pub fn announce_receiver(&mut self, name: &str) -> Vec<Announcement> {
        let device = self.daemon_device();
        let unique_id = format!("{}_{}", self.daemon_id(), topic_id(name));
        let mut components = self.known.get(&device.object_id).cloned().unwrap_or_default();
        if components.contains_key(&unique_id) {
            return Vec::new();
        }
        let component = json!({
            "platform": "binary_sensor",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "unique_id": unique_id,
            "name": name,
            "state_topic": format!("{}/{name}/state", self.states_prefix),
            "value_template": "{{ 'ON' if value_json.state == 'up' else 'OFF' }}",
        });
        components.insert(unique_id, component);
        self.announce(&device, components)
    }

    /// Forgets a device whose announcement could not be published: the next reading announces it again.
    pub fn forget(&mut self, device: &str) {
        self.known.remove(device);
    }

    /// Returns the watch for announcements of earlier processes. `meters` are those of the configuration;
    /// `publishes_all`: readings of other meters are published as well.
    pub fn cleanup(&self, meters: &Meters, publishes_all: bool) -> DiscoveryCleanup {
        let announces_all = publishes_all && self.settings.unknown_meters;
        DiscoveryCleanup::new(
            &self.settings.prefix,
            self.settings.discovery == Discovery::Device,
            self.status_topic.clone(),
            (!announces_all).then(|| meters.clone()),
        )
    }

    fn daemon_id(&self) -> String {
        format!("metertap_daemon_{}", topic_id(&self.status_topic))
    }

    fn daemon_device(&self) -> Device {
        Device {
            object_id: self.daemon_id(),
            description: json!({
                "identifiers": [self.daemon_id()],
                "name": "metertap",
                "manufacturer": "metertap",
                "sw_version": env!("CARGO_PKG_VERSION"),
            }),
            state_topic: self.status_topic.clone(),
            meter: None,
        }
    }

    /// Device of a meter's readings of one type. Home Assistant joins those of a meter by `identifiers`.
    fn device_of(&self, event: &ReadingEvent) -> Device {
        let id = &event.id;
        let meter = event.meter.as_deref();
        let (name, model, manufacturer) = match &event.origin {
            Origin::Wire(reading) => (
                format!("{} {id}", display_name(event.kind)),
                text_field(reading, "meter_type").unwrap_or(event.kind).to_owned(),
                text_field(reading, "manufacturer"),
            ),
            Origin::Radio(reading) => {
                let kind = reading.message.kind().rtlamr_name();
                let model = format!("{kind}, type {}", reading.message.meter_type());
                (format!("{kind} {id}"), model, None)
            }
            Origin::Interval(_) => (id.clone(), event.kind.to_owned(), None),
        };
        let mut description = json!({
            "identifiers": [format!("metertap_{}", topic_id(id))],
            "name": meter.and_then(|meter| meter.name.as_deref()).unwrap_or(&name),
            "model": model,
            "serial_number": id,
            "via_device": self.daemon_id(),
        });
        if let Some(manufacturer) = manufacturer {
            description["manufacturer"] = json!(manufacturer);
        }
        if let Some(area) = meter.and_then(|meter| meter.area.as_deref()) {
            description["suggested_area"] = json!(area);
        }
        Device {
            object_id: format!("metertap_{}_{}", topic_id(id), event.kind),
            description,
            state_topic: self.topics.topic(event),
            meter: event.is_own_meter().then(|| id.clone()),
        }
    }

    /// Announces a device with these components, and no others, in the form that is configured.
    fn announce(&mut self, device: &Device, components: Components) -> Vec<Announcement> {
        let mut availability = vec![json!({"topic": self.status_topic})];
        if let Some(meter) = &device.meter {
            let topic = format!("{}/meters/{}/availability", self.states_prefix, topic_id(meter));
            availability.push(json!({"topic": topic}));
        }
        let shared = json!({
            "device": device.description,
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
            Discovery::Sensor | Discovery::Off => components
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
}
