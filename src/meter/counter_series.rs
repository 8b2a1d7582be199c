//! Series of one counter: its consumption in the five-minute steps of a day and in the hours of two months.
//!
//! Consumption between two readings is spread evenly over the time between them. A counter that rolls over at its last
//! digit goes on; one that falls otherwise was exchanged or reset, and the consumption up to then is unknown.

use crate::meter::counter::CounterValue;
use crate::meter::usual_interval::UsualInterval;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Length of a step in seconds.
const STEP_S: i64 = 300;
/// Steps kept: one day.
const STEPS: i64 = 288;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;
/// Between readings that are further apart than this many usual intervals, and than an hour, consumption is an estimate.
const USUAL_INTERVALS: f64 = 3.0;
/// Longest gap between two readings over which consumption is spread; of a longer one, only this end.
const LONGEST_GAP_S: i64 = 31 * DAY_S;
/// Days of hours kept in memory.
pub const DAYS: i32 = 62;
/// If time goes back by more than this, the clock was set: the series continues from the new time.
const CLOCK_SET_S: i64 = 3600;
/// A rate is known once one fifth of its step is over: of a shorter time, one count more or less would dominate it.
const STEP_FRACTION: i64 = 5;

/// Consumption in each hour of a day, UTC.
#[derive(Clone, Copy, Debug)]
pub struct HourlyUse {
    /// Amounts; NaN where unknown.
    pub used: [f64; 24],
    /// One bit per hour that is measured: it lies in no pause between two readings that was longer than usual.
    pub measured: u32,
}

impl HourlyUse {
    /// A day of which nothing is known.
    pub const UNKNOWN: HourlyUse = HourlyUse {
        used: [f64::NAN; 24],
        measured: 0,
    };

    /// A day whose known hours are all measured.
    pub fn measured(used: [f64; 24]) -> Self {
        HourlyUse {
            used,
            measured: (1 << 24) - 1,
        }
    }

    fn add(&mut self, hour: usize, amount: f64, is_measured: bool) {
        let sum = &mut self.used[hour];
        *sum = if sum.is_nan() { amount } else { *sum + amount };
        self.measured |= u32::from(is_measured) << hour;
    }
}

/// Unknown hours are equal.
impl PartialEq for HourlyUse {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.used.iter().zip(&other.used);
        self.measured == other.measured && pairs.all(|(a, b)| a == b || a.is_nan() && b.is_nan())
    }
}

/// Counter value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedValue {
    /// Time of the reading.
    pub at: Timestamp,
    /// Value of the counter.
    pub value: f64,
}

/// Point of a curve: consumption, or consumption per hour, of the interval that begins at `second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Begin of the interval in seconds since 1970.
    pub second: i64,
    /// Amount, in the unit of the counter (per hour, for a rate).
    pub amount: f64,
}

/// Consumption in the hour that begins at `second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hour {
    /// Begin of the hour in seconds since 1970.
    pub second: i64,
    /// Amount, in the unit of the counter.
    pub amount: f64,
    /// The hour lies in no longer pause between two readings.
    pub is_measured: bool,
}

/// Consumption measured by one counter.
#[derive(Clone, Debug, Default)]
pub struct CounterSeries {
    unit: String,
    last: Option<TimedValue>,
    interval: UsualInterval,
    /// Consumption by number of the step since 1970.
    steps: BTreeMap<i64, f64>,
    /// Consumption by number of the day since 1970.
    days: BTreeMap<i32, HourlyUse>,
    /// Number of the newest change of each changed day.
    changed: BTreeMap<i32, u64>,
}

impl CounterSeries {
    /// An empty series of values in `unit`.
    pub fn new(unit: String) -> Self {
        CounterSeries {
            unit,
            ..CounterSeries::default()
        }
    }

    /// Unit of the counter.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Newest value.
    pub fn last(&self) -> Option<TimedValue> {
        self.last
    }

    /// Hours of the day with this number since 1970.
    pub fn day(&self, day: i32) -> Option<HourlyUse> {
        self.days.get(&day).copied()
    }

    /// First day in memory, as its number since 1970.
    pub fn first_day(&self) -> Option<i32> {
        self.days.keys().next().copied()
    }

    /// Consumption per hour in the steps of the last day, oldest first; before the first known step, in whole hours.
    /// The newest step is left out until a fifth of it is over.
    pub fn rates(&self) -> Vec<Point> {
        let Some(last) = self.last.map(|last| last.at.as_second()) else {
            return Vec::new();
        };
        let rate = |(step, used): (&i64, &f64)| {
            let elapsed = (last - step * STEP_S).min(STEP_S);
            (elapsed * STEP_FRACTION >= STEP_S).then(|| Point {
                second: step * STEP_S,
                amount: used * HOUR_S as f64 / elapsed as f64,
            })
        };
        let steps: Vec<Point> = self.steps.iter().filter_map(rate).collect();
        let first = steps.first().map_or(last, |step| step.second);
        let is_before_steps = |hour: &Hour| hour.second + HOUR_S <= first && hour.second + DAY_S > last;
        let hours = self.hours().into_iter().filter(is_before_steps);
        let points = hours.map(|hour| Point {
            second: hour.second,
            amount: hour.amount,
        });
        points.chain(steps).collect()
    }

    /// Current consumption per hour; `None` if the newest known rate is older than two steps.
    pub fn rate(&self) -> Option<f64> {
        let newest = self.rates().pop()?;
        (newest.second + 2 * STEP_S >= self.last?.at.as_second()).then_some(newest.amount)
    }

    /// Consumption in each known hour, oldest first.
    pub fn hours(&self) -> Vec<Hour> {
        hours(self.days.iter().map(|(day, hours)| (*day, *hours)))
    }

    /// Returns the days that have changed after change number `since`.
    pub fn changed_since(&self, since: u64) -> impl Iterator<Item = i32> {
        let days = self.changed.iter();
        days.filter_map(move |(day, change)| (*change > since).then_some(*day))
    }

    /// Adds a value as change number `change`; returns whether any day has changed.
    pub(super) fn record(&mut self, at: Timestamp, new: &CounterValue, change: u64) -> bool {
        let now = TimedValue { at, value: new.value };
        let Some(before) = self.last else {
            self.last = Some(now);
            return false;
        };
        if at <= before.at {
            // A late reading changes nothing. If the clock was set back, the series continues from the new time, and
            // the consumption in between is unknown.
            if before.at.as_second() - at.as_second() > CLOCK_SET_S {
                self.last = Some(now);
            }
            return false;
        }
        self.last = Some(now);
        let pause = at.duration_since(before.at).as_secs_f64();
        let usual = self.interval.seconds().unwrap_or_default();
        let is_measured = pause <= (USUAL_INTERVALS * usual).max(HOUR_S as f64);
        self.interval.learn(before.at, at);
        let Some(used) = difference(before.value, new) else {
            return false;
        };
        // At least one second, so that there is a step and an hour to add to, and the parts sum up to `used`.
        let (from, to) = (
            before.at.as_second(),
            at.as_second().max(before.at.as_second() + 1),
        );
        let from = from.max(to - LONGEST_GAP_S);
        let oldest = (to - 1).div_euclid(STEP_S) - STEPS + 1;
        for (step, part) in split_evenly(from, to, used, STEP_S).filter(|(step, _)| *step >= oldest) {
            *self.steps.entry(step).or_default() += part;
        }
        self.steps = self.steps.split_off(&oldest);
        for (hour, part) in split_evenly(from, to, used, HOUR_S) {
            let (day, hour) = (hour.div_euclid(24) as i32, hour.rem_euclid(24) as usize);
            self.days
                .entry(day)
                .or_insert(HourlyUse::UNKNOWN)
                .add(hour, part, is_measured);
            self.changed.insert(day, change);
        }
        self.drop_old_days();
        true
    }

    /// Adds a stored day, unless it is in memory already.
    pub(super) fn restore(&mut self, unit: String, day: i32, hours: HourlyUse, last: TimedValue) {
        self.unit = unit;
        if self.last.is_none_or(|known| known.at < last.at) {
            self.last = Some(last);
        }
        self.days.entry(day).or_insert(hours);
        self.drop_old_days();
    }

    fn drop_old_days(&mut self) {
        if let Some(newest) = self.days.keys().next_back().copied() {
            let oldest = newest - DAYS + 1;
            self.days = self.days.split_off(&oldest);
            self.changed = self.changed.split_off(&oldest);
        }
    }
}

/// Known hours of numbered days.
pub fn hours(days: impl Iterator<Item = (i32, HourlyUse)>) -> Vec<Hour> {
    let hours_of = |(day, hours): (i32, HourlyUse)| {
        let used = hours.used.into_iter().zip(0i64..);
        used.filter(|(amount, _)| !amount.is_nan())
            .map(move |(amount, hour)| Hour {
                second: i64::from(day) * DAY_S + hour * HOUR_S,
                amount,
                is_measured: hours.measured >> hour & 1 == 1,
            })
    };
    days.flat_map(hours_of).collect()
}

/// Consumption since the value `before`; `None` if unknown, because the counter was reset or exchanged.
fn difference(before: f64, new: &CounterValue) -> Option<f64> {
    let difference = new.value - before;
    if difference >= 0.0 || new.may_fall {
        return Some(difference);
    }
    // From the upper half of the range to the lower: rolled over. Any other fall is a reset.
    let wraps_at = new.wraps_at?;
    (before > wraps_at / 2.0 && new.value < wraps_at / 2.0).then_some(difference + wraps_at)
}

/// Spreads `amount` evenly from second `from` to second `to`, and splits it at multiples of `length_s`: pairs of number
/// and amount.
fn split_evenly(from: i64, to: i64, amount: f64, length_s: i64) -> impl Iterator<Item = (i64, f64)> {
    let numbers = from.div_euclid(length_s)..=(to - 1).div_euclid(length_s);
    numbers.map(move |number| {
        let (begin, end) = (from.max(number * length_s), to.min((number + 1) * length_s));
        (number, amount * (end - begin) as f64 / (to - from) as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::counter::CounterKey;

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

    /// A series of `(second, value)`, each changed by `adjust`.
    fn adjusted(values: &[(i64, f64)], adjust: impl Fn(&mut CounterValue)) -> CounterSeries {
        let mut series = CounterSeries::default();
        for (second, value) in values {
            let mut counter = counter(*value);
            adjust(&mut counter);
            series.record(at(*second), &counter, 1);
        }
        series
    }

    fn series(values: &[(i64, f64)]) -> CounterSeries {
        adjusted(values, |_| ())
    }

    fn amounts(hours: &[Hour]) -> Vec<(i64, f64)> {
        hours.iter().map(|hour| (hour.second, hour.amount)).collect()
    }

    #[test]
    fn given_a_steady_meter_then_each_step_has_its_rate_and_each_hour_its_consumption() {
        // 2 kW for two hours.
        let series = series(&(0..=240).map(|i| (i * 30, i as f64 / 60.0)).collect::<Vec<_>>());
        let rates = series.rates();
        assert_eq!(rates.len(), 24);
        assert!(
            rates.iter().all(|rate| (rate.amount - 2.0).abs() < 1e-9),
            "{rates:?}"
        );
        let hours = amounts(&series.hours());
        assert_eq!(hours.len(), 2);
        assert!(
            hours.iter().all(|(_, used)| (used - 2.0).abs() < 1e-9),
            "{hours:?}"
        );
    }

    #[test]
    fn given_a_gap_then_the_consumption_is_spread_over_it_and_its_hours_are_estimates() {
        let hours = series(&[(0, 10.0), (4 * 3600, 14.0)]).hours();
        assert_eq!(
            amounts(&hours),
            [(0, 1.0), (3600, 1.0), (7200, 1.0), (10_800, 1.0)]
        );
        assert!(hours.iter().all(|hour| !hour.is_measured));
        // Half an hour apart, then a pause of two hours from the middle of the second hour to that of the fourth.
        let hours = series(&[
            (0, 0.0),
            (1800, 1.0),
            (3600, 2.0),
            (5400, 3.0),
            (12_600, 7.0),
            (14_400, 8.0),
        ])
        .hours();
        let measured: Vec<bool> = hours.iter().map(|hour| hour.is_measured).collect();
        assert_eq!(measured, [true, true, false, true]);
    }

    #[test]
    fn given_a_meter_that_is_read_once_a_day_then_its_days_are_measured() {
        let hours = series(&(0..4).map(|day| (day * DAY_S, day as f64)).collect::<Vec<_>>()).hours();
        let measured = hours.iter().filter(|hour| hour.is_measured).count();
        // The interval is known from the second day on.
        assert_eq!((hours.len(), measured), (72, 48));
    }

    #[test]
    fn given_a_pause_of_a_year_then_its_last_month_has_consumption() {
        let series = series(&[(0, 0.0), (366 * DAY_S, 744.0)]);
        assert_eq!(series.hours().len(), 744);
        assert_eq!(series.rates().len(), STEPS as usize);
    }

    #[test]
    fn given_a_counter_that_rolls_over_then_it_goes_on_and_after_a_reset_it_begins_anew() {
        let rolled = adjusted(&[(0, 998.0), (3600, 3.0)], |counter| {
            counter.wraps_at = Some(1000.0);
        });
        assert_eq!(amounts(&rolled.hours()), [(0, 5.0)]);
        let reset = series(&[(0, 998.0), (3600, 3.0), (7200, 4.0)]);
        assert_eq!(amounts(&reset.hours()), [(3600, 1.0)]);
    }

    #[test]
    fn given_a_net_register_then_its_fall_is_negative_consumption() {
        let net = adjusted(&[(0, 5.0), (3600, 3.0)], |counter| counter.may_fall = true);
        assert_eq!(amounts(&net.hours()), [(0, -2.0)]);
    }

    #[test]
    fn given_a_clock_that_is_set_back_then_nothing_is_counted_twice() {
        let series = series(&[(100_000, 10.0), (103_600, 11.0), (50_000, 11.0), (53_600, 12.0)]);
        let used: f64 = series.hours().iter().map(|hour| hour.amount).sum();
        assert!((used - 2.0).abs() < 1e-6);
    }
}
