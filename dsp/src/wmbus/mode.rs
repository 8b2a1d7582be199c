//! Modes and formats of wireless M-Bus (EN 13757-4), and of America's meters that send by 2-FSK as well, as a frame names them
//! and as a configuration selects them.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// Mode in which a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 868.95 MHz, 100 kchip/s, three of six; T2 meters send the same.
    T1,
    /// 868.95 MHz, 100 kbit/s; C2 meters send the same.
    C1,
    /// 868.3 MHz, 32.768 kchip/s, Manchester; also S1-m, S2, and what is sent to meters of mode T2.
    S1,
    /// 869.525 MHz, 50 kbit/s: what is sent to meters of mode C2.
    C2,
    /// 868.03 to 868.57 MHz, 4.8 kchip/s, Manchester.
    R2,
    /// 169.4 MHz, 4.8 or 2.4 kbit/s.
    N1,
    /// 433.82 MHz, 2.4 kbit/s.
    F2,
    /// Badger Orion (GIF2002A, GIF2006B): 916.45 MHz, 100 kchip/s, three of six.
    Orion,
    /// Badger Orion endpoint (GIF2014W, GIF2020): hops from 904.4 to 924.6 MHz, 100 or 200 kbit/s, whitened.
    OrionEndpoint,
    /// Mueller Hot Rod: hops from 905 to 925 MHz, 38.4 kbit/s.
    HotRod,
    /// Arad and Master Meter Dialog 3G: 902 to 928 MHz, 119 kchip/s, Manchester.
    Dialog3g,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 11] = [
        Mode::T1,
        Mode::C1,
        Mode::S1,
        Mode::C2,
        Mode::R2,
        Mode::N1,
        Mode::F2,
        Mode::Orion,
        Mode::OrionEndpoint,
        Mode::HotRod,
        Mode::Dialog3g,
    ];

    /// Returns true for a mode of wireless M-Bus.
    pub fn is_wmbus(self) -> bool {
        !matches!(
            self,
            Mode::Orion | Mode::OrionEndpoint | Mode::HotRod | Mode::Dialog3g
        )
    }

    /// Returns the distance of `carrier_hz` from the nearest channel of the mode; 0 for modes whose channels are not known.
    pub fn offset_hz(self, carrier_hz: f64) -> f64 {
        let (first_hz, step_hz, channels) = match self {
            Mode::T1 | Mode::C1 => (868.95e6, 0.0, 1),
            Mode::S1 => (868.3e6, 0.0, 1),
            Mode::C2 => (869.525e6, 0.0, 1),
            Mode::R2 => (868.03e6, 60e3, 10),
            Mode::N1 => (169.406_25e6, 12.5e3, 6),
            Mode::F2 => (433.82e6, 0.0, 1),
            Mode::Orion => (916.45e6, 0.0, 1),
            Mode::OrionEndpoint | Mode::HotRod | Mode::Dialog3g => return 0.0,
        };
        let channel = ((carrier_hz - first_hz) / f64::max(step_hz, 1.0)).round();
        carrier_hz - first_hz - step_hz * channel.clamp(0.0, f64::from(channels - 1))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Frame format of the link layer (EN 13757-4, 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A CRC after the first 10 bytes and after every 16 that follow.
    A,
    /// One CRC, or two in frames of more than 128 bytes.
    B,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Format::A => "A",
            Format::B => "B",
        })
    }
}

/// Set of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Modes(pub(super) u16);

impl Modes {
    /// T1 and T2.
    pub const T: Modes = Modes(1);
    /// C1 and C2 as sent by meters.
    pub const C: Modes = Modes(2);
    /// S1, S1-m and S2, and T2 as sent to meters.
    pub const S: Modes = Modes(4);
    /// C2 as sent to meters.
    pub const C2: Modes = Modes(8);
    /// R2.
    pub const R2: Modes = Modes(16);
    /// N1 and N2.
    pub const N: Modes = Modes(32);
    /// F2.
    pub const F2: Modes = Modes(64);
    /// All modes around 868 MHz.
    pub const BAND_868: Modes = Modes(1 | 2 | 4 | 8 | 16);
    /// Badger Orion, of both generations.
    pub const ORION: Modes = Modes(128);
    /// Mueller Hot Rod.
    pub const HOT_ROD: Modes = Modes(256);
    /// Arad and Master Meter Dialog 3G.
    pub const DIALOG_3G: Modes = Modes(512);
    /// All of America, around 915 MHz; none of them is wireless M-Bus.
    pub const AMERICA: Modes = Modes(128 | 256 | 512);

    /// Returns true if no mode is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if all modes of `other` are in the set.
    pub fn contains(self, other: Modes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if any mode of `other` is in the set.
    pub fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Modes {
    type Output = Modes;

    fn bitor(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }
}

impl FromIterator<Modes> for Modes {
    fn from_iter<I: IntoIterator<Item = Modes>>(modes: I) -> Self {
        modes.into_iter().fold(Modes::default(), BitOr::bitor)
    }
}

/// Name that is not one of a mode.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a mode: use t1, c1, s1, c2, r2, n1 or f2 (wireless M-Bus), or orion, hotrod or dialog3g (America)"
)]
pub struct UnknownMode(String);

impl FromStr for Modes {
    type Err = UnknownMode;

    /// Parses the name of one mode, such as `t1`; T2 and S2 mean what meters send in them.
    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name.to_ascii_lowercase().as_str() {
            "t1" | "t2" | "t" => Ok(Modes::T),
            "c1" | "c" => Ok(Modes::C),
            "s1" | "s1m" | "s1-m" | "s2" | "s" => Ok(Modes::S),
            "c2" => Ok(Modes::C | Modes::C2),
            "r2" | "r" => Ok(Modes::R2),
            "n1" | "n2" | "n" => Ok(Modes::N),
            "f2" | "f" => Ok(Modes::F2),
            "orion" => Ok(Modes::ORION),
            "hotrod" | "hot-rod" => Ok(Modes::HOT_ROD),
            "dialog3g" | "dialog-3g" => Ok(Modes::DIALOG_3G),
            _ => Err(UnknownMode(name.into())),
        }
    }
}
