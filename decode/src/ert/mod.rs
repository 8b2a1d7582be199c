//! ERT and R900: frames of the radio become messages.
//!
//! Field names, their order and their types in JSON are those of rtlamr, whose lines people's scripts parse.

mod bits;
mod idm;
mod net_idm;
mod r900;
mod scm;
mod scm_plus;

pub use idm::Idm;
pub use net_idm::{NetIdm, likely_kind};
pub use r900::{R900, bcd};
pub use scm::Scm;
pub use scm_plus::ScmPlus;

use metertap_dsp::{Packet, Protocol};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A kind of message, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Standard consumption message.
    Scm,
    /// Its successor.
    ScmPlus,
    /// Interval data.
    Idm,
    /// Interval data of a meter that also feeds in.
    NetIdm,
    /// Neptune water meter.
    R900,
    /// The same with a decimal counter.
    R900Bcd,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Scm,
        Kind::ScmPlus,
        Kind::Idm,
        Kind::NetIdm,
        Kind::R900,
        Kind::R900Bcd,
    ];

    /// As rtlamr writes it in `Type`.
    pub fn rtlamr_name(self) -> &'static str {
        match self {
            Kind::Scm => "SCM",
            Kind::ScmPlus => "SCM+",
            Kind::Idm => "IDM",
            Kind::NetIdm => "NetIDM",
            Kind::R900 => "R900",
            Kind::R900Bcd => "R900BCD",
        }
    }

    /// As it stands in a topic, `readings/<id>/<type>`.
    pub fn topic_name(self) -> &'static str {
        match self {
            Kind::Scm => "scm",
            Kind::ScmPlus => "scmplus",
            Kind::Idm => "idm",
            Kind::NetIdm => "netidm",
            Kind::R900 => "r900",
            Kind::R900Bcd => "r900bcd",
        }
    }

    /// The frame that carries it.
    pub fn protocol(self) -> Protocol {
        match self {
            Kind::Scm => Protocol::Scm,
            Kind::ScmPlus => Protocol::ScmPlus,
            Kind::Idm | Kind::NetIdm => Protocol::Idm,
            Kind::R900 | Kind::R900Bcd => Protocol::R900,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.topic_name())
    }
}

/// A message type nobody knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a message type: use scm, scm+ (or scmplus), idm, netidm, r900 or r900bcd")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let lower = name.to_ascii_lowercase();
        Kind::ALL
            .into_iter()
            .find(|kind| lower == kind.topic_name() || lower == kind.rtlamr_name().to_lowercase())
            .ok_or_else(|| UnknownKind(name.into()))
    }
}

/// What a meter said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Message {
    /// See [`Scm`].
    Scm(Scm),
    /// See [`ScmPlus`].
    ScmPlus(ScmPlus),
    /// See [`Idm`].
    Idm(Idm),
    /// See [`NetIdm`].
    NetIdm(NetIdm),
    /// See [`R900`].
    R900(R900),
    /// See [`R900`]; its consumption is decimal.
    R900Bcd(R900),
}

/// Why a frame with a good check is no message. Counted, not reported one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a frame of this kind.
    #[error("{0} bytes cannot be such a frame")]
    Length(usize),
    /// An id that no meter has.
    #[error("meter id 0")]
    IdZero,
    /// An R900BCD counter with a digit above 9.
    #[error("counter is not decimal")]
    NotBcd,
}

impl Message {
    /// Reads `frame` as `kind`.
    ///
    /// # Errors
    /// [`Refused`] where the frame cannot be that.
    pub fn parse(kind: Kind, frame: &[u8]) -> Result<Self, Refused> {
        Ok(match kind {
            Kind::Scm => Message::Scm(Scm::parse(frame)?),
            Kind::ScmPlus => Message::ScmPlus(ScmPlus::parse(frame)?),
            Kind::Idm => Message::Idm(Idm::parse(frame)?),
            Kind::NetIdm => Message::NetIdm(NetIdm::parse(frame)?),
            Kind::R900 => Message::R900(R900::parse(frame)?),
            Kind::R900Bcd => {
                let mut message = R900::parse(frame)?;
                message.consumption = bcd(message.consumption).ok_or(Refused::NotBcd)?;
                Message::R900Bcd(message)
            }
        })
    }

    /// The kind of message.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Scm(_) => Kind::Scm,
            Message::ScmPlus(_) => Kind::ScmPlus,
            Message::Idm(_) => Kind::Idm,
            Message::NetIdm(_) => Kind::NetIdm,
            Message::R900(_) => Kind::R900,
            Message::R900Bcd(_) => Kind::R900Bcd,
        }
    }

    /// The meter's id, as printed on it.
    pub fn id(&self) -> u32 {
        match self {
            Message::Scm(m) => m.id,
            Message::ScmPlus(m) => m.endpoint_id,
            Message::Idm(m) => m.ert_serial_number,
            Message::NetIdm(m) => m.ert_serial_number,
            Message::R900(m) | Message::R900Bcd(m) => m.id,
        }
    }

    /// What rtlamr compares with `-filtertype`: SCM's type, all of SCM+'s type byte, IDM's low nibble,
    /// R900's first unknown byte.
    pub fn meter_type(&self) -> u8 {
        match self {
            Message::Scm(m) => m.ert_type,
            Message::ScmPlus(m) => m.endpoint_type,
            Message::Idm(m) => m.ert_type,
            Message::NetIdm(m) => m.ert_type,
            Message::R900(m) | Message::R900Bcd(m) => m.unkn1,
        }
    }

    /// The counter, in the meter's own unit. NetIDM: net consumption; negative if the meter fed in more.
    pub fn consumption(&self) -> i64 {
        match self {
            Message::Scm(m) => m.consumption.into(),
            Message::ScmPlus(m) => m.consumption.into(),
            Message::Idm(m) => m.last_consumption_count.into(),
            Message::NetIdm(m) => i64::from(m.last_consumption_net as i32),
            Message::R900(m) | Message::R900Bcd(m) => m.consumption.into(),
        }
    }

    /// What the meter measures, as far as its type tells. Common, not guaranteed.
    pub fn commodity(&self) -> Commodity {
        match self {
            Message::R900(_) | Message::R900Bcd(_) => Commodity::Water,
            _ => Commodity::of_ert_type(self.meter_type() & 0x0F),
        }
    }
}

/// The id in a packet, whatever its kind is; nothing if it is no message.
pub fn id_of(packet: &Packet) -> Option<u32> {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.protocol() == packet.protocol)?;
    Message::parse(kind, packet.bytes())
        .ok()
        .map(|message| message.id())
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Commodity {
    /// Electricity.
    Electric,
    /// Gas.
    Gas,
    /// Water.
    Water,
    /// The type says nothing.
    Unknown,
}

impl Commodity {
    /// The customary meaning of an ERT type (PROTOCOLS: electric 4, 5, 7, 8; gas 0, 1, 2, 9, 12; water 3,
    /// 11, 13).
    pub fn of_ert_type(ert_type: u8) -> Self {
        match ert_type {
            4 | 5 | 7 | 8 => Commodity::Electric,
            0 | 1 | 2 | 9 | 12 => Commodity::Gas,
            3 | 11 | 13 => Commodity::Water,
            _ => Commodity::Unknown,
        }
    }
}

/// A word that is no [`Commodity`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no commodity: use electric, gas or water")]
pub struct UnknownCommodity(String);

impl FromStr for Commodity {
    type Err = UnknownCommodity;

    fn from_str(name: &str) -> Result<Self, UnknownCommodity> {
        match name.to_ascii_lowercase().as_str() {
            "electric" | "electricity" => Ok(Commodity::Electric),
            "gas" => Ok(Commodity::Gas),
            "water" => Ok(Commodity::Water),
            _ => Err(UnknownCommodity(name.into())),
        }
    }
}

impl fmt::Display for Commodity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Commodity::Electric => "electric",
            Commodity::Gas => "gas",
            Commodity::Water => "water",
            Commodity::Unknown => "?",
        })
    }
}
