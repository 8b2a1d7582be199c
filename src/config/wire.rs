//! `[[wire]]`: a serial port or TCP bridge, and who speaks on it.

use super::must_parse;
use crate::decode::cipher::{Key, Keys};
use crate::engine::wire::{CrcPolicy, Listener, P1, P1Settings, Port};
use crate::secret::{Places, Secret};
use crate::source::wire::{Framing, Line, WireAddress};
use serde::Deserialize;
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
    #[serde(default, deserialize_with = "super::parsed")]
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
}

/// Who speaks on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    P1,
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
        }
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
        let zone = match self.zone.as_deref().map(str::parse).transpose() {
            Ok(zone) => zone.unwrap_or_default(),
            Err(error) => {
                problems.push(format!("zone: {error}"));
                Default::default()
            }
        };
        let keys = self.keys().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            let numbered = |problem| format!("[[wire]] {}: {problem}", i + 1);
            return Err(problems.into_iter().map(numbered).collect());
        }
        let crc = self.crc;
        let listener: Box<dyn Listener> = match self.protocol {
            Protocol::P1 => Box::new(P1::new(P1Settings { crc, keys, zone })),
        };
        Ok(Port {
            name,
            address: self.source.clone(),
            lines,
            period,
            listener,
        })
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        match (self.baud, self.framing) {
            (None, None) => Ok(self.protocol.lines()),
            (Some(baud), framing) if (50..=4_000_000).contains(&baud) => {
                let framing = framing.unwrap_or(Line::plain(baud).framing);
                Ok(vec![Line { baud, framing }])
            }
            (Some(baud), _) => Err(format!("baud = {baud} is no speed of a line")),
            (None, Some(_)) => Err("framing says nothing without baud".into()),
        }
    }

    fn keys(&self) -> Result<Option<Keys>, String> {
        let key = Places {
            key: "key",
            here: self.key.as_ref(),
            file: self.key_file.as_deref(),
            env: self.key_env.as_deref(),
        };
        let authentication = Places {
            key: "auth_key",
            here: self.auth_key.as_ref(),
            file: self.auth_key_file.as_deref(),
            env: self.auth_key_env.as_deref(),
        };
        let parse = |places: &Places| -> Result<Option<Key>, String> {
            let secret = places.find()?;
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
