//! What a radio is told: where to listen, how wide, how loud.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where ERT meters are best heard with one dongle: the middle of the 902–928 MHz band's customary channel
/// (rtlamr's default).
pub const DEFAULT_CENTER_HZ: u32 = 912_600_155;
/// 72 samples a chip, and exactly realisable by the RTL2832.
pub const DEFAULT_SAMPLE_RATE_HZ: u32 = 2_359_296;

/// Settings of a tuner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Centre of the window.
    pub center_hz: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Tuner gain.
    pub gain: Gain,
    /// How much faster the dongle's crystal is than it should be.
    pub ppm: i32,
    /// The RTL2832's own gain control, after the tuner; customarily off.
    pub digital_agc: bool,
    /// Power for an antenna amplifier.
    pub bias_tee: bool,
    /// USB transfers queued at a dongle.
    pub usb_buffers: u32,
    /// Bytes of each, a multiple of 512.
    pub usb_buffer_bytes: u32,
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
            // 0.4 s of samples, 14 ms each: live enough, and half of what the kernel gives a dongle.
            usb_buffers: 30,
            usb_buffer_bytes: 1 << 16,
        }
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "CenterText")]
pub enum Center {
    /// Always here.
    At(u32),
    /// Wherever meters are heard, in turn.
    Hop,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CenterText {
    Hz(f64),
    Word(String),
}

/// What is no centre.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no centre frequency: use a whole number of Hz, 912.6M or hop")]
pub struct UnknownCenter(String);

impl TryFrom<CenterText> for Center {
    type Error = UnknownCenter;

    fn try_from(text: CenterText) -> Result<Self, UnknownCenter> {
        match text {
            CenterText::Hz(hz) => hz.to_string().parse(),
            CenterText::Word(word) => word.parse(),
        }
    }
}

impl FromStr for Center {
    type Err = UnknownCenter;

    fn from_str(text: &str) -> Result<Self, UnknownCenter> {
        if text.eq_ignore_ascii_case("hop") {
            return Ok(Center::Hop);
        }
        let (digits, factor) = match text.strip_suffix('M') {
            Some(digits) => (digits, 1e6),
            None => (text, 1.0),
        };
        match digits.parse::<f64>() {
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
    /// The tuner's own control.
    Auto,
    /// Found by trying, whenever the source is opened.
    Best,
    /// Tenths of a dB; the tuner takes the nearest that it has.
    Tenths(i32),
}

/// What can be changed while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneCommand {
    /// Centre of the window.
    Center(u32),
    /// Tuner gain.
    Gain(Gain),
    /// Frequency correction.
    Ppm(i32),
}

/// A word that is no gain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no gain: use auto, best or a number of dB such as 40.2")]
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
    fn centres_are_read_as_people_write_them() {
        assert_eq!("912600155".parse(), Ok(Center::At(912_600_155)));
        assert_eq!("912.6M".parse(), Ok(Center::At(912_600_000)));
        assert_eq!("hop".parse(), Ok(Center::Hop));
        for wrong in ["", "912.6", "9e99", "nan", "hope"] {
            assert!(wrong.parse::<Center>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn gains_are_read_as_people_write_them() {
        assert_eq!("auto".parse(), Ok(Gain::Auto));
        assert_eq!("best".parse(), Ok(Gain::Best));
        assert_eq!("40.2".parse(), Ok(Gain::Tenths(402)));
        assert_eq!("7.7 dB".parse(), Ok(Gain::Tenths(77)));
        for wrong in ["", "loud", "nan", "400", "-inf"] {
            assert!(wrong.parse::<Gain>().is_err(), "{wrong}");
        }
    }
}
