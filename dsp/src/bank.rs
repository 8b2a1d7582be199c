//! Filter bank: detects every carrier of the window at once with one Fourier transform per block.
//!
//! On-off keying with as many ON as OFF chips keeps half of its amplitude in a steady carrier, whatever the
//! data. Over a block of about 1.75 ms (57 chips) that carrier stands in one bin with
//! `57/4 · Es/N0` times the noise of the bin, Es/N0 = energy of an ON chip over noise density: 15 dB above
//! it at an SNR of -13.4 dB, where half of all SCM could be decoded at best. Two blocks and two neighboring
//! bins are added, so that neither the block grid nor the bin grid matters. A transmitter whose phase wanders
//! has no such line, but its energy is still there: a second statistic adds all bins of a chip-wide band.

use crate::floor::{first_floor, has_jumped, lower_floor, spur_around, track_floor};
use crate::{CHIP_RATE_HZ, Complex32};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Bins added up to one step of the wide-band statistic.
const STEP: usize = 16;
/// Sum of two bins over two blocks, each of mean 1 in noise, that makes a line. The sum has a Gamma(4)
/// distribution: P(> 22) = 6e-7, about one bin a second at 2.4 MS/s.
const LINE_THRESHOLD: f32 = 22.0;
/// Standard deviations by which a band must exceed the noise.
const BAND_THRESHOLD: f32 = 7.5;
/// Blocks after the first one (14 ms) that may lower the floors at once: a click in the first block, as at the start of a
/// stream, raises all of them, and their tracking would take seconds to bring them down again.
const SETTLING_BLOCKS: u32 = 8;
/// Distance from a carrier up to which a spur disturbs it, in sidebands of 16 384 Hz: the matched filter passes less than -22 dB of it
/// beyond that.
const SPUR_REACH: f32 = 8.0;
/// Peaks kept per block, the strongest.
pub(crate) const MAX_PEAKS: usize = 48;

/// Shape of the spectrum of what was detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bandwidth {
    /// Steady carrier that keeps its phase over a block.
    Narrow,
    /// Energy spread over a chip-wide band, without a carrier.
    Wide,
}

/// Detection in the newest block or the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peak {
    pub bandwidth: Bandwidth,
    /// Bin, with fraction; 0 = center of the window, negative below it.
    pub bin: f32,
    /// Power over the floor: of the line, or a quarter of what the whole band has above it, which is half
    /// of the line that a coherent carrier of this power would have.
    pub strength: f32,
    /// Noise power per sample at this carrier.
    pub noise: f32,
}

pub(crate) struct Bank {
    fft: Arc<dyn Fft<f32>>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// Power over floor of this block and of the one before, and their sum.
    now: Vec<f32>,
    before: Vec<f32>,
    sum: Vec<f32>,
    /// `now`, while old blocks are searched again.
    set_aside: Vec<f32>,
    /// Mean noise power of each bin; undefined until the first block.
    floor: Vec<f32>,
    steps: Vec<f32>,
    peaks: Vec<Peak>,
    started: bool,
    /// Blocks to come in which the first floors may still be lowered at once.
    settling: u32,
    /// Steps of a band about one chip rate wide.
    band_steps: usize,
    /// Bins per 16 384 Hz, the distance of the first sideband of a Manchester run.
    sideband_bins: f32,
}

impl Bank {
    pub fn new(sample_rate_hz: f64) -> Self {
        let len = block_len(sample_rate_hz);
        let bin_hz = sample_rate_hz / len as f64;
        let band_steps = (CHIP_RATE_HZ / bin_hz / STEP as f64).round().max(1.0) as usize;
        let fft = FftPlanner::new().plan_fft_forward(len);
        Bank {
            scratch: vec![Complex32::default(); fft.get_inplace_scratch_len()],
            fft,
            spectrum: vec![Complex32::default(); len],
            now: vec![0.0; len],
            before: vec![0.0; len],
            sum: vec![0.0; len + 1],
            set_aside: vec![1.0; len],
            floor: vec![0.0; len],
            steps: vec![0.0; len / STEP + band_steps],
            peaks: Vec::with_capacity(MAX_PEAKS),
            started: false,
            settling: 0,
            band_steps,
            sideband_bins: (CHIP_RATE_HZ / 2.0 / bin_hz) as f32,
        }
    }

    /// Samples in a block.
    pub fn block_len(&self) -> usize {
        self.spectrum.len()
    }

    /// Half the width of a band, in bins.
    pub fn band_reach(&self) -> f32 {
        (self.band_steps * STEP) as f32 / 2.0
    }

    /// Noise power per sample of the whole window: the median bin's floor, so that spurs do not count.
    pub fn noise(&mut self) -> f32 {
        let len = self.block_len();
        let floor = &mut self.sum[..len];
        floor.copy_from_slice(&self.floor);
        let (_, median, _) = floor.select_nth_unstable_by(len / 2, f32::total_cmp);
        *median / len as f32
    }

    /// Noise power per sample within half a chip rate of `bin`: the median floor, which strays far less than that of one bin.
    pub fn noise_around(&mut self, bin: f32) -> f32 {
        let len = self.block_len();
        let reach = (self.sideband_bins as usize).clamp(1, len / 2);
        let first = bin.round() as isize - reach as isize;
        let around = &mut self.sum[..2 * reach];
        for (i, floor) in around.iter_mut().enumerate() {
            *floor = self.floor[(first + i as isize).rem_euclid(len as isize) as usize];
        }
        let (_, median, _) = around.select_nth_unstable_by(reach, f32::total_cmp);
        *median / len as f32
    }

    /// Returns the bin, with fraction, of the strongest spur that disturbs a carrier at `bin`. `noise` is that around it, per sample.
    pub fn spur_around(&self, bin: f32, noise: f32) -> Option<f32> {
        let noise = noise * self.block_len() as f32;
        spur_around(&self.floor, noise, bin, SPUR_REACH * self.sideband_bins)
    }

    /// Takes the next block (of [`Bank::block_len`] samples) and returns the peaks in it, strongest first.
    pub fn push(&mut self, block: &[Complex32]) -> &[Peak] {
        self.transform(block);
        if !self.started || has_jumped(&self.now, &self.floor) {
            self.started = true;
            self.settling = SETTLING_BLOCKS;
            first_floor(&self.now, &mut self.floor, &mut self.sum);
        } else if self.settling > 0 {
            self.settling -= 1;
            lower_floor(&self.now, &mut self.floor, &mut self.sum);
        }
        track_floor(&mut self.now, &mut self.floor);
        self.find();
        &self.peaks
    }

    /// Searches old blocks again without changing the floors. Hands the peaks of each to `seen`.
    pub fn search_again(&mut self, samples: &[Complex32], mut seen: impl FnMut(&[Peak])) {
        std::mem::swap(&mut self.now, &mut self.set_aside);
        self.now.fill(1.0);
        for block in samples.chunks_exact(self.block_len()) {
            self.transform(block);
            for (power, floor) in self.now.iter_mut().zip(&self.floor) {
                *power /= floor;
            }
            self.find();
            seen(&self.peaks);
        }
        std::mem::swap(&mut self.now, &mut self.set_aside);
    }

    /// Power of each bin of `block`.
    fn transform(&mut self, block: &[Complex32]) {
        self.spectrum.copy_from_slice(block);
        self.fft
            .process_with_scratch(&mut self.spectrum, &mut self.scratch);
        std::mem::swap(&mut self.now, &mut self.before);
        for (power, bin) in self.now.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
    }

    /// Finds the peaks of this block and the one before.
    fn find(&mut self) {
        for ((sum, now), before) in self.sum.iter_mut().zip(&self.now).zip(&self.before) {
            *sum = now + before;
        }
        let len = self.block_len();
        self.sum[len] = self.sum[0];
        self.peaks.clear();
        self.find_lines();
        self.find_bands();
        self.suppress_splatter();
    }

    fn find_lines(&mut self) {
        const CHUNK: usize = 32;
        let len = self.block_len();
        for start in (0..len).step_by(CHUNK) {
            if !any_line(&self.sum[start..=start + CHUNK]) {
                continue;
            }
            for k in start..start + CHUNK {
                let at = |offset: usize| {
                    let i = (k + len + offset - 2) % len;
                    self.sum[i] + self.sum[i + 1]
                };
                let here = at(2);
                let is_top =
                    here >= LINE_THRESHOLD && here >= at(1) && here >= at(0) && here > at(3) && here > at(4);
                if is_top {
                    let (a, b) = (self.sum[k].sqrt(), self.sum[k + 1].sqrt());
                    let peak = Peak {
                        bandwidth: Bandwidth::Narrow,
                        bin: signed_bin(k, len) + b / (a + b),
                        strength: here,
                        noise: self.floor[k] / len as f32,
                    };
                    keep(&mut self.peaks, peak);
                }
            }
        }
    }

    fn find_bands(&mut self) {
        let len = self.block_len();
        let (n, wide) = (len / STEP, self.band_steps);
        for (step, bins) in self.steps.iter_mut().zip(self.sum.chunks_exact(STEP)) {
            *step = bins.iter().sum();
        }
        // Frequencies wrap around: repeat the first steps at the end.
        self.steps.copy_within(..wide, n);
        let mean = (2 * wide * STEP) as f32;
        let threshold = mean + BAND_THRESHOLD * mean.sqrt();
        let band = |i: usize| self.steps[i..i + wide].iter().sum::<f32>();
        for i in 0..n {
            let here = band(i);
            if here < threshold || here < band((i + n - 1) % n) || here <= band((i + 1) % n) {
                continue;
            }
            let here = here - mean;
            // Center of gravity of the power above the floor.
            let (mut weight, mut moment) = (0.0, 0.0);
            for k in 0..wide * STEP {
                let over = (self.sum[(i * STEP + k) % len] - 2.0).max(0.0);
                weight += over;
                moment += over * k as f32;
            }
            let peak = Peak {
                bandwidth: Bandwidth::Wide,
                bin: signed_bin(i * STEP, len) + moment / weight.max(1.0),
                strength: here / 4.0,
                noise: self.floor[(i * STEP + wide * STEP / 2) % len] / len as f32,
            };
            keep(&mut self.peaks, peak);
        }
    }

    /// Drops what a stronger peak explains: its keying sidebands, which fall as 1/Δ², and the band around
    /// its own line.
    fn suppress_splatter(&mut self) {
        self.peaks
            .sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength));
        let len = self.block_len() as f32;
        let mut kept = 0;
        for i in 0..self.peaks.len() {
            let peak = self.peaks[i];
            let explained = self.peaks[..kept].iter().any(|strong| {
                let apart = (peak.bin - strong.bin).abs();
                let apart = apart.min(len - apart);
                // A run of equal Manchester bits is a square wave: its n-th harmonic has (2/πn)² of the
                // line's power, n · 16 384 Hz away.
                let sideband = (2.0 * self.sideband_bins / (std::f32::consts::PI * apart)).powi(2);
                match peak.bandwidth {
                    Bandwidth::Narrow => peak.strength < strong.strength * sideband,
                    Bandwidth::Wide => {
                        apart < 3.0 * self.sideband_bins || peak.strength < 2.0 * strong.strength * sideband
                    }
                }
            });
            if !explained {
                self.peaks[kept] = peak;
                kept += 1;
            }
        }
        self.peaks.truncate(kept);
    }
}

/// Returns true if two neighbors anywhere in `bins` make a line.
fn any_line(bins: &[f32]) -> bool {
    // Branchless, so that the compiler can vectorize it.
    bins.iter()
        .zip(&bins[1..])
        .fold(false, |any, (a, b)| any | (a + b >= LINE_THRESHOLD))
}

/// Samples in a block: the power of two nearest to 1.75 ms, so that every frame (5.9 ms and more) fills at
/// least two blocks.
pub(crate) fn block_len(sample_rate_hz: f64) -> usize {
    1 << (sample_rate_hz * 1.75e-3).log2().round().max(6.0) as u32
}

/// Bin `k` of a transform of `len`, as a signed frequency.
fn signed_bin(k: usize, len: usize) -> f32 {
    if k < len / 2 {
        k as f32
    } else {
        k as f32 - len as f32
    }
}

/// Keeps `peak` if there is room or it is stronger than the weakest.
fn keep(peaks: &mut Vec<Peak>, peak: Peak) {
    if peaks.len() < MAX_PEAKS {
        peaks.push(peak);
        return;
    }
    if let Some(weakest) = peaks.iter_mut().min_by(|a, b| a.strength.total_cmp(&b.strength)) {
        if weakest.strength < peak.strength {
            *weakest = peak;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Random;

    const RATE_HZ: f64 = 1.0e6;

    fn noise(random: &mut Random, len: usize) -> Vec<Complex32> {
        (0..len).map(|_| random.gaussian()).collect()
    }

    /// Power of one frequency by the definition of the Fourier transform.
    fn naive_power(block: &[Complex32], bin: usize) -> f32 {
        let turns = |n: usize| (bin * n % block.len()) as f64 / block.len() as f64;
        let sum: num_complex::Complex<f64> = block
            .iter()
            .enumerate()
            .map(|(n, x)| {
                let x = num_complex::Complex::new(f64::from(x.re), f64::from(x.im));
                x * num_complex::Complex::from_polar(1.0, -std::f64::consts::TAU * turns(n))
            })
            .sum();
        sum.norm_sqr() as f32
    }

    #[test]
    fn powers_over_the_floor_are_those_of_the_naive_transform() {
        let mut random = Random::new(1);
        let mut bank = Bank::new(RATE_HZ);
        for _ in 0..3 {
            let block = noise(&mut random, bank.block_len());
            bank.push(&block);
            for bin in (0..block.len()).step_by(97) {
                let slow = naive_power(&block, bin);
                let fast = bank.now[bin] * bank.floor[bin];
                assert!(
                    (fast - slow).abs() < 1e-3 * slow.max(1.0),
                    "bin {bin}: {fast} {slow}"
                );
            }
        }
    }

    #[test]
    fn the_floor_of_noise_is_its_power_and_stays_there() {
        let mut random = Random::new(2);
        let mut bank = Bank::new(RATE_HZ);
        for i in 0..300 {
            let block = noise(&mut random, bank.block_len());
            bank.push(&block);
            let noise_db = 10.0 * bank.noise().log10();
            assert!(noise_db.abs() < 0.5, "block {i}: {noise_db} dB");
        }
    }

    #[test]
    fn given_silence_or_another_gain_then_the_floor_is_the_new_noise_at_once() {
        let mut random = Random::new(5);
        let mut bank = Bank::new(RATE_HZ);
        for gain in [0.0, 1.0, 0.01, 0.0, 0.1, 10.0] {
            for i in 0..20 {
                let mut block = noise(&mut random, bank.block_len());
                block.iter_mut().for_each(|sample| *sample *= gain);
                let peaks = bank.push(&block).len();
                assert!(i < 2 || peaks < 3, "gain {gain}, block {i}: {peaks} peaks");
            }
            let floor = bank.noise() / (gain * gain).max(1e-24);
            assert!(gain == 0.0 || (0.7..1.4).contains(&floor), "gain {gain}: {floor}");
        }
    }

    #[test]
    fn a_tone_is_found_where_it_is() {
        let mut random = Random::new(3);
        let mut bank = Bank::new(RATE_HZ);
        let len = bank.block_len();
        // -10 dB below the noise of the window, 20 dB above that of a bin.
        let at = -137.3 / len as f64;
        let mut found = Vec::new();
        for i in 0..4 {
            let mut block = noise(&mut random, len);
            for (n, sample) in block.iter_mut().enumerate() {
                let turns = (at * (i * len + n) as f64).fract();
                *sample += Complex32::from_polar(0.3, (turns * std::f64::consts::TAU) as f32);
            }
            found = bank.push(&block).to_vec();
        }
        assert_eq!(found[0].bandwidth, Bandwidth::Narrow);
        assert!((found[0].bin + 137.3).abs() < 0.3, "{found:?}");
    }

    #[test]
    fn a_steady_spur_falls_silent() {
        let mut random = Random::new(4);
        let mut bank = Bank::new(RATE_HZ);
        let len = bank.block_len();
        let mut peaks = 0;
        for i in 0..2000 {
            let mut block = noise(&mut random, len);
            for (n, sample) in block.iter_mut().enumerate() {
                let turns = (0.123 * (i * len + n) as f64).fract();
                *sample += Complex32::from_polar(1.0, (turns * std::f64::consts::TAU) as f32);
            }
            peaks = bank.push(&block).len();
        }
        assert_eq!(peaks, 0);
    }
}
