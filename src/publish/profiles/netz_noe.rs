//! Reader for the meters of Netz NÖ (Lower Austria): one flat JSON object per message, and discovery messages from the
//! configuration, which are retained here.

use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::message::{BirthAndWill, DeliveryClass, Message};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use metertap_decode::report::{ReadingType as Type, Value as Field};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Keys of `[mqtt.profile]` with `name = "netz-noe"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetzNoeConfig {
    /// Topic of the readings; `mqtt.data_topic` of the program replaced. Default:
    /// `"homeassistant/sensor/smartmeter/state"`.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Discovery messages, each with `config_topic` and a table `config`; `homeassistant.config_topics` of the program
    /// replaced. Default: none.
    #[serde(default)]
    config_topics: Vec<ConfigTopic>,
}

/// Discovery message, published as it stands in the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigTopic {
    config_topic: String,
    config: toml::Table,
}

fn default_topic() -> String {
    "homeassistant/sensor/smartmeter/state".into()
}

/// Key of the program replaced, field of the reading, and factor from the unit of the field to the unit of the key.
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

/// Profile of the reader for Netz NÖ.
pub struct NetzNoe(NetzNoeConfig);

impl NetzNoe {
    /// Creates the profile.
    pub fn new(settings: NetzNoeConfig) -> Self {
        NetzNoe(settings)
    }
}

impl Profile for NetzNoe {
    fn birth_and_will(&self) -> BirthAndWill {
        BirthAndWill::default()
    }

    fn initial_messages(&self) -> Vec<Message> {
        let announced = self.0.config_topics.iter().map(|topic| {
            let payload = serde_json::to_string(&topic.config).unwrap_or_default();
            Message::retained(&topic.config_topic, payload, DeliveryClass::Announcement)
        });
        announced.collect()
    }

    fn messages(&mut self, event: &ReadingEvent, _now: Timestamp) -> Vec<Message> {
        let Origin::Wire(reading) = &event.origin else {
            return Vec::new();
        };
        if reading.report.reading_type != Type::Dlms {
            return Vec::new();
        }
        let mut object = Map::new();
        for (key, name, factor) in KEYS {
            let Some(Field::Quantity(quantity)) = reading.report.reading.get(name) else {
                continue;
            };
            // Rounded to three decimal places, as by the program replaced.
            let value = (quantity.to_f64() * factor * 1000.0).round() / 1000.0;
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
