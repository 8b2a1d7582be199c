//! One carrier, moved to 0 Hz and summed up, so that the matched filter of a chip is a difference.
//!
//! The filter matched to an ON chip is its integral. With the running sum `S` of the shifted samples the
//! integral over any interval is `S(t + length) - S(t)`, at any real time and length: chip lengths need not
//! be whole numbers of samples, and clock errors cost nothing. `S` is kept once per *cell*, a whole number
//! of samples of which a chip has eight to eleven (or thrice as many), and interpolated linearly.

use crate::phasor::phasor;
use crate::tone::Tone;
use crate::{CHIP_RATE_HZ, Complex32};
use std::f64::consts::TAU;

/// Cells mixed with one table of the oscillator.
const TABLE_CELLS: usize = 32;
/// A chip is at least this many cells. An edge within a cell is blurred: so many cost known meters 0.3 dB.
const CELLS_PER_CHIP: f64 = 8.0;
/// The same where every tenth of a dB counts.
const FINE_CELLS_PER_CHIP: f64 = 24.0;

pub(crate) struct Baseband {
    /// Samples per cell.
    decimation: usize,
    /// Cells per chip.
    chip: f64,
    /// `S` at the start of each cell, and at the end of the last.
    sums: Vec<Complex32>,
    oscillator: Vec<Complex32>,
}

impl Baseband {
    /// Room for `capacity` samples.
    pub fn new(sample_rate_hz: f64, capacity: usize) -> Self {
        Baseband::with_cells(sample_rate_hz, capacity, CELLS_PER_CHIP)
    }

    /// The same with a third of the time in each cell.
    pub fn fine(sample_rate_hz: f64, capacity: usize) -> Self {
        Baseband::with_cells(sample_rate_hz, capacity, FINE_CELLS_PER_CHIP)
    }

    fn with_cells(sample_rate_hz: f64, capacity: usize, cells_per_chip: f64) -> Self {
        let chip_samples = sample_rate_hz / CHIP_RATE_HZ;
        let decimation = ((chip_samples / cells_per_chip) as usize).max(1);
        Baseband {
            decimation,
            chip: chip_samples / decimation as f64,
            sums: Vec::with_capacity(capacity / decimation + 1),
            oscillator: vec![Complex32::default(); TABLE_CELLS * decimation],
        }
    }

    /// Cells per chip.
    pub fn chip(&self) -> f64 {
        self.chip
    }

    /// Samples per cell.
    pub fn decimation(&self) -> usize {
        self.decimation
    }

    /// Whole cells held.
    pub fn cells(&self) -> usize {
        self.sums.len().saturating_sub(1)
    }

    /// Takes `samples`, of which the carrier at `frequency` cycles a sample is wanted.
    pub fn fill(&mut self, samples: &[Complex32], frequency: f64) {
        for (i, value) in self.oscillator.iter_mut().enumerate() {
            *value = phasor(-frequency * i as f64);
        }
        self.sums.clear();
        let mut sum = Complex32::default();
        self.sums.push(sum);
        let stride = self.oscillator.len();
        for (chunk, part) in samples.chunks(stride).enumerate() {
            let turn = phasor(-(frequency * (chunk * stride) as f64).fract());
            let cells = part.chunks_exact(self.decimation);
            for (cell, mixer) in cells.zip(self.oscillator.chunks_exact(self.decimation)) {
                sum += dot(cell, mixer) * turn;
                self.sums.push(sum);
            }
        }
    }

    /// Subtracts `tone`, of whose stretch the first sample is number `first`, from what [`Baseband::fill`] took at `frequency`.
    pub fn subtract(&mut self, tone: &Tone, first: usize, frequency: f64) {
        // The sum of a tone is a geometric series: it turns with the tone around a point.
        let apart = tone.frequency - frequency;
        let turn = num_complex::Complex::new(0.0, TAU * apart).exp() - 1.0;
        if turn.norm() < 1e-9 {
            return;
        }
        let start = phasor((tone.frequency * first as f64).fract()) * tone.amplitude;
        let start = num_complex::Complex::new(f64::from(start.re), f64::from(start.im)) / turn;
        for (i, sum) in self.sums.iter_mut().enumerate() {
            let turns = (apart * (i * self.decimation) as f64).fract();
            let part = start * (num_complex::Complex::new(0.0, TAU * turns).exp() - 1.0);
            *sum -= Complex32::new(part.re as f32, part.im as f32);
        }
    }

    /// `S` at time `t` in cells; clamped to what is held.
    fn sum_at(&self, t: f64) -> Complex32 {
        let last = self.sums.len() - 1;
        let t = t.clamp(0.0, last as f64);
        let i = (t as usize).min(last.saturating_sub(1));
        let (a, b) = (self.sums[i], self.sums[(i + 1).min(last)]);
        a + (b - a) * (t - i as f64) as f32
    }

    /// Computes the matched filter of `count` chips of `chip` cells each, the first at `start` (cells), into `out`.
    pub fn chips(&self, start: f64, chip: f64, out: &mut [Complex32]) {
        let mut before = self.sum_at(start);
        for (i, value) in out.iter_mut().enumerate() {
            let after = self.sum_at(start + (i + 1) as f64 * chip);
            *value = after - before;
            before = after;
        }
    }

    /// Computes the energy of a chip beginning at each cell, times `scale`, into `out` (cleared first).
    pub fn chip_energies(&self, scale: f32, out: &mut Vec<f32>) {
        out.clear();
        let whole = self.chip as usize;
        let part = (self.chip - whole as f64) as f32;
        let Some(ends) = self.sums.get(whole..) else {
            return;
        };
        out.extend(ends.windows(2).zip(&self.sums).map(|(end, &start)| {
            let end = end[0] + (end[1] - end[0]) * part;
            (end - start).norm_sqr() * scale
        }));
    }
}

fn dot(a: &[Complex32], b: &[Complex32]) -> Complex32 {
    a.iter()
        .zip(b)
        .fold(Complex32::default(), |sum, (a, b)| sum + a * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn given_a_tone_then_it_can_be_subtracted(off in -0.02f64..0.02, first in 0usize..5000) {
            let tone = Tone { frequency: 0.1 + off, amplitude: Complex32::new(0.3, -0.2) };
            let of = |n: usize| tone.amplitude * phasor((tone.frequency * n as f64).fract());
            let samples: Vec<Complex32> = (first..first + 6000).map(of).collect();
            let mut baseband = Baseband::new(2.4e6, samples.len());
            baseband.fill(&samples, 0.1);
            baseband.subtract(&tone, first, 0.1);
            prop_assert!(baseband.sums.iter().all(|sum| sum.norm() < 0.3), "{:?}", baseband.sums.last());
        }

        /// Reference: mix every sample with its own phasor, add up whole samples and parts of samples.
        #[test]
        fn chips_are_the_integrals_of_the_shifted_samples(
            rate in 1.0e6f64..3.2e6, frequency in -0.5f64..0.5, start in 0.0f64..200.0, ppm in -1000.0f64..1000.0, seed in any::<u32>(),
        ) {
            let mut state = seed | 1;
            let mut noise = || { state = state.wrapping_mul(1664525).wrapping_add(1013904223); (state >> 8) as f32 / (1 << 23) as f32 - 1.0 };
            let samples: Vec<Complex32> = (0..6000).map(|_| Complex32::new(noise(), noise())).collect();
            let mut baseband = Baseband::new(rate, samples.len());
            baseband.fill(&samples, frequency);
            let q = baseband.decimation() as f64;
            let chip = baseband.chip() * (1.0 + ppm * 1e-6);
            let mut chips = [Complex32::default(); 12];
            baseband.chips(start, chip, &mut chips);
            for (i, fast) in chips.iter().enumerate() {
                let (from, to) = ((start + i as f64 * chip) * q, (start + (i + 1) as f64 * chip) * q);
                // A cell is linear in time, so a part of one is a share of its sum.
                let slow: num_complex::Complex<f64> = samples.chunks_exact(baseband.decimation()).enumerate().map(|(cell, part)| {
                    let (a, b) = (cell as f64 * q, (cell + 1) as f64 * q);
                    let share = ((to.min(b) - from.max(a)) / q).clamp(0.0, 1.0);
                    let sum: num_complex::Complex<f64> = part.iter().enumerate().map(|(k, x)| {
                        let x = num_complex::Complex::new(f64::from(x.re), f64::from(x.im));
                        x * num_complex::Complex::from_polar(1.0, -TAU * frequency * (a + k as f64))
                    }).sum();
                    sum * share
                }).sum();
                prop_assert!((f64::from(fast.re) - slow.re).abs() < 0.02 && (f64::from(fast.im) - slow.im).abs() < 0.02, "{fast} {slow}");
            }
        }
    }
}
