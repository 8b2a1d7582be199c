//! Modulator, for tests and simulations: frames to chips, chips to IQ samples.
//!
//! A [`Scene`] is an interval of time with noise of power 1 per complex sample; a [`Transmission`] in it has its
//! power in dB over that noise, which is the SNR that the receiver reports: ON carrier over all noise in the
//! window.

use crate::fec::{encode, r900_symbol, reed_solomon};
use crate::frame::R900_DIGITS;
use crate::{CHIP_RATE_HZ, Complex32, Protocol};
use std::f64::consts::TAU;

/// Reproducible random numbers (SplitMix64, Steele et al. 2014): the same seed gives the same recording on every
/// machine and with every version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Returns a number uniformly distributed in `from..to`.
    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a complex Gaussian number of mean power 1 (Box–Muller).
    pub fn gaussian(&mut self) -> Complex32 {
        let radius = (-(1.0 - self.uniform(0.0, 1.0) as f32).ln()).sqrt();
        Complex32::from_polar(radius, self.uniform(0.0, TAU) as f32)
    }
}

/// Imperfections of keying and carrier; all zero by default.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Keying {
    /// Time by which an ON pulse ends early, in seconds.
    pub short_s: f64,
    /// Length of the rising and of the falling edge, in seconds.
    pub edge_s: f64,
    /// Drift of the carrier frequency.
    pub drift_hz_per_s: f64,
    /// Standard deviation of the phase in rad after one second of its random walk.
    pub wander_rad_per_sqrt_s: f64,
}

/// One frame on the air.
#[derive(Clone, Debug, PartialEq)]
pub struct Transmission {
    /// ON and OFF, from the first chip.
    pub chips: Vec<bool>,
    /// Start of the first chip.
    pub start_s: f64,
    /// Carrier relative to the center of the window.
    pub offset_hz: f64,
    /// Phase of the carrier at the start.
    pub phase_rad: f64,
    /// Power of the ON carrier over the noise power of the scene.
    pub snr_db: f64,
    /// Chip clock: positive is fast.
    pub clock_ppm: f64,
    /// Imperfections of keying and carrier.
    pub keying: Keying,
}

impl Transmission {
    /// Returns the end of the last chip.
    pub fn end_s(&self) -> f64 {
        self.start_s + self.chips.len() as f64 * self.chip_s()
    }

    fn chip_s(&self) -> f64 {
        1.0 / (CHIP_RATE_HZ * (1.0 + self.clock_ppm * 1e-6))
    }
}

/// Returns the chips of a frame, given as [`crate::Packet::bytes`] would return it, behind `training` bits 0101….
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

/// Returns a frame with random fields and correct fixed bytes and checks.
pub fn random_frame(protocol: Protocol, random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..protocol.bytes()).map(|_| random.bits() as u8).collect();
    encode(protocol, &mut bytes);
    bytes
}

/// Noise of power 1 and transmissions in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// Number of samples.
    pub samples: usize,
    /// Noise amplitude: 1 by rule, 0 for a clean test signal.
    pub noise: f32,
    /// Transmissions on the air.
    pub transmissions: Vec<Transmission>,
}

impl Scene {
    /// Renders the samples, in units of the noise.
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

/// Returns the mean of the keyed amplitude over the sample that begins `since` seconds after the start: the
/// keyed square wave integrated over the sample and the edges.
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
