//! What several frames of one meter say together about its counter.
//!
//! A meter repeats its counter: a frame too weak to be accepted still says which values are likely, and the next one has them for its prior.
//! The forward algorithm of a hidden Markov model (Rabiner 1989, "A Tutorial on Hidden Markov Models", III A), with the counter as
//! the state:
//!
//! ```text
//! p(c) ← Σ over b of p(b) · P(counter goes from b to c)             predict
//! p(c) ← p(c) · likelihood of the frame with c, over its sum         update
//! ```
//!
//! Only the choice between the words of the meter gains by that. That a frame is one of them, and not a neighbor's who repeats himself as
//! well, every frame has to show alone.

use super::evidence::Evidence;

/// Probability that a counter has not moved between two frames within [`FORGET_S`].
const UNCHANGED: f64 = 0.3;
/// Probability that it has risen by up to [`FEW`] counts; otherwise by any number.
const RISEN: f64 = 0.35;
const FEW: usize = 8;
/// Probability that nothing of what was believed holds.
const FORGOTTEN: f64 = 1e-3;
/// Probability of the counter of a frame that was accepted.
const ACCEPTED: f64 = 0.99;
/// Seconds after which only the prior is believed.
const FORGET_S: f64 = 600.0;
/// Frames remembered, so that none counts twice: it may be found in two segments.
const SEEN: usize = 8;

/// Probability of each word of a meter.
#[derive(Debug)]
pub(super) struct Belief {
    prior: Vec<f64>,
    now: Vec<f64>,
    next: Vec<f64>,
    /// Words are counters, which rise; else they are repeated as they are.
    rises: bool,
    /// Start of the last frame.
    at: u64,
    /// Frames so far, the one from which the first prior was learned included.
    frames: u32,
    seen: [u64; SEEN],
}

/// What a frame says together with those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belonging {
    /// Likeliest word.
    pub word: usize,
    /// Probability that it is another one of the meter's words.
    pub doubt: f64,
    /// Frames that contributed.
    pub frames: u32,
}

impl Belief {
    /// `prior` holds the probability of each word, which add up to 1.
    pub fn new(prior: Vec<f64>, rises: bool) -> Self {
        Belief {
            now: prior.clone(),
            next: vec![0.0; prior.len()],
            prior,
            rises,
            at: 0,
            frames: 0,
            seen: [u64::MAX; SEEN],
        }
    }

    /// Weighs the words by `prior` from now on, which may have more of them, or fewer.
    pub fn with_prior(mut self, prior: Vec<f64>) -> Self {
        self.now.resize(prior.len(), 0.0);
        let now = self.now.iter_mut().zip(&prior);
        now.for_each(|(now, prior)| *now = ACCEPTED * *now + (1.0 - ACCEPTED) * prior);
        self.next.resize(prior.len(), 0.0);
        self.prior = prior;
        self
    }

    /// Believes in `word`, which was accepted in the frame at sample `at`.
    pub fn accepted(&mut self, word: usize, at: u64) {
        let believed = self.now.iter_mut().zip(&self.prior).enumerate();
        believed.for_each(|(i, (now, prior))| {
            *now = (1.0 - ACCEPTED) * prior + if i == word { ACCEPTED } else { 0.0 };
        });
        (self.at, self.frames) = (at, 1);
        self.see(at);
    }

    /// Takes up a frame. `None` for one that was taken up before, or that is older.
    pub fn update(&mut self, evidence: &Evidence, sample_rate_hz: f64) -> Option<Belonging> {
        let (at, len) = (evidence.packet.start_sample, evidence.packet.len_samples);
        if at < self.at || self.seen.iter().any(|seen| seen.abs_diff(at) < len) {
            return None;
        }
        self.see(at);
        let passed_s = (at - self.at) as f64 / sample_rate_hz;
        if self.frames > 0 && passed_s > FORGET_S {
            self.now.copy_from_slice(&self.prior);
            self.frames = 0;
        }
        if self.frames > 0 && self.rises {
            self.predict();
        }
        (self.at, self.frames) = (at, self.frames + 1);
        let rest = evidence.rest();
        self.next
            .iter_mut()
            .zip(&self.now)
            .for_each(|(next, now)| *next = rest * now);
        for (word, likelihood) in evidence.words() {
            if let (Some(next), Some(now)) = (self.next.get_mut(word), self.now.get(word)) {
                *next = likelihood * now;
            }
        }
        let sum: f64 = self.next.iter().sum();
        if sum <= 0.0 {
            return None;
        }
        // If this is no frame of the meter, it says nothing.
        let is_other = evidence.other_doubt;
        let mut best = (0, 0.0);
        for (i, (now, next)) in self.now.iter_mut().zip(&self.next).enumerate() {
            let here = next / sum;
            if here > best.1 {
                best = (i, here);
            }
            *now = is_other * *now + (1.0 - is_other) * here;
        }
        Some(Belonging {
            word: best.0,
            doubt: 1.0 - best.1,
            frames: self.frames,
        })
    }

    fn see(&mut self, at: u64) {
        self.seen.rotate_right(1);
        self.seen[0] = at;
    }

    /// Lets the counter rise.
    fn predict(&mut self) {
        let all = self.now.len();
        let (mut few, mut any) = (0.0, 0.0);
        for c in 0..all {
            // Sums over the counters below: of the last few, and of all.
            if let Some(below) = c.checked_sub(1) {
                few += self.now[below];
                any += self.now[below];
            }
            if let Some(gone) = c.checked_sub(FEW + 1) {
                few -= self.now[gone];
            }
            let moved = RISEN * few.max(0.0) / FEW as f64 + (1.0 - UNCHANGED - RISEN) * any / all as f64;
            self.next[c] = FORGOTTEN * self.prior[c] + (1.0 - FORGOTTEN) * (UNCHANGED * self.now[c] + moved);
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }
}
