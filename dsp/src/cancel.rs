//! Successive interference cancellation: subtracts a decoded strong packet from the samples, so that weak ones
//! under it can be decoded.
//!
//! On-off keying splatters: a keyed edge has a spectrum that falls as 1/f, and 500 kHz away from a hard-keyed
//! carrier there is still -34 dB of it in the matched filter of a chip. But the signal is simple: ON chips are
//! a tone whose amplitude and phase are measured in the chip itself, and all edges look the same. The mean shape
//! of the edges is measured, tone times shape is subtracted, and the few samples of an edge, where the shape is
//! least certain, are blanked.

use crate::phasor::phasor;
use crate::{CHIP_RATE_HZ, Complex32};

/// Longest reach of an edge before and after the boundary of its chips.
const EDGE_S: f64 = 5e-6;
/// Shapes between this and its complement are an edge: blanked.
const FLAT: f32 = 0.04;

/// A carrier keyed on and off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    /// Cycles a sample.
    pub frequency: f64,
    /// First sample of a chip, any chip.
    pub start: f64,
    /// Samples per chip.
    pub chip: f64,
    /// Power while ON.
    pub power: f32,
}

/// Subtracts keyed carriers. Reuses its buffers.
pub(crate) struct Canceler {
    /// Samples from a boundary to the end of an edge.
    reach: usize,
    /// Complex amplitude of each chip; 0 = OFF.
    chips: Vec<Complex32>,
    /// Mean shape around rising and falling edges, 0 to 1, `2 · reach` samples each.
    rise: Vec<f32>,
    fall: Vec<f32>,
}

impl Canceler {
    /// Room for `capacity` samples.
    pub fn new(sample_rate_hz: f64, capacity: usize) -> Self {
        let reach = (EDGE_S * sample_rate_hz).round() as usize;
        Canceler {
            reach,
            chips: Vec::with_capacity((capacity as f64 * CHIP_RATE_HZ / sample_rate_hz) as usize + 2),
            rise: vec![0.0; 2 * reach],
            fall: vec![0.0; 2 * reach],
        }
    }

    /// Subtracts `keyed` from `samples` wherever it is ON.
    pub fn cancel(&mut self, samples: &mut [Complex32], keyed: Keyed) {
        let before = (keyed.start / keyed.chip).floor();
        let first = keyed.start - before * keyed.chip;
        let count = ((samples.len() as f64 - first) / keyed.chip) as usize;
        if count == 0 {
            return;
        }
        let boundary = |i: usize| (first + i as f64 * keyed.chip).round() as usize;
        self.measure_chips(samples, keyed, count, boundary);
        self.measure_edges(samples, keyed, count, boundary);
        for i in 0..count {
            let (from, to) = (boundary(i), boundary(i + 1).min(samples.len()));
            let here = self.chips[i];
            if from >= to {
                break;
            }
            let mut carrier = Oscillator::new(keyed.frequency, from);
            let near = |i: Option<usize>| i.and_then(|i| self.chips.get(i)).copied().unwrap_or_default();
            let (last, next) = (near(i.checked_sub(1)), near(Some(i + 1)));
            if !is_on(last) && !is_on(here) && !is_on(next) {
                continue;
            }
            for (n, sample) in samples[from..to].iter_mut().enumerate() {
                let carrier = carrier.next();
                let (since, until) = (n, to - from - n);
                let (tone, shape) = if since < self.reach && is_on(last) != is_on(here) {
                    self.edge(last, here, since as isize)
                } else if until <= self.reach && is_on(next) != is_on(here) {
                    self.edge(here, next, -(until as isize))
                } else {
                    (here, if is_on(here) { 1.0 } else { 0.0 })
                };
                if shape > FLAT && shape < 1.0 - FLAT {
                    *sample = Complex32::default();
                } else if shape > FLAT {
                    *sample -= tone * carrier;
                }
            }
        }
    }

    /// Returns tone and shape `n` samples after the boundary of two chips, one of them ON.
    fn edge(&self, before: Complex32, after: Complex32, n: isize) -> (Complex32, f32) {
        let at = (self.reach as isize + n) as usize;
        if is_on(after) {
            (after, self.rise[at])
        } else {
            (before, self.fall[at])
        }
    }

    /// Measures the tone of each chip in its middle.
    fn measure_chips(
        &mut self,
        samples: &[Complex32],
        keyed: Keyed,
        count: usize,
        boundary: impl Fn(usize) -> usize,
    ) {
        self.chips.clear();
        for i in 0..count {
            let (from, to) = (boundary(i) + self.reach, boundary(i + 1).min(samples.len()));
            let to = to.saturating_sub(self.reach).max(from);
            let middle = samples.get(from..to).unwrap_or_default();
            let mut carrier = Oscillator::new(keyed.frequency, from);
            let sum: Complex32 = middle.iter().map(|sample| sample * carrier.next().conj()).sum();
            let tone = sum / middle.len().max(1) as f32;
            let on = tone.norm_sqr() > keyed.power / 4.0;
            self.chips.push(if on { tone } else { Complex32::default() });
        }
    }

    /// Measures the mean shape of all edges, in units of the tone beside them.
    fn measure_edges(
        &mut self,
        samples: &[Complex32],
        keyed: Keyed,
        count: usize,
        boundary: impl Fn(usize) -> usize,
    ) {
        self.rise.fill(0.0);
        self.fall.fill(0.0);
        let (mut rises, mut falls) = (0, 0);
        for i in 1..count {
            let (before, after) = (self.chips[i - 1], self.chips[i]);
            if is_on(before) == is_on(after) {
                continue;
            }
            let (tone, shape) = if is_on(after) {
                rises += 1;
                (after, &mut self.rise)
            } else {
                falls += 1;
                (before, &mut self.fall)
            };
            let from = boundary(i) - self.reach;
            let unit = tone.conj() / tone.norm_sqr();
            let mut carrier = Oscillator::new(keyed.frequency, from);
            for (shape, sample) in shape.iter_mut().zip(&samples[from..]) {
                *shape += (sample * unit * carrier.next().conj()).re;
            }
        }
        self.rise
            .iter_mut()
            .for_each(|shape| *shape /= rises.max(1) as f32);
        self.fall
            .iter_mut()
            .for_each(|shape| *shape /= falls.max(1) as f32);
    }
}

fn is_on(tone: Complex32) -> bool {
    tone != Complex32::default()
}

/// Carrier over a few dozen samples, for which `f32` is precise enough.
struct Oscillator {
    value: Complex32,
    step: Complex32,
}

impl Oscillator {
    fn new(frequency: f64, sample: usize) -> Self {
        Oscillator {
            value: phasor(frequency * sample as f64),
            step: phasor(frequency),
        }
    }

    fn next(&mut self) -> Complex32 {
        let value = self.value;
        self.value *= self.step;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::synth::{Keying, Random, Scene, Transmission, chips, random_frame};

    const RATE_HZ: f64 = 2_359_296.0;

    /// Power of `samples` in the matched filter of a chip, `apart_hz` from the center, per sample.
    fn power_at(samples: &[Complex32], apart_hz: f64) -> f32 {
        let filtered = samples.chunks_exact(72).enumerate().map(|(i, chip)| {
            let sum: Complex32 = chip
                .iter()
                .enumerate()
                .map(|(n, x)| x * phasor(-apart_hz / RATE_HZ * (i * 72 + n) as f64))
                .sum();
            sum.norm_sqr() / 72.0
        });
        filtered.sum::<f32>() / (samples.len() / 72) as f32
    }

    #[test]
    fn given_a_strong_packet_however_keyed_then_next_to_nothing_is_left_of_it() {
        let real = Keying {
            short_s: 3.5e-6,
            edge_s: 2.5e-6,
            drift_hz_per_s: 20e3,
            wander_rad_per_sqrt_s: 0.0,
        };
        for (keying, clock_ppm) in [(Keying::default(), 0.0), (Keying::default(), 180.0), (real, 50.0)] {
            let mut random = Random::new(5);
            let frame = random_frame(Protocol::Scm, &mut random);
            let offset_hz = 100e3;
            let transmission = Transmission {
                chips: chips(Protocol::Scm, &frame, 0),
                start_s: 0.002,
                offset_hz,
                phase_rad: 1.0,
                snr_db: 30.0,
                clock_ppm,
                keying,
            };
            let scene = Scene {
                sample_rate_hz: RATE_HZ,
                samples: (0.009 * RATE_HZ) as usize,
                noise: 1.0,
                transmissions: vec![transmission],
            };
            let mut samples = scene.render(&mut random);
            let splatter = power_at(&samples, offset_hz + 500e3);
            let keyed = Keyed {
                frequency: (offset_hz + 5.0) / RATE_HZ,
                start: 0.002 * RATE_HZ + 0.4,
                chip: 72.0 / (1.0 + (clock_ppm - 15.0) * 1e-6),
                power: 1000.0,
            };
            Canceler::new(RATE_HZ, samples.len()).cancel(&mut samples, keyed);
            for apart_hz in [500e3, 60e3, 0.0] {
                let left = power_at(&samples, offset_hz + apart_hz);
                assert!(
                    left < 1.6,
                    "{keying:?} {apart_hz} Hz away: {left} of noise, was {splatter}"
                );
            }
            assert!(splatter > 4.0, "{splatter}");
        }
    }
}
