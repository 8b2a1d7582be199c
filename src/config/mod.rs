//! The configuration: one TOML file, read into plain data.
//!
//! Nothing is opened, started or built here, so a configuration can be checked, compared and thrown away.

mod config_file;
mod draft;
mod file;
mod list;
mod meter;
mod meter_edit;
mod parse;
mod radio;
mod suggest;
mod tariff;
pub mod toml_text;
mod wire;

pub use config_file::ConfigFile;
pub use draft::{Draft, SectionDraft};
pub use file::{Problem, Problems};
pub use meter_edit::{EditError, MeterText};
pub use radio::{RadioConfig, RadioSource};
pub use wire::registers;

use crate::meter::Meters;
use crate::meter::tariff::Tariffs;
use crate::meter::telegrams::TelegramOptions;
use crate::meter::throttle::PublishRate;
use crate::output::OutputConfig;
use crate::port::PortConfig;
use crate::publish::MqttConfig;
use crate::publish::homeassistant::HomeAssistantConfig;
use crate::secret::Secret;
use crate::web::WebConfig;
use metertap_decode::cipher::Key;
use metertap_dsp::Trust;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::PathBuf;
use std::str::FromStr;

/// All sections of the file. Two values are equal if nothing has changed; a reload compares them part by part.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The broker; without one, readings go to standard output.
    pub mqtt: Option<MqttConfig>,
    /// Receivers.
    pub radios: Vec<RadioConfig>,
    /// Serial ports and bridges.
    pub ports: Vec<PortConfig>,
    /// Meters of this home.
    pub meters: Meters,
    /// Ids and keys by which telegrams of wireless M-Bus are read.
    pub telegrams: TelegramOptions,
    /// Discovery by Home Assistant.
    pub homeassistant: Option<HomeAssistantConfig>,
    /// Outputs besides MQTT.
    pub outputs: Vec<OutputConfig>,
    /// The page, its API and the metrics.
    pub web: Option<WebConfig>,
    /// Prices of what meters count.
    pub tariffs: Tariffs,
    /// Publishing rate of meters without one of their own.
    pub rate: PublishRate,
    publish: Option<Publish>,
    trust: Option<Trust>,
}

/// Radio meters that are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Publish {
    /// All that are received.
    All,
    /// Those of `[[meter]]`.
    Listed,
}

impl Config {
    /// Returns true if radio meters that are not in `[[meter]]` are published, too.
    pub fn publishes_all(&self) -> bool {
        self.publish
            .map_or(self.meters.is_empty(), |publish| publish == Publish::All)
    }

    /// Returns true if such meters are decoded: they are published, or shown on the page to be added from there.
    pub fn decodes_all(&self) -> bool {
        self.publishes_all() || self.web.is_some()
    }

    /// What is to be done before Home Assistant shows a meter, if there is anything.
    pub fn homeassistant_hint(&self) -> Option<&'static str> {
        let homeassistant = self.homeassistant.as_ref()?;
        let is_empty = self.meters.is_empty() && self.ports.is_empty() && !homeassistant.unknown_meters;
        is_empty.then_some(
            "Home Assistant is not told of any meter yet: there is no [[meter]]. `metertap find --reading NUMBER` tells which id is yours; write \
             [[meter]] with it, and its unit, such as \"kWh\", \"m³\" or \"gal\".",
        )
    }

    /// Folder for what is learned of meters: the service manager's, else that of the spool.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let spool = || self.mqtt.as_ref()?.spool_path();
        match std::env::var_os("STATE_DIRECTORY") {
            Some(folder) => Some(folder.into()),
            None => Some(spool()?.parent()?.to_owned()),
        }
    }

    /// Evidence that a corrected frame needs.
    pub fn trust(&self) -> Trust {
        self.trust.unwrap_or_default()
    }

    /// Outputs, with standard output where there would be neither an output nor a broker.
    pub fn outputs_or_stdout(&self) -> Vec<OutputConfig> {
        if self.outputs.is_empty() && self.mqtt.is_none() {
            return vec![OutputConfig::stdout()];
        }
        self.outputs.clone()
    }
}

/// Mistake of a name that cannot be one level of an MQTT topic, if it is one.
fn topic_problem(name: &str) -> Option<String> {
    let is_wrong = name.is_empty() || name.contains(['/', '+', '#']);
    is_wrong.then(|| format!("name = \"{name}\" cannot be part of a topic: leave out /, + and #"))
}

fn must_parse<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// Deserializes a secret that must be an encryption key, which stays as it was typed.
fn encryption_key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let secret = Secret::deserialize(from)?;
    secret.reveal().parse::<Key>().map_err(D::Error::custom)?;
    Ok(Some(secret))
}

/// Deserializes an optional key whose text must parse.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    must_parse(from).map(Some)
}
