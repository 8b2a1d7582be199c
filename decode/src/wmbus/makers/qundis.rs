//! Qundis "walk-by": water, heat and heat cost allocators of the series 5.5 that send everything in one record.
//!
//! ```text
//!  0D FF 5F │ 35 │ identification (4)? │ ? (4) │ version │ VIF │ date of an error (2) │ now (4)
//!  │ date (2), value (4) of the set day │ date (2), value (4) of the last month │ 12 differences of months (2)
//! ```
//!
//! Values are BCD in the unit of the VIF, differences are binary numbers in it; 8000 is none. Reported as `month_1`, the last
//! one, to `month_12`.

use super::payload::{unsigned, value};
use crate::mbus::{Record, Value, bcd, primary, scaled, time};
use crate::unit::Unit;

/// Bytes of the record behind its length byte.
const LEN: u8 = 0x35;

/// Replaces the record by those that it holds. `data` begin with the length byte.
pub(super) fn replace(record: Record, header: &[u8], data: &[u8]) -> Vec<Record> {
    // A code of errors under a reserved VIF.
    if header == [0x01, 0xFD, 0x73] {
        return vec![value("error_flags", 0, unsigned(data), 0, Unit::None)];
    }
    // Qundis marks the present flow (VIF 3B) with extension 56, which elsewhere is the duration of a limit's crossing.
    if record.quantity == "volume_flow" && record.qualifiers == ["below_limit_duration"] {
        let meaning = primary(0x3B);
        return vec![Record {
            value: Some(scaled(unsigned(data), &meaning)),
            unit: meaning.unit,
            qualifiers: Vec::new(),
            ..record
        }];
    }
    let is_walk_by = record.quantity == "manufacturer_specific" && record.modifiers == ["5F"];
    let Some((&LEN, bytes)) = data.split_first().filter(|_| is_walk_by) else {
        return vec![record];
    };
    decode(bytes).unwrap_or_else(|| vec![record])
}

fn decode(bytes: &[u8]) -> Option<Vec<Record>> {
    let meaning = primary(*bytes.get(9)?);
    let total = |storage, at: usize| {
        let number = bcd(bytes.get(at..at + 4)?)?;
        Some(Record {
            storage,
            ..Record::current(
                meaning.quantity,
                Some(scaled(number, &meaning)),
                meaning.unit.clone(),
            )
        })
    };
    let date = |storage, at: usize| {
        let date = time(bytes.get(at..at + 2)?)?;
        Some(Record {
            storage,
            ..Record::current("date", Some(Value::Time(date)), Unit::None)
        })
    };
    // Storage 1 is the set day and 17 the last month, as in the ordinary telegrams of these meters.
    let main = [
        total(0, 12),
        date(1, 16),
        total(1, 18),
        date(17, 22),
        total(17, 24),
    ];
    let mut records: Vec<Record> = main.into_iter().flatten().collect();
    // The last difference is that of the last month.
    for (month, difference) in (1u8..).zip(bytes.get(28..52)?.rchunks_exact(2)) {
        let number = unsigned(difference);
        if number != 0x8000 && number != 0xFFFF {
            let record = value(
                meaning.quantity,
                0,
                number,
                meaning.exponent,
                meaning.unit.clone(),
            );
            records.push(Record {
                qualifiers: vec![format!("month_{month}").into()],
                ..record
            });
        }
    }
    Some(records)
}
