//! Families of meters: which one a radio receives, and where it sends.

use crate::source::tuning::DEFAULT_CENTER_HZ;
use metertap_dsp::wmbus::Modes;
use std::str::FromStr;

/// Center between the channels of modes S and T, 325 kHz from either, so that all channels around 868 MHz lie in the window and none in its
/// middle, where dongles have a spike.
const CENTER_868_HZ: u32 = 868_625_000;
/// Beside the channels, for the same reason.
const CENTER_433_HZ: u32 = 434_000_000;
const CENTER_169_HZ: u32 = 169_600_000;
/// Such that 916 and 916.45 MHz lie in the window, on which meters are that do not hop, and neither of them in its middle.
const CENTER_FSK_HZ: u32 = 915_800_000;

/// Family of meters that a radio receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// SCM, SCM+, IDM, NetIDM and R900 around 915 MHz.
    #[default]
    Ert,
    /// Wireless M-Bus in these modes.
    Wmbus(Modes),
    /// Meters around 915 MHz that send by FSK, in these modes.
    Fsk(Modes),
}

/// Name that is not one of a band.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a band: use 915 (ERT meters), 915-fsk (Orion, Hot Rod, Dialog 3G), 868, 433 or 169 (wireless M-Bus)"
)]
pub struct UnknownBand(String);

/// Modes that no radio receives together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "orion, hotrod and dialog3g are sent around 915 MHz, wireless M-Bus is not: each needs a radio of its own"
)]
pub struct MixedModes;

impl Family {
    /// Returns the center of the window at which the family is received best.
    pub fn center_hz(self) -> u32 {
        match self {
            Family::Ert => DEFAULT_CENTER_HZ,
            Family::Wmbus(modes) if Modes::N.contains(modes) => CENTER_169_HZ,
            Family::Wmbus(modes) if Modes::F2.contains(modes) => CENTER_433_HZ,
            Family::Wmbus(_) => CENTER_868_HZ,
            Family::Fsk(_) => CENTER_FSK_HZ,
        }
    }

    /// Returns the family that sends in `modes`.
    ///
    /// # Errors
    /// If some are of wireless M-Bus and others are not.
    pub fn of_modes(modes: Modes) -> Result<Self, MixedModes> {
        if Modes::AMERICA.contains(modes) {
            Ok(Family::Fsk(modes))
        } else if modes.intersects(Modes::AMERICA) {
            Err(MixedModes)
        } else {
            Ok(Family::Wmbus(modes))
        }
    }

    /// Returns the name of its band.
    pub fn band(self) -> &'static str {
        match self.center_hz() {
            CENTER_FSK_HZ => "915-fsk",
            CENTER_868_HZ => "868",
            CENTER_433_HZ => "433",
            CENTER_169_HZ => "169",
            _ => "915",
        }
    }

    /// Returns the modes of a family that sends by FSK.
    pub fn modes(self) -> Option<Modes> {
        match self {
            Family::Ert => None,
            Family::Wmbus(modes) | Family::Fsk(modes) => Some(modes),
        }
    }

    /// Returns true for wireless M-Bus.
    pub fn is_wmbus(self) -> bool {
        matches!(self, Family::Wmbus(_))
    }
}

impl FromStr for Family {
    type Err = UnknownBand;

    /// Parses the name of a band, such as `868`.
    fn from_str(name: &str) -> Result<Self, UnknownBand> {
        match name.trim_end_matches("MHz").trim() {
            "915" => Ok(Family::Ert),
            "915-fsk" => Ok(Family::Fsk(Modes::AMERICA)),
            "868" => Ok(Family::Wmbus(Modes::BAND_868)),
            "433" => Ok(Family::Wmbus(Modes::F2)),
            "169" => Ok(Family::Wmbus(Modes::N)),
            _ => Err(UnknownBand(name.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_has_modes_and_a_center_from_which_they_are_received() {
        for (name, center_hz) in [
            ("915", DEFAULT_CENTER_HZ),
            ("915-fsk", 915_800_000),
            ("868", 868_625_000),
            ("433", 434_000_000),
            ("169", 169_600_000),
        ] {
            let family: Family = name.parse().unwrap();
            assert_eq!((family.center_hz(), family.band()), (center_hz, name));
        }
        assert!("869".parse::<Family>().is_err());
        assert_eq!(Family::Wmbus(Modes::T | Modes::N).center_hz(), CENTER_868_HZ);
        let of = |modes: &[Modes]| Family::of_modes(modes.iter().copied().collect());
        assert_eq!(of(&[Modes::T, Modes::S]), Ok(Family::Wmbus(Modes::T | Modes::S)));
        assert_eq!(of(&[Modes::HOT_ROD]), Ok(Family::Fsk(Modes::HOT_ROD)));
        assert_eq!(of(&[Modes::HOT_ROD, Modes::C]), Err(MixedModes));
    }
}
