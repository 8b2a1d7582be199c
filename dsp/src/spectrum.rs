//! Power spectrum of a window, for display.

use crate::Complex32;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Transforms that are averaged before the strongest is kept: at 2.4 MS/s and 512 bins 1.7 ms, so that a burst of a
/// few milliseconds stands out and single peaks of the noise do not.
const AVERAGED: usize = 8;

/// Peak-hold spectrum: keeps the greatest power of each bin, as a burst is much shorter than a row of a waterfall.
pub struct Spectrum {
    fft: Arc<dyn Fft<f32>>,
    /// Hann window with a mean square of 1.
    window: Vec<f32>,
    samples: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// Sum of the transforms of the average under way, and their number.
    sum: Vec<f32>,
    summed: usize,
    strongest: Vec<f32>,
}

impl Spectrum {
    /// Allocates a spectrum of `bins` bins, at least 2.
    pub fn new(bins: usize) -> Self {
        let bins = bins.max(2);
        let fft = FftPlanner::new().plan_fft_forward(bins);
        let turn = std::f32::consts::TAU / bins as f32;
        // The mean square of 1 - cos is 3/2.
        let window = (0..bins).map(|i| (1.0 - (turn * i as f32).cos()) / 1.5f32.sqrt());
        Spectrum {
            window: window.collect(),
            samples: Vec::with_capacity(bins),
            scratch: vec![Complex32::default(); fft.get_inplace_scratch_len()],
            fft,
            sum: vec![0.0; bins],
            summed: 0,
            strongest: vec![0.0; bins],
        }
    }

    /// Takes samples, any number at a time.
    pub fn add(&mut self, mut samples: &[Complex32]) {
        let bins = self.sum.len();
        while !samples.is_empty() {
            let missing = (bins - self.samples.len()).min(samples.len());
            let (taken, rest) = samples.split_at(missing);
            self.samples.extend_from_slice(taken);
            samples = rest;
            if self.samples.len() == bins {
                self.transform();
            }
        }
    }

    fn transform(&mut self) {
        for (sample, weight) in self.samples.iter_mut().zip(&self.window) {
            *sample *= weight;
        }
        self.fft
            .process_with_scratch(&mut self.samples, &mut self.scratch);
        for (sum, bin) in self.sum.iter_mut().zip(&self.samples) {
            *sum += bin.norm_sqr();
        }
        self.samples.clear();
        self.summed += 1;
        if self.summed == AVERAGED {
            self.keep();
        }
    }

    fn keep(&mut self) {
        for (strongest, sum) in self.strongest.iter_mut().zip(&mut self.sum) {
            *strongest = strongest.max(*sum / self.summed as f32);
            *sum = 0.0;
        }
        self.summed = 0;
    }

    /// Returns the power of each bin since the last call in dBFS, from the lowest frequency to the highest; a steady
    /// carrier of full scale has 0 dB less what the window spreads (1.8 dB), noise its power over the number of bins.
    pub fn take_dbfs(&mut self) -> Vec<f32> {
        if self.summed > 0 {
            self.keep();
        }
        let bins = self.strongest.len();
        let scale = 1.0 / (bins * bins) as f32;
        let db = |power: &f32| 10.0 * (power * scale).max(1e-15).log10();
        // The transform begins at the center of the window.
        let (upper, lower) = self.strongest.split_at(bins.div_ceil(2));
        let row = lower.iter().chain(upper).map(db).collect();
        self.strongest.fill(0.0);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `amplitude` at `turns` of a turn a sample.
    fn tone(turns: f32, amplitude: f32, len: usize) -> Vec<Complex32> {
        let phase = |i: usize| std::f32::consts::TAU * (turns * i as f32).fract();
        (0..len)
            .map(|i| Complex32::from_polar(amplitude, phase(i)))
            .collect()
    }

    #[test]
    fn given_a_carrier_then_its_bin_has_its_power() {
        for (turns, bin) in [(0.0, 32), (0.25, 48), (-0.25, 16), (-0.5, 0)] {
            let mut spectrum = Spectrum::new(64);
            spectrum.add(&tone(turns, 0.1, 64 * AVERAGED));
            let row = spectrum.take_dbfs();
            let strongest = (0..64).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            assert_eq!(strongest, bin, "{turns}");
            assert!((row[bin] + 20.0 + 1.76).abs() < 0.1, "{}", row[bin]);
        }
    }

    #[test]
    fn given_a_short_burst_in_a_long_row_then_it_stands_out_and_is_gone_in_the_next() {
        let mut spectrum = Spectrum::new(64);
        for part in [
            vec![Complex32::default(); 64_000],
            tone(0.25, 0.1, 1024),
            vec![Complex32::default(); 64_000],
        ] {
            // In pieces that do not divide the transform.
            part.chunks(77).for_each(|piece| spectrum.add(piece));
        }
        assert!(spectrum.take_dbfs()[48] > -25.0);
        assert!(spectrum.take_dbfs().iter().all(|db| *db < -140.0));
    }
}
