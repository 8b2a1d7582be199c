//! Another modulator and another dongle than those of `dsp::synth`, with which nothing was tuned.
//!
//! Edges are raised cosines and jitter, the carrier is pulled when the transmitter starts, drifts and has phase noise; the receiver has a
//! filter that droops towards the edges of the band, unequal I and Q, an offset and a spur.

use metertap_dsp::Complex32;
use metertap_dsp::synth::{Random, Transmission};
use std::f64::consts::{PI, TAU};

/// Length of an edge, and its jitter (standard deviation).
const EDGE_S: f64 = 6e-6;
const JITTER_S: f64 = 0.4e-6;
/// Frequency by which a carrier starts too high, and how fast that decays.
const PULL_HZ: f64 = 200.0;
const PULL_S: f64 = 2e-3;
const DRIFT_HZ_PER_S: f64 = 5e3;
/// Random walk of the phase.
const WANDER_RAD_PER_SQRT_S: f64 = 3.0;
/// Filter of the dongle: -3 dB at ±0.42 of the sample rate.
const FILTER: [f32; 2] = [0.84, 0.08];
/// Gain of I over Q, and what of I leaks into Q (0.5 dB and 2°).
const IMBALANCE: [f32; 2] = [1.06, 0.035];
/// Amplitude of a spur over that of the noise, and its frequency in cycles per sample.
const SPUR: (f32, f64) = (0.3, 0.111);

/// Renders `transmissions` in noise of power 1.
pub fn render(
    transmissions: &[Transmission],
    rate_hz: f64,
    samples: usize,
    random: &mut Random,
) -> Vec<Complex32> {
    let mut air: Vec<Complex32> = (0..samples).map(|_| random.gaussian()).collect();
    for transmission in transmissions {
        add(transmission, rate_hz, random, &mut air);
    }
    let at = |i: usize| air.get(i).copied().unwrap_or_default();
    (0..samples)
        .map(|i| {
            let filtered = at(i) * FILTER[0] + (at(i.wrapping_sub(1)) + at(i + 1)) * FILTER[1];
            let spur = Complex32::from_polar(SPUR.0, (TAU * (SPUR.1 * i as f64).fract()) as f32);
            let sum = filtered + spur;
            Complex32::new(sum.re * IMBALANCE[0], sum.im + sum.re * IMBALANCE[1])
        })
        .collect()
}

fn add(sent: &Transmission, rate_hz: f64, random: &mut Random, air: &mut [Complex32]) {
    let chip_s = (sent.end_s() - sent.start_s) / sent.chips.len() as f64;
    let is_on = |chip: usize| f64::from(u8::from(sent.chips.get(chip).copied().unwrap_or(false)));
    let before = |edge: usize| edge.checked_sub(1).map_or(0.0, is_on);
    let jitter_s: Vec<f64> = (0..=sent.chips.len())
        .map(|_| f64::from(random.gaussian().re) * JITTER_S * std::f64::consts::SQRT_2)
        .collect();
    let amplitude = 10f64.powf(sent.snr_db / 20.0);
    let first = ((sent.start_s - EDGE_S) * rate_hz).max(0.0) as usize;
    let last = ((sent.end_s() + EDGE_S) * rate_hz) as usize;
    let mut phase = sent.phase_rad;
    for (i, sample) in air.iter_mut().enumerate().take(last).skip(first) {
        let since_s = i as f64 / rate_hz - sent.start_s;
        let edge = (since_s / chip_s).round().clamp(0.0, sent.chips.len() as f64) as usize;
        let late_s = since_s - edge as f64 * chip_s - jitter_s[edge];
        let share = (late_s / EDGE_S).clamp(-0.5, 0.5);
        let on = before(edge) + (is_on(edge) - before(edge)) * (0.5 + 0.5 * (PI * share).sin());
        let pull_hz = PULL_HZ * (-since_s.max(0.0) / PULL_S).exp();
        let frequency_hz = sent.offset_hz + pull_hz + DRIFT_HZ_PER_S * since_s;
        let kick = f64::from(random.gaussian().re) * std::f64::consts::SQRT_2;
        phase += TAU * frequency_hz / rate_hz + kick * WANDER_RAD_PER_SQRT_S / rate_hz.sqrt();
        *sample += Complex32::from_polar((amplitude * on) as f32, (phase % TAU) as f32);
    }
}
