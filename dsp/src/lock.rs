//! Lock: demodulates and decodes the packets of one segment.

use crate::bank::Bandwidth;
use crate::baseband::Baseband;
use crate::demod::{Assumption, Demod, Measured, Timing};
use crate::expect::{Expected, Finder, IdmJudge, IdmWords, Judge, Judged, Template};
use crate::frame::{Checked, Framer};
use crate::outcome::Outcome;
use crate::packet::{Method, Packet, Signal};
use crate::search::max_segment_len;
use crate::segment::{Detection, Segment};
use crate::sync::{Candidate, MAX_CANDIDATES, Sync};
use crate::{CHIP_RATE_HZ, Config, ConfigError, Protocol};

/// Frames that follow one another may seem to overlap by this much.
const OVERLAP_CHIPS: f64 = 8.0;

/// Attempts at an expected frame: shift in chips from where the energies fit best, which noise displaces by some hundredths, and
/// assumption about the carrier. The shifts gain half a dB.
const EXPECTED_TRIALS: [(f64, Assumption); 4] = [
    (0.0, Assumption::Steady),
    (0.0, Assumption::Refined),
    (-0.06, Assumption::Steady),
    (0.06, Assumption::Steady),
];

/// Demodulates one segment at a time. No state is kept from one segment to the next, so segments may be spread
/// over several lockers on several threads.
pub struct Locker {
    config: Config,
    baseband: Baseband,
    sync: Sync,
    demod: Demod,
    framer: Framer,
    finder: Finder,
    judge: Judge,
    idm_judge: IdmJudge,
    candidates: Vec<Candidate>,
    done: Vec<(f64, f64)>,
}

impl Locker {
    /// Allocates room for the longest segment.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let capacity = max_segment_len(config.sample_rate_hz);
        let baseband = Baseband::new(config.sample_rate_hz, capacity);
        let cells = capacity / baseband.decimation() + 1;
        Ok(Locker {
            config,
            baseband,
            sync: Sync::new(cells),
            demod: Demod::new(),
            framer: Framer::new(),
            finder: Finder::new(cells),
            judge: Judge::new(),
            idm_judge: IdmJudge::new(),
            candidates: Vec::with_capacity(32),
            done: Vec::with_capacity(32),
        })
    }

    /// Demodulates `segment` and replaces the contents of `outcome` with its packets and counters.
    pub fn run(&mut self, segment: &Segment, outcome: &mut Outcome) {
        outcome.clear();
        let detection = &segment.detection;
        self.baseband.fill(segment.samples, detection.frequency);
        let chip_samples = self.config.sample_rate_hz / CHIP_RATE_HZ;
        let noise = detection.noise * chip_samples as f32;
        self.candidates.clear();
        self.candidates
            .extend_from_slice(self.sync.search(&self.baseband, noise));
        self.done.clear();
        for i in 0..self.candidates.len() {
            let candidate = self.candidates[i];
            // A carrier has room for one frame at a time: skip candidates that overlap one that passed.
            let chips = candidate.protocol.chips() as f64;
            let end = candidate.start + (chips - OVERLAP_CHIPS) * self.baseband.chip();
            if self
                .done
                .iter()
                .any(|done| candidate.start < done.1 && end > done.0)
            {
                continue;
            }
            outcome.preambles += 1;
            let Some((timing, measured, frame)) = self.lock(&candidate, noise, detection.bandwidth) else {
                continue;
            };
            if self.config.is_tentative(frame.error_probability) {
                outcome.low_confidence += 1;
            } else {
                let end = timing.start + (chips - OVERLAP_CHIPS) * timing.chip;
                self.done.push((timing.start, end));
            }
            if frame.error_probability > self.config.max_error_probability() {
                continue;
            }
            let packet = self.packet(detection, candidate.protocol, timing, measured, &frame);
            outcome.packets.push(packet);
        }
        // A carrier on which frames are received well has no room for one that is hardly there.
        if let Some(expected) = segment.expected.filter(|_| self.done.is_empty()) {
            let first = detection.lead / self.baseband.decimation();
            self.find_expected(detection, expected, first, noise, outcome);
            self.find_idms(detection, expected, noise, outcome);
        }
    }

    /// Adds the frames of expected meters that begin at cell `first` or later.
    fn find_expected(
        &mut self,
        detection: &Detection,
        expected: &Expected,
        first: usize,
        noise: f32,
        outcome: &mut Outcome,
    ) {
        let chip = self.baseband.chip();
        let noise_around = detection.noise_around * noise / detection.noise;
        let (energy, difference) = (self.sync.energy(), self.sync.difference());
        let templates = expected.meters.iter().map(|words| &words.template);
        self.finder.search(energy, difference, chip, first, templates);
        for i in 0..self.finder.found().len() {
            let found = self.finder.found()[i];
            let words = &expected.meters[found.meter];
            let chips = words.protocol.chips() as f64;
            let end = found.start + (chips - OVERLAP_CHIPS) * chip;
            if self.done.iter().any(|done| found.start < done.1 && end > done.0) {
                continue;
            }
            let at = self.finder.time(&self.baseband, &words.template, found.start);
            let mut best: Option<(Timing, Measured, Judged)> = None;
            for (shift, assumption) in EXPECTED_TRIALS {
                let start = at.start + shift * chip;
                let timing = Timing { start, ..at };
                let (soft, measured) =
                    self.demod
                        .soft(&self.baseband, words.protocol, timing, noise, assumption);
                let Some(judged) = self.judge.judge(soft, measured.noise, noise_around, words) else {
                    continue;
                };
                if best.is_none_or(|(.., other)| judged.likelihood > other.likelihood) {
                    best = Some((timing, measured, judged));
                }
                if judged.is_hopeless() {
                    break;
                }
            }
            if let Some((timing, measured, judged)) = best.filter(|(.., judged)| judged.is_accepted()) {
                self.accept(detection, words.protocol, timing, measured, judged, outcome);
                self.done.push((found.start, end));
            }
        }
    }

    /// Adds the IDMs of expected meters.
    fn find_idms(&mut self, detection: &Detection, expected: &Expected, noise: f32, outcome: &mut Outcome) {
        let chip = self.baseband.chip();
        let noise_around = detection.noise_around * noise / detection.noise;
        let (energy, difference) = (self.sync.energy(), self.sync.difference());
        let templates = expected.idms.iter().map(|words| &words.template);
        self.finder.search(energy, difference, chip, 0, templates);
        for i in 0..self.finder.found().len() {
            let found = self.finder.found()[i];
            let end = found.start + (Protocol::Idm.chips() as f64 - OVERLAP_CHIPS) * chip;
            if self.done.iter().any(|done| found.start < done.1 && end > done.0) {
                continue;
            }
            let words = &expected.idms[found.meter];
            let Some(template) = self.likeliest_shift(words, found.start) else {
                continue;
            };
            let timing = self.finder.time_long(&self.baseband, template, found.start);
            let start = self.start_sample(detection, timing);
            let (soft, measured) = self
                .demod
                .soft_known(&self.baseband, &template.weights, timing, noise);
            let noises = [measured.noise, noise_around];
            let judged = self
                .idm_judge
                .judge(soft, noises, words, start, self.config.sample_rate_hz);
            if let Some(judged) = judged.filter(Judged::is_accepted) {
                self.accept(detection, Protocol::Idm, timing, measured, judged, outcome);
                self.done.push((found.start, end));
            }
        }
    }

    /// Returns the template of the number of intervals that the energies fit best.
    fn likeliest_shift<'a>(&mut self, words: &'a IdmWords, start: f64) -> Option<&'a Template> {
        let chip = self.baseband.chip();
        let mut best: Option<(f32, &Template)> = None;
        for shift in &words.shifts {
            let fit = self
                .finder
                .fit(&self.baseband, &shift.template, Timing { start, chip });
            if best.is_none_or(|(other, _)| fit > other) {
                best = Some((fit, &shift.template));
            }
        }
        best.map(|(_, template)| template)
    }

    fn accept(
        &mut self,
        detection: &Detection,
        protocol: Protocol,
        timing: Timing,
        measured: Measured,
        judged: Judged,
        outcome: &mut Outcome,
    ) {
        if outcome.packets.len() == MAX_CANDIDATES {
            return;
        }
        let frame = Checked {
            bytes: judged.bytes,
            corrected: judged.corrected,
            error_probability: judged.doubt,
        };
        let mut packet = self.packet(detection, protocol, timing, measured, &frame);
        packet.signal.method = judged.method();
        outcome.packets.push(packet);
    }

    fn start_sample(&self, detection: &Detection, timing: Timing) -> u64 {
        let cell = self.baseband.decimation() as f64;
        detection.first_sample + (timing.start * cell).max(0.0).round() as u64
    }

    /// Returns the frame with the least error probability that any method finds.
    fn lock(
        &mut self,
        candidate: &Candidate,
        noise: f32,
        bandwidth: Bandwidth,
    ) -> Option<(Timing, Measured, Checked)> {
        let timing = self.demod.time(&self.baseband, candidate, noise)?;
        let methods: &[Assumption] = match bandwidth {
            Bandwidth::Narrow => &[
                Assumption::Steady,
                Assumption::Refined,
                Assumption::Wandering,
                Assumption::Energy,
            ],
            Bandwidth::Wide => &[Assumption::Energy],
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
        &mut self,
        detection: &Detection,
        protocol: Protocol,
        timing: Timing,
        measured: Measured,
        frame: &Checked,
    ) -> Packet {
        let cell = self.baseband.decimation() as f64;
        let chip_samples = self.config.sample_rate_hz / CHIP_RATE_HZ;
        // An ON chip adds up in amplitude over its samples.
        let power = measured.signal / (chip_samples as f32).powi(2);
        let timing = self.demod.refine(&self.baseband, timing, measured.signal);
        Packet {
            protocol,
            start_sample: self.start_sample(detection, timing),
            len_samples: (protocol.chips() as f64 * timing.chip * cell).round() as u64,
            signal: Signal {
                offset_hz: detection.frequency * self.config.sample_rate_hz
                    + measured.frequency * CHIP_RATE_HZ,
                snr_db: 10.0 * (power / detection.window_noise).log10(),
                level_dbfs: 10.0 * power.log10(),
                clock_ppm: ((timing.chip / self.baseband.chip() - 1.0) * 1e6) as f32,
                corrected: frame.corrected,
                method: Method::Checked,
                error_probability: frame.error_probability,
            },
            bytes: frame.bytes,
        }
    }
}
