//! A field of 16 bits that nothing tells but the check of the frame, which is 16 bits long: the time in an IDM, the tamper flags of an SCM+ that
//! was never received.
//!
//! The two are summed up together: with `h` the share of each bit of the field in the check,
//!
//! ```text
//! G(c) = Σ over values v of prior(v) · e^S(v) · e^S(check = c XOR h(v))
//! ```
//!
//! is the likelihood of everything else that needs the check `c` where the field is 0. One pass over 2^16 values for each bit of the check
//! computes it.

use super::log_sum::LogSum;
use crate::fec::crc;

const VALUES: usize = 1 << 16;

/// Log-likelihoods of a 1 and of a 0, bit by bit.
pub(super) type SoftBits = [[f32; 2]; 16];

pub(super) struct FreeField {
    /// Probability of each value.
    pub prior: Vec<f64>,
    /// Share of each value in the check.
    shares: Vec<u16>,
    /// `G`, by check.
    sums: Vec<f64>,
}

impl FreeField {
    /// `bits_after` lie between the field and the check.
    pub fn new(bits_after: usize) -> Self {
        let column = |bit: usize| crc::GENIBUS.column(bits_after + bit);
        let share = |value: u32| {
            let set = (0..16).filter(|bit| value >> bit & 1 == 1);
            set.fold(0, |check, bit| check ^ column(bit))
        };
        FreeField {
            prior: vec![0.0; VALUES],
            shares: (0..VALUES as u32).map(share).collect(),
            sums: vec![0.0; VALUES],
        }
    }

    /// Computes `G`, and returns the logarithm of its unit.
    pub fn sum_up(&mut self, field: &SoftBits, check: &SoftBits) -> f64 {
        // Likelihoods against those of the likeliest value and check stay within what an f64 holds.
        let most: f64 = field.iter().map(|[one, zero]| f64::from(one.max(*zero))).sum();
        let mut ln_unit = most;
        let [high, low] = bytes(field);
        let (high, low) = (high.map(|ln| (ln - most).exp()), low.map(f64::exp));
        // Values and checks correspond one to one, as 16 bits in a row are independent in the check.
        for ((value, prior), check) in self.prior.iter().enumerate().zip(&self.shares) {
            self.sums[usize::from(*check)] = prior * high[value >> 8] * low[value & 0xFF];
        }
        for (i, [one, zero]) in check.iter().enumerate() {
            let most = one.max(*zero);
            ln_unit += f64::from(most);
            let (one, zero) = (f64::from(one - most).exp(), f64::from(zero - most).exp());
            let half = 1 << (15 - i);
            for pair in self.sums.chunks_exact_mut(2 * half) {
                let (clear, set) = pair.split_at_mut(half);
                for (a, b) in clear.iter_mut().zip(set) {
                    (*a, *b) = (zero * *a + one * *b, one * *a + zero * *b);
                }
            }
        }
        ln_unit
    }

    /// Returns `G`, by check, in units of what [`FreeField::sum_up`] returned.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Returns the likeliest value in a frame whose check would be `base` with 0 in its place, and the probability that it is not one of `some`.
    pub fn likeliest(
        &self,
        field: &SoftBits,
        check: &SoftBits,
        base: u16,
        some: impl Fn(u16) -> bool,
    ) -> (u16, f64) {
        let (values, checks) = (bytes(field), bytes(check));
        let of = |bytes: &[[f64; 256]; 2], value: u16| {
            let [high, low] = value.to_be_bytes();
            bytes[0][usize::from(high)] + bytes[1][usize::from(low)]
        };
        let mut best = (0, f64::NEG_INFINITY);
        let [mut all, mut others] = [LogSum::EMPTY; 2];
        for ((prior, share), value) in self.prior.iter().zip(&self.shares).zip(0..=u16::MAX) {
            let ln = prior.ln() + of(&values, value) + of(&checks, base ^ share);
            all.add(ln);
            if ln > best.1 {
                best = (value, ln);
            }
            if !some(value) {
                others.add(ln);
            }
        }
        (best.0, (others.ln() - all.ln()).exp())
    }
}

/// Returns the log-likelihood of each value of the first and the last eight bits.
fn bytes(bits: &SoftBits) -> [[f64; 256]; 2] {
    [0, 8].map(|first| byte(|bit| bits[first + bit]))
}

/// Returns the log-likelihood of each value of a byte, of whose bits `soft` returns those of a 1 and of a 0, the most significant first.
pub(super) fn byte(soft: impl Fn(usize) -> [f32; 2]) -> [f64; 256] {
    let mut table = [0.0; 256];
    table[0] = (0..8).map(|bit| f64::from(soft(bit)[1])).sum();
    for bit in 0..8 {
        let [one, zero] = soft(7 - bit);
        let set = 1 << bit;
        for value in 0..set {
            table[set | value] = table[value] + f64::from(one - zero);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::fec::encode;
    use crate::synth::Random;

    /// Reference: every value of the field, with the check that the encoder makes of it.
    #[test]
    fn the_sum_over_all_values_is_that_of_their_frames() {
        let mut random = Random::new(7);
        let mut soft =
            || -> SoftBits { std::array::from_fn(|_| [0; 2].map(|_: u8| random.uniform(-2.0, 2.0) as f32)) };
        let (field, check) = (soft(), soft());
        let mut free = FreeField::new(0);
        free.prior
            .iter_mut()
            .enumerate()
            .for_each(|(value, prior)| *prior = 1.0 / (1.0 + value as f64));
        let ln_unit = free.sum_up(&field, &check);
        let mut frame = [0; 16];
        encode(Protocol::ScmPlus, &mut frame);
        let base = u16::from_be_bytes([frame[14], frame[15]]);
        let ln = |bits: &SoftBits, value: u16| -> f64 {
            let bit = |(i, bit): (usize, &[f32; 2])| f64::from(bit[usize::from(value >> (15 - i) & 1 == 0)]);
            bits.iter().enumerate().map(bit).sum()
        };
        let mut best = (0, f64::NEG_INFINITY);
        let sum: f64 = (0..=u16::MAX)
            .map(|value| {
                frame[12..14].copy_from_slice(&value.to_be_bytes());
                encode(Protocol::ScmPlus, &mut frame);
                let sent = u16::from_be_bytes([frame[14], frame[15]]);
                let ln = free.prior[usize::from(value)].ln() + ln(&field, value) + ln(&check, sent);
                if ln > best.1 {
                    best = (value, ln);
                }
                ln.exp()
            })
            .sum();
        let fast = free.sums()[usize::from(base)].ln() + ln_unit;
        assert!((fast - sum.ln()).abs() < 1e-3, "{fast} {}", sum.ln());
        let (value, doubt) = free.likeliest(&field, &check, base, |value| value == best.0);
        assert_eq!(value, best.0);
        assert!((doubt - (1.0 - best.1.exp() / sum)).abs() < 1e-3, "{doubt}");
    }
}
