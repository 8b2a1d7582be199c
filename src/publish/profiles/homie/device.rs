//! A Homie device: the connection of one meter, and the description of its nodes.

use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::mqtt::{BrokerConfig, Mqtt, MqttOptions, Outcome};
use crate::publish::profiles::homie::properties::Property;
use crate::runtime::Context;
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Extension that every device has. An empty list could not be retained, and late consumers would miss the attribute.
const EXTENSION: &str = "org.homie.legacy-stats:0.1.1:[4.x]";
/// Interval of the statistics of a device.
const STATS_INTERVAL: Duration = Duration::from_secs(60);

/// Names of the nodes, as in the asyncio reader.
const NODES: [(&str, &str); 6] = [
    ("energy", "Energy consumption meters"),
    ("power", "Actual power meters"),
    ("temperatures", "Temperatures"),
    ("flow", "Flow and volume"),
    ("ops", "Operation"),
    ("meter", "Meter"),
];

/// One meter.
pub struct Device {
    mqtt: Mqtt,
    /// `homie/<device>`
    base: String,
    /// Node and property, in the order in which they were first received.
    known: Vec<(&'static str, &'static str)>,
    started: Instant,
    /// Time of the latest statistics.
    stats_at: Instant,
}

impl Device {
    /// Connects, and publishes the attributes of the device.
    ///
    /// # Errors
    /// Returns an error if the connection cannot be started.
    pub fn start(
        context: &Context,
        broker: &BrokerConfig,
        base: String,
        name: &str,
        metrics: &Arc<SinkMetrics>,
    ) -> Result<Self> {
        let now = context.clock.now();
        let state = |state: &str| {
            let topic = format!("{base}/$state");
            Some(Message::retained(topic, state, DeliveryClass::State))
        };
        let options = MqttOptions {
            task: format!("mqtt:{base}"),
            birth_and_will: BirthAndWill {
                will: state("lost"),
                birth: state("init"),
                ready: state("ready"),
                goodbye: state("disconnected"),
            },
            subscriber: None,
            marks_resent: false,
            metrics: metrics.clone(),
        };
        let device = Device {
            mqtt: Mqtt::start(context, broker.clone(), options)?,
            base,
            known: Vec::new(),
            started: now,
            stats_at: now,
        };
        device.announce("$homie", "4.0.0");
        device.announce("$name", name);
        device.announce("$implementation", "metertap");
        device.announce("$extensions", EXTENSION);
        device.announce("$stats/interval", &STATS_INTERVAL.as_secs().to_string());
        device.announce("$stats/uptime", "0");
        Ok(device)
    }

    /// Publishes properties, after a description of those that are new.
    pub fn publish(&mut self, properties: &[Property]) {
        let is_new = |property: &&Property| !self.known.contains(&(property.node, property.id));
        let new: Vec<Property> = properties.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            // The convention allows changes of the structure only outside `ready`.
            self.publish_state("init");
            self.known
                .extend(new.iter().map(|property| (property.node, property.id)));
            self.describe(&new);
        }
        for property in properties {
            self.announce(&format!("{}/{}", property.node, property.id), &property.value);
        }
        if !new.is_empty() {
            self.publish_state("ready");
        }
    }

    /// Publishes statistics if they are due.
    pub fn tick(&mut self, now: Instant) {
        if now.duration_since(self.stats_at) >= STATS_INTERVAL {
            self.stats_at = now;
            let uptime = now.duration_since(self.started).as_secs();
            self.announce("$stats/uptime", &uptime.to_string());
        }
    }

    /// Asks the connection to end when everything is delivered; returns at once.
    pub fn stop(&self) {
        self.mqtt.stop();
    }

    /// Waits for the end of the connection, for `within` at most; `None` if it hangs or has panicked.
    pub fn join(self, within: Duration) -> Option<Outcome> {
        self.mqtt.join(within)
    }

    /// Publishes a retained message, and again on every new connection.
    fn announce(&self, topic: &str, payload: &str) {
        let topic = format!("{}/{topic}", self.base);
        self.mqtt
            .try_publish(Message::retained(topic, payload, DeliveryClass::Announcement));
    }

    fn publish_state(&self, state: &str) {
        let topic = format!("{}/$state", self.base);
        self.mqtt
            .try_publish(Message::retained(topic, state, DeliveryClass::State));
    }

    fn describe(&self, new: &[Property]) {
        let mut nodes: Vec<&str> = self.known.iter().map(|(node, _)| *node).collect();
        let mut seen = BTreeSet::new();
        nodes.retain(|node| seen.insert(*node));
        self.announce("$nodes", &nodes.join(","));
        for node in nodes {
            let name = NODES
                .iter()
                .find(|(id, _)| *id == node)
                .map_or(node, |(_, name)| name);
            self.announce(&format!("{node}/$name"), name);
            self.announce(&format!("{node}/$type"), "meter");
            let known = self.known.iter().filter(|(known, _)| *known == node);
            let ids: Vec<&str> = known.map(|(_, id)| *id).collect();
            self.announce(&format!("{node}/$properties"), &ids.join(","));
        }
        for property in new {
            let base = format!("{}/{}", property.node, property.id);
            self.announce(&format!("{base}/$name"), property.name);
            self.announce(&format!("{base}/$datatype"), property.datatype);
            self.announce(&format!("{base}/$settable"), "false");
            self.announce(&format!("{base}/$retained"), "true");
            if !property.unit.is_empty() {
                self.announce(&format!("{base}/$unit"), &property.unit);
            }
        }
    }
}

/// Turns a name into a device id: lower-case letters, digits, and single hyphens between them.
pub fn device_id(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => id.push(c),
            _ if id.ends_with('-') || id.is_empty() => {}
            _ => id.push('-'),
        }
    }
    let id = id.trim_end_matches('-');
    if id.is_empty() { "meter".into() } else { id.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_name_then_its_device_id_holds_only_what_homie_allows() {
        for (name, id) in [
            ("Grid import", "grid-import"),
            ("--É 7_", "7"),
            ("MTPBE0001", "mtpbe0001"),
            ("ß", "meter"),
        ] {
            assert_eq!(device_id(name), id);
        }
    }
}
