//! Arguments `--config` and `--set`, shared by all commands that need a configuration.

use super::{Config, Problems};
use anyhow::Result;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// Configuration file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "metertap.toml",
        env = "METERTAP_CONFIG"
    )]
    pub config: PathBuf,
    /// Override a key, such as `mqtt.host=broker.lan`; takes precedence over the environment and the file.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

impl ConfigFile {
    /// Names a file, without further keys.
    pub fn new(config: PathBuf) -> Self {
        ConfigFile {
            config,
            set: Vec::new(),
        }
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// Returns all mistakes with file, line and key.
    pub fn read(&self) -> Result<Config> {
        Config::read_with(&self.config, &self.set)
    }

    /// Checks a text as if it were that of the file.
    ///
    /// # Errors
    /// Returns all mistakes with line and key.
    pub fn check(&self, text: &str) -> Result<Config, Problems> {
        Config::parse(text, &self.set).map(|(config, _)| config)
    }
}

/// Parses `mqtt.host=broker.lan`.
fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, as in mqtt.host=broker.lan")?;
    Ok((key.trim().into(), value.into()))
}
