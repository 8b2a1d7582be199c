//! Soft-decision correction for every code here, with an estimate of the probability of error.
//!
//! A demodulator gives, for every decision, the log-likelihood it would cost to decide otherwise. The check
//! gives a syndrome. Among the error patterns that explain the syndrome the cheapest is the likeliest, and
//! its probability *before* the check was looked at is
//!
//! ```text
//! P(e) = Π over groups 1 / (1 + Σ exp(-cost of each alternative))  ·  Π over flips exp(-cost)
//! ```
//!
//! A wrong word gets through in one of two ways. Another pattern that we looked at explains the syndrome as
//! well. Or one that we did not look at does: it differs from ours by a code word, so in at least d places
//! (d = distance of the code), and of all such patterns a fraction 2^-c explains the syndrome (c = bits of
//! the check). So, by Bayes,
//!
//! ```text
//! error probability = rest / (P(e) + rest)
//! rest = P(others that explain it) + 2^-c · min(P(at least d decisions differ from e), P(not looked at))
//! ```
//!
//! (A generator with the factor x + 1 allows only even differences: then both probabilities are those of
//! patterns of the same parity as e.)
//!
//! There may be no frame at all: the middle of another frame, or any keyed signal, may look like a preamble, and
//! its bits pass the check as random words do. `no_frame`, the odds of that against a frame before the check is
//! looked at, is therefore added to the rest, times 2^-c.
//!
//! The same formula covers a clean check (no flips: P(e) is the probability that nothing was wrong), a
//! corrected one, and noise, whose decisions are all coin tosses: P(e) of 75 coin tosses is 2^-75, and the
//! error probability is 1. That the estimate holds is measured by `make sensitivity`, which counts wrong words.

/// The greatest number of decisions changed in one frame.
pub const MAX_FLIPS: usize = 3;
/// Pairs are sought among this many of the least reliable alternatives.
const PAIRS_AMONG: usize = 64;
/// Triples are sought among this many.
const TRIPLES_AMONG: usize = 28;

/// One way to decide otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flip {
    /// Number of the decision; two flips of one group exclude each other.
    pub group: u16,
    /// Value XORed into the decision (1 for a bit).
    pub change: u8,
    /// Log-likelihood lost by this flip, in nats; never negative.
    pub cost: f32,
    /// Value XORed into the syndrome.
    pub syndrome: u32,
}

/// The likeliest word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    flips: [Flip; MAX_FLIPS],
    len: usize,
    /// Estimated probability that this is not the word that was sent.
    pub error_probability: f32,
}

impl Correction {
    /// Returns the decisions to change; empty if the check was clean.
    pub fn flips(&self) -> &[Flip] {
        &self.flips[..self.len]
    }
}

/// Properties of a code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Code {
    /// A fraction 2^-bits of the patterns that the code could take for its own explains a syndrome.
    pub bits: f64,
    /// Two code words differ in at least this many decisions.
    pub distance: usize,
    /// Two code words differ in an even number of decisions, and no other.
    pub even: bool,
}

/// Distances are at most this.
const MAX_DISTANCE: usize = 6;
/// Log-probability (nats) of the likeliest word below which there is no point in searching: more than a dozen
/// errors are to be expected, and at most three can be found.
const HOPELESS: f32 = -16.0;

/// Finds the likeliest pattern of at most `max_flips` (≤ [`MAX_FLIPS`]) flips that explains `syndrome`.
///
/// `no_frame` says how much likelier than a frame it is, but for the check, that there is none.
/// `flips` holds every alternative, those of one group together. `None` when no pattern explains the syndrome.
pub fn correct(
    syndrome: u32,
    code: Code,
    no_frame: f64,
    max_flips: usize,
    flips: &[Flip],
) -> Option<Correction> {
    let (ln_clean, parity) = nothing_wrong(flips);
    if ln_clean < HOPELESS || no_frame > code.bits.exp2() {
        return None;
    }
    let clean = f64::from(ln_clean).exp();
    let mut best = Best::new();
    let mut unseen = 1.0;
    if syndrome == 0 {
        best.offer(0.0, &[]);
    } else {
        let looked_at = search(syndrome, max_flips, flips, &mut best);
        if best.cost == f32::INFINITY {
            return None;
        }
        unseen = match (code.even, best.len % 2) {
            (false, _) => 1.0 - clean * (looked_at[0] + looked_at[1]),
            (true, 0) => (1.0 + parity) / 2.0 - clean * looked_at[0],
            (true, _) => (1.0 - parity) / 2.0 - clean * looked_at[1],
        };
    }
    let far = far_from(flips, &best.flips[..best.len], code);
    let p = f64::from(ln_clean - best.cost).exp();
    let rest = clean * best.others + (-code.bits).exp2() * (far.min(unseen).max(0.0) + no_frame);
    Some(Correction {
        flips: best.flips,
        len: best.len,
        // Where even the best explanation underflows nothing can be believed.
        error_probability: if p + rest > 0.0 { rest / (p + rest) } else { 1.0 } as f32,
    })
}

/// Returns the probability that the word that was sent differs from ours, `chosen`, as a code word does: in at least
/// the distance, and evenly where that is so. `flips` is sorted by group.
fn far_from(flips: &[Flip], chosen: &[Flip], code: Code) -> f64 {
    let distance = code.distance.min(MAX_DISTANCE);
    // The distribution of the number of differences, up to the distance, and the mean of (-1)^number.
    let mut exactly = [0.0; MAX_DISTANCE];
    exactly[0] = 1.0;
    let mut parity = 1.0;
    for group in flips.chunk_by(|a, b| a.group == b.group) {
        let weight = |flip: &Flip| f64::from(weight(flip));
        let all = 1.0 + group.iter().map(weight).sum::<f64>();
        let ours = chosen.iter().find(|flip| flip.group == group[0].group);
        let differs = 1.0 - ours.map_or(1.0, weight) / all;
        for i in (0..distance).rev() {
            let one_less = if i > 0 { exactly[i - 1] } else { 0.0 };
            exactly[i] = exactly[i] * (1.0 - differs) + one_less * differs;
        }
        parity *= 1.0 - 2.0 * differs;
    }
    if code.even {
        (1.0 + parity) / 2.0 - exactly[..distance].iter().step_by(2).sum::<f64>()
    } else {
        1.0 - exactly[..distance].iter().sum::<f64>()
    }
}

/// Returns the log-probability that every decision is right, and the mean of (-1)^(number of wrong ones). Consecutive
/// flips of one group are one decision.
fn nothing_wrong(flips: &[Flip]) -> (f32, f64) {
    let (mut ln, mut parity) = (0.0, 1.0);
    for group in flips.chunk_by(|a, b| a.group == b.group) {
        let others: f64 = group.iter().map(|flip| f64::from(weight(flip))).sum();
        ln -= others.ln_1p();
        parity *= (1.0 - others) / (1.0 + others);
    }
    (ln as f32, parity)
}

/// Tries singles among all, pairs and triples among the least reliable alternatives. Returns the probability of all
/// patterns tried, of even and of odd number, in units of that of no flips at all.
fn search(syndrome: u32, max_flips: usize, flips: &[Flip], best: &mut Best) -> [f64; 2] {
    let mut looked_at = [1.0, 0.0];
    if max_flips == 0 {
        return looked_at;
    }
    for &a in flips {
        looked_at[1] += f64::from(weight(&a));
        if a.syndrome == syndrome {
            best.offer(a.cost, &[a]);
        }
    }
    let mut cheapest = [Flip::default(); PAIRS_AMONG];
    let flips = least_reliable(flips, &mut cheapest);
    let mut weights = [0.0f32; PAIRS_AMONG];
    for (weight_of, flip) in weights.iter_mut().zip(flips) {
        *weight_of = weight(flip);
    }
    let among = |limit: usize, needs: usize| {
        if max_flips >= needs {
            limit.min(flips.len())
        } else {
            0
        }
    };
    for (i, &a) in flips[..among(PAIRS_AMONG, 2)].iter().enumerate() {
        let mut partners = 0.0;
        for (&b, weight) in flips[..i].iter().zip(&weights) {
            if a.group == b.group {
                continue;
            }
            partners += weight;
            if a.syndrome ^ b.syndrome == syndrome {
                best.offer(a.cost + b.cost, &[a, b]);
            }
        }
        looked_at[0] += f64::from(weights[i] * partners);
    }
    for (i, &a) in flips[..among(TRIPLES_AMONG, 3)].iter().enumerate() {
        for (j, &b) in flips[..i].iter().enumerate() {
            let want = syndrome ^ a.syndrome ^ b.syndrome;
            let mut partners = 0.0;
            for (&c, weight) in flips[..j].iter().zip(&weights) {
                if !distinct(a, b, c) {
                    continue;
                }
                partners += weight;
                if c.syndrome == want {
                    best.offer(a.cost + b.cost + c.cost, &[a, b, c]);
                }
            }
            looked_at[1] += f64::from(weights[i] * weights[j] * partners);
        }
    }
    looked_at
}

/// Collects the cheapest of `flips`, in order of cost, into `cheapest`.
fn least_reliable<'a>(flips: &[Flip], cheapest: &'a mut [Flip; PAIRS_AMONG]) -> &'a [Flip] {
    let mut len = 0;
    for &flip in flips {
        if len == PAIRS_AMONG && flip.cost >= cheapest[len - 1].cost {
            continue;
        }
        let mut at = len.min(PAIRS_AMONG - 1);
        while at > 0 && cheapest[at - 1].cost > flip.cost {
            cheapest[at] = cheapest[at - 1];
            at -= 1;
        }
        cheapest[at] = flip;
        len = (len + 1).min(PAIRS_AMONG);
    }
    &cheapest[..len]
}

/// Returns the odds of a flip against none.
fn weight(flip: &Flip) -> f32 {
    (-flip.cost).exp()
}

fn distinct(a: Flip, b: Flip, c: Flip) -> bool {
    a.group != b.group && b.group != c.group && a.group != c.group
}

/// The cheapest pattern so far, and the probability of all others that explain the syndrome, in units of
/// that of no flips.
struct Best {
    cost: f32,
    others: f64,
    flips: [Flip; MAX_FLIPS],
    len: usize,
}

impl Best {
    fn new() -> Self {
        Best {
            cost: f32::INFINITY,
            others: 0.0,
            flips: [Flip::default(); MAX_FLIPS],
            len: 0,
        }
    }

    fn offer(&mut self, cost: f32, flips: &[Flip]) {
        self.others += f64::from(-cost.max(self.cost)).exp();
        if cost < self.cost {
            self.cost = cost;
            self.flips[..flips.len()].copy_from_slice(flips);
            self.len = flips.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::crc;
    use proptest::prelude::*;

    const BCH: Code = Code {
        bits: 16.0,
        distance: 5,
        even: false,
    };

    /// 21 known bits, all received right, and a frame at one of 10 000 places.
    const NO_FRAME: f64 = 5e-3;

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
    fn given_a_clean_check_of_sure_bits_then_an_error_is_next_to_impossible() {
        let found = correct(0, BCH, NO_FRAME, 2, &scm_flips(20.0, &[])).unwrap();
        assert!(found.flips().is_empty());
        assert!(found.error_probability < 1e-6, "{}", found.error_probability);
    }

    #[test]
    fn given_no_sign_of_a_frame_then_a_clean_check_is_not_believed() {
        assert_eq!(correct(0, BCH, 1e9, 2, &scm_flips(20.0, &[])), None);
    }

    #[test]
    fn given_coin_tosses_then_even_a_clean_check_is_not_believed() {
        assert_eq!(correct(0, BCH, NO_FRAME, 2, &scm_flips(0.01, &[])), None);
    }

    proptest! {
        #[test]
        fn given_unreliable_bits_were_wrong_then_they_are_found(
            bits in prop::collection::btree_set(0usize..80, 1..=3), costs in prop::array::uniform3(0.1f32..1.5),
        ) {
            let wrong: Vec<(usize, f32)> = bits.into_iter().zip(costs).collect();
            let syndrome = wrong.iter().fold(0, |s, &(i, _)| s ^ u32::from(crc::SCM.column(79 - i)));
            let found = correct(syndrome, BCH, NO_FRAME, 3, &scm_flips(12.0, &wrong)).unwrap();
            let mut groups: Vec<usize> = found.flips().iter().map(|f| f.group.into()).collect();
            groups.sort_unstable();
            prop_assert_eq!(groups, wrong.iter().map(|w| w.0).collect::<Vec<_>>());
            prop_assert!(found.error_probability < 0.01);
        }

        #[test]
        fn given_fewer_flips_allowed_then_no_more_are_made(syndrome in 1u32..65536, allowed in 0usize..3) {
            if let Some(found) = correct(syndrome, BCH, NO_FRAME, allowed, &scm_flips(1.0, &[])) {
                prop_assert!(found.flips().len() <= allowed);
            }
        }
    }
}
