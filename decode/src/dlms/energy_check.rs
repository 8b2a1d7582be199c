//! Physical check of the power of ten of energies: what the power adds up to over time.
//!
//! The total of a meter must not jump by a power of ten while it is read, so nothing is changed; the user is told.

use super::power_check::ScaleFinding;
use jiff::Timestamp;

/// Longest pause between two messages over which the power is assumed to be known, in seconds.
const LONGEST_PAUSE: f64 = 120.0;
/// Energy in Wh over which both are compared; meters count in steps of 10 Wh.
const MIN_WH: f64 = 300.0;
/// Comparisons that must agree.
const AGREEING: u32 = 2;

/// Energy and power of one meter over time.
#[derive(Clone, Debug, Default)]
pub struct EnergyCheck {
    /// Time and imported power in W of the last message.
    last: Option<(Timestamp, f64)>,
    /// Energy as sent at the beginning of the comparison.
    base: Option<i128>,
    /// Energy since then in Wh, by the power.
    wh: f64,
    /// Power of ten that the last comparisons agree on, and their number.
    agreed: (i8, u32),
    has_told: bool,
}

impl EnergyCheck {
    /// Takes a message with its time, power in W and energy as sent; returns a finding, once, if the energy does not rise
    /// with the power of ten that is used.
    pub fn take(
        &mut self,
        time: Timestamp,
        power: Option<f64>,
        energy: Option<i128>,
        used: i8,
    ) -> Option<ScaleFinding> {
        if let Some(power) = power {
            match self.last {
                Some((before, watts)) => {
                    let seconds = time.duration_since(before).as_secs_f64();
                    if (0.0..=LONGEST_PAUSE).contains(&seconds) {
                        self.wh += f64::midpoint(watts, power) * seconds / 3600.0;
                    } else {
                        (self.base, self.wh) = (None, 0.0);
                    }
                }
                None => (self.base, self.wh) = (None, 0.0),
            }
            self.last = Some((time, power));
        }
        let energy = energy?;
        let Some(base) = self.base else {
            (self.base, self.wh) = (Some(energy), 0.0);
            return None;
        };
        if self.wh < MIN_WH {
            return None;
        }
        let ratio = (energy - base) as f64 / self.wh;
        (self.base, self.wh) = (Some(energy), 0.0);
        let exponent = -ratio.log10();
        // Neither a counter that stands still nor one that fits no power of ten says anything.
        if !exponent.is_finite() || (exponent - exponent.round()).abs() > 0.15 || exponent.abs() > 4.0 {
            return None;
        }
        let fits = exponent.round() as i8;
        self.agreed = if self.agreed.0 == fits {
            (fits, self.agreed.1 + 1)
        } else {
            (fits, 1)
        };
        let is_finding = fits != used && self.agreed.1 >= AGREEING && !self.has_told;
        self.has_told |= is_finding;
        is_finding.then_some(ScaleFinding::Energy { used, fits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings of a day of a meter with 2 kW, a message each 10 s and its energy each hour, in units of `unit` Wh.
    fn findings(unit: i128, used: i8) -> Vec<ScaleFinding> {
        let mut check = EnergyCheck::default();
        let begun: Timestamp = "2026-01-15T00:00:00Z".parse().unwrap();
        let message = |step: i128| {
            let time = Timestamp::from_second(begun.as_second() + 10 * step as i64).unwrap();
            let energy = (step % 360 == 0).then_some((12_345_678 + 2000 * step / 360) / unit);
            (time, Some(2000.0), energy)
        };
        let messages = (0..8640).map(message);
        messages
            .filter_map(|(time, power, energy)| check.take(time, power, energy, used))
            .collect()
    }

    #[test]
    fn given_an_energy_that_rises_with_the_power_then_nothing_is_said() {
        assert_eq!(findings(10, 1), []);
        assert_eq!(findings(1, 0), []);
    }

    #[test]
    fn given_an_energy_in_wh_that_is_read_in_tens_then_it_is_said_once() {
        let told = findings(1, 1);
        assert_eq!(told, [ScaleFinding::Energy { used: 1, fits: 0 }]);
        let text = told[0].to_string();
        assert!(text.contains("10 times") && text.contains("energy = 0"), "{text}");
    }
}
