//! What a home uses: the steps of counters, by five minutes and by hours.
//!
//! Between two readings a counter is taken to have turned evenly. A counter that begins again at 0 behind its last digit
//! goes on; one that has fallen otherwise was exchanged or reset, and nothing is known of what it counted meanwhile.

use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Length of the short steps.
pub const STEP_S: i64 = 300;
/// So many of them are kept: a day.
const STEPS: i64 = 288;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;
/// What was counted while nothing was heard is spread over so long at most, just before the next reading.
const LONGEST_GAP_S: i64 = 31 * DAY_S;
/// Days of hours kept in memory.
pub const DAYS: i32 = 62;
/// Counters followed; a home has some dozens.
const MAX_SERIES: usize = 256;
/// A clock that is set back by more than this begins anew.
const CLOCK_SET_S: i64 = 3600;

/// Which counter: meter, type, name of the field.
pub type Key = (String, String, String);
/// What was used in each hour of a day, UTC; nothing is no number.
pub type Day = [f64; 24];

/// A counter at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// Which.
    pub key: Key,
    /// What it says.
    pub value: f64,
    /// In this unit.
    pub unit: String,
    /// It begins again at 0 here.
    pub wraps_at: Option<f64>,
    /// It is a balance.
    pub may_fall: bool,
}

/// What was used, counter by counter.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Copied on write: a clone is shared with readers.
    series: BTreeMap<Key, Arc<Series>>,
    /// Number of the newest change of a day.
    changes: u64,
}

/// One counter.
#[derive(Clone, Debug, Default)]
pub struct Series {
    unit: String,
    last: Option<(Timestamp, f64)>,
    /// By number of the step since 1970.
    steps: BTreeMap<i64, f64>,
    /// By number of the day since 1970.
    days: BTreeMap<i32, Day>,
    /// Number of the newest change of each day that has changed.
    changed: BTreeMap<i32, u64>,
}

/// What is to be kept of a day of a counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which counter.
    pub key: Key,
    /// Its unit.
    pub unit: String,
    /// Number of the day since 1970.
    pub day: i32,
    /// Its hours.
    pub hours: Day,
    /// The newest value of the counter, and when it was heard.
    pub last: (Timestamp, f64),
}

impl Usage {
    /// A counter was heard.
    pub fn count(&mut self, at: Timestamp, count: &Count) {
        if !self.series.contains_key(&count.key) && self.series.len() >= MAX_SERIES {
            return;
        }
        let series = Arc::make_mut(self.series.entry(count.key.clone()).or_default());
        if series.unit != count.unit {
            // Another unit, another counter.
            *series = Series {
                unit: count.unit.clone(),
                ..Series::default()
            };
        }
        let changed = series.count(at, count);
        if !changed.is_empty() {
            self.changes += 1;
            series
                .changed
                .extend(changed.into_iter().map(|day| (day, self.changes)));
        }
    }

    /// What was kept of an earlier run; what has been counted since stays.
    pub fn restore(&mut self, row: Row) {
        if self.series.len() >= MAX_SERIES && !self.series.contains_key(&row.key) {
            return;
        }
        let series = Arc::make_mut(self.series.entry(row.key).or_default());
        series.unit = row.unit;
        if series.last.is_none_or(|(at, _)| at < row.last.0) {
            series.last = Some(row.last);
        }
        series.days.entry(row.day).or_insert(row.hours);
        series.forget_days();
    }

    /// One counter.
    pub fn get(&self, key: &Key) -> Option<&Series> {
        self.series.get(key).map(Arc::as_ref)
    }

    /// The counters of a meter and type, by name of the field.
    pub fn of<'a>(&'a self, id: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Series)> {
        let is_its = move |(key, _): &(&'a Key, &'a Arc<Series>)| key.0 == id && key.1 == kind;
        self.series
            .iter()
            .filter(is_its)
            .map(|(key, series)| (key.2.as_str(), series.as_ref()))
    }

    /// Number of changes of days so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the days that have changed after change number `since`.
    pub fn changed_since(&self, since: u64) -> Vec<Row> {
        let rows = |(key, series): (&Key, &Arc<Series>)| {
            let days = series.changed.iter().filter(|(_, change)| **change > since);
            let row = |(day, _): (&i32, &u64)| {
                Some(Row {
                    key: key.clone(),
                    unit: series.unit.clone(),
                    day: *day,
                    hours: *series.days.get(day)?,
                    last: series.last?,
                })
            };
            days.filter_map(row).collect::<Vec<_>>()
        };
        self.series.iter().flat_map(rows).collect()
    }
}

impl Series {
    /// Its unit.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// What was used an hour, in each step of the last day in which that is known, with the time at which it began; in
    /// whole hours for the time before the first step. The newest step is only told once a fifth of it is over.
    pub fn rates(&self) -> Vec<(i64, f64)> {
        let Some((last, _)) = self.last else {
            return Vec::new();
        };
        let rate = |(step, used): (&i64, &f64)| {
            let known = (last.as_second() - step * STEP_S).min(STEP_S);
            (known * 5 >= STEP_S).then(|| (step * STEP_S, used * HOUR_S as f64 / known as f64))
        };
        let steps: Vec<(i64, f64)> = self.steps.iter().filter_map(rate).collect();
        let first = steps.first().map_or(last.as_second(), |(at, _)| *at);
        let is_before = |(at, _): &(i64, f64)| at + HOUR_S <= first && at + DAY_S > last.as_second();
        let hours = self.hours().into_iter().filter(is_before);
        hours.chain(steps).collect()
    }

    /// What is used an hour, now.
    pub fn rate(&self) -> Option<f64> {
        let (at, rate) = self.rates().pop()?;
        let (last, _) = self.last?;
        // Of an hour before the last reading, that is not now.
        (at + 2 * STEP_S >= last.as_second()).then_some(rate)
    }

    /// What was used in each hour, with the time at which it began.
    pub fn hours(&self) -> Vec<(i64, f64)> {
        hours(self.days.iter().map(|(day, hours)| (*day, *hours)))
    }

    /// The first day in memory.
    pub fn first_day(&self) -> Option<i32> {
        self.days.keys().next().copied()
    }

    /// Days that have changed.
    fn count(&mut self, at: Timestamp, count: &Count) -> BTreeSet<i32> {
        let mut changed = BTreeSet::new();
        let Some((then, before)) = self.last else {
            self.last = Some((at, count.value));
            return changed;
        };
        if at <= then {
            if then.as_second() - at.as_second() > CLOCK_SET_S {
                self.last = Some((at, count.value));
            }
            return changed;
        }
        self.last = Some((at, count.value));
        let Some(used) = used(before, count) else {
            return changed;
        };
        let (from, to) = (then.as_second(), at.as_second().max(then.as_second() + 1));
        let from = from.max(to - LONGEST_GAP_S);
        let oldest = (to - 1).div_euclid(STEP_S) - STEPS + 1;
        for (step, part) in parts(from, to, used, STEP_S).filter(|(step, _)| *step >= oldest) {
            *self.steps.entry(step).or_default() += part;
        }
        self.steps = self.steps.split_off(&oldest);
        for (hour, part) in parts(from, to, used, HOUR_S) {
            let (day, hour) = (hour.div_euclid(24) as i32, hour.rem_euclid(24) as usize);
            let hours = self.days.entry(day).or_insert([f64::NAN; 24]);
            let so_far = if hours[hour].is_nan() { 0.0 } else { hours[hour] };
            hours[hour] = so_far + part;
            changed.insert(day);
        }
        self.forget_days();
        changed
    }

    fn forget_days(&mut self) {
        if let Some(newest) = self.days.keys().next_back().copied() {
            self.days = self.days.split_off(&(newest - DAYS + 1));
            self.changed = self.changed.split_off(&(newest - DAYS + 1));
        }
    }
}

/// Days as hours with their times.
pub fn hours(days: impl Iterator<Item = (i32, Day)>) -> Vec<(i64, f64)> {
    let of_day = |(day, hours): (i32, Day)| {
        hours
            .into_iter()
            .zip(0i64..)
            .filter(|(used, _)| !used.is_nan())
            .map(move |(used, hour)| (i64::from(day) * DAY_S + hour * HOUR_S, used))
    };
    days.flat_map(of_day).collect()
}

/// What was counted since `before`; nothing where that is not known.
fn used(before: f64, count: &Count) -> Option<f64> {
    let step = count.value - before;
    if step >= 0.0 || count.may_fall {
        return Some(step);
    }
    let wraps_at = count.wraps_at?;
    (before > wraps_at / 2.0 && count.value < wraps_at / 2.0).then_some(step + wraps_at)
}

/// `used` from one second to another, evenly, in pieces of the steps of `length_s` that it lies in.
fn parts(from: i64, to: i64, used: f64, length_s: i64) -> impl Iterator<Item = (i64, f64)> {
    let steps = from.div_euclid(length_s)..=(to - 1).div_euclid(length_s);
    steps.map(move |step| {
        let (begin, end) = (from.max(step * length_s), to.min((step + 1) * length_s));
        (step, used * (end - begin) as f64 / (to - from) as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn count(value: f64) -> Count {
        Count {
            key: ("1".into(), "scm".into(), "total".into()),
            value,
            unit: "kWh".into(),
            wraps_at: None,
            may_fall: false,
        }
    }

    fn heard(counts: &[(i64, f64)]) -> Usage {
        let mut usage = Usage::default();
        for (second, value) in counts {
            usage.count(at(*second), &count(*value));
        }
        usage
    }

    fn series(usage: &Usage) -> &Series {
        usage.of("1", "scm").next().unwrap().1
    }

    #[test]
    fn given_a_steady_meter_then_each_step_has_its_rate_and_each_hour_its_use() {
        // 2 kW for two hours.
        let usage = heard(&(0..=240).map(|i| (i * 30, i as f64 / 60.0)).collect::<Vec<_>>());
        let rates = series(&usage).rates();
        assert_eq!(rates.len(), 24);
        assert!(
            rates.iter().all(|(_, rate)| (rate - 2.0).abs() < 1e-9),
            "{rates:?}"
        );
        let hours = series(&usage).hours();
        assert_eq!(hours.len(), 2);
        assert!(
            hours.iter().all(|(_, used)| (used - 2.0).abs() < 1e-9),
            "{hours:?}"
        );
    }

    #[test]
    fn given_a_pause_then_what_was_counted_is_spread_over_it() {
        let usage = heard(&[(0, 10.0), (4 * 3600, 14.0)]);
        assert_eq!(
            series(&usage).hours(),
            [(0, 1.0), (3600, 1.0), (7200, 1.0), (10_800, 1.0)]
        );
        // And over a year, over its last month.
        let usage = heard(&[(0, 0.0), (366 * DAY_S, 744.0)]);
        assert_eq!(series(&usage).hours().len(), 744);
        assert_eq!(series(&usage).rates().len(), STEPS as usize);
    }

    #[test]
    fn given_a_counter_that_rolls_over_then_it_goes_on_and_one_that_was_reset_begins_anew() {
        let rolls = Count {
            wraps_at: Some(1000.0),
            ..count(0.0)
        };
        let mut usage = Usage::default();
        for (second, value) in [(0, 998.0), (3600, 3.0)] {
            usage.count(
                at(second),
                &Count {
                    value,
                    ..rolls.clone()
                },
            );
        }
        assert_eq!(series(&usage).hours(), [(0, 5.0)]);
        let usage = heard(&[(0, 998.0), (3600, 3.0), (7200, 4.0)]);
        assert_eq!(series(&usage).hours(), [(3600, 1.0)]);
        // A balance falls.
        let falls = Count {
            may_fall: true,
            ..count(0.0)
        };
        let mut usage = Usage::default();
        for (second, value) in [(0, 5.0), (3600, 3.0)] {
            usage.count(
                at(second),
                &Count {
                    value,
                    ..falls.clone()
                },
            );
        }
        assert_eq!(series(&usage).hours(), [(0, -2.0)]);
    }

    #[test]
    fn given_a_clock_that_is_set_back_then_nothing_is_counted_twice() {
        let usage = heard(&[(100_000, 10.0), (103_600, 11.0), (50_000, 11.0), (53_600, 12.0)]);
        let used: f64 = series(&usage).hours().iter().map(|(_, used)| used).sum();
        assert!((used - 2.0).abs() < 1e-6);
    }

    #[test]
    fn given_rows_of_an_earlier_run_then_it_goes_on_from_there() {
        let usage = heard(&[(0, 10.0), (3600, 11.0)]);
        let rows = usage.changed_since(0);
        assert_eq!(rows.len(), 1);
        assert!(usage.changed_since(usage.changes()).is_empty());
        let mut next = Usage::default();
        rows.into_iter().for_each(|row| next.restore(row));
        assert_eq!(series(&next).rates(), [(0, 1.0)]);
        assert_eq!(series(&next).rate(), None);
        next.count(at(7200), &count(13.0));
        assert_eq!(series(&next).rates().len(), 1 + 12);
        assert_eq!(series(&next).rate(), Some(2.0));
        assert_eq!(series(&next).hours(), [(0, 1.0), (3600, 2.0)]);
    }

    proptest! {
        #[test]
        fn whatever_the_steps_hours_and_days_have_the_same_sum(
            steps in proptest::collection::vec((1i64..40_000, 0.0f64..100.0), 1..60)
        ) {
            let (mut second, mut value) = (0, 0.0);
            let mut usage = heard(&[(0, 0.0)]);
            for (pause, used) in steps {
                (second, value) = (second + pause, value + used);
                usage.count(at(second), &count(value));
            }
            let sum: f64 = series(&usage).hours().iter().map(|(_, used)| used).sum();
            prop_assert!((sum - value).abs() < 1e-9 * value.max(1.0), "{} {}", sum, value);
        }
    }
}
