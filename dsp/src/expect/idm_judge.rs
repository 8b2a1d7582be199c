//! Decision between the IDMs that a meter may send next.
//!
//! Unknown are the number of intervals completed, the total, the words of new intervals, and the time, which nothing else tells
//! (`free_field.rs`).

use super::fields::{bits, set_bits};
use super::free_field::FreeField;
use super::idm::{IdmWords, Shift};
use super::idm_bits::{BITS, IdmBits};
use super::idm_fields::{CHECK, COUNT, ID_CHECK, INTERVALS, LOW_ID, STATUS, TIME, TOTAL, VALUES, interval};
use super::judge::{NEIGHBORS, STRAYS};
use super::judged::{Judged, PRIOR};
use super::log_sum::{LogSum, ln_mean};
use super::noise::scale;
use crate::Protocol;
use crate::fec::{crc, encode};
use std::ops::Range;

/// Probability that the total rises by what the new intervals add up to, as far as it is known.
const TIED: f64 = 0.98;
/// Sixteenths of a second by which the time may be wrong: it dates consumption in intervals of five minutes.
const SECOND: u16 = 16;
/// Likelihood over that of the likeliest below which a total or number of intervals does not count.
const NEGLIGIBLE: f64 = 1e-12;

pub(crate) struct IdmJudge {
    bits: IdmBits,
    time: FreeField,
    /// Likelihood times prior of the newest interval and of the one before.
    values: [Vec<f64>; 2],
    /// Share of each of these in the check.
    value_checks: [Vec<u16>; 2],
    /// Log-likelihood of each consumption in one new interval, with the total that it makes.
    tied: Vec<f32>,
}

/// What may have been sent, but for the time.
#[derive(Clone, Copy)]
struct Word {
    shift: usize,
    rise: u32,
    values: [u16; 2],
    ln: f64,
    /// Logarithm of the likelihood, times prior, of all words of one new interval whose total agrees with it, if this is one of them.
    ln_tied: f64,
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
            bits: IdmBits::new(),
            time: FreeField::new(CHECK.start - TIME.end),
            values: [vec![0.0; VALUES], vec![0.0; VALUES]],
            value_checks: [of_values(0), of_values(1)],
            tied: Vec::with_capacity(VALUES),
        }
    }

    /// Returns the log-likelihood of each consumption in the one new interval of the frame judged last, with the total that it makes; none
    /// after another number of intervals.
    pub fn kept(&self) -> &[f32] {
        &self.tied
    }

    /// Returns the likeliest frame at sample `start`, with the doubt that `soft` leaves about it, as [`super::Judge::judge`]. The time has a
    /// doubt of its own: it only dates consumption within five minutes.
    pub fn judge(
        &mut self,
        soft: &[f32],
        noise: [f32; 2],
        words: &IdmWords,
        start: u64,
        sample_rate_hz: f64,
    ) -> Option<Judged> {
        let scale = scale(soft, noise[0], noise[1]);
        if !self.bits.fill(soft, scale) {
            return None;
        }
        let fixed = |shift: &Shift| self.fixed(shift);
        let likeliest = words.shifts.iter().map(fixed).fold(f64::NEG_INFINITY, f64::max);
        let (mut all, mut best): (LogSum, Option<Word>) = (LogSum::EMPTY, None);
        self.tied.clear();
        for (i, shift) in words.shifts.iter().enumerate() {
            let fixed = self.fixed(shift);
            if fixed < likeliest + NEGLIGIBLE.ln() {
                continue;
            }
            words.time_prior_at(shift.intervals, start, sample_rate_hz, &mut self.time.prior);
            let ln_unit = fixed + self.time.sum_up(&self.bits.soft(TIME), &self.bits.soft(CHECK));
            let found = self.weigh(i, shift, words, ln_unit);
            all.add(found.0);
            if found.1.ln > best.map_or(f64::NEG_INFINITY, |best| best.ln) {
                best = Some(found.1);
            }
        }
        let word = best?;
        let shift = &words.shifts[word.shift];
        // What the sum holds besides the best word.
        let ln_words = word.ln + ((all.ln() - word.ln).exp() - 1.0).max(0.0).ln();
        let ln_else = self.all_else(shift).ln();
        words.time_prior_at(shift.intervals, start, sample_rate_hz, &mut self.time.prior);
        let mut frame = self.frame_at_zero(&word, shift, words);
        let check = bits(&frame, CHECK) as u16;
        let (times, checks) = (self.bits.soft(TIME), self.bits.soft(CHECK));
        let (time, _) = self.time.likeliest(&times, &checks, check, |_| false);
        // The clocks may predict a time that is not so. It is certain if the frame alone says the same.
        words.time_prior(&mut self.time.prior);
        let is_near = |other: u16| other.abs_diff(time) <= SECOND;
        let (_, time_doubt) = self.time.likeliest(&times, &checks, check, is_near);
        set_bits(&mut frame, TIME, time.into());
        encode(Protocol::Idm, &mut frame);
        let mut judged = Judged::new(frame, word.ln, ln_words, ln_else, self.bits.corrected(&frame));
        (judged.time_doubt, judged.word) = (time_doubt as f32, word.values[0]);
        all.add(ln_else);
        judged.other_doubt = 1.0 - (word.ln_tied - all.ln()).exp();
        if word.ln_tied == f64::NEG_INFINITY {
            self.tied.clear();
        }
        Some(judged)
    }

    /// Log-likelihood of everything that is certain after so many intervals.
    fn fixed(&self, shift: &Shift) -> f64 {
        let old = (INTERVALS.start + 9 * shift.intervals as usize).min(INTERVALS.end);
        self.bits.of(&shift.frame, 0..TOTAL.start)
            + self.bits.of(&shift.frame, old..TIME.start)
            + self.bits.of(&shift.frame, ID_CHECK)
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
                        self.bits.ones[bit]
                    } else {
                        self.bits.zeros[bit]
                    })
                })
                .sum::<f64>()
            };
            let most = interval(i)
                .map(|bit| f64::from(self.bits.ones[bit].max(self.bits.zeros[bit])))
                .sum::<f64>();
            ln_unit += most;
            for (v, value) in values.iter_mut().enumerate() {
                *value = words.values[v] * (ln(v) - most).exp();
            }
        }
        let bytes: [_; 4] = std::array::from_fn(|i| self.bits.byte(TOTAL.start + 8 * i));
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
            ln_tied: f64::NEG_INFINITY,
        };
        let mut tied = 0.0;
        let mut sum = Sum {
            all: 0.0,
            best: 0.0,
            word,
        };
        if new == 1 {
            self.tied.clear();
            self.tied.resize(VALUES, f32::NEG_INFINITY);
        }
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
                0 => sum.add(likelihood * self.time.sums()[usize::from(check)], 0, [0; 2]),
                1 => {
                    let any = likelihood * (1.0 - TIED) / f64::from(rises + 1);
                    for v in 0..VALUES {
                        let is_tied = v as u32 == rise;
                        let check = check ^ newest_checks[v];
                        let rest = newest[v] * self.time.sums()[usize::from(check)];
                        sum.add(any * rest, rise, [v as u16, 0]);
                        if is_tied {
                            sum.add(likelihood * TIED * rest, rise, [v as u16, 0]);
                            tied += likelihood * TIED * rest;
                            self.tied[v] = (likelihood * rest / words.values[v]).ln() as f32;
                        }
                    }
                }
                2 => {
                    for v in 0..VALUES.min(rise as usize + 1) {
                        let w = rise as usize - v;
                        if w < VALUES {
                            let check = check ^ newest_checks[v] ^ before_checks[w];
                            let likelihood = likelihood * TIED * newest[v] * before[w];
                            sum.add(
                                likelihood * self.time.sums()[usize::from(check)],
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
            let odds: f64 = self.time.prior.iter().sum::<f64>() * if new == 2 { 1.0 - TIED } else { 1.0 };
            let mut totals = LogSum::EMPTY;
            (0..=rises).for_each(|rise| totals.add(total(rise)));
            let words = self
                .bits
                .any(INTERVALS.start..(INTERVALS.start + 9 * new).min(INTERVALS.end));
            let ends = self.bits.any(TIME) + self.bits.any(CHECK);
            all.add(self.fixed(shift) + odds.ln() + totals.ln() - f64::from(rises + 1).ln() + words + ends);
        }
        sum.word.ln = sum.best.ln() + ln_unit;
        if new == 1 && u32::from(sum.word.values[0]) == sum.word.rise {
            sum.word.ln_tied = tied.ln() + ln_unit;
        }
        (all.ln(), sum.word)
    }

    /// Sums up the likelihoods of all that may have been sent instead of a word of `shift`.
    fn all_else(&self, shift: &Shift) -> LogSum {
        let mut others = LogSum::EMPTY;
        let frame = &shift.frame;
        let new = (INTERVALS.start + 9 * shift.intervals as usize).min(INTERVALS.end);
        let ends = self.bits.any(TIME) + self.bits.any(CHECK);
        let intervals = self.bits.any(INTERVALS.start..new) + self.bits.of(frame, new..TIME.start);
        // A neighbor, whose intervals may be the same if neither consumes anything.
        let mut ids = LogSum::EMPTY;
        for change in 1..256u64 {
            let mut other = *frame;
            set_bits(&mut other, LOW_ID, bits(frame, LOW_ID) ^ change);
            let check = (0..8)
                .filter(|i| change >> i & 1 == 1)
                .fold(0, |check, i| check ^ crc::GENIBUS.column(i));
            set_bits(&mut other, ID_CHECK, bits(frame, ID_CHECK) ^ u64::from(check));
            ids.add(self.bits.of(&other, LOW_ID) + self.bits.of(&other, ID_CHECK) - 255f64.ln());
        }
        let low_total = TOTAL.start + 8..TOTAL.end;
        let neighbor = NEIGHBORS.ln()
            + self.bits.of(frame, 0..LOW_ID.start)
            + ids.ln()
            + self.bits.of(frame, COUNT.start..low_total.start)
            + self.bits.any(low_total)
            + ends;
        others.add(neighbor + intervals);
        others.add(neighbor + self.bits.any(INTERVALS));
        // This meter with another status, or with nothing as expected.
        let of_meter =
            STRAYS.ln() + self.bits.of(frame, 0..COUNT.start) + self.bits.of(frame, ID_CHECK) + ends;
        others.add(
            of_meter + self.bits.of(frame, COUNT) + self.bits.any(STATUS) + self.bits.any(TOTAL) + intervals,
        );
        others.add(of_meter + self.bits.any(COUNT.start..TIME.start));
        // Another frame, random keying, silence.
        let keying = |bit: usize| ln_mean(self.bits.ones[bit], 0.0) + ln_mean(self.bits.zeros[bit], 0.0);
        others.add(self.bits.any(0..BITS) - PRIOR.ln());
        others.add((0..BITS).map(keying).sum::<f64>() - PRIOR.ln());
        others.add(-PRIOR.ln());
        others
    }

    /// Returns the frame of a word, with time zero.
    fn frame_at_zero(&self, word: &Word, shift: &Shift, words: &IdmWords) -> [u8; 92] {
        let mut frame = shift.frame;
        set_bits(&mut frame, TOTAL, words.total.wrapping_add(word.rise).into());
        for (i, value) in word.values.into_iter().enumerate().take(shift.intervals as usize) {
            set_bits(&mut frame, interval(i), value.into());
        }
        encode(Protocol::Idm, &mut frame);
        frame
    }
}
