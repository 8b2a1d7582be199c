//! `[[wire]]`: a serial port or TCP bridge, and the protocol on it.

use crate::config::list::ListSection;
use crate::config::{encryption_key, must_parse, parsed, topic_problem};
use crate::port::mbus_poll::Address;
use crate::port::{CrcPolicy, DlmsOptions, P1Options, PortConfig, PortProtocol};
use crate::secret::{Secret, SecretSource};
use crate::source::wire::{Framing, Line, WireAddress};
use metertap_decode::cipher::{Key, Keys};
use metertap_decode::kamstrup;
use metertap_decode::time::Zone;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio_serial::DataBits;

/// Section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireSection {
    /// Name in topics and logs. Default: `wire0`, `wire1`, …
    name: Option<String>,
    /// `/dev/serial/by-id/…`, `tcp://host:port`, `mqtt:TOPIC` of the broker (wireless M-Bus), a recorded file, or `-` for standard input.
    #[serde(deserialize_with = "must_parse")]
    source: WireAddress,
    /// Protocol of the meter.
    protocol: Protocol,
    /// Speed of the line in bits per second. Default: the usual ones of the protocol are tried.
    baud: Option<u32>,
    /// Data bits, parity and stop bits, such as `8N1`. Default: as usual at that speed.
    #[serde(default, deserialize_with = "parsed")]
    framing: Option<Framing>,
    /// P1, DLMS, SML, TIC and wireless M-Bus: seconds between two telegrams, 0.5 to 86400. Default: learned.
    period: Option<f64>,
    /// Time zone of the meter's clock, such as `Europe/Amsterdam`. Default: that of the protocol's country.
    zone: Option<String>,
    /// P1: `required` (where the version has a CRC), `when-present` or `ignore`. Default: `required`.
    #[serde(default)]
    crc: CrcPolicy,
    /// P1 and DLMS: encryption key, 32 hexadecimal digits.
    #[serde(default, deserialize_with = "encryption_key")]
    key: Option<Secret>,
    /// File that holds the encryption key.
    key_file: Option<PathBuf>,
    /// Environment variable that holds the encryption key.
    key_env: Option<String>,
    /// P1 and DLMS: authentication key, 32 hexadecimal digits. Luxembourg's is built in.
    #[serde(default, deserialize_with = "encryption_key")]
    auth_key: Option<Secret>,
    /// File that holds the authentication key.
    auth_key_file: Option<PathBuf>,
    /// Environment variable that holds the authentication key.
    auth_key_env: Option<String>,
    /// DLMS: description of a list that metertap does not know; see below.
    dlms: Option<ListSection>,
    /// M-Bus, KMP and IEC: seconds between two rounds, 1 to 86400. Default: 60 for M-Bus, 900 for KMP and IEC, 21600 for a
    /// battery-powered meter that is read by IEC.
    every: Option<f64>,
    /// M-Bus and KMP: seconds for a meter to begin its answer, 0.1 to 60, for slow gateways. Default: what the protocol allows at
    /// `baud`, and half a second for the way.
    timeout: Option<f64>,
    /// M-Bus: meters to ask, by place (`p5`) or by the eight digits printed on them.
    #[serde(default)]
    addresses: Vec<String>,
    /// KMP: model of the meter: `302`, `402`, `403`, `601`, `602`, `603` or `382`. Default: registers that all have.
    model: Option<String>,
    /// KMP: names or numbers of the registers to read. Default: those of the model.
    #[serde(default)]
    registers: Vec<String>,
}

/// Protocols of meters that send unasked.
const PUSHING: [Protocol; 5] = [
    Protocol::P1,
    Protocol::Dlms,
    Protocol::Sml,
    Protocol::Tic,
    Protocol::Wmbus,
];
/// Protocols of meters that are polled.
const POLLED: [Protocol; 3] = [Protocol::Mbus, Protocol::Kmp, Protocol::Iec];

/// Protocol of the meter on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    P1,
    Dlms,
    Mbus,
    Wmbus,
    Kmp,
    Sml,
    Tic,
    Iec,
}

impl Protocol {
    /// Line settings that meters use, the most common first.
    fn lines(self) -> Vec<Line> {
        match self {
            // DSMR 4, 5 and their national variants; then DSMR 2 and 3; Slovenia.
            Protocol::P1 => vec![
                Line::plain(115_200),
                Line::even(9600, DataBits::Seven),
                Line::plain(9600),
                Line::even(115_200, DataBits::Seven),
            ],
            // Austria and Norway; some of them without parity; Switzerland and Slovenia; Vienna's infrared; Slovenia.
            Protocol::Dlms => vec![
                Line::even(2400, DataBits::Eight),
                Line::plain(2400),
                Line::plain(115_200),
                Line::plain(9600),
                Line::plain(38_400),
            ],
            Protocol::Mbus => vec![Line::even(2400, DataBits::Eight)],
            // Receivers with a USB port; sticks of IMST.
            Protocol::Wmbus => vec![Line::plain(115_200), Line::plain(57_600)],
            Protocol::Kmp => vec![Line::two_stop_bits(1200)],
            Protocol::Sml => vec![Line::plain(9600)],
            // Historique, as Linky is installed; then standard.
            Protocol::Tic => vec![
                Line::even(1200, DataBits::Seven),
                Line::even(9600, DataBits::Seven),
            ],
            Protocol::Iec => vec![Line::even(300, DataBits::Seven)],
        }
    }

    /// Default interval between two rounds of a polled protocol.
    fn every(self) -> Duration {
        Duration::from_secs(if self == Protocol::Kmp { 15 * 60 } else { 60 })
    }
}

impl WireSection {
    /// Name of the port, which is number `i` of the file.
    pub(super) fn name(&self, i: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("wire{i}"))
    }

    /// The serial port, which only one section can have.
    pub(super) fn device(&self) -> Option<&WireAddress> {
        let is_device = matches!(&self.source, WireAddress::Path(path) if path.starts_with("/dev"));
        (is_device || self.source == WireAddress::Stdin).then_some(&self.source)
    }

    /// Returns true if a secret stands in the section itself.
    pub(super) fn holds_secret(&self) -> bool {
        self.key.is_some() || self.auth_key.is_some()
    }

    /// Converts the section, which is number `i` of the file.
    ///
    /// # Errors
    /// Returns all mistakes in it.
    pub(super) fn config(&self, i: usize) -> Result<PortConfig, Vec<String>> {
        let name = self.name(i);
        let mut problems: Vec<String> = topic_problem(&name).into_iter().collect();
        let period = match self.period {
            Some(s) if !(0.5..=86_400.0).contains(&s) => {
                problems.push(format!("period = {s} must be between 0.5 and 86400 seconds"));
                None
            }
            seconds => seconds.map(Duration::from_secs_f64),
        };
        let answer_timeout = match self.timeout {
            Some(s) if !(0.1..=60.0).contains(&s) => {
                problems.push(format!("timeout = {s} must be between 0.1 and 60 seconds"));
                None
            }
            seconds => seconds.map(Duration::from_secs_f64),
        };
        let lines = self.lines().unwrap_or_else(|problem| {
            problems.push(problem);
            self.protocol.lines()
        });
        let protocol = self.protocol(&mut problems);
        let (Some(protocol), true) = (protocol, problems.is_empty()) else {
            let numbered = |problem| format!("[[wire]] {}: {problem}", i + 1);
            return Err(problems.into_iter().map(numbered).collect());
        };
        Ok(PortConfig {
            name,
            address: self.source.clone(),
            lines,
            period,
            answer_timeout,
            protocol,
        })
    }

    /// Returns true if the bytes come from a topic of the broker.
    pub(super) fn is_from_broker(&self) -> bool {
        matches!(self.source, WireAddress::Mqtt(_))
    }

    /// What is needed to read the meter; mistakes are added to `problems`.
    fn protocol(&self, problems: &mut Vec<String>) -> Option<PortProtocol> {
        problems.extend(self.keys_of_other_protocols());
        let mut accept = Acceptance(problems);
        let keys = accept.take(self.keys()).flatten();
        let zone = self.zone.as_deref().map(str::parse::<Zone>).transpose();
        let zone = accept.take(zone.map_err(|error| format!("zone: {error}")));
        let zone = zone.flatten().unwrap_or_default();
        let every = accept.take(match self.every {
            Some(s) if !(1.0..=86_400.0).contains(&s) => {
                Err(format!("every = {s} must be between 1 and 86400 seconds"))
            }
            seconds => Ok(seconds.map(Duration::from_secs_f64)),
        });
        let every = every.flatten();
        Some(match self.protocol {
            Protocol::P1 => PortProtocol::P1(P1Options {
                crc: self.crc,
                keys,
                zone,
                unnumbered: None,
            }),
            Protocol::Dlms => {
                let described = self.dlms.as_ref().map(ListSection::settings).transpose();
                let mut meter = accept.take(described)?.unwrap_or_default();
                meter.zone = zone;
                PortProtocol::Dlms(DlmsOptions { keys, meter })
            }
            Protocol::Sml => PortProtocol::Sml,
            // Keys are those of the meters.
            Protocol::Wmbus => PortProtocol::Wmbus,
            Protocol::Tic => PortProtocol::Tic(zone),
            Protocol::Iec => PortProtocol::Iec { every, zone },
            Protocol::Mbus => PortProtocol::Mbus {
                every: every.unwrap_or(self.protocol.every()),
                addresses: accept.take(self.bus_addresses())?,
            },
            Protocol::Kmp => PortProtocol::Kmp {
                every: every.unwrap_or(self.protocol.every()),
                registers: accept.take(registers(self.model.as_deref(), &self.registers))?,
            },
        })
    }

    fn bus_addresses(&self) -> Result<Vec<Address>, String> {
        if self.addresses.is_empty() {
            return Err("addresses are missing: `metertap mbus scan` finds them".into());
        }
        let addresses = self.addresses.iter().map(|text| text.parse::<Address>());
        let addresses: Result<_, _> = addresses.collect();
        addresses.map_err(|error| format!("addresses: {error}"))
    }

    /// Complaints about keys that the protocol does not have.
    fn keys_of_other_protocols(&self) -> Vec<String> {
        use Protocol::{Dlms, Kmp, Mbus, P1, Wmbus};
        let has_key = self.key_sources().iter().any(SecretSource::is_given);
        let keys: [(&str, bool, &[Protocol]); 10] = [
            ("source = \"mqtt:…\"", self.is_from_broker(), &[Wmbus]),
            ("crc", self.crc != CrcPolicy::default(), &[P1]),
            ("dlms", self.dlms.is_some(), &[Dlms]),
            ("key", has_key, &[P1, Dlms]),
            ("every", self.every.is_some(), &POLLED),
            ("timeout", self.timeout.is_some(), &[Mbus, Kmp]),
            ("period", self.period.is_some(), &PUSHING),
            ("addresses", !self.addresses.is_empty(), &[Mbus]),
            ("model", self.model.is_some(), &[Kmp]),
            ("registers", !self.registers.is_empty(), &[Kmp]),
        ];
        let foreign = keys
            .into_iter()
            .filter(|(_, is_set, protocols)| *is_set && !protocols.contains(&self.protocol));
        let complaints = foreign.map(|(key, _, protocols)| {
            let names: Vec<String> = protocols
                .iter()
                .map(|p| format!("{p:?}").to_lowercase())
                .collect();
            format!("{key} is for protocol = \"{}\"", names.join("\" or \""))
        });
        complaints.collect()
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        match (self.baud, self.framing) {
            (None, None) => Ok(self.protocol.lines()),
            (Some(baud), framing) if (50..=4_000_000).contains(&baud) => {
                // Framing as meters with this protocol use it at this speed.
                let usual = self.protocol.lines().into_iter().find(|line| line.baud == baud);
                let framing = framing.unwrap_or(usual.unwrap_or(Line::plain(baud)).framing);
                Ok(vec![Line { baud, framing }])
            }
            (Some(baud), _) => Err(format!("baud = {baud} must be between 50 and 4000000")),
            (None, Some(_)) => Err("framing needs baud".into()),
        }
    }

    /// Sources of the encryption and authentication keys.
    fn key_sources(&self) -> [SecretSource<'_>; 2] {
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
        let [key, authentication] = self.key_sources();
        let parse = |source: &SecretSource| -> Result<Option<Key>, String> {
            let secret = source.resolve()?;
            let key = secret.map(|secret| secret.reveal().parse::<Key>()).transpose();
            key.map_err(|error| format!("{}: {error}", source.key))
        };
        match (parse(&key)?, parse(&authentication)?) {
            (Some(encryption), authentication) => Ok(Some(Keys {
                encryption,
                authentication,
            })),
            (None, Some(_)) => Err("auth_key needs key".into()),
            (None, None) => Ok(None),
        }
    }
}

/// Collects the mistakes of several results.
struct Acceptance<'a>(&'a mut Vec<String>);

impl Acceptance<'_> {
    fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }
}

/// Returns the numbers of a Kamstrup meter's registers: those in `names`; without any, those of the model; without a model,
/// those that all models have.
///
/// # Errors
/// Returns the unknown model or register.
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
