//! Modulator, for tests and simulations: telegrams to chips, chips to IQ samples.

use super::blocks::{CRC_LEN, HEADER};
use super::coding::Coding;
use super::family::{C_FORMATS, FAMILIES, Family, Payload};
use super::mode::{Format, Mode};
use crate::Complex32;
use crate::fec::crc::EN_13757;
use std::f64::consts::TAU;

/// Most bytes of the first block of format B without its CRC.
const FIRST_B: usize = 126;
/// Points of the Gaussian filter's response per chip.
const POINTS: usize = 16;

/// One frame on the air.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    /// Chips, true = upper tone.
    pub chips: Vec<bool>,
    /// Start of the first chip.
    pub start_s: f64,
    /// Carrier relative to the center of the window.
    pub offset_hz: f64,
    /// Distance of a tone from the carrier.
    pub deviation_hz: f64,
    /// Chips a second.
    pub chip_rate_hz: f64,
    /// Relative change of the chip rate from the first chip to the last.
    pub rate_drift: f64,
    /// Bandwidth times chip length of the Gaussian filter; `None` for hard keying.
    pub gaussian: Option<f64>,
    /// Change of the carrier a second.
    pub drift_hz_per_s: f64,
    /// Phase at the start.
    pub phase_rad: f64,
    /// Power over a noise power of 1 in the window.
    pub snr_db: f64,
}

/// Returns a transmission of `telegram` (without CRCs, see [`chips`]) with the nominal values of the mode, at the center of
/// the window.
pub fn transmission(mode: Mode, format: Format, telegram: &[u8], start_s: f64, snr_db: f64) -> Transmission {
    let family = family(mode, format);
    let gaussian = matches!(mode, Mode::C2 | Mode::N1 | Mode::HotRod).then_some(0.5);
    Transmission {
        chips: chips(mode, format, telegram),
        start_s,
        offset_hz: 0.0,
        deviation_hz: if mode == Mode::C1 {
            45e3
        } else {
            family.deviation_hz[0]
        },
        chip_rate_hz: family.chip_rate_hz,
        rate_drift: 0.0,
        gaussian,
        drift_hz_per_s: 0.0,
        phase_rad: 0.0,
        snr_db,
    }
}

fn family(mode: Mode, format: Format) -> &'static Family {
    let find = |format| {
        FAMILIES.iter().find(|family| match family.payload {
            Payload::Plain(of, _, in_format) => of == mode && in_format == format,
            Payload::TOrC => matches!(mode, Mode::T1 | Mode::C1),
            Payload::C2 => mode == Mode::C2,
            Payload::Fixed(fixed) => fixed.mode == mode,
        })
    };
    // Modes without format B are sent in format A.
    find(format).or_else(|| find(Format::A)).unwrap_or(&FAMILIES[0])
}

/// Returns the chips of a telegram: its bytes from the length field (which is computed) without CRCs, behind the shortest
/// preamble of the mode. Modes S, T and R know format A only. Frames of fixed length have no format; the telegram is what stands between
/// sync word and check.
pub fn chips(mode: Mode, format: Format, telegram: &[u8]) -> Vec<bool> {
    let family = family(mode, format);
    // The known chips hold the shortest preamble, but for modes with a longer one.
    let pairs = match mode {
        Mode::R2 => 24,
        Mode::F2 => 31,
        Mode::T1 | Mode::C1 | Mode::C2 | Mode::S1 | Mode::N1 => 0,
        Mode::Orion | Mode::OrionEndpoint | Mode::HotRod => 16,
        Mode::Dialog3g => 0,
    };
    let mut chips = [false, true].repeat(pairs);
    if mode == Mode::Dialog3g {
        // Zeros, and the sync word as far as it is not known.
        for byte in [0, 0, 0, 0, 0x3E, 0x69] {
            Coding::Manchester.encode(byte, &mut chips);
        }
    }
    chips.extend((0..family.known.len).map(|i| family.known.sign(i) > 0.0));
    let (coding, bytes) = match family.payload {
        Payload::Plain(_, coding, format) => (coding, framed(format, telegram)),
        Payload::TOrC if mode == Mode::T1 => (Coding::ThreeOfSix, framed(Format::A, telegram)),
        Payload::TOrC | Payload::C2 => (Coding::Nrz, framed(format, telegram)),
        Payload::Fixed(fixed) => (fixed.coding, fixed.framed(telegram)),
    };
    if matches!(mode, Mode::C1 | Mode::C2) {
        let announced = C_FORMATS.iter().find(|(_, announced)| *announced == format);
        let word = announced.map_or(0, |(word, _)| *word);
        chips.extend((0..16).rev().map(|bit| word >> bit & 1 == 1));
    }
    for byte in bytes {
        coding.encode(byte, &mut chips);
    }
    // The postamble begins with the inverse of the last chip. That of a Hot Rod is a byte or two.
    let last = chips.last().copied().unwrap_or(false);
    let pairs = if mode == Mode::HotRod { 6 } else { 1 };
    chips.extend([!last, last].repeat(pairs));
    chips
}

/// Returns the bytes on the air: with the length field of the format, and CRCs.
pub fn framed(format: Format, telegram: &[u8]) -> Vec<u8> {
    let mut telegram = telegram.to_vec();
    let first = match format {
        Format::A => HEADER,
        Format::B => FIRST_B,
    };
    let crcs = if telegram.len() > first { 2 } else { 1 };
    if let Some(length) = telegram.first_mut() {
        *length = 0;
    }
    let length = telegram.len().saturating_sub(1) + if format == Format::B { crcs * CRC_LEN } else { 0 };
    if let Some(field) = telegram.first_mut() {
        *field = length.min(255) as u8;
    }
    let (head, rest) = telegram.split_at(first.min(telegram.len()));
    let size = match format {
        Format::A => 16,
        Format::B => FIRST_B,
    };
    let mut bytes = Vec::new();
    for block in std::iter::once(head).chain(rest.chunks(size)) {
        bytes.extend_from_slice(block);
        bytes.extend(EN_13757.check(block).to_be_bytes());
    }
    bytes
}

impl Transmission {
    /// Returns the end of the last chip.
    pub fn end_s(&self) -> f64 {
        self.start_s + self.chips.len() as f64 / self.chip_rate_hz * (1.0 + self.rate_drift.abs())
    }

    /// Adds the transmission to `samples`, in units of the noise.
    pub fn add(&self, sample_rate_hz: f64, samples: &mut [Complex32]) {
        let amplitude = 10f64.powf(self.snr_db / 20.0) as f32;
        let turns = self.turns();
        let step_s = 1.0 / sample_rate_hz;
        let first = (self.start_s * sample_rate_hz).ceil().max(0.0) as usize;
        let count = self.chips.len() as f64;
        for (i, sample) in samples.iter_mut().enumerate().skip(first) {
            // The middle of the sample, in chips.
            let since = (i as f64 + 0.5) * step_s - self.start_s;
            let chip = self.chip_at(since);
            if chip >= count {
                break;
            }
            // Turns by the keying: the integral of the frequency, between two points of the table.
            let at = chip * POINTS as f64;
            let (low, part) = (at as usize, at.fract());
            let keyed = turns[low] + (turns[(low + 1).min(turns.len() - 1)] - turns[low]) * part;
            let carrier = (self.offset_hz + self.drift_hz_per_s / 2.0 * since) * since;
            let phase = TAU * (keyed + carrier).fract() + self.phase_rad;
            *sample += Complex32::from_polar(amplitude, phase as f32);
        }
    }

    /// Returns the chip, with fraction, that is on the air `since` seconds after the start.
    fn chip_at(&self, since: f64) -> f64 {
        let linear = since * self.chip_rate_hz;
        linear * (1.0 + self.rate_drift * (linear / self.chips.len() as f64 - 1.0) / 2.0)
    }

    /// Returns the turns of the keying after every point.
    fn turns(&self) -> Vec<f64> {
        let per_point = self.deviation_hz / self.chip_rate_hz / POINTS as f64;
        let sign = |i: i64| {
            let chip = usize::try_from(i.div_euclid(POINTS as i64)).unwrap_or(0);
            let chip = self.chips[chip.min(self.chips.len() - 1)];
            if chip { 1.0 } else { -1.0 }
        };
        let response = self.gaussian.map(gaussian);
        let mut turns = vec![0.0];
        let mut sum = 0.0;
        for i in 0..(self.chips.len() * POINTS) as i64 {
            let frequency: f64 = match &response {
                None => sign(i),
                Some(response) => {
                    let half = response.len() as i64 / 2;
                    response
                        .iter()
                        .zip(-half..)
                        .map(|(tap, at)| tap * sign(i + at))
                        .sum()
                }
            };
            sum += frequency * per_point;
            turns.push(sum);
        }
        turns
    }
}

/// Returns the response of a Gaussian filter, three chips long, with sum 1.
fn gaussian(bandwidth: f64) -> Vec<f64> {
    let half = (3 * POINTS / 2) as i32;
    let width = std::f64::consts::LN_2.sqrt() / (TAU * bandwidth) * POINTS as f64;
    let taps: Vec<f64> = (-half..=half)
        .map(|i| (-(f64::from(i) / width).powi(2) / 2.0).exp())
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| tap / sum).collect()
}
