//! Timing: follows the chip clock through a frame.
//!
//! The clock of a mode T meter is known to 10 % only, and may change by 1 % within a frame; the known chips measure it to
//! some 0.1 %, which is half a chip after 500. A Kalman filter (place, chip length) therefore measures the lateness of
//! every group of chips: the contrast between the tones, whatever the data, is greatest where the chips are.

use super::sync::Clock;
use super::tones::{Tones, between, energies};
use crate::Complex32;
use crate::phasor::phasor;

/// Chips measured at once.
const GROUP: usize = 24;
/// Lateness tried to either side, in chips.
const STEP: f64 = 0.2;
/// Variances of the first place and of the first chip length, in chips.
const FIRST: [f64; 2] = [0.0025, 4e-6];
/// Squared agreement times the number of edges from which phases are believed; noise alone has 1.
const MIN_AGREEMENT: f64 = 4.0;
/// Variance of the lateness of the edges of a real transmitter.
const MODEL: f64 = 1e-6;
/// Variance that the chip length gains per group: 1 % in a frame of 600 chips.
const DRIFT: f64 = 4e-8;

/// Follows the clock of one frame.
pub(super) struct Timing {
    clock: Clock,
    /// The phase is steady enough to measure by.
    has_phase: bool,
    /// Variances and covariance of place and chip length, in chips.
    place: f64,
    both: f64,
    length: f64,
    /// Variance of the measurement of a group.
    measured: f64,
}

impl Timing {
    /// Starts at the end of the known chips; `ratio` is the energy of a chip over the noise density.
    pub fn new(clock: Clock, ratio: f64, has_phase: bool) -> Self {
        Timing {
            clock,
            has_phase,
            place: FIRST[0],
            both: 0.0,
            length: FIRST[1],
            measured: 0.5 / ratio.clamp(1.0, 100.0) / GROUP as f64 + 1e-4,
        }
    }

    /// Cells per chip at present.
    pub fn chip(&self) -> f64 {
        self.clock.chip
    }

    /// Appends the starts of at least `count` chips, in cells, to `edges`.
    pub fn follow(&mut self, tones: &Tones, count: usize, edges: &mut Vec<f64>) {
        for _ in 0..count.div_ceil(GROUP) {
            self.correct(self.lateness(tones), self.measured);
            if self.has_phase {
                if let Some([late, variance]) = self.lateness_by_phase(tones) {
                    self.correct(late, variance);
                }
            }
            edges.extend((0..GROUP).map(|i| self.clock.end + i as f64 * self.clock.chip));
            self.predict();
        }
    }

    /// Measures the lateness of the next group in chips.
    fn lateness(&self, tones: &Tones) -> f64 {
        let contrast = |late: f64| {
            let start = self.clock.end + late * self.clock.chip;
            let mut before = tones.sums_at(start);
            let mut sum = 0.0;
            for i in 1..=GROUP {
                let after = tones.sums_at(start + i as f64 * self.clock.chip);
                let [lower, upper] = energies(between(before, after));
                sum += f64::from((upper - lower).abs());
                before = after;
            }
            sum
        };
        let [early, now, late] = [contrast(-STEP), contrast(0.0), contrast(STEP)];
        // Vertex of a parabola through the three.
        let curvature = early + late - 2.0 * now;
        let slope = late - early;
        if curvature >= 0.0 {
            return STEP * slope.signum() * 0.5;
        }
        (-slope / curvature / 2.0 * STEP).clamp(-STEP, STEP)
    }

    /// Measures the lateness of the next group by phase: at the edge between two chips on different tones both tones have
    /// one phase, and a chip that begins a share `e` later turns the phase between them by `2 π h e`. Returns the lateness and
    /// its variance; `None` if the phases do not agree.
    fn lateness_by_phase(&self, tones: &Tones) -> Option<[f64; 2]> {
        let h = 2.0 * tones.deviation() * self.clock.chip;
        let (mut sum, mut weight, mut count) = (Complex32::default(), 0.0, 0.0);
        let mut last: Option<([Complex32; 2], bool)> = None;
        let mut before = tones.sums_at(self.clock.end);
        for i in 0..GROUP {
            let start = self.clock.end + i as f64 * self.clock.chip;
            let after = tones.sums_at(start + self.clock.chip);
            let chip = between(before, after);
            let [lower, upper] = energies(chip);
            let is_upper = upper > lower;
            if let Some((last, _)) = last.filter(|(_, was_upper)| *was_upper != is_upper) {
                let (upper, lower) = if is_upper {
                    (chip[1], last[0])
                } else {
                    (last[1], chip[0])
                };
                let product = upper * lower.conj();
                sum += product * phasor(tones.deviation() * (2.0 * start - self.clock.chip) + h / 2.0);
                weight += product.norm();
                count += 1.0;
            }
            last = Some((chip, is_upper));
            before = after;
        }
        let agreement = f64::from(sum.norm() / weight.max(f32::MIN_POSITIVE)).powi(2);
        if agreement * count < MIN_AGREEMENT {
            return None;
        }
        let radians = 1.0 / (std::f64::consts::TAU * h);
        let variance = (1.0 - agreement) / (2.0 * count * agreement);
        Some([
            -f64::from(sum.arg()) * radians,
            variance * radians * radians + MODEL,
        ])
    }

    fn correct(&mut self, late: f64, measured: f64) {
        // The group is measured in its middle.
        let half = GROUP as f64 / 2.0;
        let cross = [self.place + half * self.both, self.both + half * self.length];
        let variance = cross[0] + half * cross[1] + measured;
        let gain = [cross[0] / variance, cross[1] / variance];
        self.clock.end += gain[0] * late * self.clock.chip;
        self.clock.chip *= 1.0 + gain[1] * late;
        self.place -= gain[0] * cross[0];
        self.both -= gain[0] * cross[1];
        self.length -= gain[1] * cross[1];
    }

    fn predict(&mut self) {
        let group = GROUP as f64;
        self.clock.end += group * self.clock.chip;
        self.place += 2.0 * group * self.both + group * group * self.length;
        self.both += group * self.length;
        self.length += DRIFT;
    }
}
