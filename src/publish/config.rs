//! The `[mqtt]` section of the configuration, or a broker's URL on the command line.

use crate::publish::message::is_topic;
use crate::publish::mqtt::{BrokerAddress, BrokerConfig, Login, SpoolConfig, TlsConfig, Version};
use crate::publish::mqtt::{one_or_several, tls_problem};
use crate::publish::profiles::{Native, ProfileConfig, Retain, Topics, template_problem};
use crate::secret::Secret;
use crate::store::database::with_suffix;
use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Default of `spool_mb`.
const SPOOL_MB: u32 = 64;
/// Default of `spool_sync`, in seconds.
const SPOOL_SYNC: u32 = 2;
/// Limit of `spool_sync`.
const MAX_SPOOL_SYNC: u32 = 3600;

/// The `[mqtt]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// Address of the broker: `host`, `host:1883`, `mqtts://host` (TLS), `ws://host:8083/mqtt` or `wss://host`. For a
    /// cluster a list of addresses, which are tried in turn.
    #[serde(deserialize_with = "one_or_several")]
    pub host: Vec<BrokerAddress>,
    /// Port, if `host` names none. Default: 1883, 8883 with TLS, 80 and 443 for WebSockets.
    pub port: Option<u16>,
    /// User name. Default: log in anonymously.
    pub username: Option<String>,
    /// Password for `username`.
    pub password: Option<Secret>,
    /// File that holds the password, instead of `password`.
    password_file: Option<PathBuf>,
    /// Environment variable that holds the password, instead of `password`.
    password_env: Option<String>,
    /// Client id; must be unique at the broker. Default: with a spool one of this installation, otherwise a random one for each
    /// connection.
    pub client_id: Option<String>,
    /// Protocol version: `"3.1.1"` or `5`. Default: `"3.1.1"`.
    #[serde(default)]
    pub version: Version,
    /// PEM file with the certificates of the authorities that may vouch for the broker. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate that identifies metertap to the broker; needs `client_key_file`. Default: none.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the private key of `client_cert_file`.
    pub client_key_file: Option<PathBuf>,
    /// Do not verify the broker's certificate. Default: `false`.
    #[serde(default)]
    pub insecure: bool,
    /// First part of every topic. Default: `"readings"`.
    #[serde(default = "default_readings")]
    pub readings: String,
    /// Template for the topics of readings, from `{prefix}`, `{id}`, `{type}`, `{name}` and `{commodity}`; must hold
    /// `{id}` or `{name}`. Default: `"{prefix}/{id}/{type}"`.
    pub topic: Option<String>,
    /// Retain flag of readings: `true`, `false`, or `"auto"` (retain those of meters that report seldom, not of those
    /// that push every few seconds). Default: `"auto"`.
    #[serde(default)]
    pub retain: Retain,
    /// Topics and payloads of another program: `"amr2mqtt"`, `"smartmeter-reader"`, `"netz-noe"`, `"smartmeter2mqtt"` or
    /// `"homie"`; or a section `[mqtt.profile]` with that `name` and the keys below. Default: metertap's own.
    #[serde(default)]
    pub profile: ProfileConfig,
    /// File in which readings are kept while the broker is away. Default: `spool.redb` in systemd's state directory;
    /// without systemd readings wait in memory, a thousand at most.
    pub spool: Option<PathBuf>,
    /// Limit of `spool` in megabytes; beyond it the oldest readings are dropped. Default: 64.
    spool_mb: Option<u32>,
    /// Seconds for which a reading may wait without being on the disk. Readings that wait longer are written together, so a
    /// higher number spares an SD card, and a power failure may cost the readings of so many seconds. Default: 2.
    spool_sync: Option<u32>,
    /// Readings to publish after an outage: `"all"`, or only the `"latest"` of each meter. Default: `"all"`.
    #[serde(default)]
    backlog: Backlog,
    /// Spool in systemd's state directory if `spool` is not set: true for the daemon, false for other commands.
    #[serde(skip, default = "yes")]
    is_spooled_by_default: bool,
}

/// Readings to publish after an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backlog {
    /// All of them.
    #[default]
    All,
    /// The newest one of each topic.
    Latest,
}

fn yes() -> bool {
    true
}

fn default_readings() -> String {
    "readings".into()
}

impl MqttConfig {
    /// Settings for a broker, and otherwise the defaults of commands: nothing retained, no spool.
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
            readings: default_readings(),
            topic: None,
            retain: Retain::Always(false),
            profile: ProfileConfig::default(),
            spool: None,
            spool_mb: None,
            spool_sync: None,
            backlog: Backlog::All,
            is_spooled_by_default: false,
        }
    }

    /// Parses `mqtt://user:password@host:1883`, or the same with `mqtts`, `ws` or `wss`.
    ///
    /// # Errors
    /// Returns an error if `text` is not such a URL. The message does not repeat the password.
    pub fn from_url(text: &str) -> Result<Self> {
        let mut url = Url::parse(text).context("--mqtt is not a URL: write mqtt://host:1883")?;
        let user = percent_decoded(url.username());
        let password = percent_decoded(url.password().unwrap_or_default());
        if !user.is_empty() || url.password().is_some() {
            let is_without_login = url.set_username("").is_ok() && url.set_password(None).is_ok();
            if !is_without_login {
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

    /// Settings of the connection. `client_id` applies if the configuration names none.
    pub fn broker(&self, client_id: Option<String>) -> BrokerConfig {
        let spool = self.spool_path().map(|path| SpoolConfig {
            journal: journal_path(&path),
            sync: Duration::from_secs(self.spool_sync.unwrap_or(SPOOL_SYNC).into()),
            path,
            limit_bytes: u64::from(self.spool_mb.unwrap_or(SPOOL_MB)) << 20,
            is_latest_only: self.backlog == Backlog::Latest,
        });
        BrokerConfig {
            hosts: self.host.clone(),
            port: self.port,
            login: self.login(),
            client_id: self
                .client_id
                .clone()
                .or(client_id)
                .or_else(|| spool.as_ref().map(|spool| installation_id(&spool.path))),
            version: self.version,
            tls: self.tls(),
            spool,
        }
    }

    /// metertap's own layout, with the keys that change it.
    pub fn native(&self) -> Native {
        Native::new(self.topics(), self.retain, self.status_topic())
    }

    /// Topics of readings in metertap's own layout.
    pub fn topics(&self) -> Topics {
        Topics::new(&self.readings, self.topic.as_deref())
    }

    /// Topic of the publisher's `online` or `offline`, also the last will; retained.
    pub fn status_topic(&self) -> String {
        format!("{}/metertap/status", self.readings)
    }

    /// Returns true if the configuration file itself holds a password.
    pub fn holds_secret(&self) -> bool {
        self.password.is_some()
    }

    /// Mistakes in the section, each in a sentence that names its key. Reads the files that the section names.
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
        if self.spool_sync.is_some_and(|seconds| seconds > MAX_SPOOL_SYNC) {
            problems.push(format!(
                "mqtt.spool_sync cannot be more than {MAX_SPOOL_SYNC} seconds"
            ));
        }
        let login = self.login();
        problems.extend(login.resolve().err());
        if login.has_password() && login.username.is_none() {
            problems.push("mqtt.password is given without mqtt.username".into());
        }
        let is_secure = self.host.iter().any(|host| host.transport.is_secure());
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
            problems.extend(tls_problem(&self.tls()));
        }
        problems.extend(self.profile.problems());
        match &self.topic {
            Some(_) if !self.profile.is_native() => {
                problems.push("mqtt.topic: a profile has topics of its own; see its own keys".into());
            }
            Some(topic) => problems.extend(template_problem(topic)),
            None => {}
        }
        problems
    }

    /// File in which readings are kept while the broker is away, if there is one.
    pub fn spool_path(&self) -> Option<PathBuf> {
        self.spool.clone().or_else(|| {
            let folder = std::env::var_os("STATE_DIRECTORY").filter(|_| self.is_spooled_by_default)?;
            Some(PathBuf::from(folder).join("spool.redb"))
        })
    }

    fn login(&self) -> Login {
        Login {
            username: self.username.clone(),
            password: self.password.clone(),
            password_file: self.password_file.clone(),
            password_env: self.password_env.clone(),
        }
    }

    fn tls(&self) -> TlsConfig {
        TlsConfig {
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.clone(),
            client_key_file: self.client_key_file.clone(),
            is_insecure: self.insecure,
        }
    }
}

/// Client id of this installation, the same for all connections and restarts, so that a connection takes over from one that
/// is half open. No two processes of a machine have the same spool open.
fn installation_id(spool: &Path) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text = format!("{machine}\n{host}\n{}", spool.display());
    // FNV-1a; the machine's id itself is not for others.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("metertap-{:012x}", hash >> 16)
}

/// Place of the journal of a spool: in systemd's folder in memory, else beside it. The name tells spools apart.
fn journal_path(spool: &Path) -> PathBuf {
    match std::env::var_os("RUNTIME_DIRECTORY") {
        Some(folder) if !folder.is_empty() => {
            let name = spool.to_string_lossy().replace('/', "-");
            PathBuf::from(folder).join(format!("{}.journal", name.trim_start_matches('-')))
        }
        _ => with_suffix(spool, "journal"),
    }
}

/// Undoes percent encoding; bytes that are not UTF-8 become U+FFFD.
fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_url_then_host_port_and_login_are_read() {
        let settings = MqttConfig::from_url("mqtt://pi:s%40e+cr%C3%A9t@broker.lan:1884").unwrap();
        assert_eq!(settings.host[0].to_string(), "broker.lan:1884");
        assert_eq!(settings.username.as_deref(), Some("pi"));
        assert_eq!(settings.password, Some("s@e+crét".to_owned().into()));
        assert_eq!(
            MqttConfig::from_url("mqtts://[::1]").unwrap().host[0].to_string(),
            "mqtts://[::1]"
        );
    }

    #[test]
    fn given_something_else_then_the_error_says_what_is_expected() {
        for (text, expected) in [
            ("broker.lan", "not a URL"),
            ("http://broker.lan", "use mqtt://"),
            ("mqtt://broker.lan/readings", "more than a host"),
        ] {
            let error = format!("{:#}", MqttConfig::from_url(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn given_a_password_then_it_is_not_printed() {
        let settings = MqttConfig::from_url("mqtt://pi:secret@broker.lan").unwrap();
        assert!(!format!("{settings:?}{:?}", settings.broker(None)).contains("secret"));
    }

    #[test]
    fn given_version_and_retain_as_people_write_them_then_they_are_read() {
        let read = |text: &str| toml::from_str::<MqttConfig>(&format!("host = \"b\"\n{text}"));
        assert_eq!(read("version = 5").unwrap().version, Version::V5);
        assert_eq!(read("version = \"3.1.1\"").unwrap().version, Version::V3);
        assert!(read("version = 4").unwrap_err().message().contains("3.1.1"));
        assert_eq!(read("retain = true").unwrap().retain, Retain::Always(true));
        assert_eq!(read("").unwrap().retain, Retain::Auto);
        assert!(read("retain = \"never\"").unwrap_err().message().contains("auto"));
        assert!(read("host = 3").is_err());
    }

    #[test]
    fn given_a_spool_then_its_limit_is_in_bytes_and_a_command_has_none_by_default() {
        let read = |text: &str| toml::from_str::<MqttConfig>(&format!("host = \"b\"\n{text}"));
        let settings = read("spool = \"/s\"\nspool_mb = 2\nbacklog = \"latest\"").unwrap();
        let expected = SpoolConfig {
            path: "/s".into(),
            journal: "/s.journal".into(),
            limit_bytes: 2 << 20,
            is_latest_only: true,
            sync: Duration::from_secs(2),
        };
        let broker = settings.broker(None);
        assert_eq!(broker.spool, Some(expected));
        assert_eq!(broker.client_id, settings.broker(None).client_id);
        assert_eq!(broker.client_id.unwrap().len(), 21);
        assert_eq!(MqttConfig::from_url("mqtt://b").unwrap().broker(None).spool, None);
    }
}
