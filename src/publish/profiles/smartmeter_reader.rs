//! smartmeter-reader: the P1 telegrams of an interval as one JSON array on one topic.
//!
//! Keys, their order and their types are those of the program replaced. Fields that it left empty by mistake
//! (identification, equipment, tariff, CRC) are filled in.

use crate::format::p1::{TelegramObjects, json_number, number, telegram_text};
use crate::meter::event::ReadingEvent;
use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use metertap_decode::p1::Object;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Telegrams in one array, at most, as in the program replaced; further ones of the interval are dropped.
const MAX_TELEGRAMS: usize = 100;

/// Keys of `[mqtt.profile]` with `name = "smartmeter-reader"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartmeterReaderConfig {
    /// Topic of the arrays; `mqtt.topic` of the program replaced. Default: `"dev.sample.topic"`.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Seconds between two arrays, 1 to 3600; `send_interval` of the program replaced. Default: 60.
    #[serde(default = "default_interval")]
    pub interval: u64,
}

fn default_topic() -> String {
    "dev.sample.topic".into()
}

fn default_interval() -> u64 {
    60
}

/// Keys in their order, with the OBIS code of the number; an empty code: see [`object`].
const NUMBERS: [(&str, &str); 22] = [
    ("Electricity_incoming_tariff1_kwh", "1-0:1.8.1"),
    ("Electricity_outgoing_tariff1_kwh", "1-0:2.8.1"),
    ("Electricity_incoming_tariff2_kwh", "1-0:1.8.2"),
    ("Electricity_outgoing_tariff2_kwh", "1-0:2.8.2"),
    ("Tarrif_id", ""),
    ("Actualpower_incoming_kW", "1-0:1.7.0"),
    ("Actualpower_outgoing_kW", "1-0:2.7.0"),
    ("InstantaneousPower_incoming_L1_kW", "1-0:21.7.0"),
    ("InstantaneousPower_incoming_L2_kW", "1-0:41.7.0"),
    ("InstantaneousPower_incoming_L3_kW", "1-0:61.7.0"),
    ("InstantaneousPower_outgoing_L1_kW", "1-0:22.7.0"),
    ("InstantaneousPower_outgoing_L2_kW", "1-0:42.7.0"),
    ("InstantaneousPower_outgoing_L3_kW", "1-0:62.7.0"),
    ("Power_failure_count", "0-0:96.7.21"),
    ("Power_failure_history", ""),
    ("L1_voltage_sag_count", "1-0:32.32.0"),
    ("L1_voltage_swell_count", "1-0:32.36.0"),
    ("Text_msg", ""),
    ("Text_msg_maxchars", ""),
    ("Instantaneous_current_l1_amp", "1-0:31.7.0"),
    ("Instantaneous_current_l2_amp", "1-0:51.7.0"),
    ("Instantaneous_current_l3_amp", "1-0:71.7.0"),
];

/// Profile of smartmeter-reader.
pub struct SmartmeterReader {
    settings: SmartmeterReaderConfig,
    telegrams: Vec<Value>,
    /// Time of the last array, or of the first call.
    sent: Option<Instant>,
}

impl SmartmeterReader {
    /// Creates the profile.
    pub fn new(settings: SmartmeterReaderConfig) -> Self {
        SmartmeterReader {
            settings,
            telegrams: Vec::new(),
            sent: None,
        }
    }
}

impl Profile for SmartmeterReader {
    fn birth_and_will(&self) -> BirthAndWill {
        BirthAndWill {
            will: Some(Message {
                topic: format!("will:{}", self.settings.topic),
                payload: "GoingDown".into(),
                is_retained: false,
                class: DeliveryClass::State,
            }),
            ..BirthAndWill::default()
        }
    }

    fn client_id(&self) -> Option<String> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(format!("smartmeter-reader@{host}"))
    }

    fn messages(&mut self, event: &ReadingEvent, _now: Timestamp) -> Vec<Message> {
        let text = event.telegram().map(|telegram| telegram_text(telegram));
        let Some(objects) = text.as_deref().and_then(TelegramObjects::parse) else {
            return Vec::new();
        };
        if self.telegrams.len() < MAX_TELEGRAMS {
            self.telegrams
                .push(object(&objects, text.as_deref().unwrap_or_default()));
        }
        Vec::new()
    }

    fn due(&mut self, now: Instant) -> Vec<Message> {
        let sent = *self.sent.get_or_insert(now);
        if now.duration_since(sent) < Duration::from_secs(self.settings.interval) {
            return Vec::new();
        }
        self.sent = Some(now);
        self.flush()
    }

    fn flush(&mut self) -> Vec<Message> {
        if self.telegrams.is_empty() {
            return Vec::new();
        }
        let array = Value::Array(std::mem::take(&mut self.telegrams));
        vec![Message::reading(&self.settings.topic, array.to_string(), false)]
    }
}

/// Returns the object of one telegram.
fn object(objects: &TelegramObjects, text: &str) -> Value {
    let mut map = Map::new();
    let text_at = |code: &str| json!(objects.text(code).unwrap_or_default());
    map.insert("Manufacture_spec".into(), json!(objects.0.identification));
    map.insert("Version_info".into(), text_at("1-3:0.2.8"));
    let time = objects.text("0-0:1.0.0").and_then(crate::format::p1::local_time);
    // Local time with the mark of UTC, as in the program replaced.
    let time = time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| format!("{time}Z"));
    map.insert("Date_timestamp".into(), json!(time));
    map.insert("Equipment_id".into(), text_at("0-0:96.1.1"));
    for (key, code) in NUMBERS {
        let value = match key {
            "Tarrif_id" => text_at("0-0:96.14.0"),
            "Text_msg" => text_at("0-0:96.13.1"),
            "Text_msg_maxchars" => json!(0),
            "Power_failure_history" => objects.get("0-0:96.7.9").map_or(Value::Null, |_| json!([])),
            _ => json_number(objects.number(code).unwrap_or_default()),
        };
        map.insert(key.into(), value);
    }
    map.insert("Instantaneous_activepower_incoming_kW".into(), json!(0));
    map.insert("Instantaneous_activepower_outgoing_kW".into(), json!(0));
    map.insert("Gas_device_type".into(), text_at("0-1:24.1.0"));
    map.insert("Gas_device_id".into(), text_at("0-1:96.1.0"));
    map.insert(
        "Gas_readings".into(),
        objects.get("0-1:24.2.1").map_or(Value::Null, gas),
    );
    let crc = text.rsplit_once('!').map_or("", |(_, crc)| crc.trim());
    map.insert("Crc_string".into(), json!(crc));
    Value::Object(map)
}

/// Gas reading. The program replaced failed on the letter behind the time and sent its zero value; so does this.
fn gas(object: &Object) -> Value {
    let value = object
        .groups
        .get(1)
        .and_then(|group| number(group))
        .unwrap_or_default();
    json!([{"Capture_time": "0001-01-01T00:00:00Z", "Value_m3": json_number(value)}])
}
