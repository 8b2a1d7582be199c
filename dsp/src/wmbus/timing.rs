//! Timing: follows the chip clock through a frame.
//!
//! The clock of a mode T meter is known to 10 % only, and may change by 1 % within a frame; the known chips measure it to
//! some 0.1 %, which is half a chip after 500. A Kalman filter (place, chip length) therefore measures the lateness of
//! every group of chips: the contrast between the tones, whatever the data, is greatest where the chips are.

use super::sync::Clock;
use super::tones::{Tones, between, energies};

/// Chips measured at once.
const GROUP: usize = 24;
/// Lateness tried to either side, in chips.
const STEP: f64 = 0.2;
/// Variances of the first place and of the first chip length, in chips.
const FIRST: [f64; 2] = [0.0025, 4e-6];
/// Variance that the chip length gains per group: 1 % in a frame of 600 chips.
const DRIFT: f64 = 4e-8;

/// Follows the clock of one frame.
pub(super) struct Timing {
    clock: Clock,
    /// Variances and covariance of place and chip length, in chips.
    place: f64,
    both: f64,
    length: f64,
    /// Variance of the measurement of a group.
    measured: f64,
}

impl Timing {
    /// Starts at the end of the known chips; `ratio` is the energy of a chip over the noise density.
    pub fn new(clock: Clock, ratio: f64) -> Self {
        Timing {
            clock,
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
            let late = self.lateness(tones);
            self.correct(late);
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

    fn correct(&mut self, late: f64) {
        // The group is measured in its middle.
        let half = GROUP as f64 / 2.0;
        let cross = [self.place + half * self.both, self.both + half * self.length];
        let variance = cross[0] + half * cross[1] + self.measured;
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
