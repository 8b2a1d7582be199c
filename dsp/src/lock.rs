//! Lock, as a whole: one burst becomes packets.

use crate::bank::Bandwidth;
use crate::baseband::Baseband;
use crate::demod::{Demod, Measured, Method, Timing};
use crate::frame::{Checked, Framer};
use crate::packet::{Packet, Signal};
use crate::sync::{Candidate, Sync};
use crate::{CHIP_RATE_HZ, Complex32, Config, Protocol};

/// Frames that follow one another may seem to overlap by this much.
const OVERLAP_CHIPS: f64 = 8.0;

/// A segment of samples and the carrier to look at.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The samples.
    pub samples: &'a [Complex32],
    /// Number of the first sample.
    pub first_sample: u64,
    /// Carrier in cycles a sample.
    pub frequency: f64,
    /// What made it stand out.
    pub bandwidth: Bandwidth,
    /// Noise power per sample at this carrier.
    pub noise: f32,
    /// Mean noise power per sample of the whole window.
    pub window_noise: f32,
}

/// The lock: needs nothing of the search but segments, and may run on another thread.
pub struct Locker {
    config: Config,
    baseband: Baseband,
    sync: Sync,
    demod: Demod,
    framer: Framer,
    candidates: Vec<Candidate>,
    done: Vec<(f64, f64)>,
    preambles: u64,
    low_confidence: u64,
}

impl Locker {
    /// `capacity`: samples of the longest segment, [`crate::Searcher::max_segment_len`].
    pub fn new(config: Config, capacity: usize) -> Self {
        let baseband = Baseband::new(config.sample_rate_hz, capacity);
        let cells = capacity / baseband.decimation() + 1;
        Locker {
            config,
            baseband,
            sync: Sync::new(cells),
            demod: Demod::new(),
            framer: Framer::new(),
            candidates: Vec::with_capacity(32),
            done: Vec::with_capacity(32),
            preambles: 0,
            low_confidence: 0,
        }
    }

    /// Hands every packet of `segment` to `out`.
    pub fn run(&mut self, segment: &Segment, mut out: impl FnMut(&Packet)) {
        self.baseband.fill(segment.samples, segment.frequency);
        let chip_samples = self.config.sample_rate_hz / CHIP_RATE_HZ;
        let noise = segment.noise * chip_samples as f32;
        self.candidates.clear();
        self.candidates
            .extend_from_slice(self.sync.search(&self.baseband, noise));
        self.done.clear();
        for i in 0..self.candidates.len() {
            let candidate = self.candidates[i];
            // A carrier has room for one frame at a time: what overlaps one that passed is none.
            let chips = candidate.protocol.chips() as f64;
            let end = candidate.start + (chips - OVERLAP_CHIPS) * self.baseband.chip();
            if self
                .done
                .iter()
                .any(|done| candidate.start < done.1 && end > done.0)
            {
                continue;
            }
            self.preambles += 1;
            let Some((timing, measured, frame)) = self.lock(&candidate, noise, segment.bandwidth) else {
                continue;
            };
            if self.config.is_tentative(frame.error_probability) {
                self.low_confidence += 1;
            } else {
                let end = timing.start + (chips - OVERLAP_CHIPS) * timing.chip;
                self.done.push((timing.start, end));
            }
            if frame.error_probability > self.config.max_error_probability() {
                continue;
            }
            out(&self.packet(segment, candidate.protocol, timing, measured, &frame));
        }
    }

    /// Preambles tried so far.
    pub fn preambles(&self) -> u64 {
        self.preambles
    }

    /// Frames so far that could not be believed.
    pub fn low_confidence(&self) -> u64 {
        self.low_confidence
    }

    /// The best frame that any method finds.
    fn lock(&mut self, candidate: &Candidate, noise: f32, bandwidth: Bandwidth) -> Option<(Timing, Measured, Checked)> {
        let timing = self.demod.time(&self.baseband, candidate, noise)?;
        let methods: &[Method] = match bandwidth {
            Bandwidth::Narrow => &[Method::Steady, Method::Refined, Method::Wandering, Method::Energy],
            Bandwidth::Wide => &[Method::Energy],
        };
        let mut best: Option<(Timing, Measured, Checked)> = None;
        for &method in methods {
            let (soft, measured) = self
                .demod
                .soft(&self.baseband, candidate.protocol, timing, noise, method);
            let frame = self
                .framer
                .decode(candidate.protocol, soft, self.config.trust.max_flips());
            if let Some(frame) = frame {
                if best.is_none_or(|(_, _, other)| frame.error_probability < other.error_probability) {
                    best = Some((timing, measured, frame));
                }
                if !self.config.is_tentative(frame.error_probability) {
                    break;
                }
            }
        }
        best
    }

    fn packet(
        &self,
        segment: &Segment,
        protocol: Protocol,
        timing: Timing,
        measured: Measured,
        frame: &Checked,
    ) -> Packet {
        let cell = self.baseband.decimation() as f64;
        let chip_samples = self.config.sample_rate_hz / CHIP_RATE_HZ;
        // An ON chip adds up in amplitude over its samples.
        let power = measured.signal / (chip_samples as f32).powi(2);
        Packet {
            protocol,
            start_sample: segment.first_sample + (timing.start * cell).max(0.0).round() as u64,
            len_samples: (protocol.chips() as f64 * timing.chip * cell).round() as u64,
            signal: Signal {
                offset_hz: segment.frequency * self.config.sample_rate_hz + measured.frequency * CHIP_RATE_HZ,
                snr_db: 10.0 * (power / segment.window_noise).log10(),
                level_dbfs: 10.0 * power.log10(),
                clock_ppm: ((timing.chip / self.baseband.chip() - 1.0) * 1e6) as f32,
                corrected: frame.corrected,
                error_probability: frame.error_probability,
            },
            bytes: frame.bytes,
        }
    }
}
