//! Homie 4: each meter a device with nodes and properties, retained, and a connection of its own, since its last will
//! is that it is lost.

mod properties;

use crate::meter::event::ReadingEvent;
use crate::publish::mqtt;
use crate::publish::mqtt::{BirthAndWill, DeliveryClass, Message, Mqtt, Outcome};
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use properties::{Property, properties};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Devices, each a connection.
const MAX_DEVICES: usize = 64;

/// Its settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomieConfig {
    /// First part of every topic.
    #[serde(default = "topic")]
    pub topic: String,
    /// What the device of a meter is called in topics, by the meter's id; by default made of its name or id.
    #[serde(default)]
    devices: BTreeMap<String, String>,
}

fn topic() -> String {
    "homie".into()
}

/// Names of the nodes, as the asyncio reader gave them.
const NODES: [(&str, &str); 6] = [
    ("energy", "Energy consumption meters"),
    ("power", "Actual power meters"),
    ("temperatures", "Temperatures"),
    ("flow", "Flow and volume"),
    ("ops", "Operation"),
    ("meter", "Meter"),
];

/// All devices.
pub struct Homie {
    settings: HomieConfig,
    mqtt: mqtt::MqttConfig,
    devices: BTreeMap<String, Device>,
    crowded_out: bool,
    /// Of all connections together.
    counts: Arc<SinkMetrics>,
}

/// One meter.
struct Device {
    link: Mqtt,
    /// `homie/<device>`
    base: String,
    /// Node and property, in the order in which they came.
    known: Vec<(&'static str, &'static str)>,
}

impl Homie {
    /// As the settings say; connections are made as meters are heard.
    pub fn new(settings: HomieConfig, mqtt: &mqtt::MqttConfig, counts: Arc<SinkMetrics>) -> Self {
        Homie {
            counts,
            settings,
            mqtt: mqtt.for_states(),
            devices: BTreeMap::new(),
            crowded_out: false,
        }
    }

    /// Says what is new of a meter of ours.
    ///
    /// # Errors
    /// Where no thread can be had for a new connection.
    pub fn tell(&mut self, told: &ReadingEvent) -> Result<()> {
        let properties = properties(told);
        if properties.is_empty() || !told.is_own_meter() {
            return Ok(());
        }
        let id = self.device_id(told);
        if !self.devices.contains_key(&id) {
            if self.devices.len() >= MAX_DEVICES {
                if !std::mem::replace(&mut self.crowded_out, true) {
                    tracing::warn!("More than {MAX_DEVICES} meters: the rest are no Homie devices.");
                }
                return Ok(());
            }
            let device = Device::start(
                format!("{}/{id}", self.settings.topic),
                &self.mqtt,
                told.name(),
                &self.counts,
            )?;
            self.devices.insert(id.clone(), device);
        }
        if let Some(device) = self.devices.get_mut(&id) {
            device.tell(&properties);
        }
        Ok(())
    }

    fn device_id(&self, told: &ReadingEvent) -> String {
        let chosen = self.settings.devices.get(&told.id).cloned();
        // A sub-meter is a device of its own, even where it has the meter's id.
        slug(&chosen.unwrap_or_else(|| told.name().to_owned()))
    }

    /// Says goodbye for all devices.
    pub fn finish(self, patience: Duration) -> Outcome {
        let mut sum = Outcome::default();
        let ends: Vec<_> = self
            .devices
            .into_values()
            .map(|device| std::thread::spawn(move || device.link.finish(patience, || false)))
            .collect();
        for end in ends {
            let outcome = end.join().unwrap_or_default();
            sum.delivered += outcome.delivered;
            sum.undelivered += outcome.undelivered;
        }
        sum
    }
}

impl Device {
    fn start(base: String, mqtt: &mqtt::MqttConfig, name: &str, counts: &Arc<SinkMetrics>) -> Result<Self> {
        let state = |state: &str| {
            Some(Message::retained(
                format!("{base}/$state"),
                state,
                DeliveryClass::State,
            ))
        };
        let presence = BirthAndWill {
            will: state("lost"),
            hello: state("init"),
            ready: state("ready"),
            goodbye: state("disconnected"),
        };
        let device = Device {
            link: Mqtt::start(mqtt.clone(), presence, None, counts.clone())?,
            base,
            known: Vec::new(),
        };
        device.say("$homie", "4.0.0");
        device.say("$name", name);
        device.say("$implementation", "metertap");
        device.say("$extensions", "");
        Ok(device)
    }

    /// Retained, and said again over every new connection.
    fn say(&self, topic: &str, payload: &str) {
        let topic = format!("{}/{topic}", self.base);
        self.link
            .try_publish(Message::retained(topic, payload, DeliveryClass::Announcement));
    }

    fn state(&self, state: &str) {
        let topic = format!("{}/$state", self.base);
        self.link
            .try_publish(Message::retained(topic, state, DeliveryClass::State));
    }

    fn tell(&mut self, properties: &[Property]) {
        let is_new = |property: &&Property| !self.known.contains(&(property.node, property.id));
        let new: Vec<Property> = properties.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            // Its structure may only change before it is ready.
            self.state("init");
            self.known
                .extend(new.iter().map(|property| (property.node, property.id)));
            self.describe(&new);
        }
        for property in properties {
            self.say(&format!("{}/{}", property.node, property.id), &property.value);
        }
        if !new.is_empty() {
            self.state("ready");
        }
    }

    fn describe(&self, new: &[Property]) {
        let mut nodes: Vec<&str> = self.known.iter().map(|(node, _)| *node).collect();
        let mut seen = BTreeSet::new();
        nodes.retain(|node| seen.insert(*node));
        self.say("$nodes", &nodes.join(","));
        for node in nodes {
            let name = NODES
                .iter()
                .find(|(id, _)| *id == node)
                .map_or(node, |(_, name)| name);
            self.say(&format!("{node}/$name"), name);
            self.say(&format!("{node}/$type"), "meter");
            let ids = self.known.iter().filter(|(of, _)| *of == node);
            let ids: Vec<&str> = ids.map(|(_, id)| *id).collect();
            self.say(&format!("{node}/$properties"), &ids.join(","));
        }
        for property in new {
            let base = format!("{}/{}", property.node, property.id);
            self.say(&format!("{base}/$name"), property.name);
            self.say(&format!("{base}/$datatype"), property.datatype);
            self.say(&format!("{base}/$settable"), "false");
            self.say(&format!("{base}/$retained"), "true");
            if !property.unit.is_empty() {
                self.say(&format!("{base}/$unit"), &property.unit);
            }
        }
    }
}

/// Small letters, digits and hyphens, none at either end.
fn slug(text: &str) -> String {
    let letters = text.chars().map(|c| c.to_ascii_lowercase());
    let mut slug = String::new();
    for c in letters {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "meter".into()
    } else {
        slug.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_homie_allows() {
        for (text, id) in [
            ("Grid import", "grid-import"),
            ("--É 7_", "7"),
            ("MTPBE0001", "mtpbe0001"),
            ("ß", "meter"),
        ] {
            assert_eq!(slug(text), id);
        }
    }
}
