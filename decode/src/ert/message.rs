//! Messages of every type.

use super::{
    Commodity, Dialog3g, ErtError, HotRod, Idm, Kind, NetIdm, Orion, OrionEndpoint, R900, Scm, ScmPlus,
    WaterFlags, bcd,
};
use metertap_dsp::Packet;
use serde::Serialize;

/// Message of a meter.
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
    /// See [`Orion`].
    Orion(Orion),
    /// See [`OrionEndpoint`].
    OrionEndpoint(OrionEndpoint),
    /// See [`HotRod`].
    HotRod(HotRod),
    /// See [`Dialog3g`].
    Dialog3g(Dialog3g),
}

impl Message {
    /// Decodes a frame as a message of this type. The frame is one whose check matches, as
    /// [`metertap_dsp::Packet::bytes`] or [`metertap_dsp::wmbus::Frame::bytes`] returns it; the check is not repeated.
    ///
    /// # Errors
    /// [`ErtError::Length`] for a frame of another type, [`IdZero`](ErtError::IdZero) for meter id 0,
    /// [`NotBcd`](ErtError::NotBcd) for an R900BCD or a Hot Rod whose numbers are not decimal.
    pub fn parse(kind: Kind, frame: &[u8]) -> Result<Self, ErtError> {
        Ok(match kind {
            Kind::Scm => Message::Scm(Scm::parse(frame)?),
            Kind::ScmPlus => Message::ScmPlus(ScmPlus::parse(frame)?),
            Kind::Idm => Message::Idm(Idm::parse(frame)?),
            Kind::NetIdm => Message::NetIdm(NetIdm::parse(frame)?),
            Kind::R900 => Message::R900(R900::parse(frame)?),
            Kind::R900Bcd => {
                let mut message = R900::parse(frame)?;
                message.consumption = bcd(message.consumption).ok_or(ErtError::NotBcd)?;
                Message::R900Bcd(message)
            }
            Kind::Orion => Message::Orion(Orion::parse(frame)?),
            Kind::OrionEndpoint => Message::OrionEndpoint(OrionEndpoint::parse(frame)?),
            Kind::HotRod => Message::HotRod(HotRod::parse(frame)?),
            Kind::Dialog3g => Message::Dialog3g(Dialog3g::parse(frame)?),
        })
    }

    /// Returns the type of the message.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Scm(_) => Kind::Scm,
            Message::ScmPlus(_) => Kind::ScmPlus,
            Message::Idm(_) => Kind::Idm,
            Message::NetIdm(_) => Kind::NetIdm,
            Message::R900(_) => Kind::R900,
            Message::R900Bcd(_) => Kind::R900Bcd,
            Message::Orion(_) => Kind::Orion,
            Message::OrionEndpoint(_) => Kind::OrionEndpoint,
            Message::HotRod(_) => Kind::HotRod,
            Message::Dialog3g(_) => Kind::Dialog3g,
        }
    }

    /// Returns the id of the meter, as printed on it.
    pub fn id(&self) -> u32 {
        match self {
            Message::Scm(m) => m.id,
            Message::ScmPlus(m) => m.endpoint_id,
            Message::Idm(m) => m.ert_serial_number,
            Message::NetIdm(m) => m.ert_serial_number,
            Message::R900(m) | Message::R900Bcd(m) => m.id,
            Message::Orion(m) => m.id,
            Message::OrionEndpoint(m) => m.id,
            Message::HotRod(m) => m.id,
            Message::Dialog3g(m) => m.id,
        }
    }

    /// Returns what rtlamr compares with `-filtertype`: the type of an SCM, the whole type byte of an SCM+, the low nibble of
    /// an IDM's, the first unknown byte of an R900. Types that rtlamr does not know have none, and 0 stands for it.
    pub fn meter_type(&self) -> u8 {
        match self {
            Message::Scm(m) => m.ert_type,
            Message::ScmPlus(m) => m.endpoint_type,
            Message::Idm(m) => m.ert_type,
            Message::NetIdm(m) => m.ert_type,
            Message::R900(m) | Message::R900Bcd(m) => m.unkn1,
            Message::Orion(_) | Message::OrionEndpoint(_) | Message::HotRod(_) | Message::Dialog3g(_) => 0,
        }
    }

    /// Returns the counter in the meter's own unit. That of a NetIDM is net consumption, negative if the meter fed in more.
    pub fn consumption(&self) -> i64 {
        match self {
            Message::Scm(m) => m.consumption.into(),
            Message::ScmPlus(m) => m.consumption.into(),
            Message::Idm(m) => m.last_consumption_count.into(),
            Message::NetIdm(m) => i64::from(m.last_consumption_net as i32),
            Message::R900(m) => m.counter().into(),
            Message::R900Bcd(m) => m.consumption.into(),
            Message::Orion(m) => m.consumption.into(),
            Message::OrionEndpoint(m) => m.consumption.into(),
            Message::HotRod(m) => m.consumption.into(),
            Message::Dialog3g(m) => m.consumption.into(),
        }
    }

    /// Returns the number of values of the counter, after which it starts again at 0: a power of two, of ten for an R900BCD
    /// and a Hot Rod.
    pub fn counter_range(&self) -> i64 {
        match self {
            Message::Scm(_) => 1 << 24,
            Message::Orion(_) | Message::Dialog3g(_) => 1 << 24,
            Message::ScmPlus(_) | Message::Idm(_) | Message::NetIdm(_) | Message::OrionEndpoint(_) => 1 << 32,
            Message::R900(m) if m.has_flags() => 1 << 27,
            Message::R900(_) => 1 << 24,
            Message::R900Bcd(_) => 1_000_000,
            Message::HotRod(_) => 10_000_000,
        }
    }

    /// Returns whether the transmitter says that it has no reading; [`Message::consumption`] then means nothing.
    pub fn lacks_reading(&self) -> bool {
        matches!(self, Message::R900(m) if m.lacks_reading())
    }

    /// Returns leak, backflow and days without use of a meter that reports them.
    pub fn flags(&self) -> Option<WaterFlags> {
        match self {
            Message::R900(m) | Message::R900Bcd(m) => m.flags(),
            Message::OrionEndpoint(m) => Some(WaterFlags::of_leak(m.has_leak())),
            Message::Dialog3g(m) => Some(WaterFlags::of_leak(m.has_leak())),
            _ => None,
        }
    }

    /// Returns whether the message is one of ERT, whose type tells what the meter measures.
    pub fn is_ert(&self) -> bool {
        matches!(
            self,
            Message::Scm(_) | Message::ScmPlus(_) | Message::Idm(_) | Message::NetIdm(_)
        )
    }

    /// Returns the part of the type that a meter keeps for life; `None` for R900, whose first unknown byte changes
    /// (163 and 131 from one meter, rtlamr issue 99), and for meters without a type.
    pub fn constant_type(&self) -> Option<u8> {
        self.is_ert().then(|| self.meter_type())
    }

    /// Returns what the meter measures as far as its type tells; see [`Commodity::from_ert_type`].
    pub fn commodity(&self) -> Commodity {
        if self.is_ert() {
            Commodity::from_ert_type(self.meter_type() & 0x0F)
        } else {
            Commodity::Water
        }
    }
}

/// Returns the meter id in a packet of any protocol; `None` if the packet is not a message.
pub fn id_of(packet: &Packet) -> Option<u32> {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.protocol() == Some(packet.protocol))?;
    Message::parse(kind, packet.bytes())
        .ok()
        .map(|message| message.id())
}
