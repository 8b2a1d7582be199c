//! Totals that go on where a meter's number does not: over a rollover, an exchanged meter, and readings that were wrong.
//!
//! A consumer that adds up differences, such as Home Assistant's energy dashboard, must not see a meter's lifetime in one of them.
//! So each accepted number is read in the way that makes the smallest plausible use of it:
//!
//! | number | total |
//! | --- | --- |
//! | rises within the limit | rises by as much |
//! | falls by 1 % at most | falls by as much: the meter, or an earlier reading, was corrected |
//! | falls over the end of its register | rises by what was used since |
//! | fits a total of before the last exchange | goes on from there: a reading in between was wrong, or `offset` makes up for the exchange |
//! | anything else | stays: the meter was exchanged, and its number is no use |

use jiff::Timestamp;
use metertap_decode::quantity::{Decimal, to_f64};

/// Added to the time between two readings: meter clocks have whole seconds, counters whole counts.
const SLACK_S: f64 = 60.0;
/// Largest fall that is a correction, as a part of the number.
const CORRECTION: f64 = 0.01;
/// Largest rise over the end of a register, as a part of its range. A fall by less is an exchanged meter.
const ROLLOVER: f64 = 1.0 / 8.0;

/// Range of what a counter can do, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Largest rise per hour.
    pub per_hour: f64,
    /// Number after which the register starts again at 0, if known.
    pub wraps_at: Option<Decimal>,
}

/// Total of one counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Continuity {
    total: Decimal,
    at: Timestamp,
    /// Total less number.
    base: Decimal,
    /// The same before the last exchange.
    previous: Decimal,
}

impl Continuity {
    /// Starts with a number as the total.
    pub fn new(number: Decimal, at: Timestamp) -> Self {
        Continuity::resumed(number, at, Decimal::ZERO)
    }

    /// Goes on from a total of an earlier process. `base` is the difference of total and number.
    pub fn resumed(total: Decimal, at: Timestamp, base: Decimal) -> Self {
        Continuity {
            total,
            at,
            base,
            previous: Decimal::ZERO,
        }
    }

    /// Difference of total and number; 0 unless a register rolled over or a meter was exchanged.
    pub fn base(&self) -> Decimal {
        self.base
    }

    /// Takes the next number; returns the total.
    pub fn next(&mut self, number: Decimal, at: Timestamp, bounds: &Bounds) -> Decimal {
        let hours = (at.duration_since(self.at).as_secs_f64().abs() + SLACK_S) / 3600.0;
        let most = bounds.per_hour * hours;
        let rise = |base: Decimal| {
            let total = number.checked_add(base)?;
            Some((total, to_f64(&total.checked_sub(self.total)?)))
        };
        let over_the_end = bounds.wraps_at.and_then(|range| {
            let base = self.base.checked_add(range)?;
            let (_, rise) = rise(base)?;
            (rise <= to_f64(&range) * ROLLOVER).then_some(base)
        });
        let correction = -CORRECTION * to_f64(&self.total).abs();
        let plausible = [
            Some(self.base),
            over_the_end,
            Some(self.previous),
            Some(Decimal::ZERO),
        ]
        .into_iter()
        .flatten()
        .filter_map(|base| {
            let (total, rise) = rise(base)?;
            let least = if base == self.base { correction } else { 0.0 };
            (least <= rise && rise <= most).then_some((base, total, rise.abs()))
        });
        // Of equal rises the first.
        let best = plausible.min_by(|(_, _, a), (_, _, b)| a.total_cmp(b));
        match best {
            Some((base, total, _)) => {
                if base != self.base {
                    self.previous = self.base;
                }
                (self.base, self.total) = (base, total);
            }
            None => {
                self.previous = self.base;
                self.base = self.total.checked_sub(number).unwrap_or_default();
            }
        }
        self.at = at;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        per_hour: 100.0,
        wraps_at: None,
    };

    /// Totals of numbers an hour apart.
    fn totals(numbers: &[i64], bounds: &Bounds) -> Vec<i64> {
        let at = |i: usize| Timestamp::from_second(3600 * i as i64).unwrap();
        let mut total = Continuity::new(numbers[0].into(), at(0));
        let next = |(i, number): (usize, &i64)| {
            let total = total.next((*number).into(), at(i), bounds);
            total.try_into().unwrap()
        };
        numbers.iter().enumerate().map(next).collect()
    }

    #[test]
    fn given_a_meter_that_counts_then_the_total_is_its_number() {
        assert_eq!(totals(&[500, 510, 510, 600], &BOUNDS), [500, 510, 510, 600]);
    }

    #[test]
    fn given_a_small_fall_then_it_is_a_correction() {
        assert_eq!(totals(&[5000, 4990, 5001], &BOUNDS), [5000, 4990, 5001]);
    }

    #[test]
    fn given_the_end_of_the_register_then_the_total_goes_on() {
        let bounds = Bounds {
            wraps_at: Some(100_000.into()),
            ..BOUNDS
        };
        assert_eq!(
            totals(&[99_985, 99_997, 2, 13], &bounds),
            [99_985, 99_997, 100_002, 100_013]
        );
        assert_eq!(
            totals(&[50_000, 3, 9], &bounds),
            [50_000, 50_000, 50_006],
            "exchanged"
        );
    }

    #[test]
    fn given_an_exchanged_meter_then_the_total_stays_and_goes_on_with_the_new_number() {
        assert_eq!(totals(&[50_000, 3, 9], &BOUNDS), [50_000, 50_000, 50_006]);
        assert_eq!(totals(&[3, 50_000, 50_009], &BOUNDS), [3, 3, 12]);
    }

    #[test]
    fn given_a_wrong_reading_then_the_total_goes_on_where_it_was() {
        assert_eq!(totals(&[1000, 50_000, 1004], &BOUNDS), [1000, 1000, 1004]);
        assert_eq!(
            totals(&[48_213, 100, 48_213, 48_220], &BOUNDS),
            [48_213, 48_213, 48_213, 48_220]
        );
    }

    #[test]
    fn given_an_offset_for_the_exchange_then_the_total_is_the_number_again() {
        let mut total = Continuity::new(50_000.into(), Timestamp::UNIX_EPOCH);
        total.next(3.into(), Timestamp::UNIX_EPOCH, &BOUNDS);
        assert_eq!(total.base(), 49_997.into());
        total.next(50_000.into(), Timestamp::UNIX_EPOCH, &BOUNDS);
        assert_eq!(total.base(), Decimal::ZERO);
    }

    #[test]
    fn given_a_register_of_an_earlier_process_then_the_total_goes_on() {
        let mut total = Continuity::resumed(100_013.into(), Timestamp::UNIX_EPOCH, 100_000.into());
        assert_eq!(
            total.next(14.into(), Timestamp::UNIX_EPOCH, &BOUNDS),
            100_014.into()
        );
    }

    proptest! {
        #[test]
        fn whatever_numbers_come_the_total_rises_no_faster_than_the_limit_and_falls_only_by_corrections(
            numbers in proptest::collection::vec(0i64..1_000_000, 2..40), range in proptest::option::of(1i64..1_000_000)
        ) {
            let bounds = Bounds { wraps_at: range.map(Decimal::from), ..BOUNDS };
            let totals = totals(&numbers, &bounds);
            for pair in totals.windows(2) {
                prop_assert!(pair[1] - pair[0] <= 102, "{numbers:?}: {totals:?}");
                prop_assert!((pair[0] - pair[1]) as f64 <= pair[0] as f64 * CORRECTION + 1.0, "{numbers:?}: {totals:?}");
            }
        }
    }
}
