//! BMeters Hydroclima: a heat cost allocator with temperatures behind DIF 0F.
//!
//! ```text
//!  10 │ ? (6) │ room (2) │ highest of the room (2) │ ? (4) │ last month: room (2), heater (2) │ ? (2) │ units (3)
//!  11 │ ? (8) │ heater (2) │ room (2) │ highest of the room (2) │ ? (2) │ last month: heater (2), room (2)
//!     │ units at the ends of four periods (2 each) │ room in three periods (2 each) │ ? (9) │ units (3)
//! ```
//!
//! Temperatures are averages of a month in hundredths of a degree; 8000 is none. The two bytes behind the first one are error
//! flags of unknown meaning.

use super::payload::{Context, unsigned, value};
use crate::mbus::{Record, signed};
use crate::unit::Unit;

const NONE: i128 = -0x8000;
/// First storage number of the periods, as in ordinary telegrams of these meters: 1 is the set day.
const FIRST_PERIOD: u64 = 2;

/// Temperature: quantity, qualifier, storage number, and position behind the first byte.
type Temperature = (&'static str, &'static str, u64, usize);

const OF_10: [Temperature; 4] = [
    ("room_temperature", "average", 0, 7),
    ("room_temperature", "highest", 0, 9),
    ("room_temperature", "average_before", 0, 15),
    ("radiator_temperature", "average_before", 0, 17),
];
const OF_11: [Temperature; 8] = [
    ("radiator_temperature", "average", 0, 9),
    ("room_temperature", "average", 0, 11),
    ("room_temperature", "highest", 0, 13),
    ("radiator_temperature", "average_before", 0, 17),
    ("room_temperature", "average_before", 0, 19),
    ("room_temperature", "average", FIRST_PERIOD, 29),
    ("room_temperature", "average", FIRST_PERIOD + 1, 31),
    ("room_temperature", "average", FIRST_PERIOD + 2, 33),
];

/// Decodes the tail.
pub(super) fn tail(context: &Context, tail: &[u8]) -> Option<Vec<Record>> {
    if context.meter.device_type != 8 {
        return None;
    }
    let (temperatures, periods, units): (&[Temperature], _, _) = match tail.first()? {
        0x10 => (&OF_10, 0..0, 21),
        0x11 => (&OF_11, 21..29, 44),
        _ => return None,
    };
    let mut records = Vec::new();
    for &(quantity, qualifier, storage, at) in temperatures {
        let hundredths = tail.get(at..at + 2).map(signed);
        if let Some(hundredths) = hundredths.filter(|hundredths| *hundredths != NONE) {
            records.push(Record {
                qualifiers: vec![qualifier.into()],
                ..value(quantity, storage, hundredths, -2, Unit::Celsius)
            });
        }
    }
    let periods = tail.get(periods).unwrap_or_default().chunks_exact(2);
    records.extend(
        (FIRST_PERIOD..)
            .zip(periods)
            .map(|(storage, period)| value("heat_cost_units", storage, unsigned(period), 0, Unit::None)),
    );
    if let Some(units) = tail.get(units..units + 3) {
        records.push(Record {
            qualifiers: vec!["total".into()],
            ..value("heat_cost_units", 0, unsigned(units), 0, Unit::None)
        });
    }
    if let Some(flags) = tail.get(1..3) {
        records.push(value("error_flags", 0, unsigned(flags), 0, Unit::None));
    }
    Some(records)
}
