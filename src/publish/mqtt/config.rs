//! Which broker, and who we are to it.

use crate::publish::mqtt::address::{BrokerAddress, one_or_several};
use crate::publish::mqtt::message::is_topic;
use crate::publish::mqtt::tls;
use crate::publish::profiles;
use crate::secret::{Secret, SecretSource};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::PathBuf;
use url::Url;

/// The `[mqtt]` section, or an URL.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// The broker; of a cluster several, the next one where one is gone.
    #[serde(deserialize_with = "one_or_several")]
    pub host: Vec<BrokerAddress>,
    /// Its port, where the host names none.
    pub port: Option<u16>,
    /// Who logs in.
    pub username: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    /// Our name to the broker; by default one that differs from process to process.
    pub client_id: Option<String>,
    /// `"3.1.1"` or `5`.
    #[serde(default)]
    pub version: Version,
    /// Certificates of those who may vouch for the broker; those of the system if nothing is said.
    pub ca_file: Option<PathBuf>,
    /// Ours, and its key.
    pub client_cert_file: Option<PathBuf>,
    /// PEM, as the certificate is.
    pub client_key_file: Option<PathBuf>,
    /// Whether anybody who answers is the broker.
    #[serde(default)]
    pub insecure: bool,
    /// First part of every topic.
    #[serde(default = "prefix")]
    pub readings: String,
    /// Topic of a reading, with `{prefix}`, `{id}`, `{type}`, `{name}`, `{commodity}`.
    pub topic: Option<String>,
    /// What the broker keeps for those who come later.
    #[serde(default)]
    pub retain: Retain,
    /// Whose topics and payloads.
    #[serde(default)]
    pub profile: profiles::ProfileConfig,
    /// Where readings are kept while the broker is away; systemd's state directory if nothing is said.
    pub spool: Option<PathBuf>,
    /// How many megabytes of them.
    spool_mb: Option<u32>,
    /// `all` or `latest`: what is sent of them afterwards.
    #[serde(default)]
    pub backlog: Backlog,
    /// The daemon's, not that of a command.
    #[serde(skip, default = "yes")]
    spool_by_default: bool,
}

fn yes() -> bool {
    true
}

/// Which MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1, which every broker speaks.
    #[default]
    V3,
    /// 5.
    V5,
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "\"3.1.1\" or 5")]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        match text.as_str() {
            "3" | "3.1.1" => Ok(Version::V3),
            "5" | "5.0" => Ok(Version::V5),
            other => Err(D::Error::custom(format!(
                "{other} is no version of MQTT: \"3.1.1\" or 5"
            ))),
        }
    }
}

/// Which readings the broker keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retain {
    /// Those of meters that speak seldom, of the radio or because we ask; not those that push every few seconds.
    #[default]
    Auto,
    /// All, or none.
    Always(bool),
}

impl Retain {
    /// Whether a reading is kept; `pushes`: its meter speaks by itself every few seconds.
    pub fn keeps(self, pushes: bool) -> bool {
        match self {
            Retain::Auto => !pushes,
            Retain::Always(always) => always,
        }
    }
}

impl<'de> Deserialize<'de> for Retain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false or \"auto\"")]
        enum Written {
            Flag(bool),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Flag(always) => Ok(Retain::Always(always)),
            Written::Text(text) if text == "auto" => Ok(Retain::Auto),
            Written::Text(text) => Err(D::Error::custom(format!("\"{text}\": true, false or \"auto\""))),
        }
    }
}

/// What is sent after the broker was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backlog {
    /// All that was kept.
    #[default]
    All,
    /// The newest reading of each meter.
    Latest,
}

impl MqttConfig {
    /// The file for readings while the broker is away, if there is to be one.
    pub fn spool_path(&self) -> Option<PathBuf> {
        self.spool.clone().or_else(|| {
            let folder = std::env::var_os("STATE_DIRECTORY").filter(|_| self.spool_by_default)?;
            Some(PathBuf::from(folder).join("spool.redb"))
        })
    }

    /// Its limit.
    pub fn spool_bytes(&self) -> u64 {
        u64::from(self.spool_mb.unwrap_or(64)) << 20
    }

    /// A broker as people write it.
    pub fn shown(&self, host: &BrokerAddress) -> String {
        match (host.port, self.port) {
            (None, Some(port)) => format!("{host}:{port}"),
            _ => host.to_string(),
        }
    }

    /// The same for one of several connections, which keeps nothing on the disk.
    pub fn for_states(&self) -> Self {
        MqttConfig {
            client_id: None,
            spool: None,
            spool_by_default: false,
            ..self.clone()
        }
    }

    /// Who logs in, and with what.
    ///
    /// # Errors
    /// Where the password is not where it is said to be.
    pub fn login(&self) -> Result<Option<(String, Option<Secret>)>, String> {
        let password = SecretSource {
            key: "mqtt.password",
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
            env: self.password_env.as_deref(),
        };
        let password = password.resolve()?;
        Ok(self.username.clone().map(|user| (user, password)))
    }

    /// Whether the file of the configuration holds a secret.
    pub fn holds_secret(&self) -> bool {
        self.password.is_some()
    }
}

fn prefix() -> String {
    "readings".into()
}

impl MqttConfig {
    /// Settings for a broker, and otherwise defaults.
    pub fn new(host: BrokerAddress) -> Self {
        MqttConfig {
            host: vec![host],
            port: None,
            username: None,
            password: None,
            password_file: None,
            password_env: None,
            client_id: None,
            version: Version::default(),
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            insecure: false,
            readings: prefix(),
            topic: None,
            retain: Retain::Always(false),
            profile: profiles::ProfileConfig::default(),
            spool: None,
            spool_mb: None,
            backlog: Backlog::All,
            spool_by_default: false,
        }
    }

    /// Reads `mqtt://user:password@host:1883`, or the same with `mqtts`, `ws` or `wss`.
    ///
    /// # Errors
    /// Where that is something else; the message does not repeat a password.
    pub fn from_url(text: &str) -> Result<Self> {
        let mut url = Url::parse(text).context("--mqtt is not an URL: write mqtt://host:1883")?;
        let (user, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
        if !user.is_empty() || url.password().is_some() {
            let is_mended = url.set_username("").is_ok() && url.set_password(None).is_ok();
            if !is_mended {
                bail!("--mqtt names no host: write mqtt://host:1883");
            }
        }
        let host = url.as_str().parse::<BrokerAddress>();
        let mut settings = MqttConfig::new(host.map_err(|error| anyhow::anyhow!("--mqtt: {error}"))?);
        if !user.is_empty() {
            settings.username = Some(user);
            settings.password = Some(password.into());
        }
        Ok(settings)
    }

    /// What is wrong with them, in words that name the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.port == Some(0) {
            problems.push("mqtt.port cannot be 0".into());
        }
        if !is_topic(&self.readings) {
            problems.push(format!(
                "mqtt.readings = \"{}\" cannot begin a topic: no + or #, no / at its end",
                self.readings
            ));
        }
        problems.extend(self.login().err());
        let has_password =
            self.password.is_some() || self.password_file.is_some() || self.password_env.is_some();
        if has_password && self.username.is_none() {
            problems.push("mqtt.password is given without mqtt.username".into());
        }
        let is_secure = self.host.iter().any(|host| host.road.is_secure());
        for (key, is_set) in [
            ("ca_file", self.ca_file.is_some()),
            ("client_cert_file", self.client_cert_file.is_some()),
            ("client_key_file", self.client_key_file.is_some()),
            ("insecure", self.insecure),
        ] {
            if is_set && !is_secure {
                problems.push(format!("mqtt.{key} is for TLS: write host = \"mqtts://…\""));
            }
        }
        if is_secure {
            problems.extend(tls::config(self).err().map(|error| format!("{error:#}")));
        }
        problems.extend(self.profile.problems());
        let is_house = self.profile == profiles::ProfileConfig::default();
        match &self.topic {
            Some(_) if !is_house => {
                problems.push("mqtt.topic: a profile has topics of its own; see its own keys".into());
            }
            Some(topic) => problems.extend(profiles::template_problem(topic)),
            None => {}
        }
        problems
    }

    /// Where it is known whether we are there: retained, with a last will.
    pub fn status_topic(&self) -> String {
        format!("{}/metertap/status", self.readings)
    }
}

/// Undoes percent encoding.
fn plain(text: &str) -> String {
    let as_query = format!("p={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(as_query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_gives_host_port_and_login() {
        let settings = MqttConfig::from_url("mqtt://pi:s%40e+cret@broker.lan:1884").unwrap();
        assert_eq!(settings.host[0].to_string(), "broker.lan:1884");
        assert_eq!(settings.username.as_deref(), Some("pi"));
        assert_eq!(settings.password, Some("s@e+cret".to_owned().into()));
        assert_eq!(
            MqttConfig::from_url("mqtts://[::1]").unwrap().host[0].to_string(),
            "mqtts://[::1]"
        );
    }

    #[test]
    fn what_is_no_broker_is_refused_in_words() {
        for (text, says) in [
            ("broker.lan", "not an URL"),
            ("http://broker.lan", "use mqtt://"),
            ("mqtt://broker.lan/readings", "more than a host"),
        ] {
            let error = format!("{:#}", MqttConfig::from_url(text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let settings = MqttConfig::from_url("mqtt://pi:secret@broker.lan").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn versions_and_retain_are_read_as_people_write_them() {
        let read = |text: &str| toml::from_str::<MqttConfig>(&format!("host = \"b\"\n{text}"));
        assert_eq!(read("version = 5").unwrap().version, Version::V5);
        assert_eq!(read("version = \"3.1.1\"").unwrap().version, Version::V3);
        assert!(read("version = 4").unwrap_err().message().contains("3.1.1"));
        assert_eq!(read("retain = true").unwrap().retain, Retain::Always(true));
        assert_eq!(read("").unwrap().retain, Retain::Auto);
        assert!(read("retain = \"never\"").unwrap_err().message().contains("auto"));
        assert!(read("host = 3").is_err());
    }
}
