//! The reader for the meters of Lower Austria: one flat JSON object a message, and its discovery, retained now.

use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::mqtt::{BirthAndWill, DeliveryClass, Message};
use crate::publish::profiles::Profile;
use metertap_decode::report::{ReadingType as Type, Value as Field};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Its settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetzNoeConfig {
    /// `mqtt.data_topic`
    #[serde(default = "topic")]
    pub topic: String,
    /// `homeassistant.config_topics`
    #[serde(default)]
    config_topics: Vec<ConfigTopic>,
}

/// One discovery message: anything, as in its file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigTopic {
    config_topic: String,
    config: toml::Table,
}

fn topic() -> String {
    "homeassistant/sensor/smartmeter/state".into()
}

/// Its key, our name, and how many of its units are one of ours.
const KEYS: [(&str, &str, f64); 11] = [
    ("energy", "energy_import_total", 1.0),
    ("energyR", "energy_export_total", 1.0),
    ("power", "power_import", 1000.0),
    ("powerR", "power_export", 1000.0),
    ("voltageL1", "voltage_l1", 1.0),
    ("voltageL2", "voltage_l2", 1.0),
    ("voltageL3", "voltage_l3", 1.0),
    ("currentL1", "current_l1", 1.0),
    ("currentL2", "current_l2", 1.0),
    ("currentL3", "current_l3", 1.0),
    ("powerfactor", "power_factor", 1.0),
];

/// As the reader for Lower Austria.
pub struct NetzNoe(NetzNoeConfig);

impl NetzNoe {
    /// As its settings say.
    pub fn new(settings: NetzNoeConfig) -> Self {
        NetzNoe(settings)
    }
}

impl Profile for NetzNoe {
    fn presence(&self) -> BirthAndWill {
        BirthAndWill::default()
    }

    fn beginning(&self) -> Vec<Message> {
        let announced = self.0.config_topics.iter().map(|told| {
            let payload = serde_json::to_string(&told.config).unwrap_or_default();
            Message::retained(&told.config_topic, payload, DeliveryClass::Announcement)
        });
        announced.collect()
    }

    fn say(&mut self, told: &ReadingEvent) -> Vec<Message> {
        let Origin::Wire(reading) = &told.origin else {
            return Vec::new();
        };
        if reading.report.sort != Type::Dlms {
            return Vec::new();
        }
        let mut object = Map::new();
        for (key, name, factor) in KEYS {
            let Some(Field::Quantity(quantity)) = reading.report.reading.get(name) else {
                continue;
            };
            // Three places, as the program rounded.
            let value = (quantity.value.to_f64() * factor * 1000.0).round() / 1000.0;
            object.insert(key.into(), crate::format::p1::json_number(value));
        }
        if object.is_empty() {
            return Vec::new();
        }
        vec![Message::reading(
            &self.0.topic,
            Value::Object(object).to_string(),
            false,
        )]
    }
}
