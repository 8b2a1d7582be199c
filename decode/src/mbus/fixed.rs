//! Fixed data structure of old meters: two counters (EN 1434-3, 4.3).

use super::types::{Message, MessageError, Record, Value};
use super::value::{bcd, number, signed};
use crate::quantity;
use crate::unit::Unit;

/// Unit code of a second counter that has the unit of the first and holds its value at a fixed date.
const HISTORIC: u8 = 0x3E;

/// Decodes the data of a frame with CI 73.
pub fn parse(data: &[u8]) -> Result<Message, MessageError> {
    let short = MessageError::Short(data.len());
    let Some((&[n1, n2, n3, n4, access_number, status, first, second], counters)) = data.split_first_chunk()
    else {
        return Err(short);
    };
    let Some((counters, _)) = counters.split_first_chunk::<8>() else {
        return Err(short);
    };
    // Bit 0 of the status: counters are binary, not BCD. Bit 1: they are values of a fixed date.
    let is_binary = status & 1 != 0;
    let storage = u64::from(status >> 1 & 1);
    // The medium is split over the two highest bits of both unit bytes, low half first.
    let medium = medium(first >> 6 | (second >> 6) << 2);
    let (first, second) = (first & 0x3F, second & 0x3F);
    let second = if second == HISTORIC {
        (first, 1)
    } else {
        (second, storage)
    };
    let (first_counter, second_counter) = counters.split_at(4);
    let records =
        [((first, storage), first_counter), (second, second_counter)].map(|((code, storage), bytes)| {
            let (quantity, unit, exponent) = unit(code);
            let number = if is_binary {
                Some(signed(bytes))
            } else {
                bcd(bytes)
            };
            let value = number.and_then(|number| quantity::scaled(number, exponent));
            Record {
                storage,
                ..Record::current(quantity, value.map(Value::Number), unit)
            }
        });
    Ok(Message {
        number: number([n1, n2, n3, n4]),
        manufacturer: String::new(),
        version: 0,
        device_type: 0,
        medium,
        access_number,
        status,
        records: records.into(),
        data: Vec::new(),
        more_follows: false,
    })
}

/// Returns the medium of a fixed structure: four bits with a table of their own (EN 1434-3, table 2). Codes A to E repeat
/// the media of "mode 2".
fn medium(code: u8) -> &'static str {
    match code {
        0x0 => "other",
        0x1 => "oil",
        0x2 => "electricity",
        0x3 | 0xA => "gas",
        0x4 | 0xB => "heat",
        0x5 => "steam",
        0x6 | 0xC => "warm_water",
        0x7 | 0xD => "water",
        0x8 | 0xE => "heat_cost_allocator",
        _ => "unknown",
    }
}

/// Returns quantity, unit and power of ten of a unit code (EN 1434-3, table 5).
fn unit(code: u8) -> (&'static str, Unit, i32) {
    // Successive codes of a unit differ by a factor of ten.
    let step = |base: u8| i32::from(code - base);
    match code {
        0x00 => ("time", Unit::Second, 0),
        0x01 => ("date", Unit::None, 0),
        0x02..=0x0A => ("energy", Unit::Wh, step(0x02)),
        0x0B..=0x13 => ("energy", Unit::J, step(0x0B) + 3),
        0x14..=0x1C => ("power", Unit::W, step(0x14)),
        0x1D..=0x25 => ("power", Unit::JoulePerHour, step(0x1D) + 3),
        0x26..=0x2E => ("volume", Unit::CubicMeter, step(0x26) - 6),
        0x2F..=0x37 => ("volume_flow", Unit::CubicMeterPerHour, step(0x2F) - 6),
        0x38 => ("temperature", Unit::Celsius, -3),
        0x39 => ("heat_cost_units", Unit::None, 0),
        _ => ("reserved", Unit::None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame's data with this medium, units of 10 l and 1 Wh, and BCD counters 1234 and 5678.
    fn data(medium: u8) -> [u8; 16] {
        let (first, second) = (0x2A | medium << 6, 0x02 | (medium >> 2) << 6);
        [
            0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, first, second, 0x34, 0x12, 0, 0, 0x78, 0x56, 0, 0,
        ]
    }

    #[test]
    fn every_medium_comes_from_the_table_of_the_fixed_structure() {
        for (code, medium) in [
            (0x3, "gas"),
            (0x8, "heat_cost_allocator"),
            (0x9, "unknown"),
            (0xA, "gas"),
            (0xB, "heat"),
            (0xC, "warm_water"),
            (0xD, "water"),
            (0xE, "heat_cost_allocator"),
            (0xF, "unknown"),
        ] {
            assert_eq!(parse(&data(code)).unwrap().medium, medium, "{code:X}");
        }
    }

    #[test]
    fn both_counters_are_read_in_their_units() {
        let message = parse(&data(7)).unwrap();
        assert_eq!(message.number, "12345678");
        let records: Vec<_> = message
            .records
            .iter()
            .map(|record| {
                (
                    record.quantity,
                    serde_json::to_string(&record.value).unwrap(),
                    record.unit.as_str(),
                )
            })
            .collect();
        assert_eq!(
            records,
            [("volume", "12.34".into(), "m3"), ("energy", "5678".into(), "Wh")]
        );
        assert_eq!(parse(&data(7)[..15]), Err(MessageError::Short(15)));
    }

    #[test]
    fn given_a_historic_counter_then_it_has_the_unit_of_the_first_and_is_stored() {
        let mut data = data(7);
        data[7] = 0x40 | HISTORIC;
        let records = parse(&data).unwrap().records;
        assert_eq!((records[1].quantity, records[1].storage), ("volume", 1));
        assert_eq!(records[0].storage, 0);
    }
}
