//! What is known of the chips of a frame before it is received.

/// Chips known less certainly than this are not searched for.
const UNCERTAIN: f32 = 0.1;
/// Chips that are searched for, at most: so many of an IDM stand seven standard deviations above noise at -18.5 dB.
const MOST_KNOWN: usize = 192;

/// Chips of a frame, as far as they are known.
#[derive(Debug)]
pub(crate) struct Template {
    /// Probability of ON less ½ of each chip.
    pub weights: Vec<f32>,
    /// Chips that are searched for, with their weights: first those that begin a Manchester bit, whose second chip has the opposite
    /// weight.
    pub known: Vec<(u16, f32)>,
    /// Number of those bits.
    pub known_bits: usize,
    /// Standard deviation of the sum of their energies in noise.
    pub sigma: f32,
}

impl Template {
    /// The first `manchester` of the chips are those of Manchester bits.
    pub fn new(weights: Vec<f32>, manchester: usize) -> Self {
        let all = weights.iter().enumerate().map(|(i, &w)| (i as u16, w));
        let is_known = |(_, w): &(u16, f32)| w.abs() > UNCERTAIN;
        let bits = all.clone().take(manchester).step_by(2).filter(is_known);
        let mut known = most_certain(bits.collect());
        let known_bits = known.len();
        let chips: Vec<_> = all.skip(manchester).filter(is_known).collect();
        known.extend(chips);
        let squares = |known: &[(u16, f32)]| known.iter().map(|(_, w)| w * w).sum::<f32>();
        let sigma = (2.0 * squares(&known[..known_bits]) + squares(&known[known_bits..])).sqrt();
        Template {
            weights,
            known,
            known_bits,
            sigma,
        }
    }
}

/// Returns the [`MOST_KNOWN`] of `bits` that are the most certain, in order.
fn most_certain(mut bits: Vec<(u16, f32)>) -> Vec<(u16, f32)> {
    bits.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    bits.truncate(MOST_KNOWN);
    bits.sort_by_key(|bit| bit.0);
    bits
}
