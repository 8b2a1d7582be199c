//! Arguments `--config` and `--set`, shared by all commands that need a configuration.

use super::{Config, Problems};
use anyhow::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where commands look for the configuration unless it is named: the working folder, then the place of the package.
const PLACES: [&str; 2] = ["metertap.toml", SERVICE];
/// Configuration of the service.
const SERVICE: &str = "/etc/metertap/metertap.toml";
/// Configuration that the package installs, for the user to replace.
const SAMPLE: &str = include_str!("../../packaging/metertap.toml");

#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// Configuration file. Default: ./metertap.toml, otherwise /etc/metertap/metertap.toml.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value_os_t = ConfigFile::found().unwrap_or_else(|| PLACES[0].into()),
        hide_default_value = true,
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

    /// The file that is used unless one is named, if there is one.
    pub fn found() -> Option<PathBuf> {
        // One that must not be read is there as well: its error is clearer than none.
        let is_there = |place: &&Path| place.try_exists().unwrap_or(true);
        PLACES.iter().map(Path::new).find(is_there).map(Path::to_owned)
    }

    /// The service's configuration, if it is still the sample of the package and this user may replace it.
    pub fn untouched_sample() -> Option<PathBuf> {
        let is_untouched = std::fs::read_to_string(SERVICE).is_ok_and(|text| text == SAMPLE);
        let is_writable = std::fs::OpenOptions::new().write(true).open(SERVICE).is_ok();
        (is_untouched && is_writable).then(|| SERVICE.into())
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// Returns all mistakes with file, line and key; if the file cannot be read, the remedy.
    pub fn read(&self) -> Result<Config> {
        Config::read_with(&self.config, &self.set).map_err(|error| self.with_remedy(error))
    }

    fn with_remedy(&self, error: Error) -> Error {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let remedy = match kind {
            Some(ErrorKind::NotFound) if PLACES.iter().any(|place| self.config == Path::new(place)) => {
                format!(
                    "expected a configuration in ./{} or {}: `metertap init` writes one, and -c FILE names another",
                    PLACES[0], PLACES[1]
                )
            }
            Some(ErrorKind::NotFound) => "`metertap init --out FILE` writes a configuration".into(),
            Some(ErrorKind::PermissionDenied) => {
                "it is not yours to read, since it may hold passwords: put sudo before the command".into()
            }
            _ => return error,
        };
        Error::msg(format!("{error:#}: {remedy}"))
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
