//! BMeters Hydroclima: a heat cost allocator with temperatures behind DIF 0F.
//!
//! ```text
//!  11 │ ? (8) │ heater (2) │ room (2) │ highest of the room (2) │ ? (2) │ last month: heater (2), room (2) │ ? (23) │ units (3)
//! ```
//!
//! Temperatures are hundredths of a degree; 8000 is none. Known from one telegram with format 11.

use super::payload::{Context, unsigned, value};
use crate::mbus::{Record, signed};
use crate::unit::Unit;

/// Format that is known.
const FORMAT: u8 = 0x11;
const NONE: i128 = -0x8000;

/// Decodes the tail.
pub(super) fn tail(context: &Context, tail: &[u8]) -> Option<Vec<Record>> {
    if context.meter.device_type != 8 || tail.first() != Some(&FORMAT) {
        return None;
    }
    let mut records = Vec::new();
    for (quantity, qualifier, at) in [
        ("radiator_temperature", "average", 9),
        ("room_temperature", "average", 11),
        ("room_temperature", "highest", 13),
        ("radiator_temperature", "average_before", 17),
        ("room_temperature", "average_before", 19),
    ] {
        let hundredths = signed(tail.get(at..at + 2)?);
        if hundredths != NONE {
            records.push(Record {
                qualifiers: vec![qualifier.into()],
                ..value(quantity, 0, hundredths, -2, Unit::Celsius)
            });
        }
    }
    if let Some(units) = tail.get(44..47) {
        records.push(Record {
            qualifiers: vec!["total".into()],
            ..value("heat_cost_units", 0, unsigned(units), 0, Unit::None)
        });
    }
    Some(records)
}
