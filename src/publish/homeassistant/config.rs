//! The `[homeassistant]` section of the configuration.

use crate::publish::message::is_topic;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// The `[homeassistant]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistantConfig {
    /// Announce meters by MQTT discovery: `"device"` (or `true`; one message per device, Home Assistant 2024.11 and
    /// later), `"sensor"` (one message per sensor, for earlier versions) or `false`. Default: `"device"`.
    #[serde(default)]
    pub discovery: Discovery,
    /// First part of Home Assistant's topics, its discovery prefix. Default: `"homeassistant"`.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Announce radio meters that are not in the configuration as well. Default: `false`.
    #[serde(default)]
    pub unknown_meters: bool,
    /// Address of metertap's page, to which the devices link. Default: that of `web.listen`, with the name of the host and `.local` if
    /// it listens on all addresses; none if it listens on this machine only.
    pub configuration_url: Option<String>,
}

/// Form of the discovery messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// One message per device.
    #[default]
    Device,
    /// One message per sensor, as before 2024.11.
    Sensor,
    /// None.
    Off,
}

impl<'de> Deserialize<'de> for Discovery {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false, \"device\" or \"sensor\"")]
        enum Written {
            Flag(bool),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Flag(true) => Ok(Discovery::Device),
            Written::Flag(false) => Ok(Discovery::Off),
            Written::Text(text) if text == "device" => Ok(Discovery::Device),
            Written::Text(text) if text == "sensor" => Ok(Discovery::Sensor),
            Written::Text(text) => Err(D::Error::custom(format!(
                "invalid discovery `{text}`: expected true, false, \"device\" or \"sensor\""
            ))),
        }
    }
}

fn default_prefix() -> String {
    "homeassistant".into()
}

impl HomeAssistantConfig {
    /// Mistake in the section, in a sentence that names the key.
    pub fn problem(&self) -> Option<String> {
        let url = self.configuration_url.as_deref();
        let is_url = |url: &str| {
            ["http://", "https://", "homeassistant://"]
                .iter()
                .any(|start| url.starts_with(start))
        };
        if let Some(url) = url.filter(|url| !is_url(url) || url::Url::parse(url).is_err()) {
            return Some(format!(
                "homeassistant.configuration_url = \"{url}\" is no address of a page: write http://host:8080"
            ));
        }
        (!is_topic(&self.prefix)).then(|| {
            format!(
                "homeassistant.prefix = \"{}\" cannot begin a topic: no + or #, no / at its end",
                self.prefix
            )
        })
    }
}
