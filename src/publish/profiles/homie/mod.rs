//! Homie 4: every meter is a device with nodes and properties, retained. Every device has a connection of its own,
//! because its last will is that it is lost.

mod device;
mod properties;

use crate::meter::event::ReadingEvent;
use crate::publish::mqtt::{BrokerConfig, Outcome, installation_id};
use crate::runtime::Context;
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use device::{Device, device_id};
use properties::properties;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Devices, at most: each is a connection.
const MAX_DEVICES: usize = 64;

/// Keys of `[mqtt.profile]` with `name = "homie"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomieConfig {
    /// First part of every topic. Default: `"homie"`.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Device ids by meter id. Default: made from the meter's name, or from its id if it has none.
    #[serde(default)]
    devices: BTreeMap<String, String>,
}

fn default_topic() -> String {
    "homie".into()
}

/// All devices.
pub struct Homie {
    context: Context,
    settings: HomieConfig,
    broker: BrokerConfig,
    devices: BTreeMap<String, Device>,
    has_refused_device: bool,
    /// Shared by all connections.
    metrics: Arc<SinkMetrics>,
}

impl Homie {
    /// Creates the profile; a device connects when its meter is first received.
    pub fn new(
        context: &Context,
        settings: HomieConfig,
        broker: BrokerConfig,
        metrics: Arc<SinkMetrics>,
    ) -> Self {
        Homie {
            context: context.clone(),
            settings,
            // Values are states, so there is nothing to spool.
            broker: BrokerConfig {
                spool: None,
                ..broker
            },
            devices: BTreeMap::new(),
            has_refused_device: false,
            metrics,
        }
    }

    /// Publishes the properties of a configured or wired meter.
    ///
    /// # Errors
    /// Returns an error if a new device cannot be started.
    pub fn publish(&mut self, event: &ReadingEvent) -> Result<()> {
        let properties = properties(event);
        if properties.is_empty() || !event.is_own_meter() {
            return Ok(());
        }
        let id = self.device_id(event);
        if !self.devices.contains_key(&id) {
            if self.devices.len() >= MAX_DEVICES {
                if !std::mem::replace(&mut self.has_refused_device, true) {
                    tracing::warn!(
                        limit = MAX_DEVICES,
                        "Too many meters for Homie; the rest are not published"
                    );
                }
                return Ok(());
            }
            // A client id is unique at the broker.
            let client_id = self.broker.client_id.as_ref();
            let broker = BrokerConfig {
                client_id: client_id.map(|client_id| installation_id(&[client_id, &id])),
                ..self.broker.clone()
            };
            let device = Device::start(
                &self.context,
                &broker,
                format!("{}/{id}", self.settings.topic),
                event.name(),
                &self.metrics,
            )?;
            self.devices.insert(id.clone(), device);
        }
        if let Some(device) = self.devices.get_mut(&id) {
            device.publish(&properties);
        }
        Ok(())
    }

    fn device_id(&self, event: &ReadingEvent) -> String {
        let configured = self.settings.devices.get(&event.id).map(String::as_str);
        // By name: a sub-meter is a device of its own, even if it shares the id of the main meter.
        device_id(configured.unwrap_or_else(|| event.name()))
    }

    /// Publishes what is due by time.
    pub fn tick(&mut self, now: Instant) {
        self.devices.values_mut().for_each(|device| device.tick(now));
    }

    /// Asks all connections to end when everything is delivered; returns at once.
    pub fn stop(&self) {
        self.devices.values().for_each(Device::stop);
    }

    /// Stops all connections and waits for them, for `within` at most. Returns `None` if one hangs or has panicked.
    pub fn join(self, within: Duration) -> Option<Outcome> {
        self.stop();
        let deadline = Instant::now() + within;
        let mut sum = Some(Outcome::default());
        for device in self.devices.into_values() {
            let outcome = device.join(deadline.saturating_duration_since(Instant::now()));
            sum = sum.zip(outcome).map(|(sum, outcome)| sum + outcome);
        }
        sum
    }
}
