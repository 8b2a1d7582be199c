//! Lock: the frames of one detection.

use super::config::Config;
use super::family::{FAMILIES, Family, Known};
use super::frame::{Frame, Signal};
use super::phase::{Level, Moves};
use super::reader::{Found, Reader};
use super::refit::{self, refit};
use super::search::max_segment_len;
use super::segment::{Detection, Segment};
use super::sync::{Candidate, Clock, Fit, MAX_CANDIDATES, Sync, fit_all, fit_carrier, refine_clock};
use super::tones::{Cells, Tones, between};
use crate::Complex32;
use crate::phasor::phasor;

/// Chips per second of the fastest family, at least.
const FASTEST_HZ: f64 = 110e3;
/// Prior odds against a frame at a candidate whose known chips carry no information.
const PRIOR: f64 = 1e4;
/// Odds against a frame from which it is not worth a try. Frames near the threshold have 1e-4.
const MAX_NO_FRAME: f64 = 0.1;
/// Energy of a chip over the noise density from which a frame can be decoded at all.
const MIN_RATIO: f32 = 1.5;
/// Greatest error of the carrier that the search gives.
const CARRIER_REACH_HZ: f64 = 20e3;
/// Candidates tried per segment without success.
const MAX_FAILURES: usize = 8;
/// Frames per segment; the longest segment has room for fifteen of mode C.
const MAX_FRAMES: usize = 16;
/// Excess of the noise over that of the search from which the known chips do not fit together.
const MISFIT: f32 = 2.0;

/// Decodes segments.
pub(super) struct Lock {
    config: Config,
    /// Samples of the segment at work.
    cells: Cells,
    is_narrow: bool,
    tones: Tones,
    sync: Sync,
    reader: Reader,
    candidates: Vec<(Candidate, &'static Family)>,
}

impl Lock {
    pub fn new(config: Config) -> Self {
        let rate = config.sample_rate_hz;
        let capacity = max_segment_len(rate);
        let wanted = FAMILIES
            .iter()
            .filter(|family| config.modes.intersects(family.modes));
        let fastest_hz = wanted.fold(FASTEST_HZ, |fastest, family| family.chip_rate_hz.max(fastest));
        let cells = Cells::new(rate / fastest_hz, capacity);
        let max_cells = capacity / cells.decimation() + 1;
        Lock {
            config,
            cells,
            is_narrow: false,
            tones: Tones::new(max_cells),
            sync: Sync::new(max_cells),
            reader: Reader::new(),
            candidates: Vec::with_capacity(FAMILIES.len() * MAX_CANDIDATES),
        }
    }

    /// Decodes every frame of `segment`.
    pub fn run(&mut self, segment: Segment, mut out: impl FnMut(&Frame)) {
        match segment {
            Segment::Wide(samples, detection) => {
                self.cells.fill(samples, detection.frequency);
                self.is_narrow = false;
                if !self.run_families(&detection, false, &mut out) {
                    self.run_families(&detection, true, &mut out);
                }
            }
            Segment::Narrow(cells, detection) => {
                std::mem::swap(&mut self.cells, cells);
                self.is_narrow = true;
                self.run_families(&detection, false, &mut out);
                std::mem::swap(&mut self.cells, cells);
            }
        }
    }

    /// Decodes the frames of families with a quirk, or of those without; returns true if there are any.
    fn run_families(&mut self, detection: &Detection, is_quirk: bool, out: &mut impl FnMut(&Frame)) -> bool {
        self.find(detection, is_quirk);
        // What was decoded, from before the known chips to the end, in cells.
        let mut taken = [(0.0, 0.0); MAX_FRAMES];
        let (mut frames, mut failures) = (0, 0);
        for i in 0..self.candidates.len() {
            let (candidate, family) = self.candidates[i];
            let is_taken = |span: &(f64, f64)| (span.0..span.1).contains(&candidate.end);
            if taken[..frames].iter().any(is_taken) {
                continue;
            }
            if let Some((frame, end)) = self.decode(detection, family, candidate) {
                out(&frame);
                taken[frames] = (candidate.end - family.known.len as f64 * candidate.chip, end);
                frames += 1;
            } else {
                failures += 1;
            }
            if failures == MAX_FAILURES || frames == MAX_FRAMES {
                break;
            }
        }
        frames > 0
    }

    /// Finds candidates, the likeliest first.
    fn find(&mut self, detection: &Detection, is_quirk: bool) {
        let decimation = self.cells.decimation();
        let cell_hz = self.config.sample_rate_hz / decimation as f64;
        let (modes, is_narrow) = (self.config.modes, self.is_narrow);
        let is_wanted = |family: &&Family| {
            family.is_narrow == is_narrow && family.is_quirk == is_quirk && modes.intersects(family.modes)
        };
        self.candidates.clear();
        for family in FAMILIES.iter().filter(is_wanted) {
            let estimate = family.estimate(detection);
            let shift = estimate.shift * decimation as f64;
            let found_hz = estimate.deviation * self.config.sample_rate_hz;
            let (deviation_hz, _) = family.first_deviation_hz(found_hz);
            self.tones
                .fill(self.cells.values(), shift, deviation_hz / cell_hz);
            let chip = cell_hz / family.chip_rate_hz;
            let noise = detection.noise * decimation as f32;
            let found = self.sync.search(&self.tones, family, chip, noise);
            self.candidates
                .extend(found.iter().map(|candidate| (*candidate, family)));
        }
        self.candidates
            .sort_unstable_by(|a, b| b.0.eye.total_cmp(&a.0.eye));
    }

    /// Decodes the frame at `candidate`; returns it and the cell at which it ends.
    fn decode(
        &mut self,
        detection: &Detection,
        family: &Family,
        candidate: Candidate,
    ) -> Option<(Frame, f64)> {
        let mut found = self.measure(detection, family, candidate)?;
        let mut payload = self
            .reader
            .payload(&self.tones, family, self.config.modes, &found);
        if payload.is_none() && found.level.noise > MISFIT * found.floor {
            found = self.refit(found)?;
            payload = self
                .reader
                .payload(&self.tones, family, self.config.modes, &found);
        }
        let (mode, format, checked, end, chip) = payload?;
        let rate = self.config.sample_rate_hz;
        let decimation = self.cells.decimation() as f64;
        let cell_hz = rate / decimation;
        let carrier_hz = self.config.center_hz + detection.frequency * rate + found.carrier * cell_hz;
        // The chips of the preamble, which alternate, are weaker than the others where a filter rounds the keying.
        let energy = f64::from((self.reader.energy(&self.tones) - found.floor).max(found.floor / 8.0));
        let power = energy / (chip * decimation).powi(2);
        let start = (found.first_cell as f64 + found.clock.end) * decimation;
        let frame = Frame {
            mode,
            format,
            sample: detection.first_sample + start.max(0.0) as u64,
            signal: Signal {
                offset_hz: mode.offset_hz(carrier_hz),
                carrier_hz,
                snr_db: (10.0 * (power / f64::from(detection.window_noise)).log10()) as f32,
                level_dbfs: (10.0 * power.log10()) as f32,
                deviation_hz: (found.deviation * cell_hz) as f32,
                chip_rate_hz: (cell_hz / chip) as f32,
            },
            corrected: checked.corrected as u8,
            doubt: checked.doubt as f32,
            bytes: checked.bytes,
            len: checked.len,
        };
        Some((frame, found.first_cell as f64 + end))
    }

    /// Measures clock, carrier, deviation and level at `candidate`, and fills the tones from there on.
    fn measure(&mut self, detection: &Detection, family: &Family, candidate: Candidate) -> Option<Found> {
        let cell_hz = self.config.sample_rate_hz / self.cells.decimation() as f64;
        let cells = self.cells.values();
        let chip = candidate.chip;
        // A recording may begin within the preamble.
        let known = family.known.tail((candidate.end / chip + 1.0) as usize);
        let start = candidate.end - (known.len + 2) as f64 * chip;
        let first_cell = start.max(0.0) as usize;
        let last_known = ((candidate.end + 2.0 * chip) as usize).min(cells.len());
        if first_cell >= last_known {
            return None;
        }
        let around = &cells[first_cell..last_known];
        let mut clock = Clock {
            end: candidate.end - first_cell as f64,
            chip,
        };
        let estimate = family.estimate(detection);
        let deviation_hz = estimate.deviation * self.config.sample_rate_hz;
        let (first_hz, reach_hz) = family.first_deviation_hz(deviation_hz);
        let mut deviation = first_hz / cell_hz;
        let mut carrier = estimate.shift * self.cells.decimation() as f64;
        // The search errs by some 10 kHz.
        let reach = (CARRIER_REACH_HZ / family.chip_rate_hz).min(if self.is_narrow { 0.45 } else { 0.3 });
        self.tones.fill(around, carrier, deviation);
        clock = refine_clock(&self.tones, known, clock, [0.4, 0.016], 4);
        let mut fit = fit_carrier(&self.tones, known, clock, [reach, reach_hz / family.chip_rate_hz]);
        for halvings in [1, 3] {
            carrier += fit.carrier;
            deviation += fit.deviation;
            self.tones.fill(around, carrier, deviation);
            fit = fit_all(&self.tones, known, Fit::new(fit.clock), halvings);
        }
        carrier += fit.carrier;
        deviation += fit.deviation;
        let clock = fit.clock;
        if deviation * cell_hz > 1.3 * family.deviation_hz[1] || deviation <= 0.0 {
            return None;
        }
        self.tones.fill(&cells[first_cell..], carrier, deviation);
        let floor = detection.noise * self.cells.decimation() as f32 * clock.chip as f32;
        let rest = fit.energy - fit.amplitude * fit.amplitude;
        let level = Level {
            amplitude: fit.amplitude,
            noise: floor.max(rest),
            moves: Moves::Slow,
        };
        let no_frame = PRIOR * (-evidence(&self.tones, known, clock, level)).exp();
        if no_frame > MAX_NO_FRAME || level.amplitude * level.amplitude < MIN_RATIO * level.noise {
            return None;
        }
        Some(Found {
            first_cell,
            clock,
            carrier,
            deviation,
            level,
            floor,
            no_frame,
        })
    }

    /// Measures again by the data. Returns `None` if there are not enough.
    fn refit(&mut self, mut found: Found) -> Option<Found> {
        let end = found.clock.end + refit::CHIPS as f64 * found.clock.chip;
        if (self.tones.len() as f64) < end {
            return None;
        }
        let fit = refit(&self.tones, found.clock);
        found.clock = fit.clock;
        found.carrier += fit.carrier;
        found.deviation += fit.deviation;
        found.level = Level {
            amplitude: fit.amplitude,
            noise: found.floor.max(fit.energy - fit.amplitude * fit.amplitude),
            moves: Moves::Fast,
        };
        self.tones.fill(
            &self.cells.values()[found.first_cell..],
            found.carrier,
            found.deviation,
        );
        Some(found)
    }
}

/// Returns the log-likelihood ratio of the known chips against chips of any other frame, by their phase or by their energies,
/// whichever says more: the phase tells weak chips better, but that of some transmitters is not steady.
fn evidence(tones: &Tones, known: Known, clock: Clock, level: Level) -> f64 {
    let h = 2.0 * tones.deviation() * clock.chip;
    let mut balance = 0.0;
    let mut start = clock.end - known.len as f64 * clock.chip;
    let mut before = tones.sums_at(start);
    // Chips on the tone that is known and on the other, turned to one phase.
    let mut chips = [[Complex32::default(); 2]; 64];
    for (i, turned) in chips[..known.len].iter_mut().enumerate() {
        let after = tones.sums_at(start + clock.chip);
        let sign = f64::from(known.sign(i));
        let keyed = phasor(-h / 2.0 * balance);
        let [lower, upper] = tones
            .at_start(between(before, after), start)
            .map(|chip| chip * keyed);
        *turned = if sign > 0.0 {
            [upper, lower]
        } else {
            [lower, upper]
        };
        balance += sign;
        start += clock.chip;
        before = after;
    }
    let chips = &chips[..known.len];
    let scale = 2.0 * level.amplitude / level.noise.max(f32::MIN_POSITIVE);
    // A chip may be spoilt by another transmitter.
    let of_chip = |soft: f32| f64::from((0.01 + 0.99 * 2.0 / (1.0 + (-soft.clamp(-20.0, 20.0)).exp())).ln());
    // ln I0 is nearly linear where it matters.
    let energies = chips
        .iter()
        .map(|[own, other]| of_chip(scale * (own.norm() - other.norm())));
    let mean: Complex32 = chips.iter().map(|[own, _]| own).sum();
    let turn = mean.conj() / mean.norm().max(f32::MIN_POSITIVE);
    let phases = chips
        .iter()
        .map(|[own, other]| of_chip(scale * ((own - other) * turn).re));
    energies.sum::<f64>().max(phases.sum())
}
