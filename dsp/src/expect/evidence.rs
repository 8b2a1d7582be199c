//! What a frame that could not be accepted says about the words of its meter.

use crate::Packet;

/// Frames of one segment that say something.
pub(crate) const MAX_EVIDENCE: usize = 4;
/// Words of which the likelihood is kept, the likeliest; all others count as the last of them.
const KEPT: usize = 128;

/// Likelihoods of the words of one meter in one frame.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// Number that [`super::Words`] or [`super::IdmWords`] had.
    pub revision: u64,
    /// The frame as the likeliest word, and the number of that.
    pub packet: Packet,
    pub word: u16,
    /// Probability that it is none of the words.
    pub other_doubt: f64,
    /// Numbers of words with their log-likelihood over that of the likeliest one, in this order.
    words: [(u16, f32); KEPT],
    len: usize,
}

impl Evidence {
    /// `likelihoods` are logarithms, by word. `None` if there are none.
    pub fn new(
        revision: u64,
        (packet, word): (Packet, u16),
        other_doubt: f64,
        likelihoods: &[f32],
    ) -> Option<Self> {
        let mut words = [(0, f32::NEG_INFINITY); KEPT];
        let mut len = 0;
        for (i, &ln) in (0..=u16::MAX).zip(likelihoods) {
            if len == KEPT && ln <= words[KEPT - 1].1 || ln == f32::NEG_INFINITY {
                continue;
            }
            let at = words[..len].partition_point(|&(_, other)| other >= ln);
            len = (len + 1).min(KEPT);
            words.copy_within(at..len - 1, at + 1);
            words[at] = (i, ln);
        }
        let top = words[..len].first()?.1;
        words[..len].iter_mut().for_each(|(_, ln)| *ln -= top);
        Some(Evidence {
            revision,
            packet,
            word,
            other_doubt,
            words,
            len,
        })
    }

    /// Words kept, with their likelihood over that of the likeliest one.
    pub fn words(&self) -> impl Iterator<Item = (usize, f64)> {
        self.words[..self.len]
            .iter()
            .map(|&(word, ln)| (word.into(), f64::from(ln).exp()))
    }

    /// Likelihood of every other word, at most.
    pub fn rest(&self) -> f64 {
        if self.len < KEPT {
            0.0
        } else {
            f64::from(self.words[KEPT - 1].1).exp()
        }
    }
}
