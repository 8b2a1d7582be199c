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
use super::symbol_words;
use super::words::{Change, Relatives, Words, group_bits, is_on, lead_chips};
use crate::{Method, Protocol};

/// Probability that a frame of a certain meter begins at a candidate of the search. About two segments of noise a second with 400
/// places each are searched, and a meter sends about once a minute: 2e-5. The rest is the margin of the budget.
pub(super) const PRIOR: f64 = 3e-7;
/// Frames of meters with neighboring ids, per frame that is expected: they may be on the air all day while the meter is silent.
pub(super) const NEIGHBORS: f64 = 10.0;
/// Bits in which neighbors differ: the low byte of the id, and the counter.
const NEIGHBOR_BITS: f64 = 32.0;
/// Frames of the meter itself with another counter or other flags than expected, per frame that is expected: what is
/// known may be wrong.
pub(super) const STRAYS: f64 = 1.0;
/// Doubt up to which a word is accepted.
const MAX_DOUBT: f64 = 6e-4;
/// Doubt above which there is some other frame or none: a shift of half a sample in five has never brought such a word back.
const HOPELESS: f32 = 0.999;
/// Factor of all log-likelihood ratios: amplitude and noise are estimated, and their errors make the ratios of a frame near threshold
/// vary more than their mean allows.
const CAUTION: f32 = 1.0;
/// Weight of the noise around a carrier over a longer time, in measurements of one bit.
const AROUND_WEIGHT: f32 = 500.0;
/// Noise over that of a longer time which is not chance: three standard deviations over 96 bits.
const INTERFERENCE: f32 = 1.5;
/// Groups of the longest frame.
const MAX_GROUPS: usize = 24;

/// Word that was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    pub bytes: [u8; 92],
    /// Log-likelihood of the word against silence.
    pub likelihood: f64,
    /// Probability that this is not what was sent.
    pub doubt: f32,
    /// Decisions of single bits that would have been wrong.
    pub corrected: u8,
    /// Evidence over what is needed, in dB: about by how much a packet could be weaker.
    pub margin_db: f32,
}

impl Judged {
    /// `against` is the logarithm of the odds against the word.
    pub(super) fn new(bytes: [u8; 92], likelihood: f64, against: f64, corrected: u8) -> Self {
        let ln_prior = PRIOR.ln();
        Judged {
            bytes,
            likelihood,
            doubt: doubt_of(against) as f32,
            corrected,
            margin_db: (10.0 * ((against + ln_prior) / (MAX_DOUBT.ln() + ln_prior)).log10()) as f32,
        }
    }

    /// Returns true if slightly different assumptions about the samples will not help.
    pub fn is_hopeless(&self) -> bool {
        self.doubt > HOPELESS
    }

    /// Returns true if the doubt is within the budget of false readings.
    pub fn is_accepted(&self) -> bool {
        self.doubt <= MAX_DOUBT as f32
    }

    pub fn method(&self) -> Method {
        Method::Expected {
            margin_tenths_db: (10.0 * self.margin_db) as u8,
        }
    }
}

pub(crate) struct Judge {
    /// `S` of every value of every group.
    tables: Vec<[f32; 256]>,
    code_words: CodeWords,
    /// Log-likelihood ratios, with [`CAUTION`].
    soft: Vec<f32>,
}

/// Sum of exponentials, by their logarithms.
#[derive(Clone, Copy)]
pub(super) struct LogSum {
    max: f64,
    sum: f64,
}

impl LogSum {
    pub const EMPTY: LogSum = LogSum {
        max: f64::NEG_INFINITY,
        sum: 0.0,
    };

    pub fn add(&mut self, ln: f64) {
        if ln == f64::NEG_INFINITY {
            return;
        }
        if ln <= self.max {
            self.sum += (ln - self.max).exp();
        } else if ln.is_finite() {
            self.sum = self.sum * (self.max - ln).exp() + 1.0;
            self.max = ln;
        }
    }

    pub fn ln(self) -> f64 {
        self.max + self.sum.ln()
    }
}

impl Judge {
    pub fn new() -> Self {
        Judge {
            tables: vec![[0.0; 256]; MAX_GROUPS],
            code_words: CodeWords::new(),
            soft: Vec::with_capacity(Protocol::MAX_CHIPS),
        }
    }

    /// Returns the likeliest of `words`, with the doubt that `soft` leaves about it.
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
        let fixed = (0..words.groups).filter(|i| !words.varying.contains(i));
        let fixed: f32 = fixed.map(|i| self.tables[i][usize::from(words.base[i])]).sum();
        let common = f64::from(preamble_right + fixed);

        let mut others = LogSum::EMPTY;
        let mut best: Option<(f64, &Change, &Change)> = None;
        for status in &words.statuses {
            for counter in &words.counters {
                let ln = common
                    + f64::from(self.varying(words, status, counter) + status.ln_prior + counter.ln_prior);
                match best {
                    Some((top, ..)) if ln <= top => others.add(ln),
                    _ => {
                        if let Some((before, ..)) = best.replace((ln, status, counter)) {
                            others.add(before);
                        }
                    }
                }
            }
        }
        let (top, status, counter) = best?;
        let preamble_any: f64 = preamble
            .chunks_exact(2)
            .map(|pair| ln_mean(pair[0], pair[1]))
            .sum();
        let ln_prior = PRIOR.ln();
        let relatives = [(&words.neighbors, NEIGHBORS), (&words.strays, STRAYS)];
        let mut likelihoods = relatives.map(|(relatives, often)| {
            f64::from(preamble_right) + self.mean(words, &relatives.loose) + f64::ln(often)
        });
        others.add(preamble_any + self.mean(words, &[0xFF; MAX_GROUPS]) - ln_prior);
        others.add(soft.iter().map(|&l| ln_mean(l, 0.0)).sum::<f64>() - ln_prior);
        others.add(-ln_prior);
        let against_top = |mut others: LogSum, likelihoods: [f64; 2]| {
            likelihoods.into_iter().for_each(|ln| others.add(ln));
            others.ln() - top
        };
        let mut against = against_top(others, likelihoods);
        let word = word(words, status, counter);
        // Relatives are code words, too; that costs a millisecond, and only raises the doubt of what would be accepted.
        if doubt_of(against) <= MAX_DOUBT {
            for (ln, (relatives, _)) in likelihoods.iter_mut().zip(relatives) {
                *ln += self.gain(words, relatives, &word).max(0.0);
            }
            let nearest = f64::from(preamble_right) + self.nearest_neighbors(words, status);
            others.add(nearest + f64::ln(NEIGHBORS) - NEIGHBOR_BITS * std::f64::consts::LN_2);
            against = against_top(others, likelihoods);
        }
        let corrected = corrected(chips, words, &word);
        Some(Judged::new(words.bytes(status, counter), top, against, corrected))
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

    /// `S` of the groups in which words differ.
    fn varying(&self, words: &Words, status: &Change, counter: &Change) -> f32 {
        let changes = status.groups.iter().zip(&counter.groups);
        let groups = words.varying.iter().zip(changes);
        groups
            .map(|(&i, (a, b))| self.tables[i][usize::from(words.base[i] ^ a ^ b)])
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

/// Returns the factor of log-likelihood ratios that assume the noise measured in their frame.
pub(super) fn scale(soft: &[f32], noise: f32, noise_around: f32) -> f32 {
    CAUTION * noise / likely_noise(noise, noise_around, soft.len())
}

/// `against` is the logarithm of the odds against a word.
fn doubt_of(against: f64) -> f64 {
    1.0 / (1.0 + (-against).exp())
}

/// Returns the noise of a frame of `chips`, of which `noise` was measured in half as many differences and `around` over a longer
/// time. More noise than before is interference, and counts in full.
fn likely_noise(noise: f32, around: f32, chips: usize) -> f32 {
    if noise > INTERFERENCE * around {
        return noise;
    }
    let measured = chips as f32 / 2.0;
    (measured * noise + AROUND_WEIGHT * around) / (measured + AROUND_WEIGHT)
}

/// ln((e^a + e^b) / 2)
pub(super) fn ln_mean(a: f32, b: f32) -> f64 {
    let (a, b) = (f64::from(a), f64::from(b));
    a.max(b) + (-(a - b).abs()).exp().ln_1p() - std::f64::consts::LN_2
}

/// Returns the groups of a word.
fn word(words: &Words, status: &Change, counter: &Change) -> [u8; MAX_GROUPS] {
    let mut word = words.base;
    for (i, &group) in words.varying.iter().enumerate() {
        word[group] ^= status.groups[i] ^ counter.groups[i];
    }
    word
}

/// Counts the bits (R900: digits) in which the chips taken alone would have decided otherwise.
fn corrected(chips: &[f32], words: &Words, word: &[u8; MAX_GROUPS]) -> u8 {
    let (per_group, unit) = if words.protocol == Protocol::R900 {
        (8, 4)
    } else {
        (16, 2)
    };
    let units = chips.chunks_exact(unit).enumerate().filter(|(i, unit_chips)| {
        let (group, first) = (i * unit / per_group, i * unit % per_group);
        let on = |chip: usize| is_on(words.protocol, word[group], first + chip);
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
