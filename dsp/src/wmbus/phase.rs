//! Phase: soft words, with the phase of the carrier followed.
//!
//! The phase of 2-FSK is continuous. It advances by `π h` over a chip on the upper tone and falls by `π h` over one on the
//! lower (h = 2 · deviation / chip rate), so that a known phase at the start of a word predicts the phase of each of its
//! chips, for each value that the word may have. Words of three of six and Manchester have as many chips on either tone
//! and leave the phase where it was, whatever h is.
//!
//! The phase is unknown but changes slowly: its distribution over [`PHASES`] values is passed from word to word, forward and
//! backward (BCJR, 1974, with the phase as state), each value weighted with the likelihood of the word's samples, summed
//! over the values that the word may have. The probability of each word then takes all other words of the frame as
//! witnesses of its phase. Nothing is decided on the way, and no lock can be lost.

use super::coding::{Coding, MAX_WORD_CHIPS, MAX_WORDS};
use super::tones::{Tones, between};
use crate::Complex32;
use crate::phasor::phasor;

/// Values of the phase.
const PHASES: usize = 32;
/// Probability that the phase has moved to either neighboring value after a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moves {
    /// 0.06 rad, which follows an error of the carrier of some 100 Hz in mode T.
    Slow,
    /// 0.16 rad, for a carrier that moves.
    Fast,
}

impl Moves {
    fn probability(self) -> f32 {
        match self {
            Moves::Slow => 0.05,
            Moves::Fast => 0.33,
        }
    }
}

/// A function of the phase.
type OfPhase = [f32; PHASES];

/// Amplitude and noise of the chips' integrals, and steadiness of their phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub amplitude: f32,
    /// Variance of the noise.
    pub noise: f32,
    pub moves: Moves,
}

/// Buffers of a demodulation.
pub(super) struct PhaseTracker {
    cos: OfPhase,
    sin: OfPhase,
    /// Correlations with every word, [`MAX_WORDS`] at most for each place.
    correlations: Vec<Complex32>,
    forward: Vec<OfPhase>,
}

impl PhaseTracker {
    /// Room for `capacity` values of words, of all places together.
    pub fn new(max_places: usize, max_correlations: usize) -> Self {
        let turn = |i: usize| phasor(i as f64 / PHASES as f64);
        PhaseTracker {
            cos: std::array::from_fn(|i| turn(i).re),
            sin: std::array::from_fn(|i| turn(i).im),
            correlations: Vec::with_capacity(max_correlations),
            forward: Vec::with_capacity(max_places + 1),
        }
    }

    /// Computes the log-probability of each value of each word into `out` (cleared first), `coding.words().len()` for each
    /// place. The chips begin at `edges`; the last edge is the end of the last chip.
    pub fn words(
        &mut self,
        tones: &Tones,
        edges: &[f64],
        h: f64,
        coding: Coding,
        level: Level,
        out: &mut Vec<f32>,
    ) {
        out.clear();
        self.correlate(tones, edges, h, coding);
        let moves = level.moves.probability();
        let values = coding.words().len();
        let scale = 2.0 * level.amplitude / level.noise.max(f32::MIN_POSITIVE);
        // Beyond this ratio of energy to noise nothing is gained, and the exponents stay small.
        let scale = scale.min(200.0 / level.amplitude.max(f32::MIN_POSITIVE));
        let advances: [f32; MAX_WORDS] = std::array::from_fn(|value| {
            let chips = coding.word_chips() as i32;
            let ones = coding
                .words()
                .get(value)
                .map_or(0, |word| word.count_ones() as i32);
            ((2 * ones - chips) as f64 * h / 2.0 * PHASES as f64) as f32
        });
        let advances = &advances[..values];
        let places = self.correlations.len() / values;
        self.forward.clear();
        let mut state = [1.0 / PHASES as f32; PHASES];
        for place in 0..places {
            self.forward.push(state);
            let mut next = [0.0; PHASES];
            for (value, &advance) in advances.iter().enumerate() {
                let mut branch = self.likelihood(place, value, values, scale);
                multiply(&mut branch, &state);
                add(&mut next, &shifted(&branch, advance));
            }
            state = diffused(&next, moves);
        }
        out.resize(places * values, 0.0);
        let mut state = [1.0; PHASES];
        for place in (0..places).rev() {
            let mut before = [0.0; PHASES];
            let out = &mut out[place * values..(place + 1) * values];
            let mut total = 0.0;
            for ((value, &advance), out) in advances.iter().enumerate().zip(out.iter_mut()) {
                let mut branch = self.likelihood(place, value, values, scale);
                multiply(&mut branch, &shifted(&state, -advance));
                add(&mut before, &branch);
                let forward = &self.forward[place];
                *out = branch.iter().zip(forward).map(|(a, b)| a * b).sum::<f32>() + 1e-30;
                total += *out;
            }
            out.iter_mut().for_each(|out| *out = (*out / total).ln());
            state = diffused(&before, moves);
        }
    }

    /// Correlates the samples with every value of every word.
    fn correlate(&mut self, tones: &Tones, edges: &[f64], h: f64, coding: Coding) {
        self.correlations.clear();
        let chips = coding.word_chips();
        // Phase at the start of a chip relative to that of the word, by the balance of the chips before.
        let turns: [Complex32; 2 * MAX_WORD_CHIPS + 1] =
            std::array::from_fn(|i| phasor(-h / 2.0 * (i as f64 - MAX_WORD_CHIPS as f64)));
        for word in edges.windows(chips + 1).step_by(chips) {
            let mut parts = [[Complex32::default(); 2]; MAX_WORD_CHIPS];
            let mut before = tones.sums_at(word[0]);
            for (part, edge) in parts.iter_mut().zip(word.windows(2)) {
                let after = tones.sums_at(edge[1]);
                *part = tones.at_start(between(before, after), edge[0]);
                before = after;
            }
            for &value in coding.words() {
                let mut balance = MAX_WORD_CHIPS;
                let mut sum = Complex32::default();
                for (i, part) in parts[..chips].iter().enumerate() {
                    let is_upper = value >> (chips - 1 - i) & 1 == 1;
                    sum += part[usize::from(is_upper)] * turns[balance];
                    balance = if is_upper { balance + 1 } else { balance - 1 };
                }
                self.correlations.push(sum);
            }
        }
    }

    /// Returns the likelihood of a value for each phase, relative to the greatest of the place.
    fn likelihood(&self, place: usize, value: usize, values: usize, scale: f32) -> OfPhase {
        let all = &self.correlations[place * values..(place + 1) * values];
        let greatest = all
            .iter()
            .fold(0.0f32, |greatest, z| greatest.max(z.norm_sqr()))
            .sqrt();
        let z = all[value];
        let mut out = [0.0; PHASES];
        for ((out, cos), sin) in out.iter_mut().zip(&self.cos).zip(&self.sin) {
            *out = exp(scale * (z.re * cos + z.im * sin - greatest));
        }
        out
    }
}

/// Approximates e^x for x ≤ 0 with an error of 1e-4; written so that the compiler can vectorize it.
fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = (x * std::f32::consts::LOG2_E).max(-120.0);
    let whole = x + ROUND;
    let part = (x - (whole - ROUND)) * std::f32::consts::LN_2;
    let power = f32::from_bits((whole.to_bits() << 23).wrapping_add(127 << 23));
    power * (1.0 + part * (1.0 + part * (0.5 + part * (1.0 / 6.0 + part * (1.0 / 24.0)))))
}

fn multiply(a: &mut OfPhase, b: &OfPhase) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a *= b);
}

fn add(a: &mut OfPhase, b: &OfPhase) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// Moves a distribution on by `advance` values, a fraction of one by interpolation.
fn shifted(from: &OfPhase, advance: f32) -> OfPhase {
    if advance == 0.0 {
        return *from;
    }
    let whole = advance.floor();
    let part = advance - whole;
    let whole = (whole as i32).rem_euclid(PHASES as i32) as usize;
    std::array::from_fn(|i| {
        let at = (i + PHASES - whole) % PHASES;
        let before = (at + PHASES - 1) % PHASES;
        from[at] * (1.0 - part) + from[before] * part
    })
}

/// Lets the phase move, and scales the sum to 1.
fn diffused(from: &OfPhase, moves: f32) -> OfPhase {
    let sum: f32 = from.iter().sum();
    let scale = 1.0 / sum.max(f32::MIN_POSITIVE);
    // No phase is ever excluded.
    let least = 1e-9;
    std::array::from_fn(|i| {
        let (before, after) = (from[(i + PHASES - 1) % PHASES], from[(i + 1) % PHASES]);
        (from[i] * (1.0 - 2.0 * moves) + (before + after) * moves) * scale + least
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_close() {
        for i in 0..2000 {
            let x = -0.04 * i as f32;
            assert!((exp(x) - x.exp()).abs() <= 2e-4 * x.exp() + 1e-30, "{x}");
        }
    }
}
