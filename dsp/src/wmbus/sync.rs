//! Sync: finds the known chips of a family, and measures clock, carrier and deviation from them.

use super::family::{Family, Known};
use super::tones::{Tones, between, energies};
use crate::Complex32;
use crate::baseband::phasor;

/// Known chips that are searched for. With more, an error of the chip rate needs more rates to be tried.
const SEARCHED_CHIPS: usize = 32;
/// Chip rates are tried in steps of this share: the outer searched chips are then off by a quarter of a chip.
const RATE_STEP: f64 = 0.03;
/// Candidates kept per search.
pub(super) const MAX_CANDIDATES: usize = 12;
/// Standard deviations by which the known chips must exceed the noise.
const THRESHOLD: f32 = 5.0;
/// Share of the root mean square of the chips that the known ones must have on average.
const MIN_EYE: f32 = 0.65;

/// Place at which the known chips may end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// End of the known chips, in cells.
    pub end: f64,
    /// Cells per chip.
    pub chip: f64,
    /// Mean of the known chips over the root mean square of all chips around.
    pub eye: f32,
}

/// Buffers of a search.
pub(super) struct Sync {
    contrasts: Vec<f32>,
    sums: Vec<f32>,
    /// Sum of the squared contrasts before each.
    squares: Vec<f64>,
    candidates: Vec<Candidate>,
}

impl Sync {
    /// Room for `capacity` cells.
    pub fn new(capacity: usize) -> Self {
        Sync {
            contrasts: Vec::with_capacity(capacity + 1),
            sums: Vec::with_capacity(capacity + 1),
            squares: Vec::with_capacity(capacity + 2),
            candidates: Vec::with_capacity(MAX_CANDIDATES + 1),
        }
    }

    /// Finds the places where the known chips of `family` may end, the likeliest first.
    ///
    /// `chip` is the nominal chip in cells, `noise` the noise power of a cell.
    pub fn search(&mut self, tones: &Tones, family: &Family, chip: f64, noise: f32) -> &[Candidate] {
        self.candidates.clear();
        let known = family.known.tail(SEARCHED_CHIPS);
        let stride = ((chip / 8.0) as usize).max(1);
        tones.contrasts(chip, stride, &mut self.contrasts);
        self.squares.clear();
        self.squares.push(0.0);
        let mut square = 0.0;
        for contrast in &self.contrasts {
            square += f64::from(contrast * contrast);
            self.squares.push(square);
        }
        let threshold = THRESHOLD * noise * chip as f32 * (2.0 * known.len as f32).sqrt();
        let steps = (family.rate_tolerance / RATE_STEP).ceil();
        let step = if steps > 0.0 {
            family.rate_tolerance / steps
        } else {
            0.0
        };
        for i in -(steps as i32)..=steps as i32 {
            let chip = chip / (1.0 + f64::from(i) * step);
            self.correlate(known, chip, stride, threshold);
        }
        self.candidates.sort_unstable_by(|a, b| b.eye.total_cmp(&a.eye));
        &self.candidates
    }

    /// Adds the places where `known` correlates for one chip rate.
    fn correlate(&mut self, known: Known, chip: f64, stride: usize, threshold: f32) {
        let step = chip / stride as f64;
        let offset = |i: usize| (i as f64 * step).round() as usize;
        let span = offset(known.len - 1);
        let Some(places) = self.contrasts.len().checked_sub(span) else {
            return;
        };
        self.sums.clear();
        self.sums.resize(places, 0.0);
        for i in 0..known.len {
            let sign = known.sign(i);
            let shifted = &self.contrasts[offset(i)..offset(i) + places];
            for (sum, contrast) in self.sums.iter_mut().zip(shifted) {
                *sum += sign * contrast;
            }
        }
        let count = known.len as f32;
        for at in 0..places {
            let sum = self.sums[at];
            if sum < threshold {
                continue;
            }
            let square = (self.squares[at + span + 1] - self.squares[at]) / (span + 1) as f64;
            let eye = sum / count / (square as f32).sqrt().max(f32::MIN_POSITIVE);
            if eye < MIN_EYE {
                continue;
            }
            let end = (at as f64 + known.len as f64 * step) * stride as f64;
            offer(&mut self.candidates, Candidate { end, chip, eye });
        }
    }
}

/// Keeps `candidate` if it is the best at its place and among the best of all.
fn offer(candidates: &mut Vec<Candidate>, candidate: Candidate) {
    let is_near = |other: &&mut Candidate| (other.end - candidate.end).abs() < 1.5 * candidate.chip;
    if let Some(near) = candidates.iter_mut().find(is_near) {
        if near.eye < candidate.eye {
            *near = candidate;
        }
        return;
    }
    candidates.push(candidate);
    if candidates.len() > MAX_CANDIDATES {
        let eye = |i: &usize| candidates[*i].eye;
        let weakest = (0..candidates.len()).min_by(|a, b| eye(a).total_cmp(&eye(b)));
        candidates.swap_remove(weakest.unwrap_or(0));
    }
}

/// Clock of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    /// End of the known chips, in cells.
    pub end: f64,
    /// Cells per chip.
    pub chip: f64,
}

/// Refines `clock` by the contrast of the known chips: `reach` in chips and in shares of the chip, each in 2 · `steps` + 1
/// steps.
pub(super) fn refine_clock(tones: &Tones, known: Known, clock: Clock, reach: [f64; 2], steps: i32) -> Clock {
    let mut best = (f32::NEG_INFINITY, clock);
    for i in -steps..=steps {
        let chip = clock.chip * (1.0 + reach[1] * f64::from(i) / f64::from(steps));
        for j in -steps..=steps {
            // The middle of the known chips stays where it is when the rate changes.
            let end = clock.end
                + (chip - clock.chip) * known.len as f64 / 2.0
                + clock.chip * reach[0] * f64::from(j) / f64::from(steps);
            let tried = Clock { end, chip };
            let contrast = known_contrast(tones, known, tried);
            if contrast > best.0 {
                best = (contrast, tried);
            }
        }
    }
    best.1
}

/// Returns the sum of the energies of the known chips on their tone, less that on the other tone.
fn known_contrast(tones: &Tones, known: Known, clock: Clock) -> f32 {
    let edge = |i: usize| clock.end - (known.len - i) as f64 * clock.chip;
    let mut before = tones.sums_at(edge(0));
    (0..known.len)
        .map(|i| {
            let after = tones.sums_at(edge(i + 1));
            let [lower, upper] = energies(between(before, after));
            before = after;
            known.sign(i) * (upper - lower)
        })
        .sum()
}

/// Carrier and deviation relative to those of the tones, both in cycles per cell, and what the known chips add up to.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Carrier {
    pub offset: f64,
    pub deviation: f64,
    /// Magnitude of the mean known chip.
    pub amplitude: f32,
    /// Mean energy of the known chips.
    pub energy: f32,
}

/// Measures carrier and deviation: with the right ones, all known chips have one phase.
///
/// `reach` are the greatest errors of carrier and deviation, in cycles per chip.
pub(super) fn measure_carrier(tones: &Tones, known: Known, clock: Clock, reach: [f64; 2]) -> Carrier {
    let mut chips = [Complex32::default(); 64];
    // Chips on the upper tone less chips on the lower one up to the middle of each.
    let mut balances = [0.0; 64];
    let mut balance = 0.0;
    let edge = |i: usize| clock.end - (known.len - i) as f64 * clock.chip;
    let h = tones.deviation() * clock.chip;
    let mut energy = 0.0;
    for i in 0..known.len {
        let chip = between(tones.sums_at(edge(i)), tones.sums_at(edge(i + 1)));
        let chip = tones.at_start(chip, edge(i));
        let sign = f64::from(known.sign(i));
        let own = chip[usize::from(sign > 0.0)];
        chips[i] = own * phasor(-h * balance);
        balances[i] = balance + sign / 2.0;
        balance += sign;
        energy += own.norm_sqr();
    }
    let chips = &chips[..known.len];
    let resolution = 0.35 / known.len as f64;
    let offsets = (reach[0] / resolution).ceil();
    let deviations = (reach[1] / 0.04).ceil();
    let mut best = (0.0f32, [0.0; 2]);
    let try_at = |offset: f64, deviation: f64, best: &mut (f32, [f64; 2])| {
        let step = phasor(-offset);
        // Horner's rule from the last chip.
        let sum = chips
            .iter()
            .zip(&balances)
            .rev()
            .fold(Complex32::default(), |sum, (chip, balance)| {
                sum * step + chip * phasor(-deviation * balance)
            });
        if sum.norm_sqr() > best.0 {
            *best = (sum.norm_sqr(), [offset, deviation]);
        }
    };
    for j in -(deviations as i32)..=deviations as i32 {
        let deviation = f64::from(j) * reach[1] / deviations.max(1.0);
        let mut turned = [Complex32::default(); 64];
        for ((turned, chip), balance) in turned.iter_mut().zip(chips).zip(&balances) {
            *turned = chip * phasor(-deviation * balance);
        }
        for i in -(offsets as i32)..=offsets as i32 {
            let offset = f64::from(i) * reach[0] / offsets.max(1.0);
            let step = phasor(-offset);
            let sum = turned[..chips.len()]
                .iter()
                .rev()
                .fold(Complex32::default(), |sum, chip| sum * step + chip);
            if sum.norm_sqr() > best.0 {
                best = (sum.norm_sqr(), [offset, deviation]);
            }
        }
    }
    // A pattern search that halves its steps.
    let (mut step_offset, mut step_deviation) = (resolution / 2.0, 0.02);
    for _ in 0..5 {
        let [offset, deviation] = best.1;
        for (a, b) in [
            (-1.0, 0.0),
            (1.0, 0.0),
            (0.0, -1.0),
            (0.0, 1.0),
            (-1.0, -1.0),
            (1.0, 1.0),
            (-1.0, 1.0),
            (1.0, -1.0),
        ] {
            try_at(
                offset + a * step_offset,
                deviation + b * step_deviation,
                &mut best,
            );
        }
        step_offset /= 2.0;
        step_deviation /= 2.0;
    }
    let [offset, deviation] = best.1;
    Carrier {
        offset: offset / clock.chip,
        deviation: deviation / clock.chip,
        amplitude: best.0.sqrt() / known.len as f32,
        energy: energy / known.len as f32,
    }
}
