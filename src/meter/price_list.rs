//! Lists of prices as power exchanges, suppliers and home automation publish them: JSON with a begin and a price for each
//! hour or quarter of an hour.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Limit of the prices in one list: a year of quarters of an hour.
const MAX_PRICES: usize = 36_000;
/// Length of a price whose end is neither given nor shown by the next one.
const HOUR_S: i64 = 3600;
/// Longest price of which an end is believed.
const LONGEST_S: i64 = 7 * 86_400;
/// Numbers beyond this are milliseconds, not seconds, since 1970.
const LEAST_MILLIS: f64 = 1e11;

/// Keys of the begin of a price. In this order: evcc and metertap itself, Tibber, EPEX Spot and ENTSO-E by Home Assistant, aWATTar,
/// elprisetjustnu.se, Octopus, EnergyZero.
const BEGINS: [&str; 8] = [
    "start",
    "startsAt",
    "start_time",
    "time",
    "start_timestamp",
    "time_start",
    "valid_from",
    "readingDate",
];
/// Keys of its end.
const ENDS: [&str; 5] = ["end", "end_time", "end_timestamp", "time_end", "valid_to"];
/// Keys of the price, the first that is there counts.
const PRICES: [&str; 9] = [
    "price",
    "total",
    "value",
    "marketprice",
    "price_per_kwh",
    "price_ct_per_kwh",
    "price_eur_per_mwh",
    "value_inc_vat",
    "EUR_per_kWh",
];
/// Keys of the unit of a price.
const UNITS: [&str; 2] = ["unit", "unit_of_measurement"];

/// Price of one kWh, m³ or gal over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceSpan {
    /// Begin in seconds since 1970.
    pub begin: i64,
    /// End in seconds since 1970.
    pub end: i64,
    /// Price.
    pub price: f64,
}

/// Reason why a list cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceListError {
    /// The text is not JSON.
    #[error("expected JSON: {0}")]
    NotJson(String),
    /// Nothing in it has a begin and a price.
    #[error(
        "no prices found: expected a list such as [{{\"start\": \"2026-11-26T13:00:00+01:00\", \"price\": 0.2345}}]"
    )]
    Empty,
    /// A begin or end cannot be read.
    #[error(
        "`{0}`: expected a time with its offset, such as 2026-11-26T13:00:00+01:00, or seconds since 1970"
    )]
    Time(String),
    /// A price cannot be read.
    #[error("`{0}`: expected a price")]
    Price(String),
    /// The list is longer than any that is published.
    #[error("more than {MAX_PRICES} prices")]
    TooMany,
}

/// Reads a list. `field`: key of the price, where the usual ones are not meant.
///
/// # Errors
/// Returns the first mistake in it.
pub fn parse(text: &[u8], field: Option<&str>) -> Result<Vec<PriceSpan>, PriceListError> {
    let document: Value =
        serde_json::from_slice(text).map_err(|error| PriceListError::NotJson(error.to_string()))?;
    let mut reader = Reader {
        field,
        prices: Vec::new(),
    };
    reader.read(&document, None)?;
    if reader.prices.is_empty() {
        return Err(PriceListError::Empty);
    }
    Ok(with_ends(reader.prices))
}

/// Begin, end if it is given, and price.
type Entry = (i64, Option<i64>, f64);

struct Reader<'a> {
    field: Option<&'a str>,
    prices: Vec<Entry>,
}

impl Reader<'_> {
    /// Takes all prices at any depth: lists of today and tomorrow stand side by side, or in an answer of GraphQL.
    fn read(&mut self, value: &Value, unit: Option<&str>) -> Result<(), PriceListError> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.read(item, unit)),
            Value::Object(object) => {
                let unit = found(object, &UNITS).and_then(|(_, unit)| unit.as_str()).or(unit);
                if let (Some((_, begin)), Some((key, price))) = (found(object, &BEGINS), self.price(object)) {
                    return self.entry(object, begin, key, price, unit);
                }
                if let (Some(Value::Array(begins)), Some(Value::Array(prices))) =
                    (object.get("unix_seconds"), object.get("price"))
                {
                    return self.columns(begins, prices, unit);
                }
                object.values().try_for_each(|value| self.read(value, unit))
            }
            _ => Ok(()),
        }
    }

    fn price<'v>(&self, object: &'v Map<String, Value>) -> Option<(&'v str, &'v Value)> {
        match self.field {
            Some(field) => found(object, &[field]),
            None => found(object, &PRICES),
        }
        .filter(|(_, price)| !price.is_array() && !price.is_object())
    }

    fn entry(
        &mut self,
        object: &Map<String, Value>,
        begin: &Value,
        key: &str,
        price: &Value,
        unit: Option<&str>,
    ) -> Result<(), PriceListError> {
        let end = found(object, &ENDS)
            .map(|(_, end)| end)
            .filter(|end| !end.is_null());
        let unit = unit.unwrap_or(key);
        self.push(second(begin)?, end.map(second).transpose()?, price, unit)
    }

    /// Begins and prices in two lists, as energy-charts.info has them.
    fn columns(
        &mut self,
        begins: &[Value],
        prices: &[Value],
        unit: Option<&str>,
    ) -> Result<(), PriceListError> {
        let mut pairs = begins.iter().zip(prices);
        pairs.try_for_each(|(begin, price)| self.push(second(begin)?, None, price, unit.unwrap_or_default()))
    }

    fn push(
        &mut self,
        begin: i64,
        end: Option<i64>,
        price: &Value,
        unit: &str,
    ) -> Result<(), PriceListError> {
        // The prices of tomorrow are null until they are known.
        if price.is_null() {
            return Ok(());
        }
        let number = match price {
            Value::String(text) => text.trim().parse().ok(),
            price => price.as_f64(),
        };
        let number = number
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| PriceListError::Price(shortened(price)))?;
        if self.prices.len() >= MAX_PRICES {
            return Err(PriceListError::TooMany);
        }
        self.prices.push((begin, end, number * factor(unit)));
        Ok(())
    }
}

/// Returns the first of `keys` that the object has, in whatever case, and its value.
fn found<'v>(object: &'v Map<String, Value>, keys: &[&str]) -> Option<(&'v str, &'v Value)> {
    keys.iter().find_map(|key| {
        let mut pairs = object.iter();
        let (key, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some((key.as_str(), value))
    })
}

/// Factor from `unit`, such as `EUR/MWh` or `price_ct_per_kwh`, to whole units of the currency per kWh; 1 for any other.
fn factor(unit: &str) -> f64 {
    let unit = unit.to_lowercase();
    let words: Vec<&str> = unit
        .split(|c: char| !c.is_alphanumeric() && c != '/')
        .flat_map(|word| word.split('/'))
        .collect();
    let has = |names: &[&str]| words.iter().any(|word| names.contains(word));
    let energy = if has(&["mwh"]) { 0.001 } else { 1.0 };
    let currency = if has(&["ct", "cent", "cents", "øre", "öre", "p", "pence"]) {
        0.01
    } else {
        1.0
    };
    energy * currency
}

/// Reads seconds or milliseconds since 1970, or a time by RFC 3339.
fn second(value: &Value) -> Result<i64, PriceListError> {
    let wrong = || PriceListError::Time(shortened(value));
    if let Some(number) = value.as_f64() {
        let seconds = if number.abs() < LEAST_MILLIS {
            number
        } else {
            number / 1000.0
        };
        return Ok(seconds as i64);
    }
    let text = value.as_str().ok_or_else(wrong)?;
    let at: Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(at.as_second())
}

/// The first characters of a value, for an error.
fn shortened(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(40).collect()
}

/// Orders the prices, and ends each that has no end when the next begins, after an hour at most. The last one is as long as
/// the one before.
fn with_ends(mut entries: Vec<Entry>) -> Vec<PriceSpan> {
    entries.sort_by_key(|(begin, ..)| *begin);
    let mut length = HOUR_S;
    let mut prices = Vec::with_capacity(entries.len());
    for (i, (begin, end, price)) in entries.iter().copied().enumerate() {
        let next = entries[i..]
            .iter()
            .map(|(next, ..)| *next)
            .find(|next| *next > begin);
        let end = match (end, next) {
            (Some(end), _) => end.min(begin.saturating_add(LONGEST_S)),
            (None, Some(next)) => {
                length = next.saturating_sub(begin).min(HOUR_S);
                begin.saturating_add(length)
            }
            (None, None) => begin.saturating_add(length),
        };
        prices.push(PriceSpan { begin, end, price });
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-26T12:00:00Z.
    const NOON: i64 = 1_795_694_400;

    fn prices(text: &str) -> Vec<(i64, i64, f64)> {
        let parsed = parse(text.as_bytes(), None).unwrap_or_else(|error| panic!("{text}: {error}"));
        let relative = |price: &PriceSpan| (price.begin - NOON, price.end - NOON, price.price);
        parsed.iter().map(relative).collect()
    }

    #[test]
    fn given_lists_as_they_are_published_then_each_has_the_same_two_hours_in_units_per_kwh() {
        let expected = [(0, 3600, 0.25), (3600, 7200, -0.125)];
        for text in [
            // metertap, and evcc
            r#"[{"start": "2026-11-26T13:00:00+01:00", "price": 0.25}, {"start": "2026-11-26T14:00:00+01:00", "price": -0.125}]"#,
            r#"{"rates": [{"start": "2026-11-26T13:00:00+01:00", "end": "2026-11-26T14:00:00+01:00", "value": 0.25},
                {"start": "2026-11-26T14:00:00+01:00", "end": "2026-11-26T15:00:00+01:00", "value": -0.125}]}"#,
            // Tibber
            r#"{"data": {"viewer": {"homes": [{"currentSubscription": {"priceInfo": {
                "today": [{"total": 0.25, "energy": 0.1, "startsAt": "2026-11-26T13:00:00.000+01:00"}],
                "tomorrow": [{"total": -0.125, "energy": 0.1, "startsAt": "2026-11-26T14:00:00.000+01:00"}]}}}]}}}"#,
            // aWATTar
            r#"{"object": "list", "data": [
                {"start_timestamp": 1795694400000, "end_timestamp": 1795698000000, "marketprice": 250, "unit": "Eur/MWh"},
                {"start_timestamp": 1795698000000, "end_timestamp": 1795701600000, "marketprice": -125.0, "unit": "Eur/MWh"}]}"#,
            // energy-charts.info
            r#"{"unix_seconds": [1795694400, 1795698000], "price": [250, -125], "unit": "EUR / MWh", "deprecated": false}"#,
            // Home Assistant: a state with the list of EPEX Spot, ENTSO-E, Nord Pool
            r#"{"state": "25", "attributes": {"unit_of_measurement": "€/kWh", "data": [
                {"start_time": "2026-11-26T12:00:00+00:00", "end_time": "2026-11-26T13:00:00+00:00", "price_per_kwh": 0.25},
                {"start_time": "2026-11-26T13:00:00+00:00", "end_time": "2026-11-26T14:00:00+00:00", "price_per_kwh": -0.125}]}}"#,
            r#"{"prices": [{"time": "2026-11-26 13:00:00+01:00", "price": 0.25}, {"time": "2026-11-26 14:00:00+01:00", "price": -0.125}]}"#,
            r#"{"today": [0.25, -0.125], "raw_today": [
                {"start": "2026-11-26T13:00:00+01:00", "end": "2026-11-26T14:00:00+01:00", "value": 0.25},
                {"start": "2026-11-26T14:00:00+01:00", "end": "2026-11-26T15:00:00+01:00", "value": -0.125}],
                "raw_tomorrow": [{"start": "2026-11-27T00:00:00+01:00", "end": "2026-11-27T01:00:00+01:00", "value": null}]}"#,
            r#"[{"start_time": "2026-11-26T12:00:00Z", "price_ct_per_kwh": 25}, {"start_time": "2026-11-26T13:00:00Z", "price_ct_per_kwh": "-12.5"}]"#,
            // elprisetjustnu.se, EnergyZero
            r#"[{"SEK_per_kWh": 2.5, "EUR_per_kWh": 0.25, "time_start": "2026-11-26T13:00:00+01:00", "time_end": "2026-11-26T14:00:00+01:00"},
                {"SEK_per_kWh": 2.5, "EUR_per_kWh": -0.125, "time_start": "2026-11-26T14:00:00+01:00", "time_end": "2026-11-26T15:00:00+01:00"}]"#,
            r#"{"Prices": [{"price": -0.125, "readingDate": "2026-11-26T13:00:00Z"}, {"price": 0.25, "readingDate": "2026-11-26T12:00:00Z"}]}"#,
        ] {
            assert_eq!(prices(text), expected, "{text}");
        }
    }

    #[test]
    fn given_quarters_of_an_hour_then_the_last_is_one_too_and_a_gap_is_not_filled() {
        let text = r#"[{"start": 1795694400, "price": 1}, {"start": 1795695300, "price": 2}]"#;
        assert_eq!(prices(text), [(0, 900, 1.0), (900, 1800, 2.0)]);
        let text = r#"[{"start": 1795694400, "price": 1}, {"start": 1795708800, "price": 2}]"#;
        assert_eq!(prices(text), [(0, 3600, 1.0), (14_400, 18_000, 2.0)]);
    }

    #[test]
    fn given_a_key_then_its_prices_are_read_and_no_others() {
        let text = br#"[{"start": 1795694400, "price": 1, "SEK_per_kWh": 2.5}]"#;
        assert_eq!(parse(text, Some("SEK_per_kWh")).unwrap()[0].price, 2.5);
        assert_eq!(parse(text, Some("none")), Err(PriceListError::Empty));
    }

    #[test]
    fn given_mistakes_then_each_is_named_with_what_was_expected() {
        for (text, expected) in [
            ("<html>", "expected JSON"),
            ("[]", "no prices found"),
            (r#"{"price": 1}"#, "no prices found"),
            (
                r#"[{"start": "2026-11-26T13:00:00", "price": 1}]"#,
                "`2026-11-26T13:00:00`: expected a time with its offset",
            ),
            (r#"[{"start": 0, "price": "cheap"}]"#, "`cheap`: expected a price"),
        ] {
            let error = parse(text.as_bytes(), None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let many = vec![r#"{"start":0,"price":1}"#; MAX_PRICES + 1].join(",");
        assert_eq!(
            parse(format!("[{many}]").as_bytes(), None),
            Err(PriceListError::TooMany)
        );
    }

    proptest! {
        #[test]
        fn given_any_text_then_nothing_panics(text in "[\\[\\]{}:,\"a-z0-9. -]{0,80}") {
            let _ = parse(text.as_bytes(), None);
        }

        #[test]
        fn given_any_times_and_prices_then_each_has_a_price_that_ends_after_its_begin(
            entries in proptest::collection::vec((any::<i64>(), -1e6f64..1e6), 1..20)
        ) {
            let objects = entries.iter().map(|(begin, price)| format!("{{\"start\":{begin},\"price\":{price:?}}}"));
            let text = format!("[{}]", objects.collect::<Vec<_>>().join(","));
            let parsed = parse(text.as_bytes(), None).unwrap();
            prop_assert_eq!(parsed.len(), entries.len());
            for price in parsed {
                prop_assert!(price.end > price.begin, "{:?}", price);
            }
        }
    }
}
