//! Powers of ten of makers that do not send them (`docs/protocols/dlms.md`, section "Scale").

use crate::obis::Obis;
use crate::unit::Unit;

/// No home has a kilovolt: a higher voltage counts tenths or hundredths of a volt.
const MAX_VOLTS: i128 = 1000;

/// Powers of ten of values for which the meter sends none, by what they measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scales {
    /// Power of ten of energies in Wh, varh and VAh.
    pub energy: i8,
    /// Power of ten of currents in A.
    pub current: i8,
    /// Power of ten of voltages in V.
    pub voltage: i8,
    /// Power of ten of powers in W, var and VA.
    pub power: i8,
    /// Power of ten of power factors.
    pub factor: i8,
}

/// Powers of ten that the user gives; others are detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenScales {
    /// Power of ten of energies in Wh, varh and VAh.
    pub energy: Option<i8>,
    /// Power of ten of currents in A.
    pub current: Option<i8>,
    /// Power of ten of voltages in V.
    pub voltage: Option<i8>,
    /// Power of ten of powers in W, var and VA.
    pub power: Option<i8>,
    /// Power of ten of power factors.
    pub factor: Option<i8>,
}

impl Default for Scales {
    /// Returns the powers of ten of Landis+Gyr meters.
    fn default() -> Self {
        Scales {
            energy: 0,
            current: -2,
            voltage: 0,
            power: 0,
            factor: -3,
        }
    }
}

impl Scales {
    /// Chooses by the list version that the meter sends, and by its highest voltage without a power of ten, as sent.
    pub fn detect(list_version: Option<&str>, highest_voltage: i128) -> Self {
        match list_version {
            Some(version) if version.starts_with("Kamstrup_V") => Scales {
                energy: 1,
                voltage: volts(highest_voltage),
                factor: -2,
                ..Scales::default()
            },
            Some(version) if version.starts_with("KFM_") => Scales {
                current: -3,
                voltage: -1,
                ..Scales::default()
            },
            _ => Scales {
                voltage: volts(highest_voltage),
                ..Scales::default()
            },
        }
    }

    /// Returns these powers of ten with those that the user gives.
    pub fn with(self, given: &GivenScales) -> Self {
        Scales {
            energy: given.energy.unwrap_or(self.energy),
            current: given.current.unwrap_or(self.current),
            voltage: given.voltage.unwrap_or(self.voltage),
            power: given.power.unwrap_or(self.power),
            factor: given.factor.unwrap_or(self.factor),
        }
    }

    /// Returns the power of ten of a code, and its unit; `None` for codes that are no electrical quantity.
    pub fn scale(&self, obis: Obis) -> Option<(i8, Unit)> {
        if obis.a != 1 || !matches!(obis.d, 4..=8 | 24) {
            return None;
        }
        let is_energy = obis.d == 8;
        // Codes of the three phases are those of the sum plus 20, 40 and 60.
        Some(match (obis.c % 20, is_energy) {
            (1 | 2 | 15 | 16, true) => (self.energy, Unit::Wh),
            (3..=8, true) => (self.energy, Unit::Varh),
            (9 | 10, true) => (self.energy, Unit::VAh),
            (1 | 2 | 15 | 16, false) => (self.power, Unit::W),
            (3..=8, false) => (self.power, Unit::Var),
            (9 | 10, false) => (self.power, Unit::VA),
            (11, false) => (self.current, Unit::A),
            (12, false) => (self.voltage, Unit::V),
            (13, false) => (self.factor, Unit::None),
            (14, false) => (0, Unit::Hz),
            _ => return None,
        })
    }
}

/// Returns the highest power of ten, 0 to -3, with which this is no more than a home's voltage.
pub(super) fn volts(as_sent: i128) -> i8 {
    (0..3)
        .find(|places| as_sent / 10i128.pow(*places) < MAX_VOLTS)
        .map_or(-3, |places| -(places as i8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_version_or_the_voltage_chooses_the_powers_of_ten() {
        let powers = |version, voltage| {
            let scales = Scales::detect(version, voltage);
            (scales.energy, scales.current, scales.voltage, scales.factor)
        };
        assert_eq!(powers(Some("Kamstrup_V0001"), 230), (1, -2, 0, -2));
        assert_eq!(powers(Some("Kamstrup_V0001"), 2300), (1, -2, -1, -2));
        assert_eq!(powers(Some("Kamstrup_V0001"), 23_007), (1, -2, -2, -2));
        assert_eq!(powers(Some("KFM_001"), 230), (0, -3, -1, -3));
        assert_eq!(powers(Some("AIDON_V0001"), 2301), (0, -2, -1, -3));
        assert_eq!(powers(None, 230), (0, -2, 0, -3));
        assert_eq!(powers(None, i128::MAX).2, -3);
    }

    #[test]
    fn given_a_power_of_ten_by_the_user_then_the_others_are_still_detected() {
        let given = GivenScales {
            energy: Some(0),
            ..GivenScales::default()
        };
        let scales = Scales::detect(Some("Kamstrup_V0001"), 230).with(&given);
        assert_eq!((scales.energy, scales.current, scales.factor), (0, -2, -2));
    }

    #[test]
    fn each_phase_has_the_power_of_ten_of_the_sum() {
        let scales = Scales::detect(Some("KFM_001"), 0);
        for (code, scale) in [
            ("1-0:1.8.0", Some((0, Unit::Wh))),
            ("1-0:41.7.0", Some((0, Unit::W))),
            ("1-0:71.7.0", Some((-3, Unit::A))),
            ("1-0:52.7.0", Some((-1, Unit::V))),
            ("1-0:14.7.0", Some((0, Unit::Hz))),
            ("0-0:1.0.0", None),
            ("1-0:0.2.129", None),
        ] {
            assert_eq!(scales.scale(code.parse().unwrap()), scale, "{code}");
        }
    }
}
