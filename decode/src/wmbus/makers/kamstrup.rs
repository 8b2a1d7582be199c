//! Kamstrup's own value information (VIF FF), as its data sheets of the wM-Bus modules list it.

use super::payload::unsigned;
use crate::mbus::{Record, Value};
use crate::quantity;
use crate::unit::Unit;

/// Gives the records that only Kamstrup understands their names.
pub(super) fn replace(record: Record, data: &[u8]) -> Record {
    if record.quantity != "manufacturer_specific" {
        return record;
    }
    let codes: Vec<&str> = record.modifiers.iter().map(String::as_str).collect();
    let (quantity, unit) = match codes[..] {
        // Volume times temperature, of flow and return.
        ["07"] => ("volume_temperature_1", Unit::CubicMeterCelsius),
        ["08"] => ("volume_temperature_2", Unit::CubicMeterCelsius),
        ["20" | "22"] => ("info_code", Unit::None),
        _ => return record,
    };
    Record {
        quantity,
        value: quantity::scaled(unsigned(data), 0).map(Value::Number),
        unit,
        modifiers: Vec::new(),
        ..record
    }
}
