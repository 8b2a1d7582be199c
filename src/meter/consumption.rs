//! Consumption of the home: differences of counters, by five minutes and by hours.

use crate::meter::counter::{CounterKey, CounterValue};
use crate::meter::counter_series::{CounterSeries, HourlyUse, TimedValue};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counters tracked at once; further ones have no history. A home has some dozens.
const MAX_COUNTERS: usize = 256;

/// Consumption by counter.
#[derive(Clone, Debug, Default)]
pub struct Consumption {
    /// Copied on write: a clone of `Consumption` shares the series with the original.
    series: BTreeMap<CounterKey, Arc<CounterSeries>>,
    /// Number of changes so far.
    changes: u64,
}

/// Stored form of one day of one counter.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRecord {
    /// Identity of the counter.
    pub key: CounterKey,
    /// Unit of its values.
    pub unit: String,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// Consumption in each hour of the day.
    pub hours: HourlyUse,
    /// Newest value of the counter, which may be of a later day.
    pub last: TimedValue,
}

impl Consumption {
    /// Records the value of a counter at a time.
    pub fn record(&mut self, at: Timestamp, value: &CounterValue) {
        if !self.series.contains_key(&value.key) && self.series.len() >= MAX_COUNTERS {
            return;
        }
        let series = Arc::make_mut(self.series.entry(value.key.clone()).or_default());
        if series.unit() != value.unit {
            // Differences between values of two units mean nothing.
            *series = CounterSeries::new(value.unit.clone());
        }
        if series.record(at, value, self.changes + 1) {
            self.changes += 1;
        }
    }

    /// Adds a stored day; what this process has recorded of it already stays.
    pub fn restore(&mut self, record: DayRecord) {
        if self.series.len() >= MAX_COUNTERS && !self.series.contains_key(&record.key) {
            return;
        }
        let series = Arc::make_mut(self.series.entry(record.key).or_default());
        series.restore(record.unit, record.day, record.hours, record.last);
    }

    /// Series of one counter.
    pub fn get(&self, key: &CounterKey) -> Option<&CounterSeries> {
        self.series.get(key).map(Arc::as_ref)
    }

    /// Series of all counters of a meter.
    pub fn of_meter<'a>(
        &'a self,
        meter: &'a str,
    ) -> impl Iterator<Item = (&'a CounterKey, &'a CounterSeries)> {
        let all = self.series.iter().filter(move |(key, _)| key.meter == meter);
        all.map(|(key, series)| (key, series.as_ref()))
    }

    /// Number of changes so far, to be passed to [`Consumption::changed_since`] later.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the days that have changed after change number `since`, to be stored.
    pub fn changed_since(&self, since: u64) -> Vec<DayRecord> {
        let records = |(key, series): (&CounterKey, &Arc<CounterSeries>)| {
            let record = |day: i32| {
                Some(DayRecord {
                    key: key.clone(),
                    unit: series.unit().to_owned(),
                    day,
                    hours: series.day(day)?,
                    last: series.last()?,
                })
            };
            let days = series.changed_since(since);
            days.filter_map(record).collect::<Vec<_>>()
        };
        self.series.iter().flat_map(records).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::counter::{CounterKey, CounterValue};
    use crate::meter::counter_series::Point;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn counter(value: f64) -> CounterValue {
        CounterValue {
            key: CounterKey::new("1", "scm", "total"),
            value,
            unit: "kWh".into(),
            wraps_at: None,
            may_fall: false,
        }
    }

    fn recorded(values: &[(i64, f64)]) -> Consumption {
        let mut consumption = Consumption::default();
        for (second, value) in values {
            consumption.record(at(*second), &counter(*value));
        }
        consumption
    }

    fn series(consumption: &Consumption) -> &CounterSeries {
        consumption.of_meter("1").next().unwrap().1
    }

    fn point(second: i64, amount: f64) -> Point {
        Point { second, amount }
    }

    #[test]
    fn given_stored_days_then_the_next_run_continues_from_them() {
        let consumption = recorded(&[(0, 10.0), (3600, 11.0)]);
        let records = consumption.changed_since(0);
        assert_eq!(records.len(), 1);
        assert!(consumption.changed_since(consumption.changes()).is_empty());
        let mut next = Consumption::default();
        records.into_iter().for_each(|record| next.restore(record));
        assert_eq!(series(&next).rates(), [point(0, 1.0)]);
        assert_eq!(series(&next).rate(), None);
        next.record(at(7200), &counter(13.0));
        assert_eq!(series(&next).rates().len(), 1 + 12);
        assert_eq!(series(&next).rate(), Some(2.0));
        let hours: Vec<(i64, f64)> = series(&next)
            .hours()
            .iter()
            .map(|hour| (hour.second, hour.amount))
            .collect();
        assert_eq!(hours, [(0, 1.0), (3600, 2.0)]);
    }

    #[test]
    fn given_a_change_number_then_only_later_changes_are_returned() {
        let mut consumption = recorded(&[(0, 10.0), (3600, 11.0)]);
        let before = consumption.changes();
        let shared = consumption.clone();
        consumption.record(at(2 * 86_400), &counter(12.0));
        let days: Vec<i32> = consumption
            .changed_since(before)
            .iter()
            .map(|record| record.day)
            .collect();
        assert_eq!(days, [0, 1]);
        assert_eq!(shared.changed_since(before), [], "a clone does not change");
    }

    proptest! {
        #[test]
        fn hours_and_counter_have_the_same_sum(
            steps in proptest::collection::vec((1i64..40_000, 0.0f64..100.0), 1..60)
        ) {
            let (mut second, mut value) = (0, 0.0);
            let mut consumption = recorded(&[(0, 0.0)]);
            for (gap, used) in steps {
                (second, value) = (second + gap, value + used);
                consumption.record(at(second), &counter(value));
            }
            let sum: f64 = series(&consumption).hours().iter().map(|hour| hour.amount).sum();
            prop_assert!((sum - value).abs() < 1e-9 * value.max(1.0), "{} {}", sum, value);
        }
    }
}
