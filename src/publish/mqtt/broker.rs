//! Settings of a connection: where the broker is, how to log in, and where readings wait while it is away.

use crate::publish::mqtt::address::BrokerAddress;
use crate::publish::mqtt::tls::TlsConfig;
use crate::secret::{Secret, SecretSource};
use crate::store::database::with_suffix;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::PathBuf;
use std::time::Duration;

/// Everything a connection needs to know; topics and payloads are not its business.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// The broker, or the members of a cluster in the order in which they are tried.
    pub hosts: Vec<BrokerAddress>,
    /// Port of hosts that name none.
    pub port: Option<u16>,
    /// Credentials.
    pub login: Login,
    /// Client id; `None`: a random one for each connection, for commands beside the daemon.
    pub client_id: Option<String>,
    /// Protocol version.
    pub version: Version,
    /// Certificates, for hosts with TLS.
    pub tls: TlsConfig,
    /// Spool of readings; without one they wait in memory.
    pub spool: Option<SpoolConfig>,
}

/// Spool file, in which readings wait while the broker is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The file.
    pub path: PathBuf,
    /// Journal of readings under way, in memory if there is a folder for it.
    pub journal: PathBuf,
    /// Limit in bytes of topics and payloads.
    pub limit_bytes: u64,
    /// After an outage, publish only the newest reading of each topic.
    pub is_latest_only: bool,
    /// Longest time for which a reading waits without being on the disk.
    pub sync: Duration,
}

impl SpoolConfig {
    /// Place of the journal where there is no folder in memory.
    pub fn journal_beside(&self) -> PathBuf {
        with_suffix(&self.path, "journal")
    }
}

/// Credentials, with the password where the user keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Login {
    /// User name; without one the client is anonymous.
    pub username: Option<String>,
    /// Password in the configuration itself.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Environment variable with the password.
    pub password_env: Option<String>,
}

/// Version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1, which every broker supports.
    #[default]
    V3,
    /// MQTT 5, in which a broker reports that it refuses a message.
    V5,
}

impl BrokerConfig {
    /// Address for logs: with the port of the configuration if the host names none.
    pub fn display(&self, host: &BrokerAddress) -> String {
        match (host.port, self.port) {
            (None, Some(port)) => format!("{host}:{port}"),
            _ => host.to_string(),
        }
    }
}

impl Login {
    /// Reads the password and returns it with the user name; `None` without a user name. May read a file.
    ///
    /// # Errors
    /// Returns an error that names the key if the password is given in more than one place, or its file or variable
    /// cannot be read.
    pub fn resolve(&self) -> Result<Option<(String, Option<Secret>)>, String> {
        let password = SecretSource {
            key: "mqtt.password",
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
            env: self.password_env.as_deref(),
        };
        let password = password.resolve()?;
        Ok(self.username.clone().map(|user| (user, password)))
    }

    /// Returns true if a password is given, wherever it is.
    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.password_file.is_some() || self.password_env.is_some()
    }
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
                "`{other}` is no version of MQTT: expected \"3.1.1\" or 5"
            ))),
        }
    }
}
