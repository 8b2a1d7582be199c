//! Theoretical limits: the share of frames decoded at best in noise alone, with matched chips and known timing.
//!
//! With E = energy of an ON chip over noise density = SNR · window / chip rate, a Manchester bit is wrong with
//! probability `Q(√E)` where the phase is known and `exp(-E/2) / 2` where it is not (Proakis, Digital
//! Communications, orthogonal signalling). A frame of n such bits passes with at most k wrong ones with the
//! binomial probability. Wide-band squaring adds all noise of the window to each chip: with N samples a chip
//! the difference of two energies is Gaussian with mean `N s` and variance `2 N (1 + s)`, s = SNR.

use crate::trial::WINDOW_HZ;
use metertap_dsp::CHIP_RATE_HZ;

const CHIP_SAMPLES: f64 = WINDOW_HZ / CHIP_RATE_HZ;

/// Returns the bit error rate at an SNR in dB with the carrier phase known.
pub fn coherent(snr_db: f64) -> f64 {
    q((power(snr_db) * CHIP_SAMPLES).sqrt())
}

/// Returns the bit error rate with matched filters but unknown phase.
pub fn phase_unknown(snr_db: f64) -> f64 {
    (-power(snr_db) * CHIP_SAMPLES / 2.0).exp() / 2.0
}

/// Returns the bit error rate of a receiver that squares the magnitude of the whole window.
pub fn squaring(snr_db: f64) -> f64 {
    let s = power(snr_db);
    q((CHIP_SAMPLES * s * s / (2.0 * (1.0 + s))).sqrt())
}

/// Returns the share of frames of `bits` with at most `corrected` wrong ones.
pub fn frames(bit_error: f64, bits: u32, corrected: u32) -> f64 {
    (0..=corrected)
        .map(|k| {
            let ways = (0..k).fold(1.0, |ways, i| ways * f64::from(bits - i) / f64::from(i + 1));
            ways * bit_error.powi(k as i32) * (1.0 - bit_error).powi((bits - k) as i32)
        })
        .sum()
}

/// Returns the share of R900 frames with at most `corrected` wrong symbols, by the union bound over the digits: two of the six
/// words of four chips differ by moving one ON chip (four of them) or both.
pub fn r900_frames(bit_error: fn(f64) -> f64, snr_db: f64, corrected: u32) -> f64 {
    const TWICE_DB: f64 = 3.01;
    let digit = (4.0 * bit_error(snr_db) + bit_error(snr_db + TWICE_DB)).min(1.0);
    let symbol = 1.0 - (1.0 - digit).powi(2);
    frames(symbol, 21, corrected)
}

/// Returns the share of frames in which the right one of `words` equally likely code words is the likeliest, by the union bound: they
/// differ in `bits` as random words do, but in `least` at least.
pub fn known(bit_error: fn(f64) -> f64, snr_db: f64, (words, bits, least): (f64, u32, u32)) -> f64 {
    let wrong: f64 = (least..=bits)
        .map(|d| {
            let ways = (0..d).fold(1.0, |ways, i| ways * f64::from(bits - i) / f64::from(i + 1));
            let distance_db = 10.0 * f64::from(d).log10();
            words * ways / 2f64.powi(bits as i32) * bit_error(snr_db + distance_db)
        })
        .sum();
    (1.0 - wrong).max(0.0)
}

fn power(db: f64) -> f64 {
    10f64.powf(db / 10.0)
}

/// Returns the tail of the normal distribution, by Craig's integral (1991): `1/π ∫ exp(-x² / 2 sin²θ) dθ` over 0..π/2.
pub fn q(x: f64) -> f64 {
    const STEPS: u32 = 200;
    let step = std::f64::consts::FRAC_PI_2 / f64::from(STEPS);
    let value = |i: u32| {
        let sin = ((f64::from(i) + 0.5) * step).sin();
        (-x * x / (2.0 * sin * sin)).exp()
    };
    (0..STEPS).map(value).sum::<f64>() * step / std::f64::consts::PI
}
