//! Sync: finds the known chips of a family, and measures clock, carrier and deviation from them.

use super::family::{Family, Known};
use super::tones::{Tones, between, energies};
use crate::Complex32;
use crate::phasor::phasor;

/// Known chips that are searched for. With more, an error of the chip rate needs more rates to be tried.
const SEARCHED_CHIPS: usize = 32;
/// Chip rates are tried in steps of this share: the outer searched chips are then off by a quarter of a chip.
const RATE_STEP: f64 = 0.03;
/// Places tried per chip, at least.
const STEPS_PER_CHIP: f64 = 5.5;
/// Candidates kept per search.
pub(super) const MAX_CANDIDATES: usize = 12;
/// Standard deviations by which the known chips must exceed the noise.
const THRESHOLD: f32 = 5.0;
/// Share of the root mean square of the chips that the known ones must have on average.
const MIN_EYE: f32 = 0.75;

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
        let stride = ((chip / STEPS_PER_CHIP) as usize).max(1);
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
        // Four chips at a time, so that the sums are read and written less often.
        for i in (0..known.len).step_by(4) {
            let sign = [0, 1, 2, 3].map(|j| if i + j < known.len { known.sign(i + j) } else { 0.0 });
            let shifted = [0, 1, 2, 3].map(|j| {
                let from = offset((i + j).min(known.len - 1));
                &self.contrasts[from..from + places]
            });
            let pairs = shifted[0]
                .iter()
                .zip(shifted[1])
                .zip(shifted[2].iter().zip(shifted[3]));
            for (sum, ((a, b), (c, d))) in self.sums.iter_mut().zip(pairs) {
                *sum += (sign[0] * a + sign[1] * b) + (sign[2] * c + sign[3] * d);
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

/// What the known chips tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub clock: Clock,
    /// Carrier and deviation relative to those of the tones, both in cycles per cell.
    pub carrier: f64,
    pub deviation: f64,
    /// Magnitude of the mean known chip.
    pub amplitude: f32,
    /// Mean energy of the known chips.
    pub energy: f32,
}

impl Fit {
    pub fn new(clock: Clock) -> Self {
        Fit {
            clock,
            carrier: 0.0,
            deviation: 0.0,
            amplitude: 0.0,
            energy: 0.0,
        }
    }
}

/// Known chips of a frame, each turned as its place in the frame demands, so that all have one phase if clock and deviation
/// are right.
struct Turned {
    chips: [Complex32; 64],
    /// Chips on the upper tone less chips on the lower one, up to the middle of each.
    balances: [f64; 64],
    len: usize,
    energy: f32,
}

impl Turned {
    fn new(tones: &Tones, known: Known, clock: Clock) -> Self {
        let mut turned = Turned {
            chips: [Complex32::default(); 64],
            balances: [0.0; 64],
            len: known.len,
            energy: 0.0,
        };
        let h = tones.deviation() * clock.chip;
        let mut balance = 0.0;
        let mut start = clock.end - known.len as f64 * clock.chip;
        let mut before = tones.sums_at(start);
        // Phase of the upper tone at the start of a chip, and how the keying has turned the carrier until then; both go on
        // by steps, as a sine and a cosine for each chip would be most of the work.
        let (mut tone, tone_step) = (
            phasor(tones.deviation() * start),
            phasor(tones.deviation() * clock.chip),
        );
        let (mut keyed, key_step) = (phasor(0.0), phasor(-h));
        for i in 0..known.len {
            let after = tones.sums_at(start + clock.chip);
            let chip = between(before, after);
            let sign = f64::from(known.sign(i));
            let own = if sign > 0.0 {
                chip[1] * tone
            } else {
                chip[0] * tone.conj()
            };
            turned.chips[i] = own * keyed;
            turned.balances[i] = balance + sign / 2.0;
            turned.energy += own.norm_sqr() / known.len as f32;
            balance += sign;
            tone *= tone_step;
            keyed *= if sign > 0.0 { key_step } else { key_step.conj() };
            start += clock.chip;
            before = after;
        }
        turned
    }

    /// Returns the magnitude of the mean chip when the carrier is `offset` and the deviation `deviation` off, in cycles per
    /// chip.
    fn mean(&self, offset: f64, deviation: f64) -> f32 {
        let mut chips = [Complex32::default(); 64];
        let step = phasor(-deviation);
        let mut turn = phasor(-deviation * self.balances[0]);
        let mut last = self.balances[0];
        for ((turned, chip), &balance) in chips
            .iter_mut()
            .zip(&self.chips)
            .zip(&self.balances)
            .take(self.len)
        {
            if balance > last {
                turn *= step;
            } else if balance < last {
                turn *= step.conj();
            }
            last = balance;
            *turned = chip * turn;
        }
        sum_turned(&chips[..self.len], offset) / self.len as f32
    }
}

/// Returns the magnitude of the sum of `chips`, each turned back by `offset` turns more than the one before.
fn sum_turned(chips: &[Complex32], offset: f64) -> f32 {
    let step = phasor(-offset);
    // Horner's rule from the last chip.
    chips
        .iter()
        .rev()
        .fold(Complex32::default(), |sum, chip| sum * step + chip)
        .norm()
}

/// Measures carrier and deviation by trying all: with the right ones, all known chips have one phase.
///
/// `reach` are the greatest errors of carrier and deviation, in cycles per chip.
pub(super) fn fit_carrier(tones: &Tones, known: Known, clock: Clock, reach: [f64; 2]) -> Fit {
    let turned = Turned::new(tones, known, clock);
    let offsets = (reach[0] * known.len as f64 / 0.35).ceil();
    let deviations = (reach[1] / 0.04).ceil();
    let mut best = Fit::new(clock);
    best.energy = turned.energy;
    for j in -(deviations as i32)..=deviations as i32 {
        let deviation = f64::from(j) * reach[1] / deviations.max(1.0);
        let mut chips = turned.chips;
        for (chip, balance) in chips[..known.len].iter_mut().zip(&turned.balances) {
            *chip *= phasor(-deviation * balance);
        }
        for i in -(offsets as i32)..=offsets as i32 {
            let offset = f64::from(i) * reach[0] / offsets.max(1.0);
            let amplitude = sum_turned(&chips[..known.len], offset) / known.len as f32;
            if amplitude > best.amplitude {
                best.amplitude = amplitude;
                best.carrier = offset / clock.chip;
                best.deviation = deviation / clock.chip;
            }
        }
    }
    best
}

/// Refines clock, carrier and deviation together: a pattern search for the greatest amplitude, whose steps are halved
/// `halvings` times.
pub(super) fn fit_all(tones: &Tones, known: Known, from: Fit, halvings: u32) -> Fit {
    let mut best = from;
    best.amplitude = 0.0;
    // Place in chips, chip length as the drift over the known chips, carrier and deviation in cycles per chip.
    let mut steps = [0.06, 0.12 / known.len as f64, 0.2 / known.len as f64, 0.02];
    for round in 0..=halvings {
        // Two sweeps before the steps are halved.
        for _ in 0..2 {
            for axis in 0..steps.len() {
                for direction in [-1.0, 1.0] {
                    let step = |of: usize| if of == axis { direction * steps[of] } else { 0.0 };
                    let chip = best.clock.chip * (1.0 + step(1));
                    let clock = Clock {
                        end: best.clock.end
                            + step(0) * chip
                            + (chip - best.clock.chip) * known.len as f64 / 2.0,
                        chip,
                    };
                    let (carrier, deviation) =
                        (best.carrier + step(2) / chip, best.deviation + step(3) / chip);
                    let turned = Turned::new(tones, known, clock);
                    let amplitude = turned.mean(carrier * chip, deviation * chip);
                    if amplitude > best.amplitude {
                        best = Fit {
                            clock,
                            carrier,
                            deviation,
                            amplitude,
                            energy: turned.energy,
                        };
                    }
                }
            }
        }
        let scale = if round < halvings { 0.5 } else { 1.0 };
        steps.iter_mut().for_each(|step| *step *= scale);
    }
    best
}
