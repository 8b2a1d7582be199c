//! The configuration: one TOML file.

mod dialect;
mod meter;
mod wire;

use wire::Wire;
pub use wire::registers;

use crate::engine::wire::Port;
use crate::meter::Home;
use crate::secret::warn_if_open;
use crate::sink::homeassistant;
use crate::sink::mqtt::Settings;
use crate::source::file::Wish;
use crate::source::{Address, Center, Live, Tuning, UnknownGain};
use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use metertap_dsp::Trust;
use metertap_dsp::iq::Format;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// All sections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker; without one readings go to standard output.
    pub mqtt: Option<Settings>,
    /// Receivers.
    #[serde(default)]
    pub radio: Vec<Radio>,
    /// Serial ports and bridges.
    #[serde(default, alias = "serial")]
    wire: Vec<Wire>,
    /// And what they describe.
    #[serde(skip)]
    pub ports: Vec<Port>,
    /// Our meters.
    #[serde(default)]
    meter: Vec<meter::Section>,
    /// And what they describe.
    #[serde(skip)]
    pub home: Home,
    /// `all` or `listed`: what is published of the radio; the listed ones, if there are any.
    publish: Option<Publish>,
    /// What Home Assistant is told.
    pub homeassistant: Option<homeassistant::Settings>,
    /// `strict`, `normal` or `eager`.
    #[serde(default, deserialize_with = "parsed")]
    trust: Option<Trust>,
}

/// What is published of the radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Publish {
    /// Whatever is heard.
    All,
    /// What stands in `[[meter]]`.
    Listed,
}

/// A receiver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radio {
    /// What it is called in topics and logs; `radio0` and so on if nothing else is said.
    name: Option<String>,
    /// `rtlsdr`, `rtlsdr:SERIAL`, `rtlsdr:index=N`, `rtl_tcp://host:port`, or a recording.
    #[serde(deserialize_with = "must_parse")]
    pub source: Address,
    /// Play a recording at the pace at which it was made.
    #[serde(default)]
    pub realtime: bool,
    /// Offer its samples to other programs by the protocol of rtl_tcp, at this address.
    pub serve_rtl_tcp: Option<SocketAddr>,
    sample_rate: Option<f64>,
    center_freq: Option<Center>,
    /// How long to stay at a centre when hopping.
    hop_seconds: Option<f64>,
    #[serde(default, deserialize_with = "parsed")]
    sample_format: Option<Format>,
    start: Option<Timestamp>,
    gain: Option<GainSetting>,
    ppm: Option<i32>,
    digital_agc: Option<bool>,
    bias_tee: Option<bool>,
    /// USB transfers queued at a dongle, and bytes of each.
    usb_buffers: Option<u32>,
    usb_buffer_bytes: Option<u32>,
}

/// `"auto"` or a number of dB.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum GainSetting {
    Db(f64),
    Word(String),
}

impl Config {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown}"))?;
        let mut config: Config = toml::from_str(&text)
            .map_err(|error| anyhow!("{shown}: {}{}", line_of(&text, &error), error.message()))?;
        let mut problems = config.mqtt.as_ref().map(Settings::problems).unwrap_or_default();
        for (i, radio) in config.radio.iter().enumerate() {
            problems.extend(radio.problems(i));
        }
        let mut ports = Vec::new();
        for (i, wire) in config.wire.iter().enumerate() {
            match wire.port(i) {
                Ok(port) => ports.push(port),
                Err(wrong) => problems.extend(wrong),
            }
        }
        let mut meters = HashMap::new();
        for (i, section) in config.meter.iter().enumerate() {
            match section.meter(i) {
                Err(wrong) => problems.extend(wrong),
                Ok(meter) => {
                    if meters.insert(section.id(), meter).is_some() {
                        problems.push(format!("[[meter]] {}: {} is there twice", i + 1, section.id()));
                    }
                }
            }
        }
        if config.homeassistant.is_some() && config.mqtt.is_none() {
            problems.push("[homeassistant] says nothing without [mqtt]".into());
        }
        problems.extend(
            config
                .homeassistant
                .as_ref()
                .and_then(homeassistant::Settings::problem),
        );
        let radios = config.radio.iter().enumerate().map(|(i, radio)| radio.name(i));
        let wires = config.wire.iter().enumerate().map(|(i, wire)| wire.name(i));
        let mut names = HashSet::new();
        for name in radios.chain(wires) {
            if !names.insert(name.clone()) {
                problems.push(format!("two receivers or wires are called {name}"));
            }
        }
        if names.is_empty() {
            problems.push("there is no [[radio]] and no [[wire]], so nothing can be heard".into());
        }
        if !problems.is_empty() {
            bail!("{shown}: {}", problems.join("; "));
        }
        let password = config.mqtt.as_ref().is_some_and(|mqtt| mqtt.password.is_some());
        if password || config.wire.iter().any(Wire::holds_secret) {
            warn_if_open(path);
        }
        config.ports = ports;
        config.home = Home::new(meters);
        Ok(config)
    }

    /// Whether the neighbours' meters are published, too.
    pub fn publishes_all(&self) -> bool {
        self.publish
            .map_or(self.home.is_empty(), |publish| publish == Publish::All)
    }

    /// What to believe.
    pub fn trust(&self) -> Trust {
        self.trust.unwrap_or_default()
    }
}

impl Radio {
    /// What the section says of a recording.
    pub fn wish(&self) -> Wish {
        Wish {
            format: self.sample_format,
            sample_rate_hz: self.sample_rate,
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => Some(hz.into()),
                _ => None,
            },
            start: self.start,
        }
    }

    /// What it is called, being number `i`.
    pub fn name(&self, i: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("radio{i}"))
    }

    /// What the section says of a dongle.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    fn tuning(&self) -> Result<Tuning, String> {
        let default = Tuning::default();
        let whole = |key: &str, value: Option<f64>, default: u32| match value {
            None => Ok(default),
            Some(hz) if hz.fract() == 0.0 && (1.0..=4e9).contains(&hz) => Ok(hz as u32),
            Some(hz) => Err(format!("{key} = {hz} is no whole number of Hz")),
        };
        let within =
            |key: &str, value: Option<u32>, default, range: RangeInclusive<u32>, step: u32| match value {
                None => Ok(default),
                Some(value) if range.contains(&value) && value % step == 0 => Ok(value),
                Some(value) => Err(format!(
                    "{key} = {value} must be a multiple of {step} from {} to {}",
                    range.start(),
                    range.end()
                )),
            };
        let gain = match &self.gain {
            None => default.gain,
            Some(GainSetting::Db(db)) => db.to_string().parse().map_err(|e: UnknownGain| e.to_string())?,
            Some(GainSetting::Word(word)) => word.parse().map_err(|e: UnknownGain| e.to_string())?,
        };
        Ok(Tuning {
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => hz,
                _ => default.center_hz,
            },
            sample_rate_hz: whole("sample_rate", self.sample_rate, default.sample_rate_hz)?,
            gain,
            ppm: self.ppm.unwrap_or_default(),
            digital_agc: self.digital_agc.unwrap_or_default(),
            bias_tee: self.bias_tee.unwrap_or_default(),
            usb_buffers: within("usb_buffers", self.usb_buffers, default.usb_buffers, 2..=64, 1)?,
            usb_buffer_bytes: within(
                "usb_buffer_bytes",
                self.usb_buffer_bytes,
                default.usb_buffer_bytes,
                512..=1 << 18,
                512,
            )?,
        })
    }

    /// What the section says of a live source; nothing if it is a recording.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn live(&self) -> Result<Option<Live>, String> {
        let live = Live::new(&self.source, self.tuning()?);
        Ok(live.map(|live| live.hopping(self.hop())))
    }

    /// How long to stay at a centre, if it is to hop.
    fn hop(&self) -> Option<Duration> {
        let hops = self.center_freq == Some(Center::Hop);
        hops.then(|| Duration::from_secs_f64(self.hop_seconds.unwrap_or(60.0)))
    }

    /// Everything that is wrong with it, being number `i`.
    fn problems(&self, i: usize) -> Vec<String> {
        let name = self.name(i);
        let mut problems: Vec<String> = self.tuning().err().into_iter().collect();
        let is_live = !matches!(self.source, Address::File(_));
        let wrong = if is_live {
            [
                ("realtime", self.realtime),
                ("sample_format", self.sample_format.is_some()),
                ("start", self.start.is_some()),
                ("", false),
                ("", false),
            ]
        } else {
            [
                ("gain", self.gain.is_some()),
                ("ppm", self.ppm.is_some()),
                ("digital_agc", self.digital_agc.is_some()),
                ("bias_tee", self.bias_tee.is_some()),
                ("serve_rtl_tcp", self.serve_rtl_tcp.is_some()),
            ]
        };
        if self.hop_seconds.is_some_and(|s| !(0.1..=86_400.0).contains(&s)) {
            problems.push("hop_seconds must be between 0.1 and 86400".into());
        }
        if self.hop_seconds.is_some() && self.hop().is_none() {
            problems.push("hop_seconds is for center_freq = \"hop\"".into());
        }
        if !is_live && self.hop().is_some() {
            problems.push("a recording cannot hop".into());
        }
        let of = if is_live { "a recording" } else { "a dongle" };
        problems.extend(
            wrong
                .iter()
                .filter(|(_, set)| *set)
                .map(|(key, _)| format!("{key} is for {of}, and {} is none", self.source)),
        );
        if name.is_empty() || name.contains(['/', '+', '#']) {
            problems.push(format!("name = \"{name}\" cannot be part of a topic"));
        }
        problems
            .into_iter()
            .map(|problem| format!("[[radio]] {}: {problem}", i + 1))
            .collect()
    }
}

/// Where it is wrong; the line itself is not shown, since it may hold a secret.
fn line_of(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| {
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        format!("line {line}, column {column}: ")
    })
}

fn must_parse<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A string that says something.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(D::Error::custom)
}
