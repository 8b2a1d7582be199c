//! Which broker, and who we are to it.

use crate::secret::Secret;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::PathBuf;
use url::Url;

/// The `[mqtt]` section, or an URL.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name or address of the broker.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// Who logs in.
    pub username: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// Our name to the broker; by default one that differs from process to process.
    pub client_id: Option<String>,
    /// First part of every topic.
    #[serde(default = "prefix")]
    pub readings: String,
    /// Whether the broker keeps the last reading of each meter for those who come later.
    #[serde(default)]
    pub retain: bool,
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

impl Settings {
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
}

fn port() -> u16 {
    1883
}

fn prefix() -> String {
    "readings".into()
}

impl Settings {
    /// Settings for `host` and otherwise defaults.
    pub fn new(host: &str, port: u16) -> Self {
        Settings {
            host: host.into(),
            port,
            username: None,
            password: None,
            client_id: None,
            readings: prefix(),
            retain: false,
            spool: None,
            spool_mb: None,
            backlog: Backlog::All,
            spool_by_default: false,
        }
    }

    /// Reads `mqtt://user:password@host:1883`.
    ///
    /// # Errors
    /// Where that is something else; the message does not repeat a password.
    pub fn from_url(text: &str) -> Result<Self> {
        let url = Url::parse(text).context("--mqtt is not an URL: write mqtt://host:1883")?;
        match url.scheme() {
            "mqtt" => {}
            "mqtts" => bail!("--mqtt mqtts://…: TLS is not supported yet; use mqtt://"),
            other => bail!("--mqtt {other}://…: use mqtt://host:1883"),
        }
        let host = url
            .host_str()
            .context("--mqtt names no host: write mqtt://host:1883")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            bail!("--mqtt has more than a host and a port: write mqtt://host:1883");
        }
        let mut settings = Settings::new(host.trim_matches(['[', ']']), url.port().unwrap_or_else(port));
        if !url.username().is_empty() {
            settings.username = Some(plain(url.username()));
            settings.password = Some(plain(url.password().unwrap_or_default()).into());
        }
        Ok(settings)
    }

    /// What is wrong with them, in words that name the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.host.is_empty() {
            problems.push("mqtt.host is empty".into());
        }
        if self.port == 0 {
            problems.push("mqtt.port cannot be 0".into());
        }
        if self.readings.is_empty() || self.readings.contains(['+', '#']) || self.readings.ends_with('/') {
            problems.push(format!(
                "mqtt.readings = \"{}\" cannot begin a topic: no + or #, no / at its end",
                self.readings
            ));
        }
        if self.password.is_some() && self.username.is_none() {
            problems.push("mqtt.password is given without mqtt.username".into());
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
        let settings = Settings::from_url("mqtt://pi:s%40e+cret@broker.lan:1884").unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("broker.lan", 1884));
        assert_eq!(settings.username.as_deref(), Some("pi"));
        assert_eq!(settings.password, Some("s@e+cret".to_owned().into()));
        assert_eq!(Settings::from_url("mqtt://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_broker_is_refused_in_words() {
        for (text, says) in [
            ("broker.lan", "not an URL"),
            ("http://broker.lan", "use mqtt://"),
            ("mqtt://broker.lan/readings", "more than a host"),
            ("mqtts://broker.lan", "TLS"),
        ] {
            let error = format!("{:#}", Settings::from_url(text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let settings = Settings::from_url("mqtt://pi:secret@broker.lan").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
