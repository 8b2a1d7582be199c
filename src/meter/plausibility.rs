//! Plausibility of readings: a counter only rises, no faster than anything in a home can turn it, and a meter keeps its
//! type. An implausible reading is rejected unless a second one agrees with it.

use crate::meter::counter_sample::CounterSample;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Counters remembered; readings of further meters are accepted unchecked.
const MAX_COUNTERS: usize = 20_000;
/// Default limit for radio meters, whose unit is unknown, in counts per hour. One count is seldom less than 1 Wh or
/// 0.1 gal; a flipped bit above the lowest 14 makes a larger jump between two transmissions.
const COUNTS_PER_HOUR: f64 = 1e6;
/// Default limit for wired meters, in units per hour: 100 MW, or 100 000 m³ an hour. Telegrams have checks of their
/// own, so that only a misplaced decimal point is left to find.
const UNITS_PER_HOUR: f64 = 1e5;
/// Added to the time between two readings: meter clocks have whole seconds, counters whole counts.
const SLACK_S: f64 = 60.0;

/// Reason for rejecting a reading.
#[derive(Clone, Debug, PartialEq)]
pub enum Implausible {
    /// A counter has fallen.
    WentBack {
        /// Name of the counter; empty for a radio meter, which has one.
        field: String,
        /// Previous value.
        from: f64,
        /// Rejected value.
        to: f64,
    },
    /// A counter has risen faster than its limit.
    Jumped {
        /// Name of the counter; empty for a radio meter, which has one.
        field: String,
        /// Previous value.
        from: f64,
        /// Rejected value.
        to: f64,
    },
    /// The meter has another type.
    Changed {
        /// Previous type.
        from: u8,
        /// Rejected type.
        to: u8,
    },
}

impl Implausible {
    /// Reason as a label of metrics and of the API.
    pub fn reason(&self) -> &'static str {
        match self {
            Implausible::WentBack { .. } => "went_back",
            Implausible::Jumped { .. } => "jump",
            Implausible::Changed { .. } => "type",
        }
    }
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Implausible::WentBack { field, from, to } => write!(f, "{field} {to} after {from}: it went back"),
            Implausible::Jumped { field, from, to } => write!(f, "{field} {to} after {from}: it jumped"),
            Implausible::Changed { from, to } => write!(f, "type {to} after type {from}"),
        }
    }
}

/// Plausible range of a meter's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Largest rise per hour, in the unit of the counter; `None` = a default.
    pub per_hour: Option<f64>,
    /// Rollover of the counter, if known.
    pub wraps_at: Option<Wrap>,
    /// Counts of unknown unit, which have a default limit of their own.
    pub is_counts: bool,
}

/// Rollover of a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wrap {
    /// Value at which the counter starts again at 0.
    pub at: f64,
    /// Highest rise over a rollover.
    pub most: f64,
}

impl Wrap {
    /// Rollover after the largest number of so many decimal digits.
    pub fn of_digits(digits: u8) -> Self {
        let at = 10f64.powi(digits.into());
        Wrap { at, most: at }
    }
}

impl Limits {
    /// Largest rise per hour, configured or by default.
    pub fn rate_per_hour(&self) -> f64 {
        self.per_hour.unwrap_or(if self.is_counts {
            COUNTS_PER_HOUR
        } else {
            UNITS_PER_HOUR
        })
    }
}

/// Counts of rejected readings by meter id and reason.
pub type Rejections = BTreeMap<(String, &'static str), u64>;

/// Checks readings against the previous ones of their meter.
#[derive(Default)]
pub struct Plausibility {
    /// History by meter id and message type.
    meters: HashMap<(String, &'static str), History>,
    /// Counters of all histories, at most [`MAX_COUNTERS`].
    counters: usize,
    rejected: Rejections,
}

/// A sample at its time of reception.
type Sample = (Timestamp, CounterSample);

#[derive(Default)]
struct History {
    /// Newest accepted sample, the base of comparison.
    accepted: Option<Sample>,
    /// Sample rejected after that: if the next one agrees with it, the meter was exchanged or reset, or the accepted
    /// sample was the wrong one. It is cleared by any accepted sample, so only consecutive ones can agree.
    rejected: Option<Sample>,
}

impl Plausibility {
    /// Checks and remembers a sample of the meter `id`'s messages of type `kind`.
    ///
    /// # Errors
    /// If it contradicts the previous accepted sample, and no rejected one since then agrees with it.
    pub fn check(
        &mut self,
        id: &str,
        kind: &'static str,
        time: Timestamp,
        sample: CounterSample,
        limits: &Limits,
    ) -> Result<(), Implausible> {
        let key = (id.to_owned(), kind);
        if !self.meters.contains_key(&key) && self.counters + sample.counters.len() > MAX_COUNTERS {
            return Ok(());
        }
        let counters = &mut self.counters;
        let history = self.meters.entry(key).or_insert_with(|| {
            *counters += sample.counters.len();
            History::default()
        });
        // The first sample cannot be checked. If it is wrong, the next two contradict it, agree with each other, and the
        // second of them replaces it.
        let Some(accepted) = &history.accepted else {
            history.accepted = Some((time, sample));
            return Ok(());
        };
        let Some(implausible) = contradiction(accepted, time, &sample, limits) else {
            history.accepted = Some((time, sample));
            history.rejected = None;
            return Ok(());
        };
        // Both directions count as agreement here: an old meter may run backwards for hours, and would otherwise be
        // rejected all the time. The limit of the rate holds in both.
        let either_way = CounterSample {
            may_fall: true,
            ..sample.clone()
        };
        let agrees = |rejected: &Sample| contradiction(rejected, time, &either_way, limits).is_none();
        if history.rejected.as_ref().is_some_and(agrees) {
            history.accepted = Some((time, sample));
            history.rejected = None;
            return Ok(());
        }
        history.rejected = Some((time, sample));
        *self
            .rejected
            .entry((id.to_owned(), implausible.reason()))
            .or_default() += 1;
        Err(implausible)
    }

    /// Counts of rejected readings.
    pub fn rejected(&self) -> &Rejections {
        &self.rejected
    }
}

/// Returns the first reason why sample `new` cannot follow sample `old`.
fn contradiction(
    (before, old): &Sample,
    now: Timestamp,
    new: &CounterSample,
    limits: &Limits,
) -> Option<Implausible> {
    if let (Some(from), Some(to)) = (old.meter_type, new.meter_type) {
        if from != to {
            return Some(Implausible::Changed { from, to });
        }
    }
    // Samples may arrive out of order by a little; then no time has passed.
    let hours = (now.duration_since(*before).as_secs_f64().max(0.0) + SLACK_S) / 3600.0;
    // One count is always possible, however slow the limit.
    let most = limits.rate_per_hour() * hours + 1.0;
    for (field, to) in &new.counters {
        let Some((_, from)) = old.counters.iter().find(|(name, _)| name == field) else {
            continue;
        };
        let (field, from, to) = (field.clone(), *from, *to);
        if new.may_fall {
            if (to - from).abs() > most {
                return Some(Implausible::Jumped { field, from, to });
            }
            continue;
        }
        if to >= from {
            if to - from > most {
                return Some(Implausible::Jumped { field, from, to });
            }
            continue;
        }
        let rolled_over = limits
            .wraps_at
            .is_some_and(|wrap| (0.0..=most.min(wrap.most)).contains(&(to - from + wrap.at)));
        if !rolled_over {
            return Some(Implausible::WentBack { field, from, to });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    const COUNTS: Limits = Limits {
        per_hour: None,
        wraps_at: None,
        is_counts: true,
    };

    /// Checks one message of an electricity meter after the other: `(seconds, counter)`.
    fn accepted(samples: &[(i64, i64)], limits: &Limits) -> Vec<bool> {
        let mut plausibility = Plausibility::default();
        let checked = samples.iter().map(|(second, counts)| {
            let sample = CounterSample::from_counts(7, *counts);
            plausibility
                .check("1", "scm", at(*second), sample, limits)
                .is_ok()
        });
        checked.collect()
    }

    #[test]
    fn given_a_counter_that_went_back_then_it_is_rejected_until_a_second_reading_agrees() {
        let accepted = accepted(
            &[(0, 1000), (60, 990), (120, 1001), (180, 10), (240, 11), (300, 12)],
            &COUNTS,
        );
        assert_eq!(accepted, [true, false, true, false, true, true]);
    }

    #[test]
    fn given_a_flipped_high_bit_then_the_jump_is_rejected_and_the_next_reading_accepted() {
        let accepted_30_s = accepted(&[(0, 1000), (30, 1000 + (1 << 20)), (60, 1003)], &COUNTS);
        assert_eq!(accepted_30_s, [true, false, true]);
        // Within a day, the counter may well have risen so far.
        assert_eq!(accepted(&[(0, 1000), (86_400, 1_001_000)], &COUNTS), [true, true]);
    }

    #[test]
    fn given_the_number_of_digits_then_a_rollover_is_plausible() {
        let wraps = Limits {
            wraps_at: Some(Wrap::of_digits(6)),
            ..COUNTS
        };
        assert_eq!(accepted(&[(0, 999_990), (600, 5)], &wraps), [true, true]);
        assert_eq!(accepted(&[(0, 999_990), (600, 5)], &COUNTS), [true, false]);
    }

    #[test]
    fn given_a_width_then_a_rollover_is_plausible_and_the_reset_of_a_lower_counter_is_not() {
        let wraps = Limits {
            wraps_at: Some(Wrap {
                at: 16_777_216.0,
                most: 2_097_152.0,
            }),
            ..COUNTS
        };
        assert_eq!(accepted(&[(0, 16_777_210), (600, 5)], &wraps), [true, true]);
        assert_eq!(accepted(&[(0, 9_000_000), (86_400, 5)], &wraps), [true, false]);
    }

    #[test]
    fn given_a_configured_rate_then_it_replaces_the_default() {
        let slow = Limits {
            per_hour: Some(10.0),
            ..COUNTS
        };
        assert_eq!(
            accepted(&[(0, 100), (3600, 130), (7200, 121)], &slow),
            [true, false, true]
        );
    }

    #[test]
    fn given_a_net_register_then_it_may_fall_but_not_jump() {
        let mut plausibility = Plausibility::default();
        let mut is_ok = |second, counts| {
            let sample = CounterSample {
                may_fall: true,
                ..CounterSample::from_counts(8, counts)
            };
            plausibility
                .check("1", "netidm", at(second), sample, &COUNTS)
                .is_ok()
        };
        let accepted: Vec<bool> = (0..4).map(|i| is_ok(60 * i, -5 * i)).collect();
        assert_eq!(accepted, [true; 4]);
        assert!(!is_ok(300, 10_000_000));
    }

    #[test]
    fn given_a_meter_that_runs_backwards_then_every_second_reading_is_accepted() {
        let accepted = accepted(&[(0, 100), (60, 99), (120, 98), (180, 97), (240, 96)], &COUNTS);
        assert_eq!(accepted, [true, false, true, false, true]);
    }

    #[test]
    fn given_another_meter_type_then_it_is_rejected_until_a_second_reading_agrees() {
        let mut plausibility = Plausibility::default();
        let mut is_ok = |second, meter_type| {
            let sample = CounterSample::from_counts(meter_type, 5);
            plausibility
                .check("1", "scm", at(second), sample, &COUNTS)
                .is_ok()
        };
        assert!(is_ok(0, 7));
        assert!(!is_ok(60, 12));
        assert!(is_ok(120, 7));
        assert!(!is_ok(180, 12));
        assert!(is_ok(240, 12));
        let rejected: u64 = plausibility.rejected().values().sum();
        assert_eq!(rejected, 2);
    }
}
