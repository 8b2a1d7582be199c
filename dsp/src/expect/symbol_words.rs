//! Sum over the code words of R900, nearly: how much likelier a class of frames is for being one of code words.
//!
//! The Reed–Solomon code of R900 has 2^25 syndromes, too many for the transform of `code_words.rs`. But once one code word, `sent`, is
//! known to fit, the sum splits into that word and all others, which differ from it in six symbols or more. Let every symbol be
//! drawn by its likelihood, alone:
//!
//! ```text
//! P(code word) = Π P(symbol of sent) + P(another code word)
//! P(another code word) ≤ P(six symbols differ, or more) · 31^-5,  on average over what may have been sent
//! ```
//!
//! (The code is maximum distance separable: of the words that differ in w symbols of `sent`, a share of 31^-5 are code words
//! if w = 6, and less if w > 6; MacWilliams and Sloane, The Theory of Error-Correcting Codes, ch. 11, theorem 6.)

use crate::fec::reed_solomon::PARITY;

/// Values of a symbol.
const VALUES: usize = 32;

/// Returns the logarithm of the mean likelihood of all code words over that of all words. `symbols` are those that may differ: the log-likelihood
/// of each value, and the value in a code word that fits.
pub(crate) fn ln_gain<'a>(symbols: impl Iterator<Item = (&'a [f32], u8)>) -> f64 {
    let sent: f64 = symbols
        .map(|(likelihoods, sent)| {
            let sent = likelihoods[usize::from(sent)];
            let all = likelihoods[..VALUES].iter();
            -all.map(|ln| f64::from(ln - sent).exp()).sum::<f64>().ln()
        })
        .sum();
    let words = VALUES.pow(PARITY as u32) as f64;
    let others = (VALUES as f64 / (VALUES - 1) as f64).powi(PARITY as i32);
    (words * sent.exp() + others).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::reed_solomon::{DATA, SYMBOLS, parity};
    use crate::synth::Random;

    /// Reference: every code word of which three data symbols are not known, and its parity. One code word was sent; the likelihoods
    /// are those of symbols of two digits with noise of `deviation` against a distance of 1 between values.
    fn sums(deviation: f32, random: &mut Random) -> [f64; 2] {
        let mut data = [0u8; DATA];
        data.iter_mut()
            .for_each(|symbol| *symbol = (random.bits() % 32) as u8);
        let loose = [4, 9, 10, DATA, DATA + 1, DATA + 2, DATA + 3, DATA + 4];
        let word = |data: &[u8; DATA]| {
            let mut word = [0; SYMBOLS];
            word[..DATA].copy_from_slice(data);
            word[DATA..].copy_from_slice(&parity(data));
            word
        };
        let sent = word(&data);
        let tables = loose.map(|i| {
            let mut table = [0.0f32; VALUES];
            let noise = std::array::from_fn::<_, 6, _>(|_| random.gaussian() * deviation);
            for (value, ln) in table.iter_mut().enumerate() {
                // Two digits of six points each, all of the same distance from one another.
                let digits = [
                    (value / 6, usize::from(sent[i]) / 6),
                    (value % 6, usize::from(sent[i]) % 6),
                ];
                for (k, (here, there)) in digits.into_iter().enumerate() {
                    let at = |digit: usize| if k == 0 { noise[digit].re } else { noise[digit].im };
                    let is_sent = f32::from(u8::from(here == there));
                    *ln += (is_sent + at(here)) / deviation.powi(2);
                }
            }
            table
        });
        let likelihood = |word: &[u8; SYMBOLS]| {
            let symbols = loose.iter().zip(&tables);
            symbols
                .map(|(&i, table)| f64::from(table[usize::from(word[i])]))
                .sum::<f64>()
                .exp()
        };
        let mut code = 0.0;
        for value in 0..1 << 15 {
            for (k, &i) in loose[..3].iter().enumerate() {
                data[i] = (value >> (5 * k) & 31) as u8;
            }
            code += likelihood(&word(&data)) / f64::from(1 << 15);
        }
        let all: f64 = tables
            .iter()
            .map(|table| table.iter().map(|ln| f64::from(*ln).exp()).sum::<f64>() / 32.0)
            .product();
        let fast = ln_gain(loose.iter().zip(&tables).map(|(&i, table)| (&table[..], sent[i])));
        [code / all, fast.exp()]
    }

    #[test]
    fn given_a_code_word_that_fits_then_the_gain_is_that_of_the_sum_over_all_code_words() {
        let mut random = Random::new(1);
        for deviation in [0.3, 0.5, 0.7, 1.0, 2.0] {
            // A single sum may hold another word that happens to fit; their mean may not exceed what is assumed.
            const ROUNDS: usize = 12;
            let all: Vec<[f64; 2]> = (0..ROUNDS).map(|_| sums(deviation, &mut random)).collect();
            let mean = |i: usize| all.iter().map(|sums| sums[i]).sum::<f64>() / ROUNDS as f64;
            let ln_ratio = (mean(0) / mean(1)).ln();
            assert!(ln_ratio.abs() < 0.3, "{deviation}: {ln_ratio} {all:?}");
        }
    }
}
