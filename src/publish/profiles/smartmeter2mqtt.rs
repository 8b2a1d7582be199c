//! smartmeter2mqtt: each P1 telegram as one retained object or field by field, and events when the consumption changes.

use crate::format::p1::{TelegramObjects, json_number, number, telegram_text};
use crate::format::smartmeter2mqtt::{reading, seconds};
use crate::meter::event::ReadingEvent;
use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use metertap_decode::p1::Object;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Keys of `[mqtt.profile]` with `name = "smartmeter2mqtt"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smartmeter2mqttConfig {
    /// First part of every topic; `--mqtt-topic` of the program replaced. Default: `"smartmeter"`.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Publish each field on a topic of its own; `--mqtt-distinct`. Default: `false`.
    #[serde(default)]
    distinct: bool,
    /// Fields to publish if `distinct` is set; `--mqtt-distinct-fields`. Default: tariff, totals, serial number, usage and
    /// delivery.
    #[serde(default = "default_fields")]
    distinct_fields: Vec<String>,
    /// Announce the meter to Home Assistant; `--mqtt-discovery`. Default: `false`.
    #[serde(default)]
    discovery: bool,
    /// First part of the topics of announcements; `--mqtt-discovery-prefix`. Default: `"homeassistant"`.
    #[serde(default = "default_discovery_prefix")]
    discovery_prefix: String,
}

fn default_topic() -> String {
    "smartmeter".into()
}

fn default_discovery_prefix() -> String {
    "homeassistant".into()
}

fn default_fields() -> Vec<String> {
    "currentTarrif,totalT1Use,totalT2Use,totalT1Delivered,totalT2Delivered,powerSn,currentUsage,currentDelivery"
        .split(',')
        .map(str::to_owned)
        .collect()
}

/// Profile of smartmeter2mqtt.
pub struct Smartmeter2mqtt {
    settings: Smartmeter2mqttConfig,
    usage_w: i64,
    gas: GasReading,
    is_announced: bool,
}

/// Last reading of the gas meter.
#[derive(Default)]
struct GasReading {
    /// Time of the meter's clock, in seconds since 1970; zero before the first reading.
    time_s: i64,
    /// Register, m³.
    total: f64,
    /// Flow since the reading before, m³/h.
    usage: f64,
}

impl Smartmeter2mqtt {
    /// Creates the profile.
    pub fn new(settings: Smartmeter2mqttConfig) -> Self {
        Smartmeter2mqtt {
            settings,
            usage_w: 0,
            gas: GasReading::default(),
            is_announced: false,
        }
    }

    fn status_topic(&self, name: &str) -> String {
        format!("{}/status/{name}", self.settings.topic)
    }

    /// Messages with the fields of a telegram.
    fn fields(&self, reading: &Map<String, Value>, now_ms: i64) -> Vec<Message> {
        if !self.settings.distinct {
            let payload = Value::Object(reading.clone()).to_string();
            return vec![Message::reading(self.status_topic("energy"), payload, true)];
        }
        let is_set = |value: &&Value| !matches!(value.as_f64(), Some(0.0)) && value.as_str() != Some("");
        let message = |field: &String| {
            let value = reading.get(field).filter(is_set)?;
            let payload = json!({"ts": now_ms, "val": value}).to_string();
            Some(Message::reading(self.status_topic(field), payload, true))
        };
        self.settings.distinct_fields.iter().filter_map(message).collect()
    }

    /// Event with the change of the power, if it has changed.
    fn usage(&mut self, usage_w: i64, now_ms: i64) -> Option<Message> {
        let relative = usage_w - self.usage_w;
        if relative == 0 {
            return None;
        }
        let how = if relative > 0 { "increased +" } else { "decreased " };
        let event = json!({
            "previousUsage": self.usage_w,
            "relative": relative,
            "message": format!("Usage {how}{relative} to {usage_w}"),
            "val": usage_w,
            "tc": now_ms,
        });
        self.usage_w = usage_w;
        Some(Message::reading(
            self.status_topic("usage"),
            event.to_string(),
            false,
        ))
    }

    /// Event with the flow in m³/h, if the gas meter was read again.
    fn gas_usage(&mut self, object: &Object, now_ms: i64) -> Option<Message> {
        let time_s = seconds(object.groups.first()?)?;
        let total = number(object.groups.get(1)?)?;
        let period = time_s - self.gas.time_s;
        if period == 0 {
            return None;
        }
        let is_first = self.gas.time_s == 0;
        let relative = if is_first { 0.0 } else { total - self.gas.total };
        let usage = relative * 3600.0 / period as f64;
        let thousandths = |number: f64| json_number((number * 1000.0).round() / 1000.0);
        let event = json!({
            "previousUsage": thousandths(self.gas.usage),
            "relative": thousandths(relative),
            "message": format!("Reading increased +{} to {}", thousandths(relative), json_number(total)),
            "val": thousandths(usage),
            "tc": now_ms,
        });
        self.gas = GasReading { time_s, total, usage };
        Some(Message::reading(
            self.status_topic("gasUsage"),
            event.to_string(),
            false,
        ))
    }

    /// Discovery messages with the topics and ids of the program replaced, and with the device classes that it meant.
    fn discovery(&self, reading: &Map<String, Value>) -> Vec<Message> {
        let text = |key: &str| reading.get(key).and_then(Value::as_str).unwrap_or_default();
        let serial = text("powerSn");
        let (gas, gas_serial) = match reading.contains_key("xGas") {
            true => ("xGas", text("xGasSn")),
            false => ("gas", text("gasSn")),
        };
        let rows = [
            (
                "power-usage",
                "Current power usage",
                "calculatedUsage".to_owned(),
                "current-usage",
                "power",
                "W",
            ),
            (
                "t1-used",
                "Total power used T1",
                "totalT1Use".into(),
                "total_t1_used",
                "energy",
                "kWh",
            ),
            (
                "t2-used",
                "Total power used T2",
                "totalT2Use".into(),
                "total_t2_used",
                "energy",
                "kWh",
            ),
            (
                "t1-delivered",
                "Total power delivered T1",
                "totalT1Delivered".into(),
                "total_t1_delivered",
                "energy",
                "kWh",
            ),
            (
                "t2-delivered",
                "Total power delivered T2",
                "totalT2Delivered".into(),
                "total_t2_delivered",
                "energy",
                "kWh",
            ),
            (
                "gas",
                "Total gas usage",
                format!("{gas}.totalUse"),
                "total_gas",
                "gas",
                "m³",
            ),
        ];
        let has_gas = reading.contains_key(gas);
        let rows = rows.into_iter().filter(|row| row.0 != "gas" || has_gas);
        let message = |(topic, name, field, id, class, unit): (&str, &str, String, &str, &str, &str)| {
            let meter = if topic == "gas" { gas_serial } else { serial };
            let state_class = if class == "power" { "measurement" } else { "total" };
            let mut config = json!({
                "device_class": class,
                "state_class": state_class,
                "state_topic": self.status_topic("energy"),
                "availability_topic": format!("{}/connected", self.settings.topic),
                "payload_available": "2",
                "payload_not_available": "0",
                "name": name,
                "unit_of_measurement": unit,
                "value_template": format!("{{{{value_json.{field}}}}}"),
                "unique_id": format!("smartmeter_{meter}_{id}"),
            });
            let icon = [("power-usage", "mdi:speedometer"), ("gas", "mdi:gas-cylinder")];
            if let Some((_, icon)) = icon.iter().find(|(sensor, _)| *sensor == topic) {
                config["icon"] = json!(icon);
            }
            let topic = format!(
                "{}/sensor/smartmeter/{topic}/config",
                self.settings.discovery_prefix
            );
            Message::retained(topic, config.to_string(), DeliveryClass::Announcement)
        };
        rows.map(message).collect()
    }
}

impl Profile for Smartmeter2mqtt {
    fn birth_and_will(&self) -> BirthAndWill {
        let topic = format!("{}/connected", self.settings.topic);
        let connected = |value: &str| Some(Message::retained(&topic, value, DeliveryClass::State));
        BirthAndWill {
            will: connected("0"),
            birth: connected("2"),
            ready: None,
            goodbye: connected("0"),
        }
    }

    fn messages(&mut self, event: &ReadingEvent, now: Timestamp) -> Vec<Message> {
        let now_ms = now.as_millisecond();
        let text = event.telegram().map(|telegram| telegram_text(telegram));
        let Some(objects) = text.as_deref().and_then(TelegramObjects::parse) else {
            return Vec::new();
        };
        let reading = reading(&objects);
        let mut messages = self.fields(&reading, now_ms);
        let usage_w = reading.get("calculatedUsage").and_then(Value::as_i64);
        messages.extend(usage_w.and_then(|usage_w| self.usage(usage_w, now_ms)));
        let gas = ["0-1:24.2.1", "0-1:24.2.3", "0-2:24.2.1"];
        let gas = gas.iter().find_map(|code| objects.get(code));
        messages.extend(gas.and_then(|gas| self.gas_usage(gas, now_ms)));
        if self.settings.discovery && !std::mem::replace(&mut self.is_announced, true) {
            messages.extend(self.discovery(&reading));
        }
        messages
    }
}
