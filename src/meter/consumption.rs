//! Consumption of the home: differences of counters, by five minutes and by hours.

use crate::meter::counter_series::{CounterSeries, HourlyUse, TimedValue};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Counters tracked at once; further ones have no history. A home has some dozens.
const MAX_COUNTERS: usize = 256;

/// Identity of a counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// Meter id.
    pub meter: String,
    /// Message type.
    pub kind: String,
    /// Name of the field.
    pub field: String,
}

impl CounterKey {
    /// Names the counter `field` of a meter's messages of type `kind`.
    pub fn new(meter: impl Into<String>, kind: impl Into<String>, field: impl Into<String>) -> Self {
        CounterKey {
            meter: meter.into(),
            kind: kind.into(),
            field: field.into(),
        }
    }
}

/// Value of a counter in one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterValue {
    /// Identity of the counter.
    pub key: CounterKey,
    /// Value, scaled, in `unit`.
    pub value: f64,
    /// Unit; empty if unknown.
    pub unit: String,
    /// Value at which the counter rolls over to 0, if known.
    pub wraps_at: Option<f64>,
    /// Net register (import minus export); may decrease.
    pub may_fall: bool,
}

/// Consumption by counter.
#[derive(Clone, Debug, Default)]
pub struct Consumption {
    series: BTreeMap<CounterKey, CounterSeries>,
    /// Days that have changed since [`Consumption::take_changed`].
    changed: BTreeSet<(CounterKey, i32)>,
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
        let series = self.series.entry(value.key.clone()).or_default();
        if series.unit() != value.unit {
            // Differences between values of two units mean nothing.
            *series = CounterSeries::new(value.unit.clone());
        }
        for day in series.record(at, value) {
            self.changed.insert((value.key.clone(), day));
        }
    }

    /// Adds a stored day; what this process has recorded of it already stays.
    pub fn restore(&mut self, record: DayRecord) {
        if self.series.len() >= MAX_COUNTERS && !self.series.contains_key(&record.key) {
            return;
        }
        let series = self.series.entry(record.key).or_default();
        series.restore(record.unit, record.day, record.hours, record.last);
    }

    /// Series of one counter.
    pub fn get(&self, key: &CounterKey) -> Option<&CounterSeries> {
        self.series.get(key)
    }

    /// Series of all counters in a meter's messages of type `kind`, by field name.
    pub fn meter_series<'a>(
        &'a self,
        meter: &'a str,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a CounterSeries)> {
        self.series
            .iter()
            .filter(move |(key, _)| key.meter == meter && key.kind == kind)
            .map(|(key, series)| (key.field.as_str(), series))
    }

    /// Returns the days that have changed since the last call, to be stored.
    pub fn take_changed(&mut self) -> Vec<DayRecord> {
        let changed = std::mem::take(&mut self.changed);
        let record = |(key, day): (CounterKey, i32)| {
            let series = self.series.get(&key)?;
            Some(DayRecord {
                unit: series.unit().to_owned(),
                day,
                hours: series.day(day)?,
                last: series.last()?,
                key,
            })
        };
        changed.into_iter().filter_map(record).collect()
    }

    /// Marks days as changed again, after they could not be stored.
    pub fn put_back(&mut self, records: &[DayRecord]) {
        let days = records.iter().map(|record| (record.key.clone(), record.day));
        self.changed.extend(days);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        consumption.meter_series("1", "scm").next().unwrap().1
    }

    fn point(second: i64, amount: f64) -> Point {
        Point { second, amount }
    }

    #[test]
    fn given_stored_days_then_the_next_run_continues_from_them() {
        let mut consumption = recorded(&[(0, 10.0), (3600, 11.0)]);
        let records = consumption.take_changed();
        assert_eq!(records.len(), 1);
        assert!(consumption.take_changed().is_empty());
        let mut next = Consumption::default();
        records.into_iter().for_each(|record| next.restore(record));
        assert_eq!(series(&next).rates(), [point(0, 1.0)]);
        assert_eq!(series(&next).rate(), None);
        next.record(at(7200), &counter(13.0));
        assert_eq!(series(&next).rates().len(), 1 + 12);
        assert_eq!(series(&next).rate(), Some(2.0));
        assert_eq!(series(&next).hours(), [point(0, 1.0), point(3600, 2.0)]);
    }

    #[test]
    fn given_days_that_could_not_be_stored_then_they_are_returned_again() {
        let mut consumption = recorded(&[(0, 10.0), (3600, 11.0)]);
        let records = consumption.take_changed();
        consumption.put_back(&records);
        assert_eq!(consumption.take_changed(), records);
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
