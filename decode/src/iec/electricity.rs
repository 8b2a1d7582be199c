//! Fields of electricity meters.

use super::data_set::DataSet;
use crate::fields::{Field, FieldKind, field};
use crate::obis::Obis;
use crate::quantity::Quantity;
use crate::report::{Fields, Value};
use crate::time::{MeterTime, Zone};

/// Codes of the meter's number, the best first.
pub(super) const IDS: [&str; 9] = [
    "C.1.0", "C.1", "96.1.0", "96.1.1", "0.0.0", "0.0.1", "0.0", "C.1.1", "96.1.255",
];

/// Returns the field of a code of two or three groups.
fn known(code: &str) -> Option<Field> {
    let mut groups = code.split('.').map(str::parse::<u8>);
    let (c, d) = (groups.next()?.ok()?, groups.next()?.ok()?);
    let e = groups.next().transpose().ok()?.unwrap_or_default();
    let obis = Obis { a: 1, b: 0, c, d, e };
    groups.next().is_none().then(|| field(obis)).flatten()
}

/// Writes a data set by its name; returns false if it has none.
pub(super) fn write(set: &DataSet, zone: &Zone, reading: &mut Fields) -> bool {
    let (Some(value), code) = (set.value(), set.short_code()) else {
        // Empty brackets mean that the meter has no value for this code.
        return true;
    };
    match code {
        "F.F" | "F.F.0" => reading.put("error_code", Value::Text(value.into())),
        "0.2.0" => reading.put("firmware_version", Value::Text(value.into())),
        "0.9.1" | "0.9.2" => {}
        code => {
            let Some(field) = known(code) else {
                return false;
            };
            let Some(quantity) = Quantity::from_p1(value, &field.unit) else {
                return false;
            };
            let value = match field.kind {
                FieldKind::Quantity => Value::Quantity(quantity),
                FieldKind::Demand => demand(quantity, set, zone),
                _ => return false,
            };
            reading.put(field.name, value);
        }
    }
    true
}

/// Returns a demand with the time in the second bracket, if there is one: `YYMMDDhhmm`.
fn demand(quantity: Quantity, set: &DataSet, zone: &Zone) -> Value {
    let time = set
        .values
        .get(1)
        .map(|time| time.replace(['-', ':', ' ', ','], ""));
    let time = time.filter(|time| time.len() == 10).map(|time| time + "00");
    match time.and_then(|time| MeterTime::from_p1(&time, zone)) {
        Some(timestamp) => Value::Demand { timestamp, quantity },
        None => Value::Quantity(quantity),
    }
}

/// Returns the time of the clock: 0.9.1 is the time of day, 0.9.2 the date.
pub(super) fn time(sets: &[DataSet], zone: &Zone) -> Option<MeterTime> {
    let digits = |code: &str| {
        let value = sets.iter().find(|set| set.short_code() == code)?.value()?;
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        (digits.len() == 6).then_some(digits)
    };
    let text = digits("0.9.2")? + &digits("0.9.1")?;
    // A clock that was never set shows a year before the first of these meters.
    let is_set = text.get(..2)?.parse::<u8>().ok()? >= 10;
    MeterTime::from_p1(&text, zone).filter(|_| is_set)
}
