//! Decision between the IDMs that a meter may send next.
//!
//! Unknown are the number of intervals completed, the total, the words of new intervals, and the time, which nothing else tells. The
//! time and the check are therefore summed up together: with `h` the share of each bit in the check,
//!
//! ```text
//! G(c) = Σ over times t of prior(t) · e^S(t) · e^S(check = c XOR h(t))
//! ```
//!
//! is the likelihood of everything else that needs the check `c` where the time is 0. One pass over 2^16 values for each bit of the check
//! computes it.

use super::idm::{
    CHECK, COUNT, ID_CHECK, INTERVALS, IdmWords, LOW_ID, STATUS, Shift, TIME, TOTAL, VALUES, interval,
};
use super::judge::{Judged, LogSum, NEIGHBORS, PRIOR, STRAYS, ln_mean, scale};
use super::words::{bits, set_bits};
use crate::Protocol;
use crate::fec::{crc, encode};
use std::ops::Range;

const CHECKS: usize = 1 << 16;
/// Bits of a frame.
const BITS: usize = 736;
/// Probability that the total rises by what the new intervals add up to, as far as it is known.
const TIED: f64 = 0.9;
/// Sixteenths of a second by which the time may be wrong: it dates consumption in intervals of five minutes.
const SECOND: u16 = 16;
/// Probability that it is wrong by more, up to which a frame is accepted.
const MAX_TIME_DOUBT: f64 = 0.01;
/// Likelihood over that of the likeliest below which a total or number of intervals does not count.
const NEGLIGIBLE: f64 = 1e-12;

pub(crate) struct IdmJudge {
    /// Log-likelihood of a 1 and of a 0, bit by bit, against silence.
    ones: Vec<f32>,
    zeros: Vec<f32>,
    /// `G`.
    checks: Vec<f64>,
    time_prior: Vec<f64>,
    /// Likelihood times prior of the newest interval and of the one before.
    values: [Vec<f64>; 2],
    /// Share of each of these in the check.
    value_checks: [Vec<u16>; 2],
    /// Share of each time in the check.
    time_checks: Vec<u16>,
}

/// What may have been sent, but for the time.
#[derive(Clone, Copy)]
struct Word {
    shift: usize,
    rise: u32,
    values: [u16; 2],
    ln: f64,
}

/// Sum over the words of one shift, in units of `ln_unit`.
struct Sum {
    all: f64,
    best: f64,
    word: Word,
}

impl Sum {
    fn add(&mut self, likelihood: f64, rise: u32, values: [u16; 2]) {
        self.all += likelihood;
        if likelihood > self.best {
            self.best = likelihood;
            self.word = Word {
                rise,
                values,
                ..self.word
            };
        }
    }
}

/// Returns what a flip of `bit` adds to the check.
fn column(bit: usize) -> u16 {
    crc::GENIBUS.column(CHECK.start - 1 - bit)
}

/// Returns what all set bits of `value`, in the field `range`, add to the check.
fn check_of(range: Range<usize>, value: u64) -> u16 {
    let last = range.end - 1;
    range
        .filter(|bit| value >> (last - bit) & 1 == 1)
        .fold(0, |check, bit| check ^ column(bit))
}

impl IdmJudge {
    pub fn new() -> Self {
        let of_values = |i: usize| (0..VALUES as u64).map(|v| check_of(interval(i), v)).collect();
        IdmJudge {
            ones: Vec::with_capacity(BITS),
            zeros: Vec::with_capacity(BITS),
            checks: vec![0.0; CHECKS],
            time_prior: vec![0.0; CHECKS],
            values: [vec![0.0; VALUES], vec![0.0; VALUES]],
            value_checks: [of_values(0), of_values(1)],
            time_checks: (0..CHECKS as u64).map(|time| check_of(TIME, time)).collect(),
        }
    }

    /// Returns the likeliest frame at sample `start`, with the doubt that `soft` leaves about it, as [`super::Judge::judge`].
    pub fn judge(
        &mut self,
        soft: &[f32],
        noise: [f32; 2],
        words: &IdmWords,
        start: u64,
        sample_rate_hz: f64,
    ) -> Option<Judged> {
        let scale = scale(soft, noise[0], noise[1]);
        self.ones.clear();
        self.zeros.clear();
        for pair in soft.chunks_exact(2) {
            self.ones.push(scale * pair[0]);
            self.zeros.push(scale * pair[1]);
        }
        if self.ones.len() != BITS {
            return None;
        }
        let fixed = |shift: &Shift| self.fixed(shift);
        let likeliest = words.shifts.iter().map(fixed).fold(f64::NEG_INFINITY, f64::max);
        let (mut all, mut best): (LogSum, Option<Word>) = (LogSum::EMPTY, None);
        for (i, shift) in words.shifts.iter().enumerate() {
            let fixed = self.fixed(shift);
            if fixed < likeliest + NEGLIGIBLE.ln() {
                continue;
            }
            words.time_prior(shift.intervals, start, sample_rate_hz, &mut self.time_prior);
            let ln_unit = fixed + self.sum_up_times();
            let found = self.weigh(i, shift, words, ln_unit);
            all.add(found.0);
            if found.1.ln > best.map_or(f64::NEG_INFINITY, |best| best.ln) {
                best = Some(found.1);
            }
        }
        let word = best?;
        let shift = &words.shifts[word.shift];
        let mut others = LogSum::EMPTY;
        // What the sum holds besides the best word.
        others.add(word.ln + ((all.ln() - word.ln).exp() - 1.0).max(0.0).ln());
        self.add_all_else(shift, &mut others);
        let against = others.ln() - word.ln;
        words.time_prior(shift.intervals, start, sample_rate_hz, &mut self.time_prior);
        let (frame, time_doubt) = self.frame(&word, shift, words);
        let corrected = (0..BITS)
            .filter(|&bit| (self.ones[bit] > self.zeros[bit]) != is_one(&frame, bit))
            .count();
        let judged = Judged::new(frame, word.ln, against, corrected.min(255) as u8);
        (time_doubt < MAX_TIME_DOUBT).then_some(judged)
    }

    /// Log-likelihood of the bits of `frame` in `range`.
    fn of(&self, frame: &[u8; 92], range: Range<usize>) -> f64 {
        let bit = |bit: usize| {
            f64::from(if is_one(frame, bit) {
                self.ones[bit]
            } else {
                self.zeros[bit]
            })
        };
        range.map(bit).sum()
    }

    /// Log-likelihood of each value of the byte that begins at bit `first`.
    fn byte(&self, first: usize) -> [f64; 256] {
        let mut table = [0.0; 256];
        table[0] = (first..first + 8).map(|bit| f64::from(self.zeros[bit])).sum();
        for bit in 0..8 {
            let (set, at) = (1 << bit, first + 7 - bit);
            let change = f64::from(self.ones[at] - self.zeros[at]);
            for value in 0..set {
                table[set | value] = table[value] + change;
            }
        }
        table
    }

    /// Log-likelihood of any bits in `range`, on average.
    fn any(&self, range: Range<usize>) -> f64 {
        range.map(|bit| ln_mean(self.ones[bit], self.zeros[bit])).sum()
    }

    /// Log-likelihood of everything that is certain after so many intervals.
    fn fixed(&self, shift: &Shift) -> f64 {
        let old = (INTERVALS.start + 9 * shift.intervals as usize).min(INTERVALS.end);
        self.of(&shift.frame, 0..TOTAL.start)
            + self.of(&shift.frame, old..TIME.start)
            + self.of(&shift.frame, ID_CHECK)
    }

    /// Computes `G`, and returns the logarithm of its unit.
    fn sum_up_times(&mut self) -> f64 {
        let mut ln_unit = 0.0;
        // Likelihoods against those of the likeliest time and check stay within what an f64 holds.
        let most: f64 = TIME
            .map(|bit| f64::from(self.ones[bit].max(self.zeros[bit])))
            .sum();
        ln_unit += most;
        let [high, low] = [TIME.start, TIME.start + 8].map(|first| self.byte(first));
        let (high, low) = (high.map(|ln| (ln - most).exp()), low.map(f64::exp));
        // Times and checks correspond one to one, as the last bits before a check are free.
        for ((time, prior), check) in self.time_prior.iter().enumerate().zip(&self.time_checks) {
            self.checks[usize::from(*check)] = prior * high[time >> 8] * low[time & 0xFF];
        }
        for (i, bit) in CHECK.enumerate() {
            let (one, zero) = (self.ones[bit], self.zeros[bit]);
            let most = one.max(zero);
            ln_unit += f64::from(most);
            let (one, zero) = (f64::from(one - most).exp(), f64::from(zero - most).exp());
            let half = 1 << (15 - i);
            for pair in self.checks.chunks_exact_mut(2 * half) {
                let (clear, set) = pair.split_at_mut(half);
                for (a, b) in clear.iter_mut().zip(set) {
                    (*a, *b) = (zero * *a + one * *b, one * *a + zero * *b);
                }
            }
        }
        ln_unit
    }

    /// Returns the logarithm of the sum over all words of one shift, and the likeliest one.
    fn weigh(&mut self, index: usize, shift: &Shift, words: &IdmWords, ln_unit: f64) -> (f64, Word) {
        let base_check = bits(&shift.frame, CHECK) as u16;
        let new = shift.intervals as usize;
        let mut all = LogSum::EMPTY;
        let mut ln_unit = ln_unit;
        for (i, values) in self.values.iter_mut().enumerate().take(new) {
            let ln = |v: usize| {
                let bits = interval(i).enumerate();
                bits.map(|(k, bit)| {
                    f64::from(if v >> (8 - k) & 1 == 1 {
                        self.ones[bit]
                    } else {
                        self.zeros[bit]
                    })
                })
                .sum::<f64>()
            };
            let most = interval(i)
                .map(|bit| f64::from(self.ones[bit].max(self.zeros[bit])))
                .sum::<f64>();
            ln_unit += most;
            for (v, value) in values.iter_mut().enumerate() {
                *value = words.values[v] * (ln(v) - most).exp();
            }
        }
        let bytes: [_; 4] = std::array::from_fn(|i| self.byte(TOTAL.start + 8 * i));
        let total = |rise: u32| {
            let total = words.total.wrapping_add(rise).to_be_bytes();
            bytes
                .iter()
                .zip(total)
                .map(|(byte, value)| byte[usize::from(value)])
                .sum::<f64>()
        };
        let rises = if new == 0 { 0 } else { words.most_rise };
        let most = (0..=rises).map(&total).fold(f64::NEG_INFINITY, f64::max);
        ln_unit += most;
        let word = Word {
            shift: index,
            rise: 0,
            values: [0; 2],
            ln: f64::NEG_INFINITY,
        };
        let mut sum = Sum {
            all: 0.0,
            best: 0.0,
            word,
        };
        let [newest, before] = &self.values;
        let [newest_checks, before_checks] = &self.value_checks;
        for rise in 0..=rises {
            let likelihood = (total(rise) - most).exp();
            if likelihood < NEGLIGIBLE {
                continue;
            }
            let change = words.total ^ words.total.wrapping_add(rise);
            let check = base_check ^ check_of(TOTAL, change.into());
            match new {
                0 => sum.add(likelihood * self.checks[usize::from(check)], 0, [0; 2]),
                1 => {
                    let any = likelihood * (1.0 - TIED) / f64::from(rises + 1);
                    for v in 0..VALUES {
                        let is_tied = v as u32 == rise;
                        let weight = if is_tied { any + likelihood * TIED } else { any };
                        let check = check ^ newest_checks[v];
                        sum.add(
                            weight * newest[v] * self.checks[usize::from(check)],
                            rise,
                            [v as u16, 0],
                        );
                    }
                }
                2 => {
                    for v in 0..VALUES.min(rise as usize + 1) {
                        let w = rise as usize - v;
                        if w < VALUES {
                            let check = check ^ newest_checks[v] ^ before_checks[w];
                            let likelihood = likelihood * TIED * newest[v] * before[w];
                            sum.add(
                                likelihood * self.checks[usize::from(check)],
                                rise,
                                [v as u16, w as u16],
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        all.add(sum.all.ln() + ln_unit);
        // More new words than can be tried one by one, or such as do not add up: what they are on average.
        if new >= 2 {
            let odds: f64 = self.time_prior.iter().sum::<f64>() * if new == 2 { 1.0 - TIED } else { 1.0 };
            let mut totals = LogSum::EMPTY;
            (0..=rises).for_each(|rise| totals.add(total(rise)));
            let words = self.any(INTERVALS.start..(INTERVALS.start + 9 * new).min(INTERVALS.end));
            let ends = self.any(TIME) + self.any(CHECK);
            all.add(self.fixed(shift) + odds.ln() + totals.ln() - f64::from(rises + 1).ln() + words + ends);
        }
        sum.word.ln = sum.best.ln() + ln_unit;
        (all.ln(), sum.word)
    }

    /// Adds the likelihoods of all that may have been sent instead of a word of `shift`.
    fn add_all_else(&self, shift: &Shift, others: &mut LogSum) {
        let frame = &shift.frame;
        let new = (INTERVALS.start + 9 * shift.intervals as usize).min(INTERVALS.end);
        let ends = self.any(TIME) + self.any(CHECK);
        let intervals = self.any(INTERVALS.start..new) + self.of(frame, new..TIME.start);
        // A neighbor, whose intervals may be the same if neither consumes anything.
        let mut ids = LogSum::EMPTY;
        for change in 1..256u64 {
            let mut other = *frame;
            set_bits(&mut other, LOW_ID, bits(frame, LOW_ID) ^ change);
            let check = (0..8)
                .filter(|i| change >> i & 1 == 1)
                .fold(0, |check, i| check ^ crc::GENIBUS.column(i));
            set_bits(&mut other, ID_CHECK, bits(frame, ID_CHECK) ^ u64::from(check));
            ids.add(self.of(&other, LOW_ID) + self.of(&other, ID_CHECK) - 255f64.ln());
        }
        let low_total = TOTAL.start + 8..TOTAL.end;
        let neighbor = NEIGHBORS.ln()
            + self.of(frame, 0..LOW_ID.start)
            + ids.ln()
            + self.of(frame, COUNT.start..low_total.start)
            + self.any(low_total)
            + ends;
        others.add(neighbor + intervals);
        others.add(neighbor + self.any(INTERVALS));
        // This meter with another status, or with nothing as expected.
        let of_meter = STRAYS.ln() + self.of(frame, 0..COUNT.start) + self.of(frame, ID_CHECK) + ends;
        others.add(of_meter + self.of(frame, COUNT) + self.any(STATUS) + self.any(TOTAL) + intervals);
        others.add(of_meter + self.any(COUNT.start..TIME.start));
        // Another frame, random keying, silence.
        let keying = |bit: usize| ln_mean(self.ones[bit], 0.0) + ln_mean(self.zeros[bit], 0.0);
        others.add(self.any(0..BITS) - PRIOR.ln());
        others.add((0..BITS).map(keying).sum::<f64>() - PRIOR.ln());
        others.add(-PRIOR.ln());
    }

    /// Returns the frame of a word, with the likeliest time, and the probability that the time is wrong by more than a second.
    fn frame(&self, word: &Word, shift: &Shift, words: &IdmWords) -> ([u8; 92], f64) {
        let mut frame = shift.frame;
        set_bits(&mut frame, TOTAL, words.total.wrapping_add(word.rise).into());
        for (i, value) in word.values.into_iter().enumerate().take(shift.intervals as usize) {
            set_bits(&mut frame, interval(i), value.into());
        }
        encode(Protocol::Idm, &mut frame);
        let check = bits(&frame, CHECK) as u16;
        let times = [TIME.start, TIME.start + 8].map(|first| self.byte(first));
        let checks = [CHECK.start, CHECK.start + 8].map(|first| self.byte(first));
        let of = |bytes: &[[f64; 256]; 2], value: u16| {
            let [high, low] = value.to_be_bytes();
            bytes[0][usize::from(high)] + bytes[1][usize::from(low)]
        };
        let likelihoods = self.time_prior.iter().zip(&self.time_checks).zip(0..=u16::MAX);
        let likelihoods = likelihoods
            .map(|((prior, share), time)| (time, prior.ln() + of(&times, time) + of(&checks, check ^ share)));
        let mut best = (0, f64::NEG_INFINITY);
        let mut all = LogSum::EMPTY;
        for (time, ln) in likelihoods.clone() {
            all.add(ln);
            if ln > best.1 {
                best = (time, ln);
            }
        }
        let near: f64 = likelihoods
            .filter(|(time, _)| time.abs_diff(best.0) <= SECOND)
            .map(|(_, ln)| (ln - all.ln()).exp())
            .sum();
        set_bits(&mut frame, TIME, best.0.into());
        encode(Protocol::Idm, &mut frame);
        (frame, 1.0 - near)
    }
}

fn is_one(frame: &[u8; 92], bit: usize) -> bool {
    frame[bit / 8] >> (7 - bit % 8) & 1 == 1
}
