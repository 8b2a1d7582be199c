//! Noise that log-likelihood ratios should assume.

/// Factor of all log-likelihood ratios: amplitude and noise are estimated, and their errors make the ratios of a frame near threshold
/// vary more than their mean allows.
const CAUTION: f32 = 1.0;
/// Weight of the noise around a carrier over a longer time, in measurements of one bit.
const AROUND_WEIGHT: f32 = 500.0;
/// Noise over that of a longer time which is not chance: three standard deviations over 96 bits.
const INTERFERENCE: f32 = 1.5;

/// Returns the factor of log-likelihood ratios that assume the noise measured in their frame.
pub(super) fn scale(soft: &[f32], noise: f32, noise_around: f32) -> f32 {
    CAUTION * noise / likely_noise(noise, noise_around, soft.len())
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
