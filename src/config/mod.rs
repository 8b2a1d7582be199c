//! The configuration: one TOML file.

mod config_file;
mod file;
mod list;
mod meter;
pub mod toml_text;
mod wire;

pub use config_file::ConfigFile;
use file::File;
pub use file::{Problem, Problems};
use wire::Wire;
pub use wire::registers;

use crate::meter::Meters;
use crate::meter::throttle::PublishRate;
use crate::port::Port;
use crate::publish::homeassistant;
use crate::publish::mqtt::MqttConfig;
use crate::secret::warn_if_world_readable;
use crate::source::recording::RecordingOverrides;
use crate::source::{Address, Center, Live, Tuning, UnknownGain};
use crate::{output, web};
use anyhow::{Context, Result};
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
#[derive(Debug)]
pub struct Config {
    /// The broker; without one readings go to standard output.
    pub mqtt: Option<MqttConfig>,
    /// Receivers.
    pub radio: Vec<Radio>,
    /// Serial ports and bridges.
    pub ports: Vec<Port>,
    /// Our meters.
    pub home: Meters,
    /// What Home Assistant is told.
    pub homeassistant: Option<homeassistant::HomeAssistantConfig>,
    /// Where readings go besides.
    pub outputs: Vec<output::OutputConfig>,
    /// The page and the metrics.
    pub web: Option<web::WebConfig>,
    /// How often readings are passed on, where nothing else is said of a meter.
    pub rate: PublishRate,
    publish: Option<Publish>,
    trust: Option<Trust>,
}

/// All keys of the first level.
const SECTIONS: [&str; 10] = [
    "mqtt",
    "homeassistant",
    "radio",
    "wire",
    "meter",
    "output",
    "web",
    "rate",
    "publish",
    "trust",
];

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
    /// Samples a second; 2359296 of a dongle, what its name or metadata says of a recording.
    sample_rate: Option<f64>,
    /// Hz, or `"hop"`: surveys the band, then stays with the best three in turn.
    center_freq: Option<Center>,
    /// How long to stay at a centre when hopping.
    hop_seconds: Option<f64>,
    /// Of a recording: `cu8`, `cs8`, `cs16`, `cf32`.
    #[serde(default, deserialize_with = "parsed")]
    sample_format: Option<Format>,
    /// Of a recording: when it begins.
    start: Option<Timestamp>,
    /// Of a dongle: dB, `"auto"` (the tuner's own control) or `"best"` (found by trying).
    gain: Option<GainSetting>,
    /// Of a dongle: how wrong its crystal is.
    ppm: Option<i32>,
    /// Of a dongle: the gain control behind its converter.
    digital_agc: Option<bool>,
    /// Of a dongle: power for an amplifier at the antenna.
    bias_tee: Option<bool>,
    /// Of a dongle: USB transfers that are queued.
    usb_buffers: Option<u32>,
    /// Bytes of each of them, a multiple of 512.
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
        Self::read_with(path, &[])
    }

    /// The same, with keys that go before those of the file and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn read_with(path: &Path, set: &[(String, String)]) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (config, holds_secret) = Self::parse(&text, set).with_context(|| path.display().to_string())?;
        if holds_secret {
            warn_if_world_readable(path);
        }
        Ok(config)
    }

    /// Reads and checks the text of a file; tells whether a secret stands in it.
    ///
    /// # Errors
    /// Everything that is wrong, with line and key.
    pub fn parse(text: &str, set: &[(String, String)]) -> Result<(Self, bool), Problems> {
        let mut file = File::parse(text, std::env::vars())?;
        for (key, value) in set {
            file.set(key, value.clone());
        }
        let mqtt = file.one::<MqttConfig>("mqtt");
        let homeassistant = file.one::<homeassistant::HomeAssistantConfig>("homeassistant");
        let radios = file.many::<Radio>("radio");
        let mut wires = file.many::<Wire>("wire");
        wires.extend(file.many::<Wire>("serial"));
        let sections = file.many::<meter::MeterSection>("meter");
        let outputs = file.many::<output::OutputConfig>("output");
        let web = file.one::<web::WebConfig>("web");
        let rate = file.one::<PublishRate>("rate");
        let publish = file.one::<Publish>("publish");
        let trust = file.one::<String>("trust");
        file.rest(&SECTIONS);
        let mut problems = std::mem::take(&mut file.problems);
        if let Some(mqtt) = &mqtt {
            problems.extend(mqtt.value.problems().into_iter().map(|text| mqtt.problem(text)));
        }
        if let Some(told) = &homeassistant {
            let without = match &mqtt {
                None => Some("[homeassistant] says nothing without [mqtt]".to_owned()),
                Some(mqtt) if !mqtt.value.profile.is_house() => Some(
                    "[homeassistant] goes with our own topics: a profile of another program has its own"
                        .to_owned(),
                ),
                Some(_) => None,
            };
            problems.extend(
                without
                    .into_iter()
                    .chain(told.value.problem())
                    .map(|text| told.problem(text)),
            );
        }
        for (i, radio) in radios.iter().enumerate() {
            problems.extend(
                radio
                    .value
                    .problems(i)
                    .into_iter()
                    .map(|text| radio.problem(text)),
            );
        }
        for (i, output) in outputs.iter().enumerate() {
            let wrong = output.value.problems(i);
            problems.extend(wrong.into_iter().map(|text| output.problem(text)));
        }
        problems.extend(
            web.iter()
                .filter_map(|web| Some(web.problem(web.value.problem()?))),
        );
        let mut ports = Vec::new();
        for (i, wire) in wires.iter().enumerate() {
            match wire.value.port(i) {
                Ok(port) => ports.push(port),
                Err(wrong) => problems.extend(wrong.into_iter().map(|text| wire.problem(text))),
            }
        }
        let mut meters = HashMap::new();
        for (i, section) in sections.iter().enumerate() {
            let id = section.value.id();
            match section.value.meter(i) {
                Err(wrong) => problems.extend(wrong.into_iter().map(|text| section.problem(text))),
                Ok(meter) => {
                    if meters.insert(id.clone(), meter).is_some() {
                        problems
                            .push(section.problem(format!("[[meter]] {}: id {id} is there twice", i + 1)));
                    }
                }
            }
        }
        let trust = trust.and_then(|trust| {
            let parsed = trust.value.parse::<Trust>();
            parsed
                .map_err(|error| problems.push(trust.problem(format!("trust: {error}"))))
                .ok()
        });
        let mut names = HashSet::new();
        let of_radios = radios
            .iter()
            .enumerate()
            .map(|(i, radio)| (radio.value.name(i), radio.problem(String::new())));
        let of_wires = wires
            .iter()
            .enumerate()
            .map(|(i, wire)| (wire.value.name(i), wire.problem(String::new())));
        for (name, place) in of_radios.chain(of_wires) {
            if !names.insert(name.clone()) {
                problems.push(Problem {
                    text: format!("two receivers or wires are called {name}"),
                    ..place
                });
            }
        }
        if names.is_empty() && !problems.iter().any(|problem| problem.text.contains("[[")) {
            problems.push(Problem {
                line: None,
                text: "there is no [[radio]] and no [[wire]], so nothing can be heard".into(),
            });
        }
        if !problems.is_empty() {
            problems.sort();
            return Err(Problems(problems));
        }
        let mqtt = mqtt.map(|section| section.value);
        let holds_secret = mqtt.as_ref().is_some_and(MqttConfig::holds_secret)
            || wires.iter().any(|wire| wire.value.holds_secret())
            || web.as_ref().is_some_and(|web| web.value.holds_secret())
            || outputs.iter().any(|output| output.value.holds_secret());
        let config = Config {
            mqtt,
            radio: radios.into_iter().map(|section| section.value).collect(),
            ports,
            home: Meters::new(meters),
            homeassistant: homeassistant.map(|section| section.value),
            outputs: outputs.into_iter().map(|section| section.value).collect(),
            web: web.map(|section| section.value),
            rate: rate.map(|section| section.value).unwrap_or_default(),
            publish: publish.map(|section| section.value),
            trust,
        };
        Ok((config, holds_secret))
    }

    /// Whether the neighbours' meters are published, too.
    pub fn publishes_all(&self) -> bool {
        self.publish
            .map_or(self.home.is_empty(), |publish| publish == Publish::All)
    }

    /// Whether they are heard at all: somebody may look for his own.
    pub fn hears_all(&self) -> bool {
        self.publishes_all() || self.web.is_some()
    }

    /// What to believe.
    pub fn trust(&self) -> Trust {
        self.trust.unwrap_or_default()
    }
}

impl Radio {
    /// What the section says of a recording.
    pub fn wish(&self) -> RecordingOverrides {
        RecordingOverrides {
            name: self.name.clone(),
            format: self.sample_format,
            sample_rate_hz: self.sample_rate,
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => Some(hz.into()),
                _ => None,
            },
            start: self.start,
        }
    }

    /// The same where nothing of it, being number `i`, has changed.
    pub fn identity(&self, i: usize) -> String {
        format!("{} {self:?}", self.name(i))
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
