//! Compact profiles: many values of one quantity in one record (EN 13757-3, annex F).
//!
//! ```text
//!  LVAR │ spacing control │ spacing value │ value │ value …
//!
//!  spacing control   7–6: 0 values, 1 increments, 2 decrements, 3 differences with a sign
//!                    5–4: unit of the spacing   3–0: format of the values
//! ```
//!
//! Values of an inverse profile of increments count down from the ordinary record with the storage number of the profile, and
//! the times of all profiles count from that record's. Increments of the other profiles are reported as such.

use super::types::{Record, Value};
use super::value::{bcd, scaled, signed, unsigned};
use super::vif::Meaning;
use crate::quantity::Decimal;
use crate::time::MeterTime;
use crate::unit::Unit;
use jiff::civil::{Date, DateTime};
use jiff::{Span, ToSpan};

/// Record whose data are a profile.
pub struct Profile {
    /// Meaning of each value.
    pub meaning: Meaning,
    /// Order of the values.
    pub order: Order,
}

/// Order of the values of a profile. The storage numbers count up from that of the record in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Inverse profile: each value is older than the one before it.
    Backwards,
    /// Profile with registers: each value is later than the one before it.
    Forwards,
    /// Profile without registers: as with registers, but the last value is sent first.
    LastFirst,
}

/// Ordinary record that stands before a profile: from it the profile may count.
pub struct Base {
    quantity: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u32,
    value: Value,
}

impl Base {
    /// Returns what a later profile may need of a record; `None` if that is nothing.
    pub fn of(record: &Record) -> Option<Self> {
        let value = record.value.clone().filter(|_| record.qualifiers.is_empty())?;
        Some(Base {
            quantity: record.quantity,
            storage: record.storage,
            tariff: record.tariff,
            subunit: record.subunit,
            value,
        })
    }

    fn is_of(&self, quantity: &str, profile: &Record) -> bool {
        self.quantity == quantity
            && (self.storage, self.tariff, self.subunit) == (profile.storage, profile.tariff, profile.subunit)
    }
}

impl Profile {
    /// Returns a record for each value that the meter has, and for its time if the profile has a first one; `None` for
    /// increments that count down from an unknown value, and for formats of variable length. `data` begin with the length byte.
    pub fn records(&self, record: &Record, data: &[u8], before: &[Base]) -> Option<Vec<Record>> {
        let [_, control, spacing, values @ ..] = data else {
            return None;
        };
        let (len, is_bcd) = match control & 0x0F {
            len @ 1..=4 => (len, false),
            6 => (6, false),
            7 => (8, false),
            0xC => (4, true),
            0xE => (6, true),
            format @ 9..=0xB => (format - 8, true),
            _ => return None,
        };
        let mode = control >> 6;
        let base = |quantity| before.iter().rev().find(|base| base.is_of(quantity, record));
        let is_inverse = self.order == Order::Backwards;
        let counts_down = mode != 0 && is_inverse;
        let mut last = match base(record.quantity).map(|base| &base.value) {
            Some(Value::Number(number)) => *number,
            _ if counts_down => return None,
            _ => Decimal::ZERO,
        };
        let qualifiers = match mode {
            _ if is_inverse => Vec::new(),
            1 | 3 => vec!["increase".into()],
            2 => vec!["decrease".into()],
            _ => Vec::new(),
        };
        let start = ["date", "datetime"]
            .into_iter()
            .find_map(|quantity| base(quantity).and_then(|base| Some((quantity, as_datetime(&base.value)?))));
        let mut values: Vec<&[u8]> = values.chunks_exact(len.into()).collect();
        if self.order == Order::LastFirst {
            values.reverse();
        }
        let mut found = Vec::new();
        for (bytes, step) in values.into_iter().zip(1..) {
            let number = match (mode, is_bcd) {
                (_, true) => bcd(bytes),
                (0 | 3, false) => known(bytes),
                (_, false) => Some(unsigned(bytes)).filter(|_| bytes.iter().any(|byte| *byte != 0xFF)),
            };
            let number = match number.map(|number| scaled(number, &self.meaning)) {
                None if mode == 0 => continue,
                // What follows would count from a value that is not known.
                Some(Value::Number(number)) => number,
                _ => break,
            };
            // Increments and differences are those of the later value.
            let value = match mode {
                _ if !counts_down => Some(number),
                2 => last.checked_add(number),
                _ => last.checked_sub(number),
            };
            let (Some(value), Some(storage)) = (value, record.storage.checked_add(step)) else {
                break;
            };
            last = value;
            found.push(Record {
                value: Some(Value::Number(value)),
                storage,
                qualifiers: [&record.qualifiers[..], &qualifiers].concat(),
                ..record.clone()
            });
            let steps = i32::try_from(step)
                .ok()
                .map(|step| if is_inverse { -step } else { step });
            let time = start.zip(steps).and_then(|((quantity, start), steps)| {
                let time = moved(start, *spacing, control >> 4 & 3, steps)?;
                let time = match quantity {
                    "date" => MeterTime::Date(time.date()),
                    _ => MeterTime::DateTime(time),
                };
                Some(Record {
                    value: Some(Value::Time(time)),
                    storage,
                    qualifiers: Vec::new(),
                    ..record_of_time(quantity, record)
                })
            });
            found.extend(time);
        }
        Some(found)
    }
}

fn record_of_time(quantity: &'static str, profile: &Record) -> Record {
    Record {
        tariff: profile.tariff,
        subunit: profile.subunit,
        ..Record::current(quantity, None, Unit::None)
    }
}

fn as_datetime(value: &Value) -> Option<DateTime> {
    match value {
        Value::Time(MeterTime::Date(date)) => Some(date.at(0, 0, 0, 0)),
        Value::Time(MeterTime::DateTime(time)) => Some(*time),
        _ => None,
    }
}

/// Returns the time `steps` spacings after `start`; `None` for a spacing that is none.
fn moved(start: DateTime, spacing: u8, unit: u8, steps: i32) -> Option<DateTime> {
    let by = |span: Span| start.checked_add(span).ok();
    let count = i64::from(spacing) * i64::from(steps);
    match (spacing, unit) {
        (1..=250, 0) => by(count.seconds()),
        (1..=250, 1) => by(count.minutes()),
        (1..=250, 2) => by(count.hours()),
        (1..=250, _) => by(count.days()),
        (254, 1) => months(start, 6 * steps),
        (254, 2) => months(start, 3 * steps),
        (254, 3) => months(start, steps),
        _ => None,
    }
}

/// Returns the same day of another month; the last day of a month stays the last one.
fn months(start: DateTime, count: i32) -> Option<DateTime> {
    let moved = start.checked_add(i64::from(count).months()).ok()?;
    let is_last = |date: Date| date.day() == date.days_in_month();
    if is_last(start.date()) {
        return Some(moved.date().last_of_month().to_datetime(moved.time()));
    }
    Some(moved)
}

/// Returns a binary number; `None` for the lowest one, which stands for a value that the meter does not have.
fn known(bytes: &[u8]) -> Option<i128> {
    let number = signed(bytes);
    (number != -(1 << (8 * bytes.len() - 1))).then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::mbus::records;

    fn values(bytes: &[u8]) -> Vec<(String, u64, String)> {
        let mut found = Vec::new();
        assert_eq!(records(bytes, &mut found), Ok(false));
        found
            .iter()
            .map(|record| {
                let value = serde_json::to_string(&record.value).unwrap();
                (record.quantity.to_owned(), record.storage, value)
            })
            .collect()
    }

    fn row(quantity: &str, storage: u64, value: &str) -> (String, u64, String) {
        (quantity.into(), storage, value.into())
    }

    #[test]
    fn a_profile_gives_a_record_for_each_value_that_the_meter_has() {
        // Volume, storage 8, profile with registers: 1 l, none, 3 l, in four BCD digits a month.
        let bytes = [0x8D, 0x04, 0x93, 0x1E, 8, 0x3A, 0xFE, 1, 0, 0xFF, 0xFF, 3, 0];
        assert_eq!(
            values(&bytes),
            [row("volume", 9, "0.001"), row("volume", 11, "0.003")]
        );
    }

    #[test]
    fn given_a_date_with_the_storage_number_of_a_profile_then_each_value_has_one() {
        // 31 December 2025, storage 8; then months backwards, each with its last day.
        let bytes = [
            0x82, 0x04, 0x6C, 0x3F, 0x3C, 0x8D, 0x04, 0x93, 0x13, 5, 0x31, 0xFE, 7, 6, 5,
        ];
        assert_eq!(
            values(&bytes)[1..],
            [
                row("volume", 9, "0.007"),
                row("date", 9, "\"2025-11-30\""),
                row("volume", 10, "0.006"),
                row("date", 10, "\"2025-10-31\""),
                row("volume", 11, "0.005"),
                row("date", 11, "\"2025-09-30\""),
            ]
        );
    }

    #[test]
    fn increments_of_an_inverse_profile_count_down_from_the_value_with_its_storage_number() {
        // 1000 l, and what was added in each of the months before.
        let base = [0x82, 0x04, 0x13, 0xE8, 0x03];
        let backwards = [0x8D, 0x04, 0x93, 0x13, 5, 0x71, 0xFE, 10, 20, 0xFF];
        assert_eq!(
            values(&[&base[..], &backwards].concat())[1..],
            [row("volume", 9, "0.990"), row("volume", 10, "0.970")],
            "FF: no value, and none after it"
        );
    }

    #[test]
    fn other_increments_are_named_so() {
        let bytes = [0x8D, 0x04, 0x93, 0x1E, 3, 0x71, 0xFE, 10];
        let mut found = Vec::new();
        records(&bytes, &mut found).unwrap();
        assert_eq!(
            (&found[0].qualifiers[..], found[0].storage),
            (&["increase".into()][..], 9)
        );
    }

    #[test]
    fn a_profile_without_registers_begins_with_its_last_value() {
        let bytes = [
            0x82, 0x04, 0x6C, 0x5F, 0x3A, 0x8D, 0x04, 0x93, 0x1F, 4, 0x31, 0xFE, 9, 4,
        ];
        assert_eq!(
            values(&bytes)[1..],
            [
                row("volume", 9, "0.004"),
                row("date", 9, "\"2026-11-30\""),
                row("volume", 10, "0.009"),
                row("date", 10, "\"2026-12-31\""),
            ]
        );
    }

    #[test]
    fn increments_without_a_value_to_count_down_from_are_left_as_they_are_sent() {
        let bytes = [0x8D, 0x04, 0x93, 0x13, 3, 0x71, 0xFE, 1];
        let found = values(&bytes);
        assert_eq!((found.len(), found[0].1), (1, 8));
    }
}
