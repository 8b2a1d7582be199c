//! One soft-decision corrector for every code here, and the estimate of how far to believe it.
//!
//! A demodulator gives, for every decision, the log-likelihood it would cost to decide otherwise. The check
//! gives a syndrome. Among the error patterns that explain the syndrome the cheapest is the likeliest, and
//! its probability *before* the check was looked at is
//!
//! ```text
//! P(e) = Π over groups 1 / (1 + Σ exp(-cost of each alternative))  ·  Π over flips exp(-cost)
//! ```
//!
//! A wrong word gets through in one of two ways: another pattern that we met explains the syndrome as well,
//! or one that we did not look at does, which happens to a fraction 2^-c of all the probability that is left
//! (c = bits of the check). So, by Bayes,
//!
//! ```text
//! doubt = rest / (P(e) + rest),   rest = P(second best) + 2^-c · (1 - P(e))
//! ```
//!
//! The same formula covers a clean check (no flips: P(e) is the probability that nothing was wrong), a
//! corrected one, and noise, whose decisions are all coin tosses: P(e) of 75 coin tosses is 2^-75, and the
//! doubt is 1.

/// The greatest number of decisions changed in one frame.
pub const MAX_FLIPS: usize = 3;
/// Pairs are sought among this many of the least reliable alternatives.
const PAIRS_AMONG: usize = 64;
/// Triples are sought among this many.
const TRIPLES_AMONG: usize = 28;

/// One way to decide otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// Which decision: two flips of one group exclude each other.
    pub group: u16,
    /// What is XORed into the decision (1 for a bit).
    pub change: u8,
    /// How much less likely this is, in nats; never negative.
    pub cost: f32,
    /// What it adds to the syndrome.
    pub syndrome: u32,
}

/// The likeliest word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    flips: [Flip; MAX_FLIPS],
    len: usize,
    /// Estimated probability that this is not the word that was sent.
    pub doubt: f32,
}

impl Correction {
    /// What to change; empty when the check was clean.
    pub fn flips(&self) -> &[Flip] {
        &self.flips[..self.len]
    }
}

/// Finds the likeliest pattern of at most `max_flips` (≤ [`MAX_FLIPS`]) flips that explains `syndrome`.
///
/// `flips` holds every alternative in any order and is sorted by cost on return; alternatives of one group are
/// weighed against each other. `check_bits` is the width of the check. `None` when no pattern explains it.
pub fn correct(syndrome: u32, check_bits: i32, max_flips: usize, flips: &mut [Flip]) -> Option<Correction> {
    let ln_clean = ln_nothing_wrong(flips);
    let mut best = Best::new();
    if syndrome == 0 {
        best.offer(0.0, &[]);
    } else {
        flips.sort_unstable_by(|a, b| a.cost.total_cmp(&b.cost));
        search(syndrome, max_flips, flips, &mut best);
    }
    if best.cost == f32::INFINITY {
        return None;
    }
    let p = f64::from(ln_clean - best.cost).exp();
    let second = f64::from(ln_clean - best.second).exp();
    let rest = second + 2f64.powi(-check_bits) * (1.0 - p);
    Some(Correction {
        flips: best.flips,
        len: best.len,
        // Where even the best explanation underflows nothing can be believed.
        doubt: if p + rest > 0.0 { rest / (p + rest) } else { 1.0 } as f32,
    })
}

/// Log-probability that every decision is right. Consecutive flips of one group are one decision.
fn ln_nothing_wrong(flips: &[Flip]) -> f32 {
    let mut ln = 0.0f64;
    for group in flips.chunk_by(|a, b| a.group == b.group) {
        let others: f64 = group.iter().map(|f| f64::from(-f.cost).exp()).sum();
        ln -= others.ln_1p();
    }
    ln as f32
}

/// Singles among all, pairs and triples among the least reliable. `flips` is sorted by cost.
fn search(syndrome: u32, max_flips: usize, flips: &[Flip], best: &mut Best) {
    for &a in flips {
        if a.syndrome == syndrome {
            best.offer(a.cost, &[a]);
        }
    }
    let among = if max_flips >= 2 { PAIRS_AMONG } else { 0 };
    for (i, &a) in flips.iter().take(among).enumerate() {
        for &b in &flips[..i] {
            if a.syndrome ^ b.syndrome == syndrome && a.group != b.group {
                best.offer(a.cost + b.cost, &[a, b]);
            }
        }
    }
    let among = if max_flips >= 3 { TRIPLES_AMONG } else { 0 };
    for (i, &a) in flips.iter().take(among).enumerate() {
        for (j, &b) in flips[..i].iter().enumerate() {
            let want = syndrome ^ a.syndrome ^ b.syndrome;
            for &c in &flips[..j] {
                if c.syndrome == want && distinct(a, b, c) {
                    best.offer(a.cost + b.cost + c.cost, &[a, b, c]);
                }
            }
        }
    }
}

fn distinct(a: Flip, b: Flip, c: Flip) -> bool {
    a.group != b.group && b.group != c.group && a.group != c.group
}

/// The cheapest pattern so far and the cost of the runner-up.
struct Best {
    cost: f32,
    second: f32,
    flips: [Flip; MAX_FLIPS],
    len: usize,
}

impl Best {
    fn new() -> Self {
        let none = Flip {
            group: 0,
            change: 0,
            cost: 0.0,
            syndrome: 0,
        };
        Best {
            cost: f32::INFINITY,
            second: f32::INFINITY,
            flips: [none; MAX_FLIPS],
            len: 0,
        }
    }

    fn offer(&mut self, cost: f32, flips: &[Flip]) {
        if cost >= self.cost {
            self.second = self.second.min(cost);
            return;
        }
        self.second = self.cost;
        self.cost = cost;
        self.flips[..flips.len()].copy_from_slice(flips);
        self.len = flips.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::crc;
    use proptest::prelude::*;

    /// 80 bits of SCM under `crc::SCM`, all equally reliable but those listed.
    fn scm_flips(sure: f32, unsure: &[(usize, f32)]) -> Vec<Flip> {
        (0..80)
            .map(|i| Flip {
                group: i as u16,
                change: 1,
                cost: unsure
                    .iter()
                    .find(|(at, _)| *at == i)
                    .map_or(sure, |&(_, cost)| cost),
                syndrome: u32::from(crc::SCM.column(79 - i)),
            })
            .collect()
    }

    #[test]
    fn given_a_clean_check_of_sure_bits_then_there_is_next_to_no_doubt() {
        let found = correct(0, 16, 2, &mut scm_flips(20.0, &[])).unwrap();
        assert!(found.flips().is_empty());
        assert!(found.doubt < 1e-9, "{}", found.doubt);
    }

    #[test]
    fn given_coin_tosses_then_even_a_clean_check_is_not_believed() {
        let found = correct(0, 16, 2, &mut scm_flips(0.01, &[])).unwrap();
        assert!(found.doubt > 0.999, "{}", found.doubt);
    }

    proptest! {
        #[test]
        fn given_unreliable_bits_were_wrong_then_they_are_found(
            bits in prop::collection::btree_set(0usize..80, 1..=3), costs in prop::array::uniform3(0.1f32..1.5),
        ) {
            let wrong: Vec<(usize, f32)> = bits.into_iter().zip(costs).collect();
            let syndrome = wrong.iter().fold(0, |s, &(i, _)| s ^ u32::from(crc::SCM.column(79 - i)));
            let found = correct(syndrome, 16, 3, &mut scm_flips(12.0, &wrong)).unwrap();
            let mut groups: Vec<usize> = found.flips().iter().map(|f| f.group.into()).collect();
            groups.sort_unstable();
            prop_assert_eq!(groups, wrong.iter().map(|w| w.0).collect::<Vec<_>>());
            prop_assert!(found.doubt < 0.01);
        }

        #[test]
        fn given_fewer_flips_allowed_then_no_more_are_made(syndrome in 1u32..65536) {
            if let Some(found) = correct(syndrome, 16, 1, &mut scm_flips(1.0, &[])) {
                prop_assert_eq!(found.flips().len(), 1);
            }
        }
    }
}
