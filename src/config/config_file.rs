//! `--config` and `--set`: the same for all who need a configuration.

use super::{Config, Problems};
use anyhow::Result;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "metertap.toml",
        env = "METERTAP_CONFIG"
    )]
    pub config: PathBuf,
    /// Set a key of the file, such as `mqtt.host=broker.lan`; goes before the environment, which goes before the file.
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

    /// Reads and checks it.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn read(&self) -> Result<Config> {
        Config::read_with(&self.config, &self.set)
    }

    /// Checks what may become its text.
    ///
    /// # Errors
    /// Everything that would be wrong, with line and key.
    pub fn check(&self, text: &str) -> Result<Config, Problems> {
        Config::parse(text, &self.set).map(|(config, _)| config)
    }
}

/// `mqtt.host=broker.lan`
fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, as in mqtt.host=broker.lan")?;
    Ok((key.trim().into(), value.into()))
}
