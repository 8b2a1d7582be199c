//! The key `mqtt.profile`: which profile, and its own keys.

use crate::publish::message::is_topic;
use crate::publish::profiles::amr2mqtt::Amr2mqtt;
use crate::publish::profiles::homie::HomieConfig;
use crate::publish::profiles::native::Native;
use crate::publish::profiles::netz_noe::{NetzNoe, NetzNoeConfig};
use crate::publish::profiles::profile::Profile;
use crate::publish::profiles::smartmeter_reader::{SmartmeterReader, SmartmeterReaderConfig};
use crate::publish::profiles::smartmeter2mqtt::{Smartmeter2mqtt, Smartmeter2mqttConfig};
use crate::publish::profiles::wmbusmeters::{Wmbusmeters, WmbusmetersConfig};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Connections that a profile needs.
pub enum Connections<'a> {
    /// One for all meters.
    One(Box<dyn Profile>),
    /// One for each meter, since the last will is about a meter.
    PerMeter(&'a HomieConfig),
}

/// Value of `mqtt.profile`: a name, or a section `[mqtt.profile]` with a `name` and keys of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ProfileConfig {
    /// metertap's own layout.
    #[default]
    Metertap,
    /// amr2mqtt: lines of rtlamr.
    Amr2mqtt,
    /// smartmeter-reader: P1 telegrams in arrays.
    SmartmeterReader(SmartmeterReaderConfig),
    /// Reader for the meters of Netz NÖ (Lower Austria).
    NetzNoe(NetzNoeConfig),
    /// smartmeter2mqtt: P1 telegrams as objects or field by field.
    Smartmeter2mqtt(Smartmeter2mqttConfig),
    /// wmbusmeters: an object per telegram of wireless M-Bus.
    Wmbusmeters(WmbusmetersConfig),
    /// Homie convention, version 4.
    Homie(HomieConfig),
}

const NAMES: &str = "amr2mqtt, smartmeter-reader, netz-noe, smartmeter2mqtt, wmbusmeters or homie";

impl<'de> Deserialize<'de> for ProfileConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (name, keys) = match toml::Value::deserialize(from)? {
            toml::Value::String(name) => (name, toml::Table::new()),
            toml::Value::Table(mut keys) => match keys.remove("name") {
                Some(toml::Value::String(name)) => (name, keys),
                _ => return Err(D::Error::custom(format!("profile needs a name: {NAMES}"))),
            },
            _ => {
                return Err(D::Error::custom(format!(
                    "expected the name of a profile: {NAMES}"
                )));
            }
        };
        let keys = toml::Value::Table(keys);
        let read = match name.as_str() {
            "metertap" => keys.try_into::<NoKeys>().map(|NoKeys {}| ProfileConfig::Metertap),
            "amr2mqtt" => keys.try_into::<NoKeys>().map(|NoKeys {}| ProfileConfig::Amr2mqtt),
            "smartmeter-reader" => keys.try_into().map(ProfileConfig::SmartmeterReader),
            "netz-noe" => keys.try_into().map(ProfileConfig::NetzNoe),
            "smartmeter2mqtt" => keys.try_into().map(ProfileConfig::Smartmeter2mqtt),
            "wmbusmeters" => keys.try_into().map(ProfileConfig::Wmbusmeters),
            "homie" => keys.try_into().map(ProfileConfig::Homie),
            other => {
                return Err(D::Error::custom(format!(
                    "unknown profile \"{other}\": expected {NAMES}"
                )));
            }
        };
        read.map_err(|error| D::Error::custom(format!("profile {name}: {}", error.message())))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl ProfileConfig {
    /// Returns true for metertap's own layout.
    pub fn is_native(&self) -> bool {
        *self == ProfileConfig::Metertap
    }

    /// Mistakes in the keys of the profile, each in a sentence.
    pub fn problems(&self) -> Vec<String> {
        let topic = match self {
            ProfileConfig::Metertap | ProfileConfig::Amr2mqtt => return Vec::new(),
            ProfileConfig::SmartmeterReader(settings) => &settings.topic,
            ProfileConfig::NetzNoe(settings) => &settings.topic,
            ProfileConfig::Smartmeter2mqtt(settings) => &settings.topic,
            ProfileConfig::Wmbusmeters(settings) => &settings.topic,
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

    /// Creates the profile; `native` is metertap's own layout, from which amr2mqtt takes the prefix.
    pub fn connections(&self, native: Native) -> Connections<'_> {
        Connections::One(match self {
            ProfileConfig::Metertap => Box::new(native),
            ProfileConfig::Amr2mqtt => Box::new(Amr2mqtt::new(native.prefix())),
            ProfileConfig::SmartmeterReader(settings) => Box::new(SmartmeterReader::new(settings.clone())),
            ProfileConfig::NetzNoe(settings) => Box::new(NetzNoe::new(settings.clone())),
            ProfileConfig::Smartmeter2mqtt(settings) => Box::new(Smartmeter2mqtt::new(settings.clone())),
            ProfileConfig::Wmbusmeters(settings) => Box::new(Wmbusmeters::new(settings.clone())),
            ProfileConfig::Homie(settings) => return Connections::PerMeter(settings),
        })
    }
}
