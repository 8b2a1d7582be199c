//! Types of messages.

use metertap_dsp::Protocol;
use metertap_dsp::wmbus::Mode;
use std::fmt;
use std::str::FromStr;

/// Type of a message, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Standard consumption message.
    Scm,
    /// Standard consumption message, plus: the successor of SCM.
    ScmPlus,
    /// Interval data message.
    Idm,
    /// Interval data message of a meter that also feeds into the grid.
    NetIdm,
    /// Message of a Neptune R900 water meter.
    R900,
    /// R900 whose counter is BCD.
    R900Bcd,
    /// Message of a Badger Orion.
    Orion,
    /// Message of a Badger Orion endpoint, the successor.
    OrionEndpoint,
    /// Message of a Mueller Hot Rod.
    HotRod,
    /// Message of an Arad or Master Meter Dialog 3G.
    Dialog3g,
}

impl Kind {
    /// Every type.
    pub const ALL: [Kind; 10] = [
        Kind::Scm,
        Kind::ScmPlus,
        Kind::Idm,
        Kind::NetIdm,
        Kind::R900,
        Kind::R900Bcd,
        Kind::Orion,
        Kind::OrionEndpoint,
        Kind::HotRod,
        Kind::Dialog3g,
    ];

    /// Returns the name that rtlamr prints as `Type`, or would print.
    pub fn rtlamr_name(self) -> &'static str {
        match self {
            Kind::Scm => "SCM",
            Kind::ScmPlus => "SCM+",
            Kind::Idm => "IDM",
            Kind::NetIdm => "NetIDM",
            Kind::R900 => "R900",
            Kind::R900Bcd => "R900BCD",
            Kind::Orion => "Orion",
            Kind::OrionEndpoint => "OrionEndpoint",
            Kind::HotRod => "HotRod",
            Kind::Dialog3g => "Dialog3G",
        }
    }

    /// Returns the name that stands in topics, `readings/<id>/<type>`.
    pub fn topic_name(self) -> &'static str {
        match self {
            Kind::Scm => "scm",
            Kind::ScmPlus => "scmplus",
            Kind::Idm => "idm",
            Kind::NetIdm => "netidm",
            Kind::R900 => "r900",
            Kind::R900Bcd => "r900bcd",
            Kind::Orion => "orion",
            Kind::OrionEndpoint => "orionendpoint",
            Kind::HotRod => "hotrod",
            Kind::Dialog3g => "dialog3g",
        }
    }

    /// Returns the protocol of the packets that carry this type; `None` for a type that is sent by FSK.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Kind::Scm => Some(Protocol::Scm),
            Kind::ScmPlus => Some(Protocol::ScmPlus),
            Kind::Idm | Kind::NetIdm => Some(Protocol::Idm),
            Kind::R900 | Kind::R900Bcd => Some(Protocol::R900),
            Kind::Orion | Kind::OrionEndpoint | Kind::HotRod | Kind::Dialog3g => None,
        }
    }

    /// Returns the type that is sent in a mode; `None` for those of wireless M-Bus.
    pub fn of_mode(mode: Mode) -> Option<Self> {
        match mode {
            Mode::Orion => Some(Kind::Orion),
            Mode::OrionEndpoint => Some(Kind::OrionEndpoint),
            Mode::HotRod => Some(Kind::HotRod),
            Mode::Dialog3g => Some(Kind::Dialog3g),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.topic_name())
    }
}

/// Error for a name that is not a message type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a message type: expected scm, scm+ (or scmplus), idm, netidm, r900, r900bcd, orion, orionendpoint, hotrod or dialog3g"
)]
pub struct KindError(String);

impl FromStr for Kind {
    type Err = KindError;

    /// Parses the name in topics or that of rtlamr, in any case.
    fn from_str(name: &str) -> Result<Self, KindError> {
        let lower = name.to_ascii_lowercase();
        Kind::ALL
            .into_iter()
            .find(|kind| lower == kind.topic_name() || lower == kind.rtlamr_name().to_lowercase())
            .ok_or_else(|| KindError(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_type_is_parsed() {
        for kind in Kind::ALL {
            assert_eq!(kind.topic_name().parse(), Ok(kind));
            assert_eq!(kind.rtlamr_name().parse(), Ok(kind));
        }
        let error = "scmm".parse::<Kind>().unwrap_err().to_string();
        assert!(error.contains("`scmm`"), "{error}");
    }
}
