//! The other half of every test: frames become chips, chips become IQ.
//!
//! A [`Scene`] is a stretch of time with noise of power 1 per complex sample; a [`Transmission`] in it has its
//! power in dB over that noise, which is the SNR that the receiver reports: ON carrier over all noise in the
//! window.

use crate::fec::{crc, reed_solomon};
use crate::frame::R900_DIGITS;
use crate::{CHIP_RATE_HZ, Complex32, Protocol};
use std::f64::consts::TAU;

/// A stream of reproducible random numbers (SplitMix64, Steele et al. 2014): the same seed gives the same
/// recording on every machine and in every year, which no library promises.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Uniform in `from..to`.
    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Complex Gaussian of mean power 1 (Box–Muller).
    pub fn gaussian(&mut self) -> Complex32 {
        let radius = (-(1.0 - self.uniform(0.0, 1.0) as f32).ln()).sqrt();
        Complex32::from_polar(radius, self.uniform(0.0, TAU) as f32)
    }
}

/// How the carrier is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Keying {
    /// How much shorter than its chips an ON pulse is, at its end.
    pub short_s: f64,
    /// Length of the rising and of the falling edge.
    pub edge_s: f64,
    /// Change of the carrier's frequency.
    pub drift_hz_per_s: f64,
    /// Random walk of the phase: standard deviation after one second is this, in rad.
    pub wander_rad_per_sqrt_s: f64,
}

/// One frame on the air.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    /// ON and OFF, from the first chip.
    pub chips: Vec<bool>,
    /// When the first chip begins.
    pub start_s: f64,
    /// Carrier relative to the centre of the window.
    pub offset_hz: f64,
    /// Phase of the carrier at the start.
    pub phase_rad: f64,
    /// Power of the ON carrier over the noise power of the scene.
    pub snr_db: f64,
    /// Chip clock: positive is fast.
    pub clock_ppm: f64,
    /// Everything about keying.
    pub keying: Keying,
}

impl Transmission {
    /// When the last chip ends.
    pub fn end_s(&self) -> f64 {
        self.start_s + self.chips.len() as f64 * self.chip_s()
    }

    fn chip_s(&self) -> f64 {
        1.0 / (CHIP_RATE_HZ * (1.0 + self.clock_ppm * 1e-6))
    }
}

/// The chips of a frame, as [`crate::Packet::bytes`] would return it, behind `training` bits 0101….
pub fn chips(protocol: Protocol, bytes: &[u8], training: usize) -> Vec<bool> {
    let mut chips = Vec::with_capacity(protocol.chips() + 2 * training);
    let mut manchester = |bit: bool| chips.extend([bit, !bit]);
    (0..training).for_each(|i| manchester((training - i) % 2 == 1));
    let bit = |i: usize| bytes[i / 8] >> (7 - i % 8) & 1 == 1;
    if protocol != Protocol::R900 {
        (0..protocol.chips() / 2).for_each(|i| manchester(bit(i)));
        return chips;
    }
    let preamble = protocol.preamble();
    (0..preamble.len).for_each(|i| manchester(preamble.bit(i)));
    for symbol in 0..reed_solomon::SYMBOLS {
        let value = usize::from(r900_symbol(bytes, symbol));
        for digit in [value / 6, value % 6] {
            chips.extend(R900_DIGITS[digit]);
        }
    }
    chips
}

/// A frame whose fields are random and whose fixed bytes and checks are right.
pub fn random_frame(protocol: Protocol, random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..protocol.bytes()).map(|_| random.bits() as u8).collect();
    seal(protocol, &mut bytes);
    bytes
}

/// Sets the fixed bits of a frame and computes its checks over all others.
pub fn seal(protocol: Protocol, bytes: &mut [u8]) {
    let mut put = |at: usize, check: u16| bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
    match protocol {
        Protocol::Scm => {
            put(0, 0xF953);
            bytes[2] &= 0x07;
            let check = crc::SCM.check(&bytes[2..10]);
            bytes[10..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::ScmPlus => {
            put(0, 0x16A3);
            bytes[2] = 0x1E;
            let check = crc::GENIBUS.check(&bytes[2..14]);
            bytes[14..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::Idm => {
            bytes[..7].copy_from_slice(&[0x55, 0x55, 0x16, 0xA3, 0x1C, 0x5C, 0xC6]);
            let serial = crc::GENIBUS.check(&bytes[9..13]);
            bytes[88..90].copy_from_slice(&serial.to_be_bytes());
            let check = crc::GENIBUS.check(&bytes[4..90]);
            bytes[90..].copy_from_slice(&check.to_be_bytes());
        }
        Protocol::R900 => {
            let data = std::array::from_fn(|i| r900_symbol(bytes, i));
            let parity = reed_solomon::parity(&data);
            bytes[10..].fill(0);
            for (i, symbol) in parity.iter().enumerate() {
                for bit in 0..5 {
                    let at = (reed_solomon::DATA + i) * 5 + bit;
                    bytes[at / 8] |= (symbol >> (4 - bit) & 1) << (7 - at % 8);
                }
            }
        }
    }
}

/// Five-bit symbol `index` of an R900 frame.
fn r900_symbol(bytes: &[u8], index: usize) -> u8 {
    (0..5).fold(0, |value, i| {
        let at = index * 5 + i;
        value << 1 | bytes[at / 8] >> (7 - at % 8) & 1
    })
}

/// Noise of power 1 and transmissions in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// How many samples.
    pub samples: usize,
    /// Noise amplitude: 1 by rule, 0 for a clean test signal.
    pub noise: f32,
    /// What is on the air.
    pub transmissions: Vec<Transmission>,
}

impl Scene {
    /// The samples, in units of the noise.
    pub fn render(&self, random: &mut Random) -> Vec<Complex32> {
        let mut out: Vec<Complex32> = (0..self.samples)
            .map(|_| random.gaussian() * self.noise)
            .collect();
        for transmission in &self.transmissions {
            self.add(transmission, random, &mut out);
        }
        out
    }

    fn add(&self, t: &Transmission, random: &mut Random, out: &mut [Complex32]) {
        let amplitude = 10f64.powf(t.snr_db / 20.0) as f32;
        let step_s = 1.0 / self.sample_rate_hz;
        let first = (t.start_s * self.sample_rate_hz).floor().max(0.0) as usize;
        let last = ((t.end_s() + t.keying.edge_s) * self.sample_rate_hz).ceil() as usize;
        let mut wander = 0.0;
        let last = last.min(out.len());
        let Some(range) = out.get_mut(first..last) else {
            return;
        };
        for (i, sample) in range.iter_mut().enumerate() {
            let since = (first + i) as f64 * step_s - t.start_s;
            if t.keying.wander_rad_per_sqrt_s > 0.0 {
                let kick = f64::from(random.gaussian().re) * std::f64::consts::SQRT_2;
                wander += t.keying.wander_rad_per_sqrt_s * step_s.sqrt() * kick;
            }
            let on = envelope(t, since, step_s);
            if on > 0.0 {
                let cycles = (t.offset_hz + t.keying.drift_hz_per_s / 2.0 * since) * since;
                let phase = TAU * cycles.fract() + t.phase_rad + wander;
                *sample += Complex32::from_polar(amplitude * on as f32, phase as f32);
            }
        }
    }
}

/// The mean of the keyed amplitude over the sample that begins `since` the start: the keyed square wave
/// integrated over the sample and the edges.
fn envelope(t: &Transmission, since: f64, sample_s: f64) -> f64 {
    let width = sample_s.max(t.keying.edge_s);
    let (from, to) = (since - width / 2.0, since + width / 2.0);
    let chip_s = t.chip_s();
    let mut on_s = 0.0;
    let first = (from / chip_s).floor().max(0.0) as usize;
    let last = (to / chip_s).floor().max(0.0) as usize;
    for chip in first..=last {
        if !t.chips.get(chip).copied().unwrap_or(false) {
            continue;
        }
        let next_on = t.chips.get(chip + 1).copied().unwrap_or(false);
        let begin = chip as f64 * chip_s;
        let end = begin + chip_s - if next_on { 0.0 } else { t.keying.short_s };
        on_s += (to.min(end) - from.max(begin)).max(0.0);
    }
    on_s / width
}
