//! Whose topics and payloads: our own, or those of a program that was here before.

mod amr2mqtt;
mod native;
mod netz_noe;
mod smartmeter2mqtt;
mod smartmeter_reader;

pub mod homie;

pub use native::{Native, Topics, template_problem};

use crate::meter::event::ReadingEvent;
use crate::publish::mqtt::{BirthAndWill, Message, is_topic};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::time::Instant;

/// Makes messages of readings.
pub trait Profile: Send {
    /// What is said of ourselves.
    fn presence(&self) -> BirthAndWill;

    /// What is said once, before any reading.
    fn beginning(&self) -> Vec<Message> {
        Vec::new()
    }

    /// Our name to the broker, where the program had one.
    fn client_id(&self) -> Option<String> {
        None
    }

    /// What is said of a reading.
    fn say(&mut self, told: &ReadingEvent) -> Vec<Message>;

    /// What is said because it is time; asked several times a second.
    fn due(&mut self, _now: Instant) -> Vec<Message> {
        Vec::new()
    }

    /// What is said at the end.
    fn end(&mut self) -> Vec<Message> {
        Vec::new()
    }
}

/// `profile = "…"`, or a section `[mqtt.profile]` with a `name` and more.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ProfileConfig {
    /// Ours.
    #[default]
    Metertap,
    /// rtl_tcp, rtlamr and a script.
    Amr2mqtt,
    /// P1 in arrays.
    SmartmeterReader(smartmeter_reader::SmartmeterReaderConfig),
    /// The meters of Lower Austria.
    NetzNoe(netz_noe::NetzNoeConfig),
    /// P1 for everything.
    Smartmeter2mqtt(smartmeter2mqtt::Smartmeter2mqttConfig),
    /// The Homie convention, version 4.
    Homie(homie::HomieConfig),
}

const NAMES: &str = "amr2mqtt, smartmeter-reader, netz-noe, smartmeter2mqtt or homie";

impl<'de> Deserialize<'de> for ProfileConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (name, keys) = match toml::Value::deserialize(from)? {
            toml::Value::String(name) => (name, toml::Table::new()),
            toml::Value::Table(mut keys) => match keys.remove("name") {
                Some(toml::Value::String(name)) => (name, keys),
                _ => return Err(D::Error::custom(format!("profile needs a name: {NAMES}"))),
            },
            _ => return Err(D::Error::custom(format!("profile is a name: {NAMES}"))),
        };
        let keys = toml::Value::Table(keys);
        let read = match name.as_str() {
            "metertap" => keys.try_into::<NoKeys>().map(|NoKeys {}| ProfileConfig::Metertap),
            "amr2mqtt" => keys.try_into::<NoKeys>().map(|NoKeys {}| ProfileConfig::Amr2mqtt),
            "smartmeter-reader" => keys.try_into().map(ProfileConfig::SmartmeterReader),
            "netz-noe" => keys.try_into().map(ProfileConfig::NetzNoe),
            "smartmeter2mqtt" => keys.try_into().map(ProfileConfig::Smartmeter2mqtt),
            "homie" => keys.try_into().map(ProfileConfig::Homie),
            other => return Err(D::Error::custom(format!("\"{other}\" is no profile: {NAMES}"))),
        };
        read.map_err(|error| D::Error::custom(format!("profile {name}: {}", error.message())))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl ProfileConfig {
    /// Whether it is our own.
    pub fn is_house(&self) -> bool {
        *self == ProfileConfig::Metertap
    }

    /// What is wrong with them.
    pub fn problems(&self) -> Vec<String> {
        let topic = match self {
            ProfileConfig::Metertap | ProfileConfig::Amr2mqtt => return Vec::new(),
            ProfileConfig::SmartmeterReader(settings) => &settings.topic,
            ProfileConfig::NetzNoe(settings) => &settings.topic,
            ProfileConfig::Smartmeter2mqtt(settings) => &settings.topic,
            ProfileConfig::Homie(settings) => &settings.topic,
        };
        let mut problems = Vec::new();
        if !is_topic(topic) {
            problems.push(format!(
                "mqtt.profile: topic = \"{topic}\" cannot be a topic: no + or #, no / at its end"
            ));
        }
        if let ProfileConfig::SmartmeterReader(settings) = self {
            if !(1..=3600).contains(&settings.interval) {
                problems.push("mqtt.profile: interval must be between 1 and 3600 seconds".into());
            }
        }
        problems
    }

    /// The profile; nothing for Homie, which has connections of its own.
    pub fn profile(&self, mqtt: &crate::publish::mqtt::MqttConfig) -> Option<Box<dyn Profile>> {
        Some(match self {
            ProfileConfig::Metertap => Box::new(Native::new(mqtt)),
            ProfileConfig::Amr2mqtt => Box::new(amr2mqtt::Amr2mqtt::new(&mqtt.readings)),
            ProfileConfig::SmartmeterReader(settings) => {
                Box::new(smartmeter_reader::SmartmeterReader::new(settings.clone()))
            }
            ProfileConfig::NetzNoe(settings) => Box::new(netz_noe::NetzNoe::new(settings.clone())),
            ProfileConfig::Smartmeter2mqtt(settings) => {
                Box::new(smartmeter2mqtt::Smartmeter2mqtt::new(settings.clone()))
            }
            ProfileConfig::Homie(_) => return None,
        })
    }
}
