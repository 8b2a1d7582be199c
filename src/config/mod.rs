//! The configuration: one TOML file.

use crate::decode::ert::Kind;
use crate::meter::Meter;
use crate::sink::mqtt::Settings;
use crate::source::file::Wish;
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::Trust;
use metertap_dsp::iq::Format;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// All sections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker; without one readings go to standard output.
    pub mqtt: Option<Settings>,
    /// Receivers.
    #[serde(default)]
    pub radio: Vec<Radio>,
    /// Our meters; none: every meter heard is published.
    #[serde(default)]
    meter: Vec<MeterSection>,
    /// `strict`, `normal` or `eager`.
    #[serde(default, deserialize_with = "parsed")]
    trust: Option<Trust>,
}

/// A receiver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radio {
    /// An IQ file, or `-` for standard input.
    pub source: PathBuf,
    /// Play a recording at the pace at which it was made.
    #[serde(default)]
    pub realtime: bool,
    sample_rate: Option<f64>,
    center_freq: Option<f64>,
    #[serde(default, deserialize_with = "parsed")]
    sample_format: Option<Format>,
    start: Option<Timestamp>,
}

/// One of our meters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeterSection {
    id: u32,
    /// What its frames are, where the air leaves it open: `idm` or `netidm`, `r900` or `r900bcd`.
    #[serde(rename = "type", default, deserialize_with = "parsed")]
    kind: Option<Kind>,
}

impl Config {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
        let config: Config = toml::from_str(&text).with_context(|| format!("{shown}"))?;
        let mut problems = config.mqtt.as_ref().map(Settings::problems).unwrap_or_default();
        if config.radio.is_empty() {
            problems.push("there is no [[radio]], so nothing can be heard".into());
        }
        if !problems.is_empty() {
            bail!("{shown}: {}", problems.join("; "));
        }
        Ok(config)
    }

    /// Our meters by id.
    pub fn meters(&self) -> HashMap<u32, Meter> {
        self.meter
            .iter()
            .map(|section| (section.id, Meter { kind: section.kind }))
            .collect()
    }

    /// What to believe.
    pub fn trust(&self) -> Trust {
        self.trust.unwrap_or_default()
    }
}

impl Radio {
    /// What the section says of the recording.
    pub fn wish(&self) -> Wish {
        Wish {
            format: self.sample_format,
            sample_rate_hz: self.sample_rate,
            center_hz: self.center_freq,
            start: self.start,
        }
    }
}

/// A string that says something.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(D::Error::custom)
}
