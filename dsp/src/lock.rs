//! Lock: demodulates and decodes the packets of one segment.

use crate::bank::Bandwidth;
use crate::baseband::Baseband;
use crate::demod::{Assumption, Demod, Measured, Timing};
use crate::expect::{Evidence, Expected, Finder, IdmJudge, Judge, Judged, MAX_EVIDENCE};
use crate::frame::{Checked, Framer};
use crate::outcome::Outcome;
use crate::packet::{Method, Packet, Signal};
use crate::search::max_segment_len;
use crate::segment::{Detection, Segment};
use crate::sync::{Candidate, MAX_CANDIDATES, Sync};
use crate::tone::{Tone, ToneMeter};
use crate::{CHIP_RATE_HZ, Config, ConfigError, Protocol};

/// Frames that follow one another may seem to overlap by this much.
const OVERLAP_CHIPS: f64 = 8.0;

/// Attempts at an expected frame: shift in chips from where the energies fit best, which noise displaces by some hundredths, and
/// assumption about the carrier.
const EXPECTED_TRIALS: [(f64, Assumption); 6] = [
    (0.0, Assumption::Steady),
    (0.0, Assumption::Refined),
    (-0.05, Assumption::Refined),
    (0.05, Assumption::Refined),
    (-0.1, Assumption::Refined),
    (0.1, Assumption::Refined),
];
/// Chips around an expected frame.
const AROUND_CHIPS: f64 = 4.0;

/// Demodulates one segment at a time. No state is kept from one segment to the next, so segments may be spread
/// over several lockers on several threads.
pub struct Locker {
    config: Config,
    baseband: Baseband,
    /// An expected frame.
    fine: Baseband,
    tones: ToneMeter,
    spur: Option<Tone>,
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
        let longest = Protocol::MAX_CHIPS as f64 + 2.0 * AROUND_CHIPS + 1.0;
        let longest = (longest * config.sample_rate_hz / CHIP_RATE_HZ) as usize;
        let cells = capacity / baseband.decimation() + 1;
        Ok(Locker {
            config,
            baseband,
            fine: Baseband::fine(config.sample_rate_hz, longest),
            tones: ToneMeter::new(capacity),
            spur: None,
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
            let timing = self.demod.refine(&self.baseband, timing, measured.signal);
            let place = (detection.first_sample, &self.baseband, timing);
            let packet = packet(
                &self.config,
                detection,
                place,
                candidate.protocol,
                measured,
                &frame,
            );
            outcome.packets.push(packet);
        }
        // A carrier on which frames are received well has no room for one that is hardly there.
        if let Some(expected) = segment.expected.filter(|_| self.done.is_empty()) {
            let first = detection.lead / self.baseband.decimation();
            self.subtract_spur(segment, noise);
            self.find_expected(segment, expected, first, noise, outcome);
            self.find_idms(segment, expected, noise, outcome);
        }
    }

    /// Measures the spur beside the carrier and removes it from the baseband, in which expected frames are searched.
    fn subtract_spur(&mut self, segment: &Segment, noise: f32) {
        let detection = &segment.detection;
        let spur = detection
            .spur
            .map(|near| self.tones.measure(segment.samples, near));
        self.spur = spur.flatten();
        if let Some(spur) = &self.spur {
            self.baseband.subtract(spur, 0, detection.frequency);
            self.sync.measure(&self.baseband, noise);
        }
    }

    /// Adds the frames of expected meters that begin at cell `first` or later.
    fn find_expected(
        &mut self,
        segment: &Segment,
        expected: &Expected,
        first: usize,
        noise: f32,
        outcome: &mut Outcome,
    ) {
        let noise_around = segment.detection.noise_around * noise / segment.detection.noise;
        let (energy, difference) = (self.sync.energy(), self.sync.difference());
        let templates = expected.meters.iter().map(|words| &words.template);
        self.finder
            .search(energy, difference, self.baseband.chip(), first, templates);
        for i in 0..self.finder.found().len() {
            let found = self.finder.found()[i];
            let words = &expected.meters[found.meter];
            let Some((first_sample, start)) = self.focus(segment, found.start, words.protocol) else {
                continue;
            };
            let at = self.finder.time(&self.fine, &words.template, start);
            let mut best: Option<(Timing, Measured, Judged)> = None;
            for (shift, assumption) in EXPECTED_TRIALS {
                let start = at.start + shift * self.fine.chip();
                let timing = Timing { start, ..at };
                let (soft, measured) = self
                    .demod
                    .soft(&self.fine, words.protocol, timing, noise, assumption);
                let Some(judged) = self.judge.judge(soft, measured.noise, noise_around, words) else {
                    break;
                };
                if best.is_none_or(|(.., other)| judged.likelihood > other.likelihood) {
                    best = Some((timing, measured, judged));
                    self.judge.keep();
                }
                if judged.is_hopeless() {
                    break;
                }
            }
            if let Some((timing, measured, judged)) = best {
                let frame = (words.protocol, first_sample, timing, measured);
                self.accept(segment, frame, found.start, judged, words.revision, outcome);
            }
        }
    }

    /// Adds the IDMs of expected meters.
    fn find_idms(&mut self, segment: &Segment, expected: &Expected, noise: f32, outcome: &mut Outcome) {
        let noise_around = segment.detection.noise_around * noise / segment.detection.noise;
        let (energy, difference) = (self.sync.energy(), self.sync.difference());
        let templates = expected.idms.iter().map(|words| &words.template);
        self.finder
            .search(energy, difference, self.baseband.chip(), 0, templates);
        for i in 0..self.finder.found().len() {
            let found = self.finder.found()[i];
            let words = &expected.idms[found.meter];
            let shifts = words.shifts.iter().map(|shift| &shift.template);
            let Some(template) = self.finder.best_idm(&self.baseband, shifts, found.start) else {
                continue;
            };
            let Some((first_sample, start)) = self.focus(segment, found.start, Protocol::Idm) else {
                continue;
            };
            let timing = self.finder.time_long(&self.fine, template, start);
            let (soft, measured) = self
                .demod
                .soft_known(&self.fine, &template.weights, timing, noise);
            let noises = [measured.noise, noise_around];
            let start = start_sample(&self.fine, first_sample, timing);
            let judged = self
                .idm_judge
                .judge(soft, noises, words, start, self.config.sample_rate_hz);
            if let Some(judged) = judged {
                let frame = (Protocol::Idm, first_sample, timing, measured);
                self.accept(segment, frame, found.start, judged, words.revision, outcome);
            }
        }
    }

    /// Fills the fine baseband with the frame of `protocol` at `start`, in cells of the coarse one. Returns the number of its first sample, and
    /// the start in its own cells; `None` where another frame was received.
    fn focus(&mut self, segment: &Segment, start: f64, protocol: Protocol) -> Option<(u64, f64)> {
        let end = start + (protocol.chips() as f64 - OVERLAP_CHIPS) * self.baseband.chip();
        if self.done.iter().any(|done| start < done.1 && end > done.0) {
            return None;
        }
        let cell = self.baseband.decimation() as f64;
        let chip = self.baseband.chip() * cell;
        let (first, chips) = (start * cell, protocol.chips() as f64);
        let from = (first - AROUND_CHIPS * chip).max(0.0) as usize;
        let to = (first + (chips + AROUND_CHIPS) * chip) as usize;
        let samples = segment.samples.get(from..to.min(segment.samples.len()))?;
        self.fine.fill(samples, segment.detection.frequency);
        if let Some(spur) = &self.spur {
            self.fine.subtract(spur, from, segment.detection.frequency);
        }
        let start = (first - from as f64) / self.fine.decimation() as f64;
        Some((segment.detection.first_sample + from as u64, start))
    }

    /// Adds a frame that was judged in the fine baseband, and marks its place in the coarse one, from cell `start` on. A frame that cannot be
    /// accepted is added as evidence, if it is one of the words of the meter.
    fn accept(
        &mut self,
        segment: &Segment,
        (protocol, first_sample, timing, measured): (Protocol, u64, Timing, Measured),
        start: f64,
        judged: Judged,
        revision: u64,
        outcome: &mut Outcome,
    ) {
        let is_accepted = judged.is_accepted();
        if !is_accepted && !judged.is_hopeful() {
            return;
        }
        let frame = Checked {
            bytes: judged.bytes,
            corrected: judged.corrected,
            error_probability: judged.doubt,
        };
        let timing = self.demod.refine(&self.fine, timing, measured.signal);
        let place = (first_sample, &self.fine, timing);
        let mut packet = packet(
            &self.config,
            &segment.detection,
            place,
            protocol,
            measured,
            &frame,
        );
        packet.signal.method = judged.method();
        if !is_accepted {
            let likelihoods = match protocol {
                Protocol::Idm => self.idm_judge.kept(),
                _ => self.judge.kept(),
            };
            let evidence = Evidence::new(revision, (packet, judged.word), judged.other_doubt, likelihoods);
            let room = MAX_EVIDENCE - outcome.evidence.len().min(MAX_EVIDENCE);
            outcome.evidence.extend(evidence.into_iter().take(room));
            return;
        }
        let end = start + (protocol.chips() as f64 - OVERLAP_CHIPS) * self.baseband.chip();
        self.done.push((start, end));
        if outcome.packets.len() < MAX_CANDIDATES {
            outcome.packets.push(packet);
        }
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
}

fn start_sample(baseband: &Baseband, first_sample: u64, timing: Timing) -> u64 {
    first_sample + (timing.start * baseband.decimation() as f64).max(0.0).round() as u64
}

/// Returns the packet of a frame in a baseband that begins at a sample of this number.
fn packet(
    config: &Config,
    detection: &Detection,
    (first_sample, baseband, timing): (u64, &Baseband, Timing),
    protocol: Protocol,
    measured: Measured,
    frame: &Checked,
) -> Packet {
    let cell = baseband.decimation() as f64;
    let chip_samples = config.sample_rate_hz / CHIP_RATE_HZ;
    // An ON chip adds up in amplitude over its samples.
    let power = measured.signal / (chip_samples as f32).powi(2);
    Packet {
        protocol,
        start_sample: start_sample(baseband, first_sample, timing),
        len_samples: (protocol.chips() as f64 * timing.chip * cell).round() as u64,
        signal: Signal {
            offset_hz: detection.frequency * config.sample_rate_hz + measured.frequency * CHIP_RATE_HZ,
            snr_db: 10.0 * (power / detection.window_noise).log10(),
            level_dbfs: 10.0 * power.log10(),
            clock_ppm: ((timing.chip / baseband.chip() - 1.0) * 1e6) as f32,
            corrected: frame.corrected,
            method: Method::Checked,
            error_probability: frame.error_probability,
        },
        bytes: frame.bytes,
    }
}
