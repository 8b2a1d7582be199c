//! Error of a receiver's crystal, from the chip clocks of the meters that it receives.
//!
//! A meter keys its transmitter by a crystal of its own, so the length of its chips in samples compares two crystals. Those
//! of several meters err in all directions; what they have in common is the error of the receiver. A dongle has one crystal
//! for its samples and for its tuner: the error is that of its frequency, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Meters whose clocks are kept; further ones only count as packets.
const MAX_METERS: usize = 1000;
/// Meters that are needed for an estimate.
const MIN_METERS: usize = 3;
/// Packets since the begin of a measurement of the rate that say whether it is right.
const MIN_PACKETS: u64 = 3;
/// Error up to which chips confirm the rate, in ppm.
const CONFIRMED_PPM: f64 = 500.0;

/// Chip clocks of one receiver; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ChipClocks(Arc<Mutex<Clocks>>);

#[derive(Debug, Default)]
struct Clocks {
    meters: HashMap<u32, Mean>,
    packets: u64,
}

/// Mean over the packets of a meter.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum_ppm: f64,
    packets: u32,
}

/// Estimate of the error of a receiver's crystal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrystalError {
    /// Parts per million; positive if the crystal is too fast.
    pub ppm: f64,
    /// Meters on which the estimate rests.
    pub meters: usize,
}

impl std::fmt::Display for CrystalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CrystalError { ppm, meters } = self;
        write!(f, "{ppm:+.0} ppm, by the chip clocks of {meters} meters")
    }
}

impl ChipClocks {
    /// Adds the clock of one packet, as [`metertap_dsp::Signal::clock_ppm`] gives it.
    pub fn add(&self, meter: u32, clock_ppm: f32) {
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.packets += 1;
        if clocks.meters.len() >= MAX_METERS && !clocks.meters.contains_key(&meter) {
            return;
        }
        let mean = clocks.meters.entry(meter).or_default();
        mean.sum_ppm += f64::from(clock_ppm);
        mean.packets += 1;
    }

    /// Forgets all clocks: the samples have another rate from now on.
    pub fn reset(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .meters
            .clear();
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).packets
    }

    /// Returns whether several packets have come since the first `packets`, with about as many samples per chip as the rate
    /// promises.
    pub fn confirm_rate_since(&self, packets: u64) -> bool {
        let is_right = self.median().is_some_and(|(ppm, _)| ppm.abs() < CONFIRMED_PPM);
        is_right && self.packets() >= packets + MIN_PACKETS
    }

    /// Returns the error of the crystal: the median over the meters; nothing while they are too few.
    pub fn crystal_error(&self) -> Option<CrystalError> {
        let (ppm, meters) = self.median()?;
        (meters >= MIN_METERS).then_some(CrystalError {
            ppm: ppm.round(),
            meters,
        })
    }

    /// Median of the meters' mean clocks in ppm, and their number.
    pub fn median(&self) -> Option<(f64, usize)> {
        let clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mean = |mean: &Mean| mean.sum_ppm / f64::from(mean.packets);
        let mut means: Vec<f64> = clocks.meters.values().map(mean).collect();
        means.sort_by(f64::total_cmp);
        let middle = means.len() / 2;
        let upper = *means.get(middle)?;
        let median = if means.len() % 2 == 0 {
            (means[middle - 1] + upper) / 2.0
        } else {
            upper
        };
        Some((median, means.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_meters_around_the_error_then_the_median_is_the_crystals_and_one_that_is_far_off_does_not_matter()
    {
        let chips = ChipClocks::default();
        for (meter, ppm) in [(1, 40.0), (1, 60.0), (2, 45.0)] {
            chips.add(meter, ppm);
        }
        assert_eq!(chips.crystal_error(), None, "two meters");
        chips.add(3, -900.0);
        chips.add(4, 70.0);
        let expected = CrystalError { ppm: 48.0, meters: 4 };
        assert_eq!(chips.crystal_error(), Some(expected));
    }

    #[test]
    fn given_packets_of_the_rate_then_they_confirm_it_until_it_changes() {
        let chips = ChipClocks::default();
        (0..5).for_each(|_| chips.add(1, 80.0));
        assert!(chips.confirm_rate_since(2) && !chips.confirm_rate_since(3));
        chips.reset();
        assert!(!chips.confirm_rate_since(0));
        (0..5).for_each(|_| chips.add(1, 900.0));
        assert!(!chips.confirm_rate_since(0));
    }
}
