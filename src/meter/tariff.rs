//! Prices of what meters count, and the cost of an hour.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::sync::Arc;

/// Parts of an hour whose prices are averaged, so that a price may change at a quarter.
const QUARTERS: i64 = 4;
const QUARTER_S: i64 = 900;
/// Counters of energy that was fed in.
const EXPORT: &str = "energy_export_total";
/// Primary counters, which a price and a standing charge are for.
const PRIMARY: [&str; 3] = ["energy_import_total", "total", "count"];

/// Price at certain times of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedPrice {
    /// Price per unit.
    pub price: f64,
    /// Begin of the time of day.
    pub from: Time,
    /// End of it; before the begin if midnight lies in between, equal to it for the whole day.
    pub to: Time,
    /// Days on which it begins; empty: all.
    pub days: Vec<Weekday>,
}

impl TimedPrice {
    fn applies(&self, date: Date, time: Time) -> bool {
        let is_on = |date: Option<Date>| {
            let day = date.map(Date::weekday);
            self.days.is_empty() || day.is_some_and(|day| self.days.contains(&day))
        };
        let yesterday = || date.yesterday().ok();
        if self.from < self.to {
            return self.from <= time && time < self.to && is_on(Some(date));
        }
        time >= self.from && is_on(Some(date)) || time < self.to && is_on(yesterday())
    }
}

/// Length of time that a standing charge is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargePeriod {
    /// A day.
    Day,
    /// A month of the calendar.
    #[default]
    Month,
    /// A year of the calendar.
    Year,
}

impl ChargePeriod {
    /// Days of the period with `date` in it.
    fn days(self, date: Date) -> f64 {
        match self {
            ChargePeriod::Day => 1.0,
            ChargePeriod::Month => f64::from(date.days_in_month()),
            ChargePeriod::Year => f64::from(date.days_in_year()),
        }
    }
}

/// Prices of some meters from a day on.
#[derive(Clone, Debug, PartialEq)]
pub struct Tariff {
    /// Ids of the meters.
    pub meters: Vec<String>,
    /// First day; none: always.
    pub from: Option<Date>,
    /// Price per unit of the counter.
    pub price: f64,
    /// Prices at other times; the first that applies counts.
    pub times: Vec<TimedPrice>,
    /// Credit per unit that is fed in.
    pub export_price: Option<f64>,
    /// Standing charge.
    pub standing: Option<(f64, ChargePeriod)>,
    /// Code or sign of the currency.
    pub currency: String,
}

impl Tariff {
    fn price_at(&self, date: Date, time: Time) -> f64 {
        let timed = self.times.iter().find(|timed| timed.applies(date, time));
        timed.map_or(self.price, |timed| timed.price)
    }
}

/// Tariffs of all meters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariffs(Arc<[Tariff]>);

impl Tariffs {
    /// Orders tariffs by their first day.
    pub fn new(mut tariffs: Vec<Tariff>) -> Self {
        tariffs.sort_by_key(|tariff| tariff.from);
        Tariffs(tariffs.into())
    }

    /// Returns the costs of a counter; `None` if it has no price.
    pub fn of_counter(&self, meter: &str, field: &str, zone: &TimeZone) -> Option<CounterCosts<'_>> {
        let is_export = field == EXPORT;
        if !is_export && !PRIMARY.contains(&field) {
            return None;
        }
        let tariffs = self.0.iter().filter(|tariff| {
            let is_priced = !is_export || tariff.export_price.is_some();
            is_priced && tariff.meters.iter().any(|id| id == meter)
        });
        let tariffs: Vec<&Tariff> = tariffs.collect();
        (!tariffs.is_empty()).then(|| CounterCosts {
            tariffs,
            is_export,
            zone: zone.clone(),
        })
    }
}

/// Costs of one counter.
pub struct CounterCosts<'a> {
    /// In the order of their first days.
    tariffs: Vec<&'a Tariff>,
    is_export: bool,
    zone: TimeZone,
}

impl CounterCosts<'_> {
    /// Currency of the newest tariff.
    pub fn currency(&self) -> &str {
        self.tariffs.last().map_or("", |tariff| &tariff.currency)
    }

    /// Cost of `amount` in the hour that begins at `second`; negative for a credit. `None` before the first tariff.
    pub fn of_hour(&self, second: i64, amount: f64) -> Option<f64> {
        let begin = Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone());
        let tariff = self.tariff_on(begin.date())?;
        if self.is_export {
            return Some(-amount * tariff.export_price?);
        }
        let quarters = (0..QUARTERS).map(|quarter| {
            let at = begin
                .datetime()
                .saturating_add(SignedDuration::from_secs(quarter * QUARTER_S));
            tariff.price_at(at.date(), at.time())
        });
        Some(amount * quarters.sum::<f64>() / QUARTERS as f64)
    }

    /// Standing charges from second `from` up to `to`, day by day.
    pub fn standing(&self, from: i64, to: i64) -> f64 {
        if self.is_export || self.tariffs.iter().all(|tariff| tariff.standing.is_none()) {
            return 0.0;
        }
        let date_of = |second| {
            let at = Timestamp::from_second(second).ok()?;
            Some(at.to_zoned(self.zone.clone()).date())
        };
        let (mut sum, mut begin) = (0.0, from);
        while begin < to {
            let Some((date, next)) =
                date_of(begin).and_then(|date| Some((date, date.checked_add(1.day()).ok()?)))
            else {
                break;
            };
            let Ok(midnight) = next.to_zoned(self.zone.clone()) else {
                break;
            };
            let midnight = midnight.timestamp().as_second().max(begin + 1);
            let end = midnight.min(to);
            if let Some((charge, period)) = self.tariff_on(date).and_then(|tariff| tariff.standing) {
                let day_s = date
                    .to_zoned(self.zone.clone())
                    .map_or(86_400, |start| midnight - start.timestamp().as_second());
                sum += charge / period.days(date) * (end - begin) as f64 / day_s.max(1) as f64;
            }
            begin = end;
        }
        sum
    }

    fn tariff_on(&self, date: Date) -> Option<&Tariff> {
        let valid = |tariff: &&&Tariff| tariff.from.is_none_or(|from| from <= date);
        self.tariffs.iter().rev().find(valid).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Zoned;
    use jiff::civil::{date, time};

    fn tariff(price: f64) -> Tariff {
        Tariff {
            meters: vec!["1".into()],
            from: None,
            price,
            times: Vec::new(),
            export_price: None,
            standing: None,
            currency: "EUR".into(),
        }
    }

    fn second(zoned: &str) -> i64 {
        zoned.parse::<Zoned>().unwrap().timestamp().as_second()
    }

    fn zone() -> TimeZone {
        TimeZone::get("Europe/Amsterdam").unwrap()
    }

    /// Price of one unit in the hour that begins then.
    fn price(tariffs: &Tariffs, local: &str) -> Option<f64> {
        let costs = tariffs.of_counter("1", "energy_import_total", &zone()).unwrap();
        costs.of_hour(second(&format!("{local}[Europe/Amsterdam]")), 1.0)
    }

    #[test]
    fn given_tariffs_with_dates_then_each_hour_has_the_price_of_its_day() {
        let new = Tariff {
            from: Some(date(2026, 7, 1)),
            currency: "CHF".into(),
            ..tariff(0.4)
        };
        let first = Tariff {
            from: Some(date(2026, 1, 1)),
            ..tariff(0.3)
        };
        let tariffs = Tariffs::new(vec![new, first]);
        assert_eq!(price(&tariffs, "2025-12-31T23:00"), None);
        assert_eq!(price(&tariffs, "2026-01-01T00:00"), Some(0.3));
        assert_eq!(price(&tariffs, "2026-06-30T23:00"), Some(0.3));
        assert_eq!(price(&tariffs, "2026-07-01T00:00"), Some(0.4));
        let costs = tariffs.of_counter("1", "total", &zone()).unwrap();
        assert_eq!(costs.currency(), "CHF");
        assert!(tariffs.of_counter("2", "total", &zone()).is_none());
        assert!(tariffs.of_counter("1", "volume", &zone()).is_none());
    }

    #[test]
    fn given_a_night_and_a_weekend_then_they_have_their_prices_and_a_quarter_counts_as_one() {
        let times = vec![
            TimedPrice {
                price: 0.1,
                from: time(0, 0, 0, 0),
                to: time(0, 0, 0, 0),
                days: vec![Weekday::Saturday, Weekday::Sunday],
            },
            TimedPrice {
                price: 0.2,
                from: time(22, 15, 0, 0),
                to: time(6, 0, 0, 0),
                days: vec![],
            },
        ];
        let tariffs = Tariffs::new(vec![Tariff { times, ..tariff(0.6) }]);
        // A Friday.
        for (local, expected) in [
            ("2026-11-27T05:00", 0.2),
            ("2026-11-27T06:00", 0.6),
            ("2026-11-27T22:00", (0.6 + 3.0 * 0.2) / 4.0),
            ("2026-11-28T00:00", 0.1),
            ("2026-11-29T23:00", 0.1),
            ("2026-11-30T00:00", 0.2),
        ] {
            let price = price(&tariffs, local).unwrap();
            assert!((price - expected).abs() < 1e-12, "{local}: {price}");
        }
    }

    #[test]
    fn given_an_export_price_then_what_is_fed_in_is_a_credit_and_only_import_has_a_standing_charge() {
        let tariffs = Tariffs::new(vec![Tariff {
            export_price: Some(0.08),
            standing: Some((31.0, ChargePeriod::Month)),
            ..tariff(0.3)
        }]);
        let export = tariffs.of_counter("1", EXPORT, &zone()).unwrap();
        assert_eq!(export.of_hour(0, 2.0), Some(-0.16));
        assert_eq!(export.standing(0, 1_000_000), 0.0);
        let import = tariffs.of_counter("1", "energy_import_total", &zone()).unwrap();
        let (begin, end) = (
            second("2026-03-01T00:00[Europe/Amsterdam]"),
            second("2026-04-01T00:00[Europe/Amsterdam]"),
        );
        assert!(
            (import.standing(begin, end) - 31.0).abs() < 1e-9,
            "with a day of 23 hours"
        );
        assert!((import.standing(begin, begin + 43_200) - 0.5).abs() < 1e-9);
        assert!(
            Tariffs::new(vec![tariff(0.3)])
                .of_counter("1", EXPORT, &zone())
                .is_none()
        );
    }
}
