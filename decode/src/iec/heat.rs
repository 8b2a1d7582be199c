//! Fields of heat meters: Landis+Gyr and Siemens Ultraheat (UH50, T550, 2WR6).

use super::data_set::DataSet;
use crate::quantity::{Quantity, parse_decimal};
use crate::report::{Fields, Value};
use crate::unit::Unit;

/// Codes of the meter's number: 9.20 is the maker's, 9.21 and 0.0 the owner's.
pub(super) const IDS: [&str; 3] = ["9.20", "9.21", "0.0"];

/// Codes of single numbers, with their fields.
const NAMES: [(&str, &str); 11] = [
    ("6.8", "heat_energy"),
    ("6.8*01", "heat_energy_last_year"),
    ("6.26", "volume"),
    ("6.26*01", "volume_last_year"),
    ("6.6", "power_max"),
    ("6.6*01", "power_max_last_year"),
    ("6.33", "flow_max"),
    ("6.33*01", "flow_max_last_year"),
    ("6.31", "operating_hours"),
    ("6.32", "fault_hours"),
    ("9.31", "flow_hours"),
];

/// Writes a data set by its name; returns false if it has none.
pub(super) fn write(set: &DataSet, reading: &mut Fields) -> bool {
    let Some(value) = set.value() else {
        return true;
    };
    match set.short_code() {
        "F" => reading.put("error_code", Value::Text(value.into())),
        "9.4" => {
            let Some((flow, back)) = value.split_once('&') else {
                return false;
            };
            let (Some(flow), Some(back)) = (quantity(flow), quantity(back)) else {
                return false;
            };
            reading.put("flow_temperature_max", Value::Quantity(flow));
            reading.put("return_temperature_max", Value::Quantity(back));
        }
        code => {
            let name = NAMES.iter().find(|(known, _)| *known == code);
            let Some(((_, name), quantity)) = name.zip(quantity(value)) else {
                return false;
            };
            reading.put(*name, Value::Quantity(quantity));
        }
    }
    true
}

/// Parses a number with a unit.
fn quantity(text: &str) -> Option<Quantity> {
    let (number, unit) = text.split_once('*')?;
    let unit = match unit {
        "m3ph" => Unit::CubicMeterPerHour,
        "C" => Unit::Celsius,
        unit => Unit::from_p1(unit),
    };
    Some(Quantity::new(parse_decimal(number)?, unit))
}
