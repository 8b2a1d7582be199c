//! Demodulation of one candidate to soft chips; chip clock and carrier phase are estimated over the whole frame.
//!
//! The sum of the two chips of a Manchester bit is the carrier plus noise, whatever the bit; their difference
//! is the bit. Noise in the sum and in the difference is independent, so the sums of all bits give a phase
//! reference without decisions and without bias. (An R900 word of four chips has two ON chips: the same.)
//!
//! A soft chip is the log-likelihood ratio of ON to OFF: `(2 A s - A²) / N0` with the phase known (`s` = the
//! matched filter in phase with the carrier, `A` = its mean for an ON chip), `ln I0(2 A |y| / N0) - A² / N0`
//! with only the energy.

use crate::baseband::Baseband;
use crate::phase::{Carrier, STEADY, Smoother, WANDERING};
use crate::sync::Candidate;
use crate::{Complex32, Protocol};
use std::f64::consts::TAU;

/// Chips per step of the phase reference, half of them ON.
const SEGMENT: usize = 16;
/// Coarse clock errors tried, in ppm.
const CLOCKS_PPM: [f64; 7] = [0.0, -300.0, 300.0, -600.0, 600.0, -900.0, 900.0];
/// Distance of the coarse clock errors.
const CLOCK_STEP: f64 = 300e-6;
/// Largest correction of a clock: from one end of what is tried to the other.
const MAX_CORRECTION: f64 = 2e-3;
/// Drifts of a carrier that are tried for a known frame, in rad per segment from one segment to the next: up to ±25 kHz/s.
const DRIFT_STEP: f64 = 2e-3;
const DRIFTS: i32 = 19;
/// Standard deviations of noise by which the energy of a whole frame must exceed it: at -13.4 dB, where half
/// of all SCM could be decoded at best, it is 22.
const FRAME_SIGNIFICANCE: f32 = 7.0;

/// Assumption about the carrier on which soft decisions rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Assumption {
    /// Carrier that keeps its phase.
    Steady,
    /// The same once more, with the phase from those chips that were found ON: half the noise.
    Refined,
    /// Carrier whose phase wanders.
    Wandering,
    /// No carrier phase: the energy of each chip.
    Energy,
}

/// Log-likelihood ratio at which a chip counts as known.
const CERTAIN: f32 = 10.0;

/// Chips from which the phase is estimated.
#[derive(Clone, Copy)]
enum Reference {
    /// All chips; their sum is the carrier.
    All,
    /// Chips that the previous pass decided to be ON.
    On,
}

/// Position of the chips of a frame, in cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timing {
    pub start: f64,
    pub chip: f64,
}

/// By-products of demodulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Power of the matched filter in an ON chip.
    pub signal: f32,
    /// Noise power of the matched filter, as it was found across the carrier.
    pub noise: f32,
    /// Carrier offset from that of the burst, in cycles per chip.
    pub frequency: f64,
}

pub(crate) struct Demod {
    chips: Vec<Complex32>,
    segments: Vec<Complex32>,
    phases: Vec<[f64; 2]>,
    smoother: Smoother,
    soft: Vec<f32>,
}

impl Demod {
    pub fn new() -> Self {
        let segments = Protocol::MAX_CHIPS.div_ceil(SEGMENT);
        Demod {
            chips: Vec::with_capacity(Protocol::MAX_CHIPS),
            segments: Vec::with_capacity(segments),
            phases: Vec::with_capacity(segments),
            smoother: Smoother::new(segments),
            soft: Vec::with_capacity(Protocol::MAX_CHIPS),
        }
    }

    /// Finds the chips of a candidate; `None` if the frame is cut off or not above the noise.
    /// `noise` is the mean energy of a chip without signal.
    pub fn time(&mut self, baseband: &Baseband, candidate: &Candidate, noise: f32) -> Option<Timing> {
        let protocol = candidate.protocol;
        let nominal = baseband.chip();
        let chips = protocol.chips();
        if candidate.start + (chips - 1) as f64 * nominal > baseband.cells() as f64 {
            return None;
        }
        self.chips.resize(chips, Complex32::default());
        let pivot = pivot(protocol);
        let start = best(
            candidate.start,
            (-4..=4).map(|i| candidate.start + nominal * f64::from(i) / 32.0),
            |start| self.preamble_score(baseband, protocol, start),
        );
        self.read(baseband, start, nominal);
        let energy: f32 = self.chips.iter().map(|y| y.norm_sqr() / noise - 1.0).sum();
        if energy < FRAME_SIGNIFICANCE * (chips as f32).sqrt() {
            return None;
        }
        let turned = |clock: f64, shift: f64| Timing {
            start: start + pivot * nominal * (1.0 - clock) + shift,
            chip: nominal * clock,
        };
        let mut clock = best(1.0, CLOCKS_PPM.iter().map(|ppm| 1.0 + ppm * 1e-6), |clock| {
            self.contrast(baseband, protocol, turned(clock, 0.0))
        });
        for step in (1..=halvings(protocol)).map(|i| CLOCK_STEP / f64::from(1 << i)) {
            clock = best(clock, [clock - step, clock + step].into_iter(), |clock| {
                self.contrast(baseband, protocol, turned(clock, 0.0))
            });
        }
        let shift = best(
            0.0,
            [-0.06, -0.03, 0.03, 0.06].iter().map(|s| s * nominal),
            |shift| self.contrast(baseband, protocol, turned(clock, shift)),
        );
        Some(turned(clock, shift))
    }

    /// Measures start and clock of the frame whose soft chips were computed last, more finely than [`Demod::time`] searches
    /// them.
    ///
    /// The matched filter halfway between an ON chip and an OFF chip holds half of the carrier, and more of it if the edge
    /// between them is late (ON to OFF) or early (OFF to ON). A line through the lateness of all edges gives the two
    /// corrections; pulses that are all too short move the line, but do not turn it.
    pub fn refine(&mut self, baseband: &Baseband, timing: Timing, signal: f32) -> Timing {
        let edges = self.soft.len().saturating_sub(1);
        self.chips.resize(edges, Complex32::default());
        baseband.chips(timing.start + 0.5 * timing.chip, timing.chip, &mut self.chips);
        // Place in chips, +1 from ON to OFF and -1 from OFF to ON, and energy.
        let edge = |(i, (pair, y)): (usize, (&[f32], &Complex32))| {
            let falls = match (pair[0] > 0.0, pair[1] > 0.0) {
                (true, false) => 1.0,
                (false, true) => -1.0,
                _ => return None,
            };
            Some((i as f64 + 1.0, falls, f64::from(y.norm_sqr())))
        };
        let edges = || self.soft.windows(2).zip(&self.chips).enumerate().filter_map(edge);
        let [count, places, energies] = edges().fold([0.0; 3], |sum, (place, _, energy)| {
            [sum[0] + 1.0, sum[1] + place, sum[2] + energy]
        });
        let (place, energy) = (places / count, energies / count);
        let [late, turned, squares] = edges().fold([0.0; 3], |sum, (at, falls, e)| {
            let (late, arm) = (falls * (e - energy), at - place);
            [sum[0] + late, sum[1] + late * arm, sum[2] + arm * arm]
        });
        let signal = f64::from(signal);
        let (late, slow) = (late / (count * signal), turned / (squares * signal));
        // Noise that was taken for a frame may have no edge at all.
        if !(late.abs() < 0.5 && slow.abs() < MAX_CORRECTION) {
            return timing;
        }
        Timing {
            start: timing.start + (late - slow * place) * timing.chip,
            chip: timing.chip * (1.0 + slow),
        }
    }

    /// Returns the soft chips of a frame.
    pub fn soft(
        &mut self,
        baseband: &Baseband,
        protocol: Protocol,
        timing: Timing,
        noise: f32,
        method: Assumption,
    ) -> (&[f32], Measured) {
        self.chips.resize(protocol.chips(), Complex32::default());
        self.read(baseband, timing.start, timing.chip);
        let measured = match method {
            Assumption::Steady => self.coherent(noise, STEADY, Reference::All),
            Assumption::Refined => self.coherent(noise, STEADY, Reference::On),
            Assumption::Wandering => self.coherent(noise, WANDERING, Reference::All),
            Assumption::Energy => self.energy(noise),
        };
        (&self.soft, measured)
    }

    /// The same for a frame of which much is known: with the phase from the chips that are known to be ON, and whatever the carrier drifts.
    /// `weights` is the probability of ON less ½ of each chip.
    pub fn soft_known(
        &mut self,
        baseband: &Baseband,
        weights: &[f32],
        timing: Timing,
        noise: f32,
    ) -> (&[f32], Measured) {
        self.chips.resize(weights.len(), Complex32::default());
        self.read(baseband, timing.start, timing.chip);
        self.soft.clear();
        self.soft.extend(
            weights
                .iter()
                .map(|w| ((0.5 + w) / (0.5 - w)).ln().clamp(-CERTAIN, CERTAIN)),
        );
        self.straighten();
        let measured = self.coherent(noise, STEADY, Reference::On);
        (&self.soft, measured)
    }

    /// Removes the drift of the carrier from the chips. The turn from one segment to the next grows evenly with it.
    fn straighten(&mut self) {
        self.refer_to_on();
        let count = self.segments.len();
        for i in 1..count {
            self.segments[i - 1] = self.segments[i] * self.segments[i - 1].conj();
        }
        let turns = &self.segments[..count.saturating_sub(1)];
        let middle = turns.len() as f32 / 2.0;
        let fit = |drift: f64| {
            let turned = turns.iter().enumerate().map(|(i, turn)| {
                turn * Complex32::from_polar(1.0, -(drift as f32) * (i as f32 + 0.5 - middle))
            });
            turned.sum::<Complex32>().norm()
        };
        let drift = best(0.0, (-DRIFTS..=DRIFTS).map(|i| f64::from(i) * DRIFT_STEP), fit);
        let middle = self.chips.len() as f64 / 2.0;
        for (i, chip) in self.chips.iter_mut().enumerate() {
            let at = (i as f64 + 0.5 - middle) / SEGMENT as f64;
            *chip *= Complex32::from_polar(1.0, -(drift * at * at / 2.0) as f32);
        }
    }

    /// Sums up the chips of each segment by their probability of being ON.
    fn refer_to_on(&mut self) {
        self.segments.clear();
        let segments = self.chips.chunks(SEGMENT).zip(self.soft.chunks(SEGMENT));
        self.segments.extend(segments.map(|(chips, soft)| {
            let on = soft.iter().map(|soft| 1.0 / (1.0 + (-soft).exp()));
            chips
                .iter()
                .zip(on)
                .map(|(chip, on)| chip * on)
                .sum::<Complex32>()
        }));
    }

    fn read(&mut self, baseband: &Baseband, start: f64, chip: f64) {
        baseband.chips(start, chip, &mut self.chips);
    }

    /// Returns the energy where the preamble is ON less energy where it is OFF.
    fn preamble_score(&mut self, baseband: &Baseband, protocol: Protocol, start: f64) -> f32 {
        let preamble = protocol.preamble();
        let chip = baseband.chip();
        let pairs = &mut self.chips[..2 * preamble.len];
        baseband.chips(start + 2.0 * chip * preamble.offset as f64, chip, pairs);
        let bits = pairs.chunks_exact(2).enumerate();
        bits.map(|(i, pair)| {
            let difference = pair[0].norm_sqr() - pair[1].norm_sqr();
            if preamble.bit(i) { difference } else { -difference }
        })
        .sum()
    }

    /// Returns the contrast between ON and OFF chips at `timing`, whatever the data.
    fn contrast(&mut self, baseband: &Baseband, protocol: Protocol, timing: Timing) -> f32 {
        self.read(baseband, timing.start, timing.chip);
        let manchester = match protocol {
            Protocol::R900 => 2 * protocol.preamble().len,
            _ => self.chips.len(),
        };
        let (bits, words) = self.chips.split_at(manchester);
        let bits: f32 = bits
            .chunks_exact(2)
            .map(|pair| (pair[0].norm_sqr() - pair[1].norm_sqr()).abs())
            .sum();
        let words: f32 = words.chunks_exact(4).map(word_contrast).sum();
        bits + words
    }

    fn coherent(&mut self, noise: f32, carrier: Carrier, reference: Reference) -> Measured {
        let noise_chips = match reference {
            Reference::All => {
                self.segments.clear();
                let segments = self.chips.chunks(SEGMENT);
                self.segments
                    .extend(segments.map(|chips| chips.iter().sum::<Complex32>()));
                SEGMENT as f32
            }
            Reference::On => {
                self.refer_to_on();
                SEGMENT as f32 / 2.0
            }
        };
        let power = self
            .segments
            .iter()
            .map(num_complex::Complex::norm_sqr)
            .sum::<f32>()
            / self.segments.len() as f32
            - noise_chips * noise;
        let power = power.max(noise_chips * noise);
        let variance = noise_chips * noise / (2.0 * power);
        let turns: Complex32 = self.segments.windows(2).map(|w| w[1] * w[0].conj()).sum();
        self.smoother.run(
            &self.segments,
            variance.into(),
            turns.arg().into(),
            carrier,
            &mut self.phases,
        );
        // Turn every chip into phase, reading the phase between the centers of segments.
        for (chips, &[phase, step]) in self.chips.chunks_mut(SEGMENT).zip(&self.phases) {
            let middle = chips.len() as f64 / 2.0;
            for (i, chip) in chips.iter_mut().enumerate() {
                let at = phase + step * (i as f64 + 0.5 - middle) / SEGMENT as f64;
                *chip *= Complex32::from_polar(1.0, -at as f32);
            }
        }
        let amplitude = 2.0 * self.chips.iter().map(|y| y.re).sum::<f32>() / self.chips.len() as f32;
        let amplitude = amplitude.max(0.0);
        // Across the carrier there is nothing but noise: of variance N0 in the difference of two chips.
        let across: f32 = self
            .chips
            .chunks_exact(2)
            .map(|pair| (pair[0].im - pair[1].im).powi(2))
            .sum();
        let n0 = (across / (self.chips.len() / 2) as f32).max(0.5 * noise);
        self.soft.clear();
        self.soft.extend(
            self.chips
                .iter()
                .map(|y| amplitude * (2.0 * y.re - amplitude) / n0),
        );
        let steps: f64 = self.phases.iter().map(|p| p[1]).sum::<f64>() / self.phases.len() as f64;
        Measured {
            signal: amplitude * amplitude,
            noise: n0,
            frequency: steps / TAU / SEGMENT as f64,
        }
    }

    fn energy(&mut self, noise: f32) -> Measured {
        let mean =
            self.chips.iter().map(num_complex::Complex::norm_sqr).sum::<f32>() / self.chips.len() as f32;
        let signal = (2.0 * (mean - noise)).max(0.0);
        self.soft.clear();
        self.soft.extend(self.chips.iter().map(|y| {
            let x = 2.0 * (signal * y.norm_sqr()).sqrt() / noise;
            ln_bessel_i0(x) - signal / noise
        }));
        Measured {
            signal,
            noise,
            frequency: 0.0,
        }
    }
}

/// Chip in the middle of the preamble, where the time of a frame is known: clock errors turn the frame around it.
fn pivot(protocol: Protocol) -> f64 {
    let preamble = protocol.preamble();
    (2 * preamble.offset + preamble.len) as f64
}

/// Number of times that the step of the clock search is halved: a clock error of 50 ppm moves the last chip of an IDM frame
/// by a fourteenth of a chip.
fn halvings(protocol: Protocol) -> u32 {
    if protocol == Protocol::Idm { 3 } else { 1 }
}

/// Returns the energy of the two strongest of four chips less that of the two weakest.
fn word_contrast(word: &[Complex32]) -> f32 {
    let mut e = [0.0; 4];
    for (e, y) in e.iter_mut().zip(word) {
        *e = y.norm_sqr();
    }
    e.sort_unstable_by(f32::total_cmp);
    e[3] + e[2] - e[1] - e[0]
}

/// `ln I0(x)` for x ≥ 0, within 1 %: the modified Bessel function behaves as exp(x²/4) near 0 and as
/// exp(x)/√(2πx) far away (Abramowitz and Stegun 9.8.1, 9.8.2).
fn ln_bessel_i0(x: f32) -> f32 {
    if x < 3.75 {
        let t = (x / 3.75).powi(2);
        (1.0 + t * (3.515_623 + t * (3.089_942 + t * (1.206_749 + t * (0.265_973 + t * 0.036_077))))).ln()
    } else {
        let t = 3.75 / x;
        x - 0.5 * x.ln() + (0.398_942_3 + t * (0.013_285_9 + t * 0.002_253_2)).ln()
    }
}

/// Returns the candidate with the greatest value, `first` included.
fn best(first: f64, others: impl Iterator<Item = f64>, mut value: impl FnMut(f64) -> f32) -> f64 {
    let mut best = (first, value(first));
    for other in others {
        let v = value(other);
        if v > best.1 {
            best = (other, v);
        }
    }
    best.0
}
