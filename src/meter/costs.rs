//! The cost of what a counter has counted.

use crate::meter::counter_series::Hour;
use crate::meter::hourly_prices::HourlyPrices;
use crate::meter::price_source::PriceSource;
use crate::meter::tariff::{HourlyPrice, Prices, REGISTERS, Tariff, Tariffs};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parts of an hour whose prices are averaged, so that a price may change at a quarter.
const QUARTERS: i64 = 4;
const QUARTER_S: i64 = 900;
/// Counters of energy that was fed in.
const EXPORT: &str = "energy_export_total";
/// Primary counters, which a price and a standing charge are for.
const PRIMARY: [&str; 3] = ["energy_import_total", "total", "count"];
/// End of the name of a counter that is the sum of registers.
const TOTAL: &str = "_total";

/// Prices of the exchanges and suppliers, as far as they are known.
pub type KnownPrices = [(PriceSource, Arc<HourlyPrices>)];

/// Costs of one counter.
pub struct CounterCosts<'a> {
    /// In the order of their first days.
    tariffs: Vec<Priced<'a>>,
    field: &'a str,
    zone: TimeZone,
    /// What each register has counted, by the begin of the hour.
    registers: [BTreeMap<i64, f64>; REGISTERS],
}

/// Tariff with the prices of the counter's direction.
struct Priced<'a> {
    tariff: &'a Tariff,
    prices: &'a Prices,
    hourly: Option<(&'a HourlyPrice, &'a HourlyPrices)>,
}

impl<'a> CounterCosts<'a> {
    /// Returns the costs of a counter; `None` if it has no price.
    pub fn new(
        tariffs: &'a Tariffs,
        known: &'a KnownPrices,
        (meter, field): (&'a str, &'a str),
        zone: &TimeZone,
    ) -> Option<Self> {
        let is_export = field == EXPORT;
        if !is_export && !PRIMARY.contains(&field) {
            return None;
        }
        let priced = tariffs.of_meter(meter).filter_map(|tariff| {
            let prices = if is_export {
                tariff.export.as_ref()?
            } else {
                &tariff.import
            };
            let hourly = prices.hourly.as_ref().and_then(|hourly| {
                let mut known = known.iter();
                let (_, table) = known.find(|(source, _)| *source == hourly.source)?;
                Some((hourly, &**table))
            });
            Some(Priced {
                tariff,
                prices,
                hourly,
            })
        });
        let tariffs: Vec<_> = priced.collect();
        (!tariffs.is_empty()).then(|| CounterCosts {
            tariffs,
            field,
            zone: zone.clone(),
            registers: Default::default(),
        })
    }

    /// Currency of the newest tariff.
    pub fn currency(&self) -> &str {
        self.tariffs.last().map_or("", |priced| &priced.tariff.currency)
    }

    /// Registers whose hours are wanted: number, counted from 0, and name of the counter.
    pub fn wanted_registers(&self) -> Vec<(usize, String)> {
        let is_wanted = |i: &usize| {
            let mut tariffs = self.tariffs.iter();
            tariffs.any(|priced| priced.prices.registers[*i].is_some())
        };
        let begin = self.field.strip_suffix(TOTAL).unwrap_or(self.field);
        let wanted = (0..REGISTERS).filter(is_wanted);
        wanted.map(|i| (i, format!("{begin}_t{}", i + 1))).collect()
    }

    /// Takes what register `i`, counted from 0, has counted.
    pub fn set_register(&mut self, i: usize, hours: &[Hour]) {
        self.registers[i] = hours.iter().map(|hour| (hour.second, hour.amount)).collect();
    }

    /// Cost of `amount` in the hour that begins at `second`; negative for a credit. `None` where no price is known.
    pub fn of_hour(&self, second: i64, amount: f64) -> Option<f64> {
        let begin = Timestamp::from_second(second).ok()?.to_zoned(self.zone.clone());
        let priced = self.tariff_on(begin.date())?;
        let cost = self
            .of_registers(priced, second)
            .or_else(|| Some(amount * priced.of_exchange(second)?))
            .or_else(|| Some(amount * priced.fixed(&begin)?))?;
        Some(if self.is_export() { -cost } else { cost })
    }

    /// Cost by the meter's own registers, if the use of each of them is known.
    fn of_registers(&self, priced: &Priced<'_>, second: i64) -> Option<f64> {
        if !priced.prices.has_registers() {
            return None;
        }
        let prices = priced.prices.registers.iter().zip(&self.registers);
        let prices = prices.filter_map(|(price, hours)| Some(((*price)?, hours)));
        prices
            .map(|(price, hours)| Some(price * hours.get(&second)?))
            .sum()
    }

    /// Standing charges from second `from` up to `to`, day by day.
    pub fn standing(&self, from: i64, to: i64) -> f64 {
        let has_none = self.tariffs.iter().all(|priced| priced.tariff.standing.is_none());
        if self.is_export() || has_none {
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
            if let Some((charge, period)) = self.tariff_on(date).and_then(|priced| priced.tariff.standing) {
                let day_s = date
                    .to_zoned(self.zone.clone())
                    .map_or(86_400, |start| midnight - start.timestamp().as_second());
                sum += charge / period.days(date) * (end - begin) as f64 / day_s.max(1) as f64;
            }
            begin = end;
        }
        sum
    }

    fn is_export(&self) -> bool {
        self.field == EXPORT
    }

    fn tariff_on(&self, date: Date) -> Option<&Priced<'a>> {
        let is_valid = |priced: &&Priced| priced.tariff.from.is_none_or(|from| from <= date);
        self.tariffs.iter().rev().find(is_valid)
    }
}

impl Priced<'_> {
    /// Price of the hour at an exchange, with what is added to it.
    fn of_exchange(&self, second: i64) -> Option<f64> {
        let (hourly, table) = self.hourly?;
        Some(table.of_hour(second)? * hourly.factor + hourly.add)
    }

    /// Mean of the prices of the quarters of the hour that begins then.
    fn fixed(&self, begin: &Zoned) -> Option<f64> {
        let quarters = (0..QUARTERS).map(|quarter| {
            let after = SignedDuration::from_secs(quarter * QUARTER_S);
            let at = begin.datetime().saturating_add(after);
            self.prices.at(at.date(), at.time())
        });
        let sum: Option<f64> = quarters.sum();
        Some(sum? / QUARTERS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::price_list::PriceSpan;
    use crate::meter::tariff::{ChargePeriod, TimedPrice};
    use jiff::civil::{Weekday, date, time};

    fn tariff(price: f64) -> Tariff {
        Tariff {
            meters: vec!["1".into()],
            from: None,
            import: Prices {
                price: Some(price),
                ..Prices::default()
            },
            export: None,
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

    fn costs<'a>(tariffs: &'a Tariffs, known: &'a KnownPrices, field: &'a str) -> Option<CounterCosts<'a>> {
        CounterCosts::new(tariffs, known, ("1", field), &zone())
    }

    /// Price of one unit in the hour that begins then.
    fn price(tariffs: &Tariffs, local: &str) -> Option<f64> {
        let costs = costs(tariffs, &[], "energy_import_total").unwrap();
        costs.of_hour(second(&format!("{local}[Europe/Amsterdam]")), 1.0)
    }

    fn hour(second: i64, amount: f64) -> Hour {
        Hour {
            second,
            amount,
            is_measured: true,
        }
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
        assert_eq!(costs(&tariffs, &[], "total").unwrap().currency(), "CHF");
        assert!(CounterCosts::new(&tariffs, &[], ("2", "total"), &zone()).is_none());
        assert!(costs(&tariffs, &[], "volume").is_none());
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
        let mut weekly = tariff(0.6);
        weekly.import.times = times;
        let tariffs = Tariffs::new(vec![weekly]);
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
            export: Some(Prices {
                price: Some(0.08),
                ..Prices::default()
            }),
            standing: Some((31.0, ChargePeriod::Month)),
            ..tariff(0.3)
        }]);
        let export = costs(&tariffs, &[], EXPORT).unwrap();
        assert_eq!(export.of_hour(0, 2.0), Some(-0.16));
        assert_eq!(export.standing(0, 1_000_000), 0.0);
        let import = costs(&tariffs, &[], "energy_import_total").unwrap();
        let (begin, end) = (
            second("2026-03-01T00:00[Europe/Amsterdam]"),
            second("2026-04-01T00:00[Europe/Amsterdam]"),
        );
        assert!(
            (import.standing(begin, end) - 31.0).abs() < 1e-9,
            "with a day of 23 hours"
        );
        assert!((import.standing(begin, begin + 43_200) - 0.5).abs() < 1e-9);
        assert!(costs(&Tariffs::new(vec![tariff(0.3)]), &[], EXPORT).is_none());
    }

    #[test]
    fn given_hourly_prices_then_they_count_with_taxes_where_they_are_known_and_the_fixed_price_elsewhere() {
        let source = PriceSource {
            address: "mqtt:prices".parse().unwrap(),
            field: None,
            headers: BTreeMap::new(),
        };
        let hourly = HourlyPrice {
            source: source.clone(),
            factor: 1.25,
            add: 0.125,
        };
        let mut table = HourlyPrices::default();
        let span = PriceSpan {
            begin: 3600,
            end: 7200,
            price: -0.5,
        };
        table.learn(&[span], Timestamp::UNIX_EPOCH);
        let known = [(source, Arc::new(table))];
        let mut dynamic = tariff(0.25);
        dynamic.import.hourly = Some(hourly.clone());
        dynamic.export = Some(Prices {
            hourly: Some(hourly),
            ..Prices::default()
        });
        let tariffs = Tariffs::new(vec![dynamic]);
        let import = costs(&tariffs, &known, "energy_import_total").unwrap();
        assert_eq!(
            (import.of_hour(0, 2.0), import.of_hour(3600, 2.0)),
            (Some(0.5), Some(-1.0))
        );
        let export = costs(&tariffs, &known, EXPORT).unwrap();
        assert_eq!(
            (export.of_hour(0, 2.0), export.of_hour(3600, 2.0)),
            (None, Some(1.0))
        );
    }

    #[test]
    fn given_prices_of_registers_then_each_counts_its_own_and_hours_without_them_have_the_other_price() {
        let mut two = tariff(0.5);
        two.import.registers = [Some(0.25), Some(0.75), None, None];
        let tariffs = Tariffs::new(vec![two]);
        let mut costs = costs(&tariffs, &[], "energy_import_total").unwrap();
        let wanted = costs.wanted_registers();
        assert_eq!(
            wanted,
            [(0, "energy_import_t1".into()), (1, "energy_import_t2".into())]
        );
        costs.set_register(0, &[hour(0, 3.0), hour(3600, 4.0)]);
        costs.set_register(1, &[hour(0, 1.0)]);
        assert_eq!(costs.of_hour(0, 4.0), Some(1.5));
        assert_eq!(
            costs.of_hour(3600, 4.0),
            Some(2.0),
            "of one register nothing is known"
        );
        assert!(tariffs.has_registers("1") && !tariffs.has_registers("2"));
    }
}
