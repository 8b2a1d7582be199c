//! Sum over all code words of a 16-bit check, exactly: how much likelier a class of frames is for being one of code words.
//!
//! With `r` the likelihood of a flipped bit against the bit itself and `h` its column of the check,
//!
//! ```text
//! Σ Π r over the flips of a code word  =  Π (1 + r) · 2^-16 · Σ over u of Π t,   t = (1 - r) / (1 + r) where <u, h> = 1
//! ```
//!
//! (MacWilliams: the sum over a code by way of its dual.) Sums of `ln |t|` for all 2^16 `u` at once are a Walsh–Hadamard
//! transform of a million additions, which is why this is done only for frames that would be accepted otherwise.

/// Number of syndromes.
const SYNDROMES: usize = 1 << 16;
/// Least gain that is told: below it, terms of either sign cancel to less than single precision leaves of them. (None below 1 counts.)
const LEAST_GAIN: f64 = 1e-2;
/// Least magnitude of `t`: of a bit about which nothing is known.
const LEAST: f32 = 1e-6;

pub(crate) struct CodeWords {
    /// ln |t| by column, transformed in place.
    ln: Vec<f32>,
    /// Number of negative `t` by column, transformed in place.
    negative: Vec<f32>,
}

impl CodeWords {
    pub fn new() -> Self {
        CodeWords {
            ln: vec![0.0; SYNDROMES],
            negative: vec![0.0; SYNDROMES],
        }
    }

    /// Returns the logarithm of the mean likelihood of all code words over that of all words. `bits` are the columns of the bits that
    /// may be flipped, with the log-likelihood ratio of each flip.
    pub fn ln_gain(&mut self, bits: impl Iterator<Item = (u16, f32)>) -> f64 {
        self.ln.fill(0.0);
        self.negative.fill(0.0);
        let (mut all_ln, mut all_negative) = (0.0, 0.0);
        for (column, ln_ratio) in bits {
            let t = -(ln_ratio / 2.0).tanh();
            let ln = t.abs().max(LEAST).ln();
            self.ln[usize::from(column)] += ln;
            all_ln += ln;
            if t < 0.0 {
                self.negative[usize::from(column)] += 1.0;
                all_negative += 1.0;
            }
        }
        transform(&mut self.ln);
        transform(&mut self.negative);
        // Σ over <u, h> = 1 is half of (Σ over all less the transform).
        let terms = self.ln.iter().zip(&self.negative).map(|(ln, negative)| {
            let product = f64::from((all_ln - ln) / 2.0).exp();
            let is_odd = ((all_negative - negative) / 2.0) as u32 % 2 == 1;
            if is_odd { -product } else { product }
        });
        terms.sum::<f64>().max(LEAST_GAIN).ln()
    }
}

/// Walsh–Hadamard transform: out[u] = Σ over h of in[h] · (-1)^<u, h>.
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::crc;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Reference: every word of the last bits of an SCM, check included.
        #[test]
        fn the_sum_over_code_words_is_that_of_all_words_whose_syndrome_is_zero(ratios in prop::collection::vec(-4.0f32..3.0, 20)) {
            let bits: Vec<(u16, f32)> = ratios.iter().enumerate().map(|(i, &r)| (crc::SCM.column(i), r)).collect();
            let (mut code, mut all, mut words) = (0.0, 0.0, 0u32);
            for word in 0u32..1 << bits.len() {
                let flips = || bits.iter().enumerate().filter(|(i, _)| word >> i & 1 == 1).map(|(_, bit)| bit);
                let likelihood = flips().map(|(_, r)| f64::from(*r)).sum::<f64>().exp();
                all += likelihood;
                if flips().fold(0, |syndrome, (column, _)| syndrome ^ column) == 0 {
                    code += likelihood;
                    words += 1;
                }
            }
            let all = all / f64::from(1u32 << bits.len());
            let slow = (code / f64::from(words) / all).max(LEAST_GAIN).ln();
            let fast = CodeWords::new().ln_gain(bits.into_iter());
            prop_assert!((slow - fast).abs() < 0.01, "{} {}", slow, fast);
        }
    }
}
