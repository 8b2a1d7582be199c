//! Log-likelihoods of the bits of an IDM.

use super::free_field::{SoftBits, byte};
use super::log_sum::ln_mean;
use std::ops::Range;

/// Bits of a frame.
pub(super) const BITS: usize = 736;

/// Log-likelihood of a 1 and of a 0, bit by bit, against silence.
pub(super) struct IdmBits {
    pub ones: Vec<f32>,
    pub zeros: Vec<f32>,
}

impl IdmBits {
    pub fn new() -> Self {
        IdmBits {
            ones: Vec::with_capacity(BITS),
            zeros: Vec::with_capacity(BITS),
        }
    }

    /// Takes soft chips, times `scale`. Returns whether they are those of an IDM.
    pub fn fill(&mut self, soft: &[f32], scale: f32) -> bool {
        self.ones.clear();
        self.zeros.clear();
        let is_whole = soft.len() == 2 * BITS;
        for pair in soft.chunks_exact(2).take(BITS) {
            self.ones.push(scale * pair[0]);
            self.zeros.push(scale * pair[1]);
        }
        is_whole
    }

    /// Counts the bits of `frame` that would have been decided otherwise alone.
    pub fn corrected(&self, frame: &[u8; 92]) -> u8 {
        let is_other = |bit: &usize| (self.ones[*bit] > self.zeros[*bit]) != is_one(frame, *bit);
        (0..BITS).filter(is_other).count().min(255) as u8
    }

    /// Log-likelihood of the bits of `frame` in `range`.
    pub fn of(&self, frame: &[u8; 92], range: Range<usize>) -> f64 {
        let bit = |bit: usize| {
            f64::from(if is_one(frame, bit) {
                self.ones[bit]
            } else {
                self.zeros[bit]
            })
        };
        range.map(bit).sum()
    }

    /// Log-likelihoods of the 16 bits from the first one of `range` on.
    pub fn soft(&self, range: Range<usize>) -> SoftBits {
        std::array::from_fn(|i| [self.ones[range.start + i], self.zeros[range.start + i]])
    }

    /// Log-likelihood of each value of the byte that begins at bit `first`.
    pub fn byte(&self, first: usize) -> [f64; 256] {
        byte(|bit| [self.ones[first + bit], self.zeros[first + bit]])
    }

    /// Log-likelihood of any bits in `range`, on average.
    pub fn any(&self, range: Range<usize>) -> f64 {
        range.map(|bit| ln_mean(self.ones[bit], self.zeros[bit])).sum()
    }
}

fn is_one(frame: &[u8; 92], bit: usize) -> bool {
    frame[bit / 8] >> (7 - bit % 8) & 1 == 1
}
