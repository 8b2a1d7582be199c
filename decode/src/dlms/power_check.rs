//! Physical check of the power of ten of currents: apparent power, the sum of voltage times current over the phases, is about
//! the square root of P² + Q², and never less than P.
//!
//! Makers that send no powers of ten differ even between meters of one type: those with current transformers count in mA
//! instead of hundredths of an ampere. One message decides if its load is high enough; what several decide is remembered
//! ([`PowerCheck`]), so that a low load does not change the scale again.

use super::data::Data;
use super::objects::{Object, Objects};
use super::scales::Scales;

/// Load in VA below which nothing is concluded: many small loads have any power factor.
const MIN_LOAD: f64 = 100.0;
/// Sum of the currents as sent below which their resolution is too coarse.
const MIN_COUNTS: f64 = 20.0;
/// Apparent power over the load, as long as the power of ten is right. More than 1: harmonics, phases that compensate each
/// other, a net without neutral.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.5..=8.0;
/// Voltage that is assumed where the message has none.
const ASSUMED_VOLTS: f64 = 230.0;
/// Powers of ten that are considered, 0 to -3.
const CANDIDATES: usize = 4;
/// Contradictions in a row that cannot be settled after which the check says so.
const DOUBTS: u32 = 100;

/// Conclusion from one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conclusion {
    /// Too low a load, no power, or no current.
    None,
    /// This power of ten fits the power.
    Fits(i8),
    /// The current is far too high for the power, but phases that compensate each other would look the same.
    TooHigh,
    /// The power is ten times what voltage and current give: either may be wrong. Some meters in Sweden send a digit more of
    /// the power.
    PowerTooHigh,
}

/// Finding that the user should know, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleFinding {
    /// Currents were read with another power of ten than usual.
    #[error(
        "currents fit voltage and power only in units of 10^{used} A, not of 10^{usual} A as usual; current = {used} in [wire.dlms] fixes it"
    )]
    Current {
        /// Usual power of ten.
        usual: i8,
        /// Power of ten that fits.
        used: i8,
    },
    /// Currents do not fit, and no power of ten is certain.
    #[error(
        "currents in units of 10^{used} A are far too high for the power: compare them with the meter's display, and set current in [wire.dlms] (probably {})",
        used - 1
    )]
    CurrentDoubtful {
        /// Power of ten in use.
        used: i8,
    },
    /// Power and current do not fit, and either may be wrong.
    #[error(
        "the power is ten times what voltage and current give: compare both with the meter's display, and set power = -1 or current = {} in [wire.dlms]",
        current + 1
    )]
    PowerDoubtful {
        /// Power of ten of currents in use.
        current: i8,
    },
    /// Energies are in a unit that the maker does not use in every country.
    #[error(
        "energies are read in units of 10^{used} Wh, as most meters of this maker count; if they are {} times what the meter's display shows, set energy = 0 in [wire.dlms]",
        10u64.pow(u32::from(used.unsigned_abs()))
    )]
    EnergyAssumed {
        /// Power of ten in use.
        used: i8,
    },
    /// The energy does not rise as the power demands.
    #[error(
        "the energy rises {} as fast as the power demands: compare it with the meter's display, and set energy = {fits} in [wire.dlms] (energies are in units of 10^{used} Wh now)",
        times(*used, *fits)
    )]
    Energy {
        /// Power of ten in use.
        used: i8,
        /// Power of ten that would fit.
        fits: i8,
    },
}

fn times(used: i8, fits: i8) -> String {
    let power = 10u64.pow(u32::from(used.abs_diff(fits)));
    if used > fits {
        format!("{power} times")
    } else {
        format!("a {power}th")
    }
}

/// Conclusions from the messages of one meter.
#[derive(Clone, Debug, Default)]
pub struct PowerCheck {
    /// Messages that fit each power of ten, 0 to -3.
    votes: [u32; CANDIDATES],
    /// Messages in a row with too high a current, and with too high a power.
    too_high: u32,
    power_too_high: u32,
    has_told: bool,
}

impl PowerCheck {
    /// Returns the power of ten of currents that fits this message and those before it; `usual` if none is certain.
    pub(super) fn current(&mut self, objects: &Objects, scales: &Scales) -> (i8, Option<ScaleFinding>) {
        let usual = scales.current;
        match conclude(objects, scales) {
            Conclusion::None => {}
            Conclusion::Fits(exponent) => {
                (self.too_high, self.power_too_high) = (0, 0);
                let vote = &mut self.votes[usize::from(exponent.unsigned_abs()).min(CANDIDATES - 1)];
                *vote = vote.saturating_add(1);
            }
            Conclusion::TooHigh => self.too_high = self.too_high.saturating_add(1),
            Conclusion::PowerTooHigh => self.power_too_high = self.power_too_high.saturating_add(1),
        }
        let most = self.votes.iter().max().copied().unwrap_or_default();
        let candidates = (0..CANDIDATES as i8).map(|places| -places);
        // With as many votes for two of them, the usual one.
        let used = candidates
            .filter(|exponent| most > 0 && self.votes[usize::from(exponent.unsigned_abs())] == most)
            .min_by_key(|exponent| exponent.abs_diff(usual))
            .unwrap_or(usual);
        let finding = match used {
            _ if self.has_told => None,
            used if used != usual => Some(ScaleFinding::Current { usual, used }),
            used if self.too_high >= DOUBTS && most == 0 => Some(ScaleFinding::CurrentDoubtful { used }),
            current if self.power_too_high >= DOUBTS => Some(ScaleFinding::PowerDoubtful { current }),
            _ => None,
        };
        self.has_told |= finding.is_some();
        (used, finding)
    }
}

/// Values of a message by quantity (group C of the code), in W, var, V, and currents as sent.
struct Momentary<'a>(&'a [Object<'a>], &'a Scales);

impl Momentary<'_> {
    fn get(&self, c: u8) -> Option<f64> {
        let is_wanted =
            |object: &&Object| (object.obis.a, object.obis.c, object.obis.d, object.obis.e) == (1, c, 7, 0);
        let object = self.0.iter().find(is_wanted)?;
        let Data::Integer(number, _) = object.value else {
            return None;
        };
        let exponent = match (object.scale, c % 20) {
            // A current with a power of ten needs no check.
            (Some(_), 11) => return None,
            (Some((exponent, _)), _) => exponent,
            (None, 11) => 0,
            (None, _) => self.1.scale(object.obis)?.0,
        };
        Some(*number as f64 * 10f64.powi(exponent.into()))
    }

    /// Returns import less export of a quantity and the one behind it, without its sign.
    fn net(&self, import: u8) -> Option<f64> {
        let (to, from) = (self.get(import), self.get(import + 1));
        (to.is_some() || from.is_some()).then(|| (to.unwrap_or(0.0) - from.unwrap_or(0.0)).abs())
    }
}

fn conclude(objects: &Objects, scales: &Scales) -> Conclusion {
    let values = Momentary(&objects.coded, scales);
    let phases: Vec<u8> = [20, 40, 60]
        .into_iter()
        .filter(|l| values.get(l + 11).is_some())
        .collect();
    let (mut counts, mut apparent) = (0.0, 0.0);
    for phase in &phases {
        let current = values.get(phase + 11).unwrap_or_default().abs();
        let volts = values.get(phase + 12).filter(|volts| *volts > 0.0);
        counts += current;
        apparent += current * volts.unwrap_or(ASSUMED_VOLTS);
    }
    let active: Vec<f64> = phases.iter().filter_map(|phase| values.net(phase + 1)).collect();
    let total = values.net(1);
    if active.is_empty() && total.is_none() {
        return Conclusion::None;
    }
    let load = active.iter().sum::<f64>().max(total.unwrap_or_default());
    let load = load.hypot(values.net(3).unwrap_or_default());
    if load < MIN_LOAD || counts < MIN_COUNTS {
        return Conclusion::None;
    }
    let ratio = |exponent: i8| apparent * 10f64.powi(exponent.into()) / load;
    let usual = ratio(scales.current);
    if PLAUSIBLE.contains(&usual) {
        return Conclusion::Fits(scales.current);
    }
    // Apparent power is at least the active one, so far too low a current is certain. Too high a one is so only if no phase can
    // compensate another: the power of each is known, or there is one.
    let is_certain = usual < *PLAUSIBLE.start() || active.len() == phases.len() || phases.len() == 1;
    let better = (0..CANDIDATES as i8)
        .map(|places| -places)
        .find(|exponent| (0.8..8.0).contains(&ratio(*exponent)));
    match better {
        Some(exponent) if exponent == scales.current + 1 => Conclusion::PowerTooHigh,
        Some(exponent) if is_certain => Conclusion::Fits(exponent),
        Some(_) => Conclusion::TooHigh,
        None => Conclusion::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Width;
    use super::*;

    fn check(check: &mut PowerCheck, values: &[(u8, i128)]) -> (i8, Option<ScaleFinding>) {
        let data: Vec<Data> = values
            .iter()
            .map(|(_, number)| Data::Integer(*number, Width::Bits32))
            .collect();
        let coded = values.iter().zip(&data).map(|((c, _), value)| Object {
            obis: format!("1-0:{c}.7.0").parse().unwrap(),
            value,
            scale: None,
        });
        let objects = Objects {
            coded: coded.collect(),
            ..Objects::default()
        };
        check.current(&objects, &Scales::detect(Some("Kamstrup_V0001"), 230))
    }

    const FITS: [(u8, i128); 7] = [
        (1, 1450),
        (31, 310),
        (51, 215),
        (71, 190),
        (32, 231),
        (52, 229),
        (72, 230),
    ];

    #[test]
    fn given_a_current_that_fits_then_the_usual_power_of_ten_is_used_without_a_word() {
        assert_eq!(check(&mut PowerCheck::default(), &FITS), (-2, None));
    }

    #[test]
    fn given_a_single_phase_meter_in_ma_then_the_power_tells_and_a_low_load_does_not_forget() {
        let mut power_check = PowerCheck::default();
        let (used, finding) = check(&mut power_check, &[(1, 12_400), (31, 54_300), (32, 231)]);
        assert_eq!(
            (used, finding),
            (-3, Some(ScaleFinding::Current { usual: -2, used: -3 }))
        );
        assert_eq!(
            check(&mut power_check, &[(1, 20), (31, 310), (32, 231)]),
            (-3, None)
        );
    }

    #[test]
    fn given_a_current_too_low_for_the_power_then_a_higher_power_of_ten_is_certain() {
        let amperes = [
            (1, 14_500),
            (31, 31),
            (51, 22),
            (71, 19),
            (32, 231),
            (52, 229),
            (72, 230),
        ];
        assert_eq!(check(&mut PowerCheck::default(), &amperes).0, 0);
    }

    #[test]
    fn given_a_power_ten_times_too_high_then_nothing_changes_but_a_word_comes_once() {
        let mut power_check = PowerCheck::default();
        let mut tenfold = FITS;
        tenfold[0].1 *= 10;
        let findings: Vec<_> = (0..300)
            .filter_map(|_| check(&mut power_check, &tenfold).1)
            .collect();
        assert_eq!(findings, [ScaleFinding::PowerDoubtful { current: -2 }]);
        let text = findings[0].to_string();
        assert!(text.contains("power = -1 or current = -1"), "{text}");
        assert_eq!(check(&mut power_check, &tenfold).0, -2);
    }

    #[test]
    fn given_phases_that_may_compensate_each_other_then_nothing_changes_but_a_word_comes_once() {
        let mut power_check = PowerCheck::default();
        let solar = [
            (1, 150),
            (31, 400),
            (51, 400),
            (71, 300),
            (32, 231),
            (52, 229),
            (72, 230),
        ];
        let findings: Vec<_> = (0..300)
            .filter_map(|_| check(&mut power_check, &solar).1)
            .collect();
        assert_eq!(findings, [ScaleFinding::CurrentDoubtful { used: -2 }]);
        assert_eq!(check(&mut power_check, &solar).0, -2);
    }
}
