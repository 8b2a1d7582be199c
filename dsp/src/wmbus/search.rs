//! Search: finds bursts by their energy, on every carrier of the window at once, with one Fourier transform per block.
//!
//! At the SNR at which half of the frames of mode T can be decoded, -6 dB in 2.36 MHz, a frame adds three times the noise
//! to a band of 200 kHz, and the noise in it strays by 5 % over two blocks of 0.9 ms. Detection is therefore no matter of
//! sensitivity; it tells where to look, and that there is nothing to do most of the time. Every bin has its own noise
//! floor, a tracked median, so that spurs are not detected.

use super::narrow::{self, Narrow};
use super::segment::{Segment, View};
use super::track::{self, Peak, Tracks};
use crate::Complex32;
use crate::floor::{first_floor, has_jumped, lower_floor};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// Length of a block in seconds, to the nearest power of two samples.
const BLOCK_S: f64 = 0.9e-3;
/// Bins added up to one step of a band.
const STEP: usize = 16;
/// Width of a band: a frame of mode T.
const BAND_HZ: f64 = 200e3;
/// Standard deviations by which a band must exceed the noise.
const THRESHOLD: f32 = 7.5;
/// Change of a bin's floor per block, towards the median.
const FLOOR_STEP: f32 = 0.002;
/// The same in the first blocks, in which what stands out may be the shape of the noise, and while the floors are new, as those
/// of a neighborhood differ from those of its bins.
const FIRST_STEPS: [(u32, f32); 2] = [(32, 0.03), (256, 0.01)];
/// Blocks after the first one that may lower the floors at once.
const SETTLING_BLOCKS: u32 = 8;
/// Greatest factor of a first floor over that of the quietest third of the window: what the filters of a receiver leave of
/// its flatness.
const MAX_SHAPE: f32 = 2.0;
/// Peaks kept per block.
const MAX_PEAKS: usize = 24;
/// Weight per block with which the DC offset of the receiver is tracked.
const DC_WEIGHT: f32 = 1.0 / 64.0;
/// Longest frame in seconds: 292 bytes of mode S with its long preamble.
const LONGEST_S: f64 = 0.165;

/// Watches the window, and keeps the history that the longest frame needs.
pub(super) struct Search {
    fft: Arc<dyn Fft<f32>>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    now: Vec<f32>,
    sum: Vec<f32>,
    floor: Vec<f32>,
    /// Factor by which each floor may rise.
    up: Vec<f32>,
    /// Steps of this block and of the one before.
    steps: [Vec<f32>; 2],
    peaks: Vec<Peak>,
    is_started: bool,
    /// Blocks since the floors were new.
    age: u32,
    band_steps: usize,
    bin_hz: f64,
    tracks: Tracks,
    /// If any narrow mode is wanted.
    narrow: Option<Narrow>,
    history: Vec<Complex32>,
    /// Number of the first sample of the history.
    origin: u64,
    max_history: usize,
    blocks: u64,
    dc: Option<Complex32>,
}

/// Samples of the longest segment.
pub(super) fn max_segment_len(sample_rate_hz: f64) -> usize {
    (longest_blocks(sample_rate_hz) as usize + 6) * block_len(sample_rate_hz)
}

fn block_len(sample_rate_hz: f64) -> usize {
    1 << (sample_rate_hz * BLOCK_S).log2().round() as u32
}

fn longest_blocks(sample_rate_hz: f64) -> u64 {
    (LONGEST_S * sample_rate_hz / block_len(sample_rate_hz) as f64).ceil() as u64
}

impl Search {
    pub fn new(sample_rate_hz: f64, has_narrow: bool) -> Self {
        let len = block_len(sample_rate_hz);
        let bin_hz = sample_rate_hz / len as f64;
        let band_steps = (BAND_HZ / bin_hz / STEP as f64).round() as usize;
        let fft = FftPlanner::new().plan_fft_forward(len);
        Search {
            scratch: vec![Complex32::default(); fft.get_inplace_scratch_len()],
            fft,
            spectrum: vec![Complex32::default(); len],
            now: vec![0.0; len],
            sum: vec![0.0; len],
            floor: vec![0.0; len],
            up: vec![1.0; len],
            steps: [vec![0.0; len / STEP], vec![0.0; len / STEP]],
            peaks: Vec::with_capacity(MAX_PEAKS),
            is_started: false,
            age: 0,
            band_steps,
            bin_hz,
            tracks: Tracks::new(len, (150e3 / bin_hz) as f32, longest_blocks(sample_rate_hz)),
            narrow: has_narrow.then(|| Narrow::new(sample_rate_hz, len)),
            history: Vec::with_capacity(2 * max_segment_len(sample_rate_hz)),
            origin: 0,
            max_history: 2 * max_segment_len(sample_rate_hz),
            blocks: 0,
            dc: None,
        }
    }

    fn block_len(&self) -> usize {
        self.spectrum.len()
    }

    /// Takes samples off the front of `samples` until a block is full, searches it and hands segments that have ended to
    /// `found`.
    pub fn push(&mut self, samples: &mut &[Complex32], found: impl FnMut(Segment)) {
        if self.history.len() == self.max_history {
            self.forget();
        }
        let missing = self.missing();
        let (head, rest) = samples.split_at(missing.min(samples.len()));
        self.history.extend_from_slice(head);
        *samples = rest;
        if head.len() == missing {
            self.search_block(found);
        }
    }

    /// Ends every burst. Samples may follow, but as after a gap.
    pub fn flush(&mut self, mut found: impl FnMut(Segment)) {
        let missing = self.missing();
        if missing < self.block_len() {
            // The last block is filled up with what came before it: silence would be taken for new noise.
            let end = self.history.len();
            self.history.extend_from_within(end.saturating_sub(missing)..);
            let rest = missing - (self.history.len() - end);
            self.history
                .extend(std::iter::repeat_n(Complex32::default(), rest));
            self.search_block(&mut found);
        }
        let view = View::new(&self.history, self.origin, &self.floor, self.bin_hz);
        self.tracks.flush(|burst| view.hand_out(burst, &mut found));
        if let Some(narrow) = &mut self.narrow {
            narrow.flush(&self.floor, |cells, detection| {
                found(Segment::Narrow(cells, *detection));
            });
        }
    }

    /// Returns the noise power of the window in dBFS.
    pub fn noise_dbfs(&self) -> f32 {
        let mean = self.floor.iter().sum::<f32>() / (self.floor.len() * self.floor.len()) as f32;
        10.0 * mean.max(1e-15).log10()
    }

    fn missing(&self) -> usize {
        let searched = (self.blocks * self.block_len() as u64 - self.origin) as usize;
        self.block_len() - (self.history.len() - searched)
    }

    /// Drops history that no open burst needs.
    fn forget(&mut self) {
        let kept = if self.narrow.is_some() {
            narrow::LEAD
        } else {
            track::LEAD
        } + 1;
        let from = self
            .tracks
            .first()
            .unwrap_or(self.blocks)
            .min(self.blocks.saturating_sub(kept));
        let from =
            from.max((self.blocks + 1).saturating_sub((self.max_history / 2 / self.block_len()) as u64));
        let drop = (from * self.block_len() as u64).saturating_sub(self.origin) as usize;
        self.history.drain(..drop.min(self.history.len()));
        self.origin += drop as u64;
    }

    fn search_block(&mut self, mut found: impl FnMut(Segment)) {
        let len = self.block_len();
        let start = self.history.len() - len;
        let block = &mut self.history[start..];
        let mean = block.iter().sum::<Complex32>() / len as f32;
        let dc = self.dc.get_or_insert(mean);
        *dc += (mean - *dc) * DC_WEIGHT;
        let dc = *dc;
        block.iter_mut().for_each(|sample| *sample -= dc);
        self.spectrum.copy_from_slice(block);
        self.fft
            .process_with_scratch(&mut self.spectrum, &mut self.scratch);
        for (power, bin) in self.now.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        self.track_floor();
        self.find();
        let view = View::new(&self.history, self.origin, &self.floor, self.bin_hz);
        self.tracks.push(self.blocks, &self.peaks, &self.now, |burst| {
            view.hand_out(burst, &mut found);
        });
        self.blocks += 1;
        if let Some(narrow) = &mut self.narrow {
            let from = self
                .history
                .len()
                .saturating_sub((narrow::LEAD as usize + 1) * len);
            let block = narrow::Block {
                history: &self.history[from..],
                first_sample: self.origin + from as u64,
                powers: &self.now,
                floor: &self.floor,
            };
            narrow.push(block, |cells, detection| {
                found(Segment::Narrow(cells, *detection));
            });
        }
    }

    /// Moves the floors and divides the powers by them.
    fn track_floor(&mut self) {
        if !self.is_started || has_jumped(&self.now, &self.floor) {
            self.is_started = true;
            self.age = 0;
            first_floor(&self.now, &mut self.floor, &mut self.sum);
            self.limit_floor();
        } else if self.age < SETTLING_BLOCKS {
            lower_floor(&self.now, &mut self.floor, &mut self.sum);
        }
        let first = FIRST_STEPS.iter().find(|(blocks, _)| self.age < *blocks);
        let step = first.map_or(FLOOR_STEP, |(_, step)| *step);
        self.age = self.age.saturating_add(1);
        self.up.fill(1.0 + step);
        if self.age > FIRST_STEPS[0].0 {
            // A frame must not raise the floor under itself: it stays as it is, as the gaps of the frame would lower it.
            let len = self.up.len() as i32;
            let (carriers, reach) = self.tracks.carriers(first.is_none());
            for bin in carriers {
                for i in -(reach as i32)..=reach as i32 {
                    self.up[(bin as i32 + i).rem_euclid(len) as usize] = 1.0;
                }
            }
            if let Some(narrow) = &self.narrow {
                let (carriers, reach) = narrow.carriers();
                for bin in carriers {
                    for i in -reach..=reach {
                        self.up[(bin + i).rem_euclid(len) as usize] = 1.0;
                    }
                }
            }
        }
        for ((power, floor), up) in self.now.iter_mut().zip(&mut self.floor).zip(&self.up) {
            let is_above = *power > *floor * std::f32::consts::LN_2;
            *floor *= if is_above { *up } else { 2.0 - up };
            *floor = floor.max(1e-20);
            *power /= *floor;
        }
    }

    /// Lowers floors that stand out: a recording may begin within a frame, which fills more than a neighborhood.
    fn limit_floor(&mut self) {
        let sorted = &mut self.sum;
        sorted.copy_from_slice(&self.floor);
        sorted.sort_unstable_by(f32::total_cmp);
        let most = MAX_SHAPE * sorted[sorted.len() / 3];
        self.floor.iter_mut().for_each(|floor| *floor = floor.min(most));
    }

    /// Finds the bands of this block and the one before that stand out.
    fn find(&mut self) {
        self.peaks.clear();
        let [now, before] = &mut self.steps;
        std::mem::swap(now, before);
        for (step, bins) in now.iter_mut().zip(self.now.chunks_exact(STEP)) {
            *step = bins.iter().sum();
        }
        let n = now.len();
        let width = self.band_steps;
        let mean = (2 * width * STEP) as f32;
        let threshold = mean + THRESHOLD * mean.sqrt();
        let both = |i: usize| now[i % n] + before[i % n];
        // The sum over a band slides along.
        let mut here = (0..width).map(both).sum::<f32>();
        let mut previous = here + both(n - 1) - both(width - 1);
        for i in 0..n {
            let next = here + both(i + width) - both(i);
            if here >= threshold && here >= previous && here > next && self.peaks.len() < MAX_PEAKS {
                let bin = (i * STEP + width * STEP / 2) as f32;
                let len = (n * STEP) as f32;
                self.peaks.push(Peak {
                    bin: if bin < len / 2.0 { bin } else { bin - len },
                    strength: here / mean - 1.0,
                });
            }
            (previous, here) = (here, next);
        }
        self.suppress_splatter();
    }

    /// Drops what a stronger peak explains: its skirts.
    fn suppress_splatter(&mut self) {
        self.peaks
            .sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength));
        let len = self.now.len() as f32;
        let mut kept = 0;
        for i in 0..self.peaks.len() {
            let peak = self.peaks[i];
            let is_explained = self.peaks[..kept].iter().any(|strong| {
                let apart = (peak.bin - strong.bin).abs();
                let apart_hz = f64::from(apart.min(len - apart)) * self.bin_hz;
                // The keying falls with the fourth power of the distance, the leakage of a block that the signal begins or
                // ends in with the second.
                let skirt = (60e3 / apart_hz).powi(4) + 0.01 * (60e3 / apart_hz).powi(2);
                apart_hz < BAND_HZ || f64::from(peak.strength) < 4.0 * f64::from(strong.strength) * skirt
            });
            if !is_explained {
                self.peaks[kept] = peak;
                kept += 1;
            }
        }
        self.peaks.truncate(kept);
    }
}
