//! `[[wire]]`: a serial port or TCP bridge, and who speaks on it.

use crate::config::list::Dialect;
use crate::config::must_parse;
use crate::port::kmp_master::Known;
use crate::port::mbus_master::Address;
use crate::port::{CrcPolicy, Dlms, DlmsOptions, P1, P1Options, PollTarget, Poller, Port, PortMode};
use crate::runtime::cancel::Stop;
use crate::secret::{Secret, SecretSource};
use crate::source::wire::{Framing, Line, WireAddress};
use crate::status::last_telegram::LastTelegram;
use metertap_decode::cipher::{Key, Keys};
use metertap_decode::kamstrup;
use metertap_decode::stamp::Zone;
use serde::Deserialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;
use tokio_serial::DataBits;

/// A wire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// What it is called in topics and logs; `wire0` and so on if nothing else is said.
    name: Option<String>,
    /// `/dev/serial/by-id/…`, `tcp://host:port`, a recorded file, or `-`.
    #[serde(deserialize_with = "must_parse")]
    pub source: WireAddress,
    /// Who speaks on it.
    protocol: Protocol,
    /// Speed of the line; nothing: the usual ones are tried.
    baud: Option<u32>,
    /// Data bits, parity, stop bits: `8N1`.
    #[serde(default, deserialize_with = "crate::config::parsed")]
    framing: Option<Framing>,
    /// How often the meter speaks, in seconds; learned if nothing is said.
    period: Option<f64>,
    /// Where the meter stands: its clock shows local time.
    zone: Option<String>,
    /// `required`, `when-present` or `ignore`.
    #[serde(default)]
    crc: CrcPolicy,
    /// Encryption key, and other places where it may stand.
    key: Option<Secret>,
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    /// Authentication key, likewise; Luxembourg's is known.
    auth_key: Option<Secret>,
    auth_key_file: Option<PathBuf>,
    auth_key_env: Option<String>,
    /// Of DLMS: what the meter leaves out.
    dlms: Option<Dialect>,
    /// Of meters that are asked: how often, in seconds.
    every: Option<f64>,
    /// Of M-Bus: `p5`, or the eight digits on the meter.
    #[serde(default)]
    addresses: Vec<String>,
    /// Of KMP: `302`, `402`, `403`, `601`, `602`, `603`, `382`.
    model: Option<String>,
    /// Of KMP: names or numbers of registers, instead of the model's.
    #[serde(default)]
    registers: Vec<String>,
}

/// Who speaks on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    P1,
    Dlms,
    Mbus,
    Kmp,
}

impl Protocol {
    /// Lines that meters use, the commonest first.
    fn lines(self) -> Vec<Line> {
        match self {
            // DSMR 4, 5 and all their cousins; DSMR 2 and 3.
            Protocol::P1 => vec![
                Line::plain(115_200),
                Line::even(9600, DataBits::Seven),
                Line::plain(9600),
            ],
            // Austria and Norway; some of them; Switzerland and Slovenia.
            Protocol::Dlms => vec![
                Line::even(2400, DataBits::Eight),
                Line::plain(2400),
                Line::plain(115_200),
            ],
            Protocol::Mbus => vec![Line::even(2400, DataBits::Eight)],
            Protocol::Kmp => vec![Line::two_stop_bits(1200)],
        }
    }

    /// How often a meter is asked that does not speak by itself.
    fn every(self) -> Duration {
        Duration::from_secs(if self == Protocol::Kmp { 15 * 60 } else { 60 })
    }
}

impl Wire {
    /// What it is called, being number `i`.
    pub fn name(&self, i: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("wire{i}"))
    }

    /// Whether a secret stands in the section itself.
    pub fn holds_secret(&self) -> bool {
        self.key.is_some() || self.auth_key.is_some()
    }

    /// The port that the section describes, being number `i`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn port(&self, i: usize) -> Result<Port, Vec<String>> {
        let name = self.name(i);
        let mut problems = Vec::new();
        if name.is_empty() || name.contains(['/', '+', '#']) {
            problems.push(format!("name = \"{name}\" cannot be part of a topic"));
        }
        let period = match self.period {
            Some(s) if !(0.5..=86_400.0).contains(&s) => {
                problems.push(format!("period = {s} must be between 0.5 and 86400 seconds"));
                None
            }
            seconds => seconds.map(Duration::from_secs_f64),
        };
        let lines = self.lines().unwrap_or_else(|problem| {
            problems.push(problem);
            self.protocol.lines()
        });
        let speaker = self.speaker().map_err(|problem| problems.push(problem));
        let (Ok(speaker), true) = (speaker, problems.is_empty()) else {
            let numbered = |problem| format!("[[wire]] {}: {problem}", i + 1);
            return Err(problems.into_iter().map(numbered).collect());
        };
        Ok(Port {
            name,
            address: self.source.clone(),
            lines,
            period,
            speaker,
            tail: LastTelegram::default(),
            identity: self.identity(i),
            stop: Stop::default().part(),
        })
    }

    /// What must be equal for a port to be left alone when the configuration is read again: all that is said of it,
    /// and its keys, which may stand elsewhere.
    fn identity(&self, i: usize) -> String {
        let mut hasher = DefaultHasher::new();
        for places in self.places() {
            let secret = places.resolve().ok().flatten();
            secret.as_ref().map(Secret::reveal).hash(&mut hasher);
        }
        format!("{} {self:?} {:x}", self.name(i), hasher.finish())
    }

    fn speaker(&self) -> Result<PortMode, String> {
        self.only_for("crc", self.crc != CrcPolicy::default(), &[Protocol::P1])?;
        self.only_for("dlms", self.dlms.is_some(), &[Protocol::Dlms])?;
        let keys = self.keys()?;
        self.only_for("key", keys.is_some(), &[Protocol::P1, Protocol::Dlms])?;
        self.only_for("every", self.every.is_some(), &[Protocol::Mbus, Protocol::Kmp])?;
        self.only_for("period", self.period.is_some(), &[Protocol::P1, Protocol::Dlms])?;
        self.only_for("addresses", !self.addresses.is_empty(), &[Protocol::Mbus])?;
        self.only_for("model", self.model.is_some(), &[Protocol::Kmp])?;
        self.only_for("registers", !self.registers.is_empty(), &[Protocol::Kmp])?;
        let zone = match self.zone.as_deref().map(str::parse::<Zone>).transpose() {
            Ok(zone) => zone.unwrap_or_default(),
            Err(error) => return Err(format!("zone: {error}")),
        };
        let every = match self.every {
            Some(s) if !(1.0..=86_400.0).contains(&s) => {
                return Err(format!("every = {s} must be between 1 and 86400 seconds"));
            }
            seconds => seconds.map_or(self.protocol.every(), Duration::from_secs_f64),
        };
        Ok(match self.protocol {
            Protocol::P1 => PortMode::Push(Box::new(P1::new(P1Options {
                crc: self.crc,
                keys,
                zone,
            }))),
            Protocol::Dlms => {
                let mut meter = self
                    .dlms
                    .as_ref()
                    .map(Dialect::settings)
                    .transpose()?
                    .unwrap_or_default();
                meter.zone = zone;
                PortMode::Push(Box::new(Dlms::new(DlmsOptions { keys, meter })))
            }
            Protocol::Mbus => {
                if self.addresses.is_empty() {
                    return Err("addresses are missing: `metertap mbus scan` finds them".into());
                }
                let addresses = self.addresses.iter().map(|text| text.parse::<Address>());
                let addresses: Result<_, _> = addresses.collect();
                PortMode::Poll(Poller::new(
                    every,
                    PollTarget::Mbus(addresses.map_err(|error| format!("addresses: {error}"))?),
                ))
            }
            Protocol::Kmp => {
                let registers = registers(self.model.as_deref(), &self.registers)?;
                PortMode::Poll(Poller::new(every, PollTarget::Kmp(registers, Known::default())))
            }
        })
    }

    fn only_for(&self, key: &str, is_set: bool, protocols: &[Protocol]) -> Result<(), String> {
        if is_set && !protocols.contains(&self.protocol) {
            let names: Vec<String> = protocols
                .iter()
                .map(|p| format!("{p:?}").to_lowercase())
                .collect();
            return Err(format!("{key} is for protocol = \"{}\"", names.join("\" or \"")));
        }
        Ok(())
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        match (self.baud, self.framing) {
            (None, None) => Ok(self.protocol.lines()),
            (Some(baud), framing) if (50..=4_000_000).contains(&baud) => {
                // As meters of this kind do at this speed.
                let usual = self.protocol.lines().into_iter().find(|line| line.baud == baud);
                let framing = framing.unwrap_or(usual.unwrap_or(Line::plain(baud)).framing);
                Ok(vec![Line { baud, framing }])
            }
            (Some(baud), _) => Err(format!("baud = {baud} is no speed of a line")),
            (None, Some(_)) => Err("framing says nothing without baud".into()),
        }
    }

    /// Where its keys stand.
    fn places(&self) -> [SecretSource<'_>; 2] {
        let key = SecretSource {
            key: "key",
            inline: self.key.as_ref(),
            file: self.key_file.as_deref(),
            env: self.key_env.as_deref(),
        };
        let authentication = SecretSource {
            key: "auth_key",
            inline: self.auth_key.as_ref(),
            file: self.auth_key_file.as_deref(),
            env: self.auth_key_env.as_deref(),
        };
        [key, authentication]
    }

    fn keys(&self) -> Result<Option<Keys>, String> {
        let [key, authentication] = self.places();
        let parse = |places: &SecretSource| -> Result<Option<Key>, String> {
            let secret = places.resolve()?;
            let key = secret.map(|secret| secret.reveal().parse::<Key>()).transpose();
            key.map_err(|error| format!("{}: {error}", places.key))
        };
        match (parse(&key)?, parse(&authentication)?) {
            (Some(encryption), authentication) => Ok(Some(Keys {
                encryption,
                authentication,
            })),
            (None, Some(_)) => Err("auth_key says nothing without key".into()),
            (None, None) => Ok(None),
        }
    }
}

/// Registers of a Kamstrup meter: those named, or those of the model, or those that all have.
///
/// # Errors
/// Which name is none.
pub fn registers(model: Option<&str>, names: &[String]) -> Result<Vec<u16>, String> {
    if names.is_empty() {
        let name = model.unwrap_or("302");
        let registers = kamstrup::model(name).ok_or_else(|| {
            format!(
                "model = \"{name}\" is not known; these are: {}",
                kamstrup::MODELS.join(", ")
            )
        })?;
        return Ok(registers.to_vec());
    }
    let number = |name: &String| {
        kamstrup::register(name)
            .ok_or_else(|| format!("registers: `{name}` is neither a number nor a known name"))
    };
    names.iter().map(number).collect()
}
