//! Decoding of soft chips to the bytes of a frame, checked and, where needed, corrected.

use crate::Protocol;
use crate::fec::correct::{Code, Correction, Flip, correct};
use crate::fec::{crc, reed_solomon as rs};

/// SCM's shortened BCH code.
const BCH: Code = Code {
    bits: 16.0,
    distance: 5,
    even: false,
};
/// CRC-16 with the generator 0x11021 = (x + 1)(…): code words have even weight, at least 4 at these lengths.
/// Over the 112 bits of an SCM+ there are 390 of weight 4, a share of 2^-14 of all such words (a test counts).
const SCM_PLUS: Code = Code {
    bits: 14.0,
    distance: 4,
    even: true,
};
/// Over the 704 bits of an IDM frame it is a share of 2^-15. The serial number has a CRC of its own besides:
/// of the words that differ in four of 680 bits a third meet that one too.
const IDM: Code = Code {
    bits: 15.6,
    ..SCM_PLUS
};
/// R900's code over symbols.
const REED_SOLOMON: Code = Code {
    bits: 25.0,
    distance: 6,
    even: false,
};
/// Prior probability that a frame begins at a given candidate: one frame in 0.3 s of data bits. Only the order
/// of magnitude matters.
const PRIOR: f64 = 1e-4;
/// Alternatives weighed for each R900 symbol.
const ALTERNATIVES: usize = 6;

/// Frame that passed its check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Checked {
    pub bytes: [u8; 92],
    pub corrected: u8,
    pub error_probability: f32,
}

/// Turns soft chips into frames; holds the columns of the checks.
pub(crate) struct Framer {
    scm: Vec<u32>,
    scm_plus: Vec<u32>,
    idm: Vec<u32>,
    flips: Vec<Flip>,
}

/// A frame of Manchester bits: which are known, and how the rest is checked.
struct Layout<'a> {
    /// Known bytes at the front.
    known: &'a [u8],
    /// Number of known bits at the front (the last known byte may be known in part).
    known_bits: usize,
    /// Syndrome of a flip of each bit after those.
    columns: &'a [u32],
    syndrome: fn(&[u8]) -> u32,
    code: Code,
}

impl Framer {
    pub fn new() -> Self {
        let crc_columns = |code: crc::Crc16, bits: usize| {
            (0..bits)
                .map(|i| u32::from(code.column(bits - 1 - i)))
                .collect::<Vec<_>>()
        };
        let mut idm = crc_columns(crc::GENIBUS, 85 * 8);
        // The serial number (bytes 9..13) and its own CRC (88..90) are checked twice: the second check
        // stands in the upper half of the syndrome.
        for i in 0..48 {
            let bit = if i < 32 { 9 * 8 + i } else { 88 * 8 + i - 32 };
            idm[bit - 7 * 8] |= u32::from(crc::GENIBUS.column(47 - i)) << 16;
        }
        Framer {
            scm: crc_columns(crc::SCM, 75),
            scm_plus: crc_columns(crc::GENIBUS, 13 * 8),
            idm,
            flips: Vec::with_capacity(85 * 8),
        }
    }

    /// Returns the likeliest frame with at most `max_flips` corrections, if its check can be made to pass.
    pub fn decode(&mut self, protocol: Protocol, soft: &[f32], max_flips: usize) -> Option<Checked> {
        let layout = match protocol {
            Protocol::Scm => Layout {
                known: &[0xF9, 0x53, 0x00],
                known_bits: 21,
                columns: &self.scm,
                syndrome: |frame| crc::SCM.syndrome(&frame[2..12]).into(),
                code: BCH,
            },
            Protocol::ScmPlus => Layout {
                known: &[0x16, 0xA3, 0x1E],
                known_bits: 24,
                columns: &self.scm_plus,
                syndrome: |frame| crc::GENIBUS.syndrome(&frame[2..16]).into(),
                code: SCM_PLUS,
            },
            Protocol::Idm => Layout {
                known: &[0x55, 0x55, 0x16, 0xA3, 0x1C, 0x5C, 0xC6],
                known_bits: 56,
                columns: &self.idm,
                syndrome: idm_syndrome,
                code: IDM,
            },
            Protocol::R900 => return self.decode_r900(soft, max_flips),
        };
        decode_manchester(&layout, protocol, soft, max_flips, &mut self.flips)
    }

    fn decode_r900(&mut self, soft: &[f32], max_flips: usize) -> Option<Checked> {
        let (preamble, words) = soft.split_at(2 * Protocol::R900.preamble().len);
        let known = Protocol::R900.preamble().bits.to_be_bytes();
        let evidence = Evidence::of_bits(preamble, &known, 32).and_digits(words);
        self.flips.clear();
        let mut symbols = [0; rs::SYMBOLS];
        for (i, chips) in words.chunks_exact(8).take(rs::SYMBOLS).enumerate() {
            symbols[i] = r900_symbol(i, chips, &mut self.flips);
        }
        let found = correct(
            rs::syndrome(&symbols),
            REED_SOLOMON,
            evidence.no_frame(),
            max_flips,
            &self.flips,
        )?;
        for flip in found.flips() {
            symbols[usize::from(flip.group)] ^= flip.change;
        }
        let mut bytes = [0; 92];
        for (i, symbol) in symbols.iter().enumerate() {
            for bit in 0..5 {
                set_bit(&mut bytes, i * 5 + bit, symbol >> (4 - bit) & 1 == 1);
            }
        }
        Some(checked(bytes, &found))
    }
}

fn idm_syndrome(frame: &[u8]) -> u32 {
    let serial = [frame[9], frame[10], frame[11], frame[12], frame[88], frame[89]];
    u32::from(crc::GENIBUS.syndrome(&serial)) << 16 | u32::from(crc::GENIBUS.syndrome(&frame[4..92]))
}

fn decode_manchester(
    layout: &Layout,
    protocol: Protocol,
    soft: &[f32],
    max_flips: usize,
    flips: &mut Vec<Flip>,
) -> Option<Checked> {
    let evidence = Evidence::of_bits(soft, layout.known, layout.known_bits);
    let mut bytes = [0; 92];
    bytes[..layout.known.len()].copy_from_slice(layout.known);
    flips.clear();
    let unknown = soft.chunks_exact(2).enumerate().skip(layout.known_bits);
    for ((i, pair), &syndrome) in unknown.zip(layout.columns) {
        let llr = pair[0] - pair[1];
        set_bit(&mut bytes, i, llr > 0.0);
        flips.push(Flip {
            group: i as u16,
            change: 1,
            cost: llr.abs(),
            syndrome,
        });
    }
    let syndrome = (layout.syndrome)(&bytes[..protocol.bytes()]);
    let found = correct(syndrome, layout.code, evidence.no_frame(), max_flips, flips)?;
    for flip in found.flips() {
        let bit = usize::from(flip.group);
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
    }
    Some(checked(bytes, &found))
}

fn checked(bytes: [u8; 92], found: &Correction) -> Checked {
    Checked {
        bytes,
        corrected: found.flips().len() as u8,
        error_probability: found.error_probability,
    }
}

fn set_bit(bytes: &mut [u8], bit: usize, value: bool) {
    bytes[bit / 8] |= u8::from(value) << (7 - bit % 8);
}

/// Log-likelihood ratios of the soft chips: a frame against something else.
///
/// Every unit (a Manchester bit or an R900 digit) is clean with the probability of its chips, or spoilt (by
/// another transmitter, a click) with probability [`SPOILT`] and then carries no information.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// Against the middle of some other frame, whose bits may be anything; from the known bits.
    known: f64,
    /// Against random keying or none; from every unit.
    eye: f64,
}

/// Probability that a unit is spoilt.
const SPOILT: f32 = 0.01;

impl Evidence {
    /// Evaluates Manchester bits, of which the first `bits` are those of `known`.
    fn of_bits(soft: &[f32], known: &[u8], bits: usize) -> Self {
        let mut evidence = Evidence::default();
        for (i, pair) in soft.chunks_exact(2).enumerate() {
            let [one, zero] = [odds(pair[0]), odds(pair[1])];
            // There are four ways to key two chips.
            let scale = 4.0 / ((1.0 + one) * (1.0 + zero));
            let either = mixed(scale * (one + zero) / 2.0);
            if i < bits {
                let is_one = known[i / 8] >> (7 - i % 8) & 1 == 1;
                let right = mixed(scale * if is_one { one } else { zero });
                evidence.known += f64::from((right / either).ln());
                evidence.eye += f64::from(right.ln());
            } else {
                evidence.eye += f64::from(either.ln());
            }
        }
        evidence
    }

    /// Adds the digits of R900, two ON chips of four.
    fn and_digits(mut self, soft: &[f32]) -> Self {
        for word in soft.chunks_exact(4) {
            let mut odds = [odds(word[0]), odds(word[1]), odds(word[2]), odds(word[3])];
            let all: f32 = odds.iter().map(|odds| 1.0 + odds).product();
            // The six pairs: (Σ² - Σ of squares) / 2.
            let sum: f32 = odds.iter().sum();
            odds.iter_mut().for_each(|odds| *odds *= *odds);
            let pairs = (sum * sum - odds.iter().sum::<f32>()) / 2.0;
            self.eye += f64::from(mixed(16.0 / 6.0 * pairs / all).ln());
        }
        self
    }

    /// Returns the odds that there is no frame.
    fn no_frame(self) -> f64 {
        ((-self.known).exp() + (-self.eye).exp()) / PRIOR
    }
}

/// e^soft, bounded so that products of four stay finite.
fn odds(soft: f32) -> f32 {
    soft.clamp(-20.0, 20.0).exp()
}

fn mixed(likelihood: f32) -> f32 {
    SPOILT + (1.0 - SPOILT) * likelihood.max(0.0)
}

/// ON chips of each of R900's base-6 digits.
pub(crate) const R900_DIGITS: [[bool; 4]; 6] = {
    const O: bool = false;
    const I: bool = true;
    [
        [O, O, I, I],
        [O, I, O, I],
        [O, I, I, O],
        [I, I, O, O],
        [I, O, I, O],
        [I, O, O, I],
    ]
};

/// Returns the likeliest symbol of eight chips (two digits, 6a + b ≤ 31); its best alternatives join `flips`.
fn r900_symbol(index: usize, chips: &[f32], flips: &mut Vec<Flip>) -> u8 {
    let likelihood = |chips: &[f32]| {
        R900_DIGITS.map(|digit| -> f32 {
            chips
                .iter()
                .zip(digit)
                .map(|(&soft, on)| if on { soft } else { 0.0 })
                .sum()
        })
    };
    let (high, low) = (likelihood(&chips[..4]), likelihood(&chips[4..]));
    let mut symbols = [(f32::NEG_INFINITY, 0u8); 32];
    for (value, symbol) in symbols.iter_mut().enumerate() {
        *symbol = (high[value / 6] + low[value % 6], value as u8);
    }
    symbols.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (top, best) = symbols[0];
    flips.extend(symbols[1..=ALTERNATIVES].iter().map(|&(value, symbol)| Flip {
        group: index as u16,
        change: best ^ symbol,
        cost: top - value,
        syndrome: rs::column(index, best ^ symbol),
    }));
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Returns log2 of the number of words of weight 4 per code word among them.
    fn bits_at_weight_4(code: &crc::Crc16, len: usize) -> f64 {
        let mut pairs = HashMap::<u16, f64>::new();
        for i in 0..len {
            for j in 0..i {
                *pairs.entry(code.column(i) ^ code.column(j)).or_default() += 1.0;
            }
        }
        // Every code word of weight 4 is two pairs in three ways.
        let code_words: f64 = pairs.values().map(|n| n * (n - 1.0) / 2.0).sum::<f64>() / 3.0;
        let len = len as f64;
        (len * (len - 1.0) * (len - 2.0) * (len - 3.0) / 24.0 / code_words).log2()
    }

    #[test]
    fn the_shares_of_words_that_pass_by_chance_are_those_of_the_codes() {
        let scm_plus = bits_at_weight_4(&crc::GENIBUS, 112);
        assert!((scm_plus - SCM_PLUS.bits).abs() < 0.1, "{scm_plus}");
        let idm = bits_at_weight_4(&crc::GENIBUS, 704);
        assert!((idm - 15.0).abs() < 0.1, "{idm}");
        assert_eq!(bits_at_weight_4(&crc::SCM, 80), f64::INFINITY, "distance 5");
    }
}
