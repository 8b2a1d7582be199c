//! Prices that change every hour or quarter of an hour, as far as they are known.

use crate::meter::price_list::PriceSpan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Length of a slot in seconds: prices of exchanges change at quarters of an hour.
const SLOT_S: i64 = 900;
const SLOTS_A_DAY: i64 = 96;
const HOUR_S: i64 = 3600;
/// Days kept, ten years; the oldest are dropped. Each takes 800 bytes.
const MAX_DAYS: usize = 3653;
/// Days from now on of which prices are taken; no exchange trades further ahead.
const MAX_DAYS_AHEAD: i64 = 31;

/// Known prices: day since 1970, UTC → price in each of its quarters of an hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<i32, Vec<Option<f32>>>")]
pub struct HourlyPrices(BTreeMap<i32, Vec<Option<f32>>>);

impl HourlyPrices {
    /// Takes the prices of a list; returns true if anything has changed by it.
    pub fn learn(&mut self, prices: &[PriceSpan], now: Timestamp) -> bool {
        let limit = now.as_second().div_euclid(SLOT_S) + MAX_DAYS_AHEAD * SLOTS_A_DAY;
        let mut has_changed = false;
        for price in prices {
            // A slot has the price at its begin.
            let first = price.begin.div_euclid(SLOT_S) + i64::from(price.begin.rem_euclid(SLOT_S) != 0);
            let end = price.end.div_euclid(SLOT_S) + i64::from(price.end.rem_euclid(SLOT_S) != 0);
            for slot in first..end.min(limit) {
                let Ok(day) = i32::try_from(slot.div_euclid(SLOTS_A_DAY)) else {
                    break;
                };
                let slots = self
                    .0
                    .entry(day)
                    .or_insert_with(|| vec![None; SLOTS_A_DAY as usize]);
                let known = &mut slots[slot.rem_euclid(SLOTS_A_DAY) as usize];
                let new = Some(price.price as f32);
                has_changed |= *known != new;
                *known = new;
            }
        }
        while self.0.len() > MAX_DAYS {
            self.0.pop_first();
        }
        has_changed
    }

    /// Mean of the known prices in the hour that begins at `second`.
    pub fn of_hour(&self, second: i64) -> Option<f64> {
        let slots = second.div_euclid(SLOT_S)..second.saturating_add(HOUR_S).div_euclid(SLOT_S);
        let (sum, count) = slots
            .filter_map(|slot| self.slot(slot))
            .fold((0.0, 0.0), |(sum, count), price| (sum + price, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }

    /// Price at a time.
    pub fn at(&self, at: Timestamp) -> Option<f64> {
        self.slot(at.as_second().div_euclid(SLOT_S))
    }

    /// End of the last known price, in seconds since 1970.
    pub fn end(&self) -> Option<i64> {
        let last = |(day, slots): (&i32, &Vec<Option<f32>>)| {
            let slot = slots.iter().rposition(Option::is_some)?;
            Some((i64::from(*day) * SLOTS_A_DAY + slot as i64 + 1) * SLOT_S)
        };
        self.0.iter().rev().find_map(last)
    }

    /// Number of quarters of an hour with a price.
    pub fn len(&self) -> usize {
        self.0.values().flatten().flatten().count()
    }

    /// Returns true if no price is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn slot(&self, slot: i64) -> Option<f64> {
        let day = i32::try_from(slot.div_euclid(SLOTS_A_DAY)).ok()?;
        let price = self.0.get(&day)?.get(slot.rem_euclid(SLOTS_A_DAY) as usize)?;
        // By its shortest digits: 0.1 as it was published, not 0.10000000149.
        price.and_then(|price| price.to_string().parse().ok())
    }
}

/// Days as they stand in a file, whose lengths may be wrong.
impl TryFrom<BTreeMap<i32, Vec<Option<f32>>>> for HourlyPrices {
    type Error = String;

    fn try_from(days: BTreeMap<i32, Vec<Option<f32>>>) -> Result<Self, String> {
        if let Some((day, slots)) = days.iter().find(|(_, slots)| slots.len() != SLOTS_A_DAY as usize) {
            return Err(format!(
                "day {day} has {} prices, expected {SLOTS_A_DAY}",
                slots.len()
            ));
        }
        let mut prices = HourlyPrices(days);
        while prices.0.len() > MAX_DAYS {
            prices.0.pop_first();
        }
        Ok(prices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(begin: i64, end: i64, price: f64) -> PriceSpan {
        PriceSpan { begin, end, price }
    }

    #[test]
    fn given_hours_and_quarters_then_an_hour_has_their_mean_and_a_new_list_replaces_what_it_names() {
        let now = Timestamp::UNIX_EPOCH;
        let mut prices = HourlyPrices::default();
        assert!(prices.learn(&[price(0, 3600, 0.1), price(3600, 4500, 0.2)], now));
        assert_eq!((prices.of_hour(0), prices.of_hour(3600)), (Some(0.1), Some(0.2)));
        assert_eq!((prices.of_hour(7200), prices.end()), (None, Some(4500)));
        assert!(!prices.learn(&[price(0, 3600, 0.1)], now), "nothing is new");
        assert!(prices.learn(&[price(4500, 7200, 0.4), price(0, 900, 0.5)], now));
        assert!((prices.of_hour(3600).unwrap() - 0.35).abs() < 1e-12);
        assert!((prices.of_hour(0).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(prices.at(Timestamp::from_second(899).unwrap()), Some(0.5));
        // In India, hours begin at half past.
        assert!((prices.of_hour(1800).unwrap() - 0.2).abs() < 1e-12);
    }

    #[test]
    fn given_more_than_ten_years_or_a_far_future_then_the_newest_of_the_past_are_kept() {
        let now = Timestamp::from_second(4000 * 86_400).unwrap();
        let mut prices = HourlyPrices::default();
        let days: Vec<_> = (0..4000)
            .map(|day| price(day * 86_400, day * 86_400 + 3600, 1.0))
            .collect();
        prices.learn(&days, now);
        assert_eq!(prices.0.len(), MAX_DAYS);
        assert!(prices.of_hour(0).is_none() && prices.of_hour(3999 * 86_400).is_some());
        let far = [
            price(5000 * 86_400, 5001 * 86_400, 1.0),
            price(i64::MIN, i64::MIN + 3600, 1.0),
            price(i64::MAX - 10, i64::MAX, 1.0),
        ];
        assert!(!prices.learn(&far, now));
        assert_eq!(prices.end(), Some(3999 * 86_400 + 3600));
    }

    #[test]
    fn given_prices_as_json_then_they_are_read_again_and_days_of_another_length_are_refused() {
        let mut prices = HourlyPrices::default();
        prices.learn(&[price(900, 1800, 0.2345)], Timestamp::UNIX_EPOCH);
        let text = serde_json::to_string(&prices).unwrap();
        assert_eq!(serde_json::from_str::<HourlyPrices>(&text).unwrap(), prices);
        assert!(serde_json::from_str::<HourlyPrices>("{\"0\":[1]}").is_err());
    }
}
