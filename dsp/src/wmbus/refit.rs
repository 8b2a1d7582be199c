//! Refit: clock, carrier and deviation from the data.
//!
//! The preamble of a real transmitter may be unlike its data: soft edges take more of the deviation from alternating chips than
//! from runs, the carrier is pulled while the transmitter starts, the two tones have different lengths. Where the known chips
//! of a strong frame do not fit together, what they tell about the carrier is therefore worth nothing, and the data are asked
//! instead.

use super::sync::Clock;
use super::tones::{Tones, between, energies};
use crate::Complex32;
use crate::phasor::phasor;

/// Chips looked at.
pub(super) const CHIPS: usize = 192;
/// Chip rates and places tried: greatest error and step, in shares of the rate and in chips.
const RATES: (f64, i32) = (0.012, 12);
const PLACES: (f64, i32) = (0.4, 4);

/// What the data tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refit {
    pub clock: Clock,
    /// Carrier and deviation relative to those of the tones, both in cycles per cell.
    pub carrier: f64,
    pub deviation: f64,
    /// Magnitude of a chip, as far as neighbors agree in phase.
    pub amplitude: f32,
    /// Mean energy of a chip on its tone.
    pub energy: f32,
}

/// Finds the clock with the greatest contrast of the chips after the known ones, and the carrier and deviation with which
/// neighboring chips agree in phase.
pub(super) fn refit(tones: &Tones, clock: Clock) -> Refit {
    let mut best = (f32::NEG_INFINITY, clock);
    for i in -RATES.1..=RATES.1 {
        let chip = clock.chip * (1.0 + RATES.0 * f64::from(i) / f64::from(RATES.1));
        for j in -PLACES.1..=PLACES.1 {
            let end = clock.end + clock.chip * PLACES.0 * f64::from(j) / f64::from(PLACES.1);
            let tried = Clock { end, chip };
            let contrast = contrast(tones, tried);
            if contrast > best.0 {
                best = (contrast, tried);
            }
        }
    }
    let clock = best.1;
    let h = 2.0 * tones.deviation() * clock.chip;
    // Sums of the products of neighbors, by the tone of the first; each turned by the advance that is expected.
    let mut products = [Complex32::default(); 2];
    let mut energy = 0.0;
    let mut last: Option<(Complex32, usize)> = None;
    let mut before = tones.sums_at(clock.end);
    for i in 0..CHIPS {
        let start = clock.end + i as f64 * clock.chip;
        let after = tones.sums_at(start + clock.chip);
        let chip = tones.at_start(between(before, after), start);
        let [lower, upper] = energies(chip);
        let tone = usize::from(upper > lower);
        if let Some((last, last_tone)) = last {
            let advance = if last_tone == 1 { h / 2.0 } else { -h / 2.0 };
            products[last_tone] += chip[tone] * last.conj() * phasor(-advance);
        }
        energy += lower.max(upper) / CHIPS as f32;
        last = Some((chip[tone], tone));
        before = after;
    }
    let turns = products.map(|product| f64::from(product.arg()) / std::f64::consts::TAU);
    let amplitude = ((products[0].norm() + products[1].norm()) / (CHIPS - 1) as f32).sqrt();
    Refit {
        clock,
        carrier: (turns[0] + turns[1]) / 2.0 / clock.chip,
        deviation: (turns[1] - turns[0]) / 2.0 / clock.chip,
        amplitude,
        energy,
    }
}

fn contrast(tones: &Tones, clock: Clock) -> f32 {
    let mut before = tones.sums_at(clock.end);
    (1..=CHIPS)
        .map(|i| {
            let after = tones.sums_at(clock.end + i as f64 * clock.chip);
            let [lower, upper] = energies(between(before, after));
            before = after;
            (upper - lower).abs()
        })
        .sum()
}
