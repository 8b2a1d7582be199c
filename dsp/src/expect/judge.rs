//! Decision between the words of an expected meter, and everything else that the samples may hold.
//!
//! With `l` the log-likelihood ratio of ON to OFF of each chip, a word has the log-likelihood `S = Σ l` over its ON
//! chips, in units of silence. By Bayes, the doubt about the likeliest word is the share of all else:
//!
//! ```text
//! other words    prior of the word · e^S
//! a neighbor     NEIGHBORS · mean e^S over every code word with the same high bits of the id, and any counter
//! a stray        STRAYS · mean e^S over every code word with the same id, any type, flags and counter
//! another frame  mean e^S over every bit                                               1 / PRIOR
//! random keying  mean e^S over every chip                                              1 / PRIOR
//! silence        1                                                                     1 / PRIOR
//! ```

use super::code_words::CodeWords;
use super::fields::{Fields, MAX_GROUPS, bits, fields, group_bits, set_bits};
use super::free_field::{FreeField, SoftBits};
use super::judged::{HOPEFUL, Judged, PRIOR};
use super::log_sum::{LogSum, ln_mean, ln_sum};
use super::noise::scale;
use super::relatives::Relatives;
use super::symbol_words;
use super::words::{Change, MAX_COUNTERS, Words, groups_of, is_on, lead_chips};
use crate::Protocol;
use crate::fec::encode;
use std::mem::take;
use std::ops::Range;

/// Frames of meters with neighboring ids, per frame that is expected: they may be on the air all day while the meter is silent.
pub(super) const NEIGHBORS: f64 = 10.0;
/// Bits in which neighbors differ: the low byte of the id, and the counter.
const NEIGHBOR_BITS: f64 = 32.0;
/// Frames of the meter itself with another counter or other flags than expected, per frame that is expected: what is
/// known may be wrong.
pub(super) const STRAYS: f64 = 1.0;
/// Share of the strays' likelihood that may be due to the likeliest word: the rest is within the precision of the sum.
const OWN_SHARE: f64 = 0.9;
/// Bits of a check, which follow from the others of a code word.
const CHECK_BITS: usize = 16;
/// Probability that an SCM+ has no tamper flag. Of five in published logs (rtlamr issues 192, 201 and 251, rtl_433 issue 1378), one had none.
const NO_TAMPER: f64 = 0.2;
/// Logarithm of the odds of the words of a dial below which nothing has ever brought them back.
const HOPELESS_ODDS: f64 = -6.9;
/// Likelihood over that of the likeliest word, as a logarithm, below which words of an unknown status do not count: there are less
/// than ten million of them.
const NEGLIGIBLE: f32 = -30.0;

pub(crate) struct Judge {
    /// `S` of every value of every group.
    tables: Vec<[f32; 256]>,
    code_words: CodeWords,
    /// Flags of an SCM+ that was never received, and the logarithms of their sums.
    flags: FreeField,
    ln_flags: Vec<f32>,
    /// Log-likelihood ratios, by the likely noise.
    soft: Vec<f32>,
    /// `S` of the groups that the counter alone changes, by counter.
    by_counter: Vec<f32>,
    /// Log-likelihood of each counter, if the status is known.
    counters: Vec<f32>,
    /// The same of the attempt that was kept.
    kept: Vec<f32>,
}

impl Judge {
    pub fn new() -> Self {
        Judge {
            tables: vec![[0.0; 256]; MAX_GROUPS],
            code_words: CodeWords::new(),
            flags: flags_of_scm_plus(),
            ln_flags: Vec::with_capacity(1 << 16),
            soft: Vec::with_capacity(Protocol::MAX_CHIPS),
            by_counter: Vec::with_capacity(MAX_COUNTERS),
            counters: Vec::with_capacity(MAX_COUNTERS),
            kept: Vec::with_capacity(MAX_COUNTERS),
        }
    }

    /// Keeps the likelihoods of the words judged last for [`Judge::kept`].
    pub fn keep(&mut self) {
        std::mem::swap(&mut self.kept, &mut self.counters);
    }

    /// Returns the log-likelihood of each counter in the judgement kept last; none if the status was not known.
    pub fn kept(&self) -> &[f32] {
        &self.kept
    }

    /// Returns the likeliest of `words`, with the doubt that `soft` leaves about it; `None` if it can be none of them.
    ///
    /// `noise` is the power that `soft` assumes, measured in this frame; `noise_around` that of a longer time.
    pub fn judge(&mut self, soft: &[f32], noise: f32, noise_around: f32, words: &Words) -> Option<Judged> {
        let scale = scale(soft, noise, noise_around);
        let mut scaled = std::mem::take(&mut self.soft);
        scaled.clear();
        scaled.extend(soft.iter().map(|l| scale * l));
        let judged = self.judge_scaled(&scaled, words);
        self.soft = scaled;
        judged
    }

    fn judge_scaled(&mut self, soft: &[f32], words: &Words) -> Option<Judged> {
        let lead = lead_chips(words.protocol);
        let (preamble, chips) = soft.split_at_checked(lead)?;
        self.tabulate(chips, words);
        let known = |i: usize| words.protocol.preamble().bit(i);
        let bits = preamble.chunks_exact(2).enumerate();
        let preamble_right: f32 = bits.map(|(i, pair)| pair[usize::from(!known(i))]).sum();
        let free = if words.has_free_flags {
            self.sum_up_flags(chips)
        } else {
            0..0
        };
        let fixed = (0..words.groups).filter(|i| !words.varying.contains(i) && !free.contains(i));
        let fixed: f32 = fixed.map(|i| self.tables[i][usize::from(words.base[i])]).sum();
        let common = f64::from(preamble_right + fixed);

        let preamble_any: f64 = preamble
            .chunks_exact(2)
            .map(|pair| ln_mean(pair[0], pair[1]))
            .sum();
        let ln_prior = PRIOR.ln();
        let anything = ln_sum([
            preamble_any + self.mean(words, &[0xFF; MAX_GROUPS]) - ln_prior,
            soft.iter().map(|&l| ln_mean(l, 0.0)).sum::<f64>() - ln_prior,
            -ln_prior,
        ]);
        let mut others = LogSum::EMPTY;
        let mut best: Option<(f64, &Change, usize)> = None;
        let (mut by_counter, mut ln_counters) = (take(&mut self.by_counter), take(&mut self.counters));
        by_counter.clear();
        by_counter.extend(words.counters.iter().map(|counter| {
            self.varying(words, words.by_status..words.by_one, &[counter]) + counter.ln_prior
        }));
        ln_counters.clear();
        let is_status_known = words.statuses.len() == 1;
        let shared = words.by_one..words.varying.len();
        let most_shared: f32 = if words.has_free_flags {
            most(&self.ln_flags)
        } else {
            words.varying[shared.clone()]
                .iter()
                .map(|&i| most(&self.tables[i]))
                .sum()
        };
        let most_by_counter = most(&by_counter);
        let most_of_all = || common + self.most_of_all(words, &by_counter) + f64::from(most_shared);
        if !is_status_known && most_of_all() < anything + HOPELESS_ODDS {
            (self.by_counter, self.counters) = (by_counter, ln_counters);
            return None;
        }
        for status in &words.statuses {
            let by_status = self.varying(words, 0..words.by_status, &[status]) + status.ln_prior;
            let most = common + f64::from(by_status + most_by_counter + most_shared);
            if best.is_some_and(|(top, ..)| most < top + f64::from(NEGLIGIBLE)) {
                continue;
            }
            for (number, (counter, by_counter)) in words.counters.iter().zip(&by_counter).enumerate() {
                let by_one = common + f64::from(by_status + by_counter);
                let least = best.map_or(f64::NEG_INFINITY, |(top, ..)| top) + f64::from(NEGLIGIBLE);
                if !is_status_known && by_one + f64::from(most_shared) < least {
                    continue;
                }
                let by_both = if words.has_free_flags {
                    self.ln_flags[usize::from(words.check(status, counter))]
                } else {
                    self.varying(words, shared.clone(), &[status, counter])
                };
                let ln = by_one + f64::from(by_both);
                if is_status_known {
                    ln_counters.push(ln as f32 - counter.ln_prior);
                }
                match best {
                    Some((top, ..)) if ln <= top => others.add(ln),
                    _ => {
                        if let Some((before, ..)) = best.replace((ln, status, number)) {
                            others.add(before);
                        }
                    }
                }
            }
        }
        (self.by_counter, self.counters) = (by_counter, ln_counters);
        let (top, status, number) = best?;
        let counter = &words.counters[number];
        let mut bytes = words.bytes(status, counter);
        let mut ln_words = others.ln();
        let (mut top, all_of_top) = (top, top);
        if words.has_free_flags {
            let doubt = self.add_flags(chips, words, &mut bytes);
            top += (1.0 - doubt).ln();
            ln_words = ln_sum([ln_words, all_of_top + doubt.ln()]);
        }
        let relatives = [(&words.neighbors, NEIGHBORS), (&words.strays, STRAYS)];
        let mut likelihoods = relatives.map(|(relatives, often)| {
            f64::from(preamble_right) + self.mean(words, &relatives.loose) + f64::ln(often)
        });
        let word = groups_of(words.protocol, &bytes);
        let corrected = corrected(chips, words.protocol, &word);
        let judged = |relatives: [f64; 2], nearest: f64| {
            let ln_else = ln_sum([relatives[0], relatives[1], nearest, anything]);
            Judged {
                word: number as u16,
                ..Judged::new(bytes, top, ln_words, ln_else, corrected)
            }
        };
        let first = judged(likelihoods, f64::NEG_INFINITY);
        // Relatives are code words, too; that costs a millisecond, and only raises the doubt of what would count otherwise.
        if first.other_doubt > HOPEFUL {
            return Some(first);
        }
        for (ln, (relatives, _)) in likelihoods.iter_mut().zip(relatives) {
            *ln += self.gain(words, relatives, &word).max(0.0);
        }
        let own = all_of_top - f64::from(status.ln_prior + counter.ln_prior);
        likelihoods[1] = without_own(own, words, likelihoods[1]);
        let nearest = f64::from(preamble_right) + self.nearest_neighbors(words, status) + f64::ln(NEIGHBORS)
            - NEIGHBOR_BITS * std::f64::consts::LN_2;
        Some(judged(likelihoods, nearest))
    }

    /// Logarithm of the sum over all words, but for the groups that status and counter both change. `by_counter` is `S` of those that the
    /// counter alone changes.
    fn most_of_all(&self, words: &Words, by_counter: &[f32]) -> f64 {
        let [mut statuses, mut counters] = [LogSum::EMPTY; 2];
        for status in &words.statuses {
            let ln = self.varying(words, 0..words.by_status, &[status]) + status.ln_prior;
            statuses.add(ln.into());
        }
        by_counter.iter().for_each(|&ln| counters.add(ln.into()));
        statuses.ln() + counters.ln()
    }

    /// Sums up the flags of an SCM+ and its check. Returns the groups of the flags.
    fn sum_up_flags(&mut self, chips: &[f32]) -> Range<usize> {
        let Fields { flags, check, .. } = fields(Protocol::ScmPlus);
        let ln_unit = self
            .flags
            .sum_up(&soft_bits(chips, flags.start), &soft_bits(chips, check.start));
        self.ln_flags.clear();
        self.ln_flags
            .extend(self.flags.sums().iter().map(|sum| (sum.ln() + ln_unit) as f32));
        flags.start / 8..flags.end / 8
    }

    /// Sets the likeliest flags in an SCM+, and returns the probability that they are others.
    fn add_flags(&self, chips: &[f32], words: &Words, bytes: &mut [u8; 92]) -> f64 {
        let Fields { flags, check, .. } = fields(Protocol::ScmPlus);
        let base = bits(bytes, check.clone()) as u16;
        let (soft, checks) = (soft_bits(chips, flags.start), soft_bits(chips, check.start));
        let (value, _) = self.flags.likeliest(&soft, &checks, base, |_| false);
        let (_, doubt) = self.flags.likeliest(&soft, &checks, base, |other| other == value);
        set_bits(bytes, flags, value.into());
        encode(words.protocol, &mut bytes[..words.protocol.bytes()]);
        doubt
    }

    /// Logarithm of the mean likelihood of relatives that are code words over that of all. `word` is the likeliest.
    fn gain(&mut self, words: &Words, relatives: &Relatives, word: &[u8; MAX_GROUPS]) -> f64 {
        let tables = &self.tables;
        if words.protocol == Protocol::R900 {
            let loose = (0..words.groups).filter(|&i| relatives.loose[i] != 0);
            return symbol_words::ln_gain(loose.map(|i| (&tables[i][..], word[i])));
        }
        let bits = relatives.bits.iter().map(|bit| {
            let (table, base) = (&tables[bit.group], words.base[bit.group]);
            let flipped = table[usize::from(base ^ bit.mask)] - table[usize::from(base)];
            (bit.column, flipped)
        });
        self.code_words.ln_gain(bits)
    }

    /// Logarithm of the sum of e^S over the neighbors that have one of the counters expected, which is most like the words: [`symbol_words`]
    /// takes other code words for random ones, and these are the ones for which a neighbor is mistaken. None but for R900.
    fn nearest_neighbors(&self, words: &Words, status: &Change) -> f64 {
        let mut sum = LogSum::EMPTY;
        for id in &words.neighbor_ids {
            let at = |i: usize| words.base[i] ^ id[i];
            let fixed = (0..words.groups).filter(|i| !words.varying.contains(i));
            let fixed: f32 = fixed.map(|i| self.tables[i][usize::from(at(i))]).sum();
            let mut first = status.groups;
            for (first, &i) in first.iter_mut().zip(&words.varying) {
                *first ^= at(i);
            }
            for counter in &words.counters {
                let groups = words.varying.iter().zip(first.iter().zip(&counter.groups));
                let varying: f32 = groups
                    .map(|(&i, (a, b))| self.tables[i][usize::from(a ^ b)])
                    .sum();
                sum.add(f64::from(fixed + varying));
            }
        }
        sum.ln()
    }

    /// Computes `S` of every value of every group.
    fn tabulate(&mut self, chips: &[f32], words: &Words) {
        let per_group = if words.protocol == Protocol::R900 { 8 } else { 16 };
        let groups = chips.chunks_exact(per_group).take(words.groups);
        for (table, chips) in self.tables.iter_mut().zip(groups) {
            if words.protocol == Protocol::R900 {
                for value in 0..32u8 {
                    let on = (0..8).filter(|&chip| is_on(words.protocol, value, chip));
                    table[usize::from(value)] = on.map(|chip| chips[chip]).sum();
                }
                continue;
            }
            table[0] = chips.iter().skip(1).step_by(2).sum();
            for bit in 0..8 {
                let pair = &chips[2 * (7 - bit)..][..2];
                let (set, change) = (1 << bit, pair[0] - pair[1]);
                for value in 0..set {
                    table[set | value] = table[value] + change;
                }
            }
        }
    }

    /// `S` of `some` of the groups in which words differ, after `changes`.
    fn varying<const N: usize>(&self, words: &Words, some: Range<usize>, changes: &[&Change; N]) -> f32 {
        some.map(|k| {
            let i = words.varying[k];
            let value = changes
                .iter()
                .fold(words.base[i], |value, change| value ^ change.groups[k]);
            self.tables[i][usize::from(value)]
        })
        .sum()
    }

    /// Logarithm of the mean of e^S over all words that differ from the base in `loose` bits only. A symbol of R900 is
    /// loose if one of its bits is.
    fn mean(&self, words: &Words, loose: &[u8; MAX_GROUPS]) -> f64 {
        let bits = group_bits(words.protocol);
        let groups = (0..words.groups).map(|i| {
            let (table, base) = (&self.tables[i], words.base[i]);
            let at = |value: u8| table[usize::from(value)];
            match loose[i] {
                0 => f64::from(at(base)),
                _ if bits == 5 => {
                    let mut sum = LogSum::EMPTY;
                    (0..32).for_each(|value| sum.add(f64::from(at(value))));
                    sum.ln() - 32f64.ln()
                }
                // The bits of a byte are independent: a product of means.
                loose => {
                    let bits = (0..8).filter(|bit| loose >> bit & 1 == 1);
                    let other = bits.map(|bit| ln_mean(0.0, at(base ^ 1 << bit) - at(base)));
                    f64::from(at(base)) + other.sum::<f64>()
                }
            }
        });
        groups.sum()
    }
}

/// Returns the likelihood of `strays` without that of the likeliest word, `own`, which is no stray; both are logarithms. Where type, flags and a wide
/// range of the counter are expected, a word has not much more weight as one of them than as a stray.
fn without_own(own: f64, words: &Words, strays: f64) -> f64 {
    let Some(free) = words.strays.bits.len().checked_sub(CHECK_BITS) else {
        return strays;
    };
    let share = (own + STRAYS.ln() - free as f64 * std::f64::consts::LN_2 - strays).exp();
    strays + (1.0 - share.min(OWN_SHARE)).ln()
}

/// Returns the flags of an SCM+ with their probabilities: none, or any.
fn flags_of_scm_plus() -> FreeField {
    let Fields { flags, check, .. } = fields(Protocol::ScmPlus);
    let mut field = FreeField::new(check.start - flags.end);
    let others = field.prior.len() as f64 - 1.0;
    field.prior.fill((1.0 - NO_TAMPER) / others);
    field.prior[0] = NO_TAMPER;
    field
}

/// Returns the log-likelihoods of 16 bits from bit `first` on.
fn soft_bits(chips: &[f32], first: usize) -> SoftBits {
    std::array::from_fn(|i| [chips[2 * (first + i)], chips[2 * (first + i) + 1]])
}

fn most(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Counts the bits (R900: digits) in which the chips taken alone would have decided otherwise.
fn corrected(chips: &[f32], protocol: Protocol, word: &[u8; MAX_GROUPS]) -> u8 {
    let (per_group, unit) = if protocol == Protocol::R900 {
        (8, 4)
    } else {
        (16, 2)
    };
    let units = chips.chunks_exact(unit).enumerate().filter(|(i, unit_chips)| {
        let (group, first) = (i * unit / per_group, i * unit % per_group);
        let on = |chip: usize| is_on(protocol, word[group], first + chip);
        let off_most = (0..unit)
            .filter(|&c| !on(c))
            .map(|c| unit_chips[c])
            .fold(f32::MIN, f32::max);
        let on_least = (0..unit)
            .filter(|&c| on(c))
            .map(|c| unit_chips[c])
            .fold(f32::MAX, f32::min);
        off_most > on_least
    });
    units.count().min(255) as u8
}
