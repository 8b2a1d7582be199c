//! The fixed structure of old meters: two counters (EN 1434-3).

use super::record::{Function, Record, Value};
use super::{Message, NoMessage, number};
use crate::quantity::Decimal;

/// Reads the data of a frame with CI 73.
pub fn parse(data: &[u8]) -> Result<Message, NoMessage> {
    let Some((&[n1, n2, n3, n4, access_number, status, first, second], counters)) = data.split_first_chunk()
    else {
        return Err(NoMessage::Short(data.len()));
    };
    let Some((&[a1, a2, a3, a4, b1, b2, b3, b4], _)) = counters.split_first_chunk() else {
        return Err(NoMessage::Short(data.len()));
    };
    // The lowest bit of the status says whether counters are decimal or binary, the next whether they are fixed.
    let is_binary = status & 1 != 0;
    let storage = u64::from(status >> 1 & 1);
    let medium = (first >> 6) | (second >> 6) << 2;
    let unit_of_first = first & 0x3F;
    let records = [
        (unit_of_first, [a1, a2, a3, a4]),
        (second & 0x3F, [b1, b2, b3, b4]),
    ]
    .map(|(code, bytes)| {
        // 3E: as the first, at another time.
        let (code, storage) = if code == 0x3E {
            (unit_of_first, 1)
        } else {
            (code, storage)
        };
        let (quantity, unit, exponent, factor) = unit(code);
        let number = counter(bytes, is_binary);
        Record {
            quantity: quantity.into(),
            value: number.map(|number| Value::Number(Decimal::scaled(number * factor, exponent))),
            unit: unit.into(),
            function: Function::Instantaneous,
            storage,
            tariff: 0,
            subunit: 0,
            modifiers: Vec::new(),
        }
    });
    Ok(Message {
        number: number([n1, n2, n3, n4]),
        manufacturer: String::new(),
        version: 0,
        medium: super::medium(if medium == 0x0F { 0 } else { medium }),
        access_number,
        status,
        records: records.into(),
        more_follows: false,
    })
}

fn counter(bytes: [u8; 4], is_binary: bool) -> Option<i128> {
    if is_binary {
        return Some(i32::from_le_bytes(bytes).into());
    }
    let digits = number(bytes);
    digits.parse().ok()
}

/// Quantity, unit, power of ten and factor (EN 1434-3, table 5).
fn unit(code: u8) -> (&'static str, &'static str, i8, i128) {
    // Some units come in steps of a power of ten.
    let step = |base: u8| (code - base) as i8;
    match code {
        0x00 => ("time", "s", 0, 1),
        0x01 => ("date", "", 0, 1),
        0x02..=0x0A => ("energy", "Wh", step(0x02), 1),
        0x0B..=0x13 => ("energy", "J", step(0x0B) + 3, 1),
        0x14..=0x1C => ("power", "W", step(0x14), 1),
        0x1D..=0x25 => ("power", "J/h", step(0x1D) + 3, 1),
        0x26..=0x2E => ("volume", "m3", step(0x26) - 6, 1),
        0x2F..=0x37 => ("volume_flow", "m3/h", step(0x2F) - 6, 1),
        0x38 => ("temperature", "°C", -3, 1),
        0x39 => ("heat_cost_units", "", 0, 1),
        _ => ("reserved", "", 0, 1),
    }
}
