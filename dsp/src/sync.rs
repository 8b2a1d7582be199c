//! Preamble search in one carrier: finds the places where a frame may begin.
//!
//! With `e(t)` the energy of a chip beginning at `t` in units of the noise, `d(t) = e(t) - e(t + chip)` is
//! positive for a 1 and negative for a 0. The sum of `±d` over the known bits of a preamble has mean 0 and
//! variance 2n in noise; a real preamble at -12 dB SNR stands 14 standard deviations above that. Energies
//! need neither phase nor an exact carrier, and at most an eighth of a chip of timing is lost to the grid.

use crate::Protocol;
use crate::baseband::Baseband;

/// Standard deviations of noise that a preamble must reach.
const SIGNIFICANCE: f32 = 5.0;
/// Share of the magnitude of all its bits that must have the right sign (random bits: 0 ± 0.3).
const AGREEMENT: f32 = 0.5;
/// Share of the score of the better of two preambles below which the other one is dropped: one with one of 24
/// bits wrong has 0.92.
const TWIN: f32 = 0.95;
/// Candidates kept per burst, the best.
pub(crate) const MAX_CANDIDATES: usize = 24;

/// Preamble that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub protocol: Protocol,
    /// Start of the *frame*, in cells; may lie before the samples held.
    pub start: f64,
    /// Standard deviations above noise.
    pub score: f32,
}

pub(crate) struct Sync {
    energy: Vec<f32>,
    difference: Vec<f32>,
    score: Vec<f32>,
    candidates: Vec<Candidate>,
}

impl Sync {
    /// Room for `cells` cells.
    pub fn new(cells: usize) -> Self {
        Sync {
            energy: Vec::with_capacity(cells),
            difference: Vec::with_capacity(cells),
            score: Vec::with_capacity(cells),
            candidates: Vec::with_capacity(MAX_CANDIDATES + 1),
        }
    }

    /// Returns all candidates, best first. `noise` is the mean energy of a chip without signal.
    pub fn search(&mut self, baseband: &Baseband, noise: f32) -> &[Candidate] {
        self.candidates.clear();
        self.measure(baseband, noise);
        for protocol in Protocol::ALL {
            self.search_one(protocol, baseband.chip());
        }
        &self.candidates
    }

    /// Computes the energies without searching them.
    pub fn measure(&mut self, baseband: &Baseband, noise: f32) {
        baseband.chip_energies(1.0 / noise, &mut self.energy);
        let chip = baseband.chip().round() as usize;
        self.difference.clear();
        if let Some(later) = self.energy.get(chip..) {
            self.difference
                .extend(self.energy.iter().zip(later).map(|(a, b)| a - b));
        }
    }

    /// Energy of a chip that begins at each cell, as last computed.
    pub fn energy(&self) -> &[f32] {
        &self.energy
    }

    /// Energy of a chip less that of the next one, at each cell, as last computed.
    pub fn difference(&self) -> &[f32] {
        &self.difference
    }

    fn search_one(&mut self, protocol: Protocol, chip: f64) {
        let preamble = protocol.preamble();
        let mut offsets = [0; 32];
        for (bit, offset) in offsets.iter_mut().enumerate() {
            *offset = (2.0 * chip * bit as f64).round() as usize;
        }
        let offset = |bit: usize| offsets[bit];
        let reach = offset(preamble.len - 1);
        let Some(places) = self.difference.len().checked_sub(reach) else {
            return;
        };
        self.score.clear();
        self.score.resize(places, 0.0);
        for bit in 0..preamble.len {
            let sign = if preamble.bit(bit) { 1.0 } else { -1.0 };
            for (score, d) in self.score.iter_mut().zip(&self.difference[offset(bit)..]) {
                *score += sign * d;
            }
        }
        let threshold = SIGNIFICANCE * (2.0 * preamble.len as f32).sqrt();
        let apart = chip.round() as usize;
        let mut place = 0;
        while place < places {
            if self.score[place] < threshold {
                place += 1;
                continue;
            }
            // The best place within a chip of the first one that passes.
            let end = (place + apart).min(places);
            let best = (place..end).fold(
                place,
                |best, i| {
                    if self.score[i] > self.score[best] { i } else { best }
                },
            );
            place = end;
            let total: f32 = (0..preamble.len)
                .map(|bit| self.difference[best + offset(bit)].abs())
                .sum();
            if self.score[best] < AGREEMENT * total {
                continue;
            }
            let candidate = Candidate {
                protocol,
                start: best as f64 - 2.0 * chip * preamble.offset as f64,
                score: self.score[best] / (2.0 * preamble.len as f32).sqrt(),
            };
            self.keep(candidate, chip);
        }
    }

    /// Inserts in order of score.
    fn keep(&mut self, candidate: Candidate, chip: f64) {
        let bit_of = |c: &Candidate| c.start + 2.0 * chip * c.protocol.preamble().offset as f64;
        // SCM+ and IDM differ in one bit of their preambles. Where that bit is clear one of them goes.
        let twin = self.candidates.iter().position(|other| {
            [other.protocol, candidate.protocol] == [Protocol::ScmPlus, Protocol::Idm]
                && (bit_of(other) - bit_of(&candidate)).abs() < chip
        });
        if let Some(twin) = twin {
            let other = self.candidates[twin].score;
            if candidate.score < TWIN * other {
                return;
            }
            if other < TWIN * candidate.score {
                self.candidates.remove(twin);
            }
        }
        let at = self
            .candidates
            .partition_point(|other| other.score >= candidate.score);
        self.candidates.insert(at, candidate);
        self.candidates.truncate(MAX_CANDIDATES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Complex32;
    use crate::synth::{Keying, Random, Scene, Transmission, chips, random_frame};

    const RATE_HZ: f64 = 2_359_296.0;

    /// One frame at a given cell, and the baseband of its carrier.
    fn baseband(protocol: Protocol, noise: f32, random: &mut Random) -> Baseband {
        let frame = random_frame(protocol, random);
        let transmission = Transmission {
            chips: chips(protocol, &frame, 0),
            start_s: 0.003,
            offset_hz: 100e3,
            phase_rad: 0.0,
            snr_db: -6.0,
            clock_ppm: 0.0,
            keying: Keying::default(),
        };
        let scene = Scene {
            sample_rate_hz: RATE_HZ,
            samples: 140_000,
            noise,
            transmissions: vec![transmission],
        };
        let mut baseband = Baseband::new(RATE_HZ, scene.samples);
        baseband.fill(&scene.render(random), 100e3 / RATE_HZ);
        baseband
    }

    /// Returns the sum over a preamble at one place, chip by chip, from the matched filter itself.
    fn naive_score(baseband: &Baseband, protocol: Protocol, start: f64) -> f32 {
        let preamble = protocol.preamble();
        let mut pair = [Complex32::default(); 2];
        (0..preamble.len)
            .map(|i| {
                let at = start + 2.0 * baseband.chip() * (preamble.offset + i) as f64;
                baseband.chips(at, baseband.chip(), &mut pair);
                let d = pair[0].norm_sqr() - pair[1].norm_sqr();
                if preamble.bit(i) { d } else { -d }
            })
            .sum()
    }

    #[test]
    fn scores_are_those_of_the_naive_correlator() {
        let mut random = Random::new(1);
        for protocol in Protocol::ALL {
            let baseband = baseband(protocol, 1.0, &mut random);
            let noise = 72.0;
            let mut sync = Sync::new(baseband.cells());
            for candidate in sync.search(&baseband, noise).to_vec() {
                let n = candidate.protocol.preamble().len as f32;
                let slow =
                    naive_score(&baseband, candidate.protocol, candidate.start) / noise / (2.0 * n).sqrt();
                assert!(
                    (slow - candidate.score).abs() < 0.01 * slow,
                    "{candidate:?} {slow}"
                );
            }
        }
    }

    #[test]
    fn the_best_candidate_is_the_frame_that_was_sent() {
        let mut random = Random::new(2);
        for protocol in Protocol::ALL {
            let baseband = baseband(protocol, 1.0, &mut random);
            let best = Sync::new(baseband.cells()).search(&baseband, 72.0)[0];
            let truth = 0.003 * RATE_HZ / baseband.decimation() as f64;
            assert_eq!(best.protocol, protocol);
            assert!((best.start - truth).abs() <= 1.0, "{best:?} {truth}");
        }
    }
}
