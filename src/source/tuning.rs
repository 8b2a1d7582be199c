//! Settings of a tuner: where to listen, at which rate, with how much gain.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Default center, Hz: rtlamr's, in the middle of the busiest part of the 902–928 MHz band.
pub const DEFAULT_CENTER_HZ: u32 = 912_600_155;
/// Default sample rate: 72 samples a chip of 32.768 kHz, and a rate that the RTL2832 can do exactly.
pub const DEFAULT_SAMPLE_RATE_HZ: u32 = 2_359_296;

/// Settings of a tuner, applied whenever it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Center of the window.
    pub center_hz: u32,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Tuner gain.
    pub gain: Gain,
    /// Frequency error of the dongle's crystal, parts per million; positive if it is too fast.
    pub ppm: i32,
    /// Switches on the gain control of the RTL2832, which follows the tuner; usually off.
    pub digital_agc: bool,
    /// Supplies power to an antenna amplifier.
    pub bias_tee: bool,
    /// USB transfers queued at a dongle.
    pub usb_buffers: u32,
    /// Bytes of each USB transfer, a multiple of 512.
    pub usb_buffer_bytes: u32,
    /// Settings that the user has chosen.
    pub chosen: Chosen,
}

/// Settings that the user has chosen. A dongle is set to defaults in the others; an rtl_tcp server, which may serve others
/// and was started with settings of its own, keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Tuner gain.
    pub gain: bool,
    /// Frequency error.
    pub ppm: bool,
    /// Gain control of the RTL2832.
    pub digital_agc: bool,
    /// Supply of an antenna amplifier.
    pub bias_tee: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            center_hz: DEFAULT_CENTER_HZ,
            sample_rate_hz: DEFAULT_SAMPLE_RATE_HZ,
            gain: Gain::Auto,
            ppm: 0,
            digital_agc: false,
            bias_tee: false,
            // 0.4 s of samples in transfers of 14 ms: little delay, and 2 MB of the 16 MB that usbfs grants by default.
            usb_buffers: 30,
            usb_buffer_bytes: 1 << 16,
            chosen: Chosen::default(),
        }
    }
}

/// Center of the window, fixed or changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "CenterText")]
pub enum Center {
    /// Fixed frequency, Hz.
    At(u32),
    /// Hops between the frequencies at which meters are received.
    Hop,
}

/// Center as written in TOML.
#[derive(Deserialize)]
#[serde(untagged)]
enum CenterText {
    Hz(f64),
    Text(String),
}

/// Text that is not a [`Center`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid center frequency `{0}`: expected a whole number of Hz from 1 MHz to 4 GHz, such as 912600155 or 912.6M, or hop"
)]
pub struct UnknownCenter(String);

impl TryFrom<CenterText> for Center {
    type Error = UnknownCenter;

    fn try_from(text: CenterText) -> Result<Self, UnknownCenter> {
        match text {
            CenterText::Hz(hz) => hz.to_string().parse(),
            CenterText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for Center {
    type Err = UnknownCenter;

    fn from_str(text: &str) -> Result<Self, UnknownCenter> {
        if text.eq_ignore_ascii_case("hop") {
            return Ok(Center::Hop);
        }
        let (number, factor) = match text.strip_suffix('M') {
            Some(number) => (number, 1e6),
            None => (text, 1.0),
        };
        match number.parse::<f64>() {
            Ok(number) if (1e6..=4e9).contains(&(number * factor)) => {
                Ok(Center::At((number * factor).round() as u32))
            }
            _ => Err(UnknownCenter(text.into())),
        }
    }
}

/// Tuner gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// Automatic gain control of the tuner.
    Auto,
    /// Fixed gain, found by [`crate::source::find_best`] whenever the source is opened.
    Best,
    /// Fixed gain in tenths of a dB; the tuner takes the nearest one it has.
    Tenths(i32),
}

/// Change of a setting while samples are read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneCommand {
    /// Center of the window, Hz.
    Center(u32),
    /// Tuner gain.
    Gain(Gain),
    /// Frequency error of the crystal, parts per million.
    Ppm(i32),
}

/// Text that is not a [`Gain`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid gain `{0}`: expected auto, best or a number of dB from -10 to 60, such as 40.2")]
pub struct UnknownGain(String);

impl FromStr for Gain {
    type Err = UnknownGain;

    fn from_str(text: &str) -> Result<Self, UnknownGain> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Gain::Auto);
        }
        if text.eq_ignore_ascii_case("best") {
            return Ok(Gain::Best);
        }
        match text.trim_end_matches("dB").trim().parse::<f64>() {
            Ok(db) if (-10.0..=60.0).contains(&db) => Ok(Gain::Tenths((db * 10.0).round() as i32)),
            _ => Err(UnknownGain(text.into())),
        }
    }
}

impl std::fmt::Display for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gain::Auto => f.write_str("auto"),
            Gain::Best => f.write_str("best"),
            Gain::Tenths(tenths) => write!(f, "{:.1} dB", f64::from(*tenths) / 10.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centers_are_parsed_as_people_write_them() {
        assert_eq!("912600155".parse(), Ok(Center::At(912_600_155)));
        assert_eq!("912.6M".parse(), Ok(Center::At(912_600_000)));
        assert_eq!("hop".parse(), Ok(Center::Hop));
        for wrong in ["", "912.6", "9e99", "nan", "hope"] {
            assert!(wrong.parse::<Center>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn gains_are_parsed_as_people_write_them() {
        assert_eq!("auto".parse(), Ok(Gain::Auto));
        assert_eq!("best".parse(), Ok(Gain::Best));
        assert_eq!("40.2".parse(), Ok(Gain::Tenths(402)));
        assert_eq!("7.7 dB".parse(), Ok(Gain::Tenths(77)));
        for wrong in ["", "loud", "nan", "400", "-inf"] {
            assert!(wrong.parse::<Gain>().is_err(), "{wrong}");
        }
    }
}
