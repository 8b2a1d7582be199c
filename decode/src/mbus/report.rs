//! An answer as a report: what counts now first, earlier values and tariffs by longer names.

use super::record::{Function, Record};
use super::{Message, Value as Raw};
use crate::quantity::{Decimal, Quantity};
use crate::report::{Fields, ReadingType, Report, Value};

/// What a meter says, in one or several frames.
pub fn report(message: &Message) -> Report {
    let mut reading = Fields::default();
    if !message.manufacturer.is_empty() {
        reading.put("manufacturer", Value::Text(message.manufacturer.clone()));
    }
    reading.put("medium", Value::Text(message.medium.into()));
    for record in &message.records {
        let Some(value) = &record.value else {
            continue;
        };
        if matches!(record.quantity.as_str(), "reserved" | "manufacturer_specific") {
            continue;
        }
        let value = match value {
            Raw::Number(number) => Value::Quantity(quantity(number, &record.unit)),
            Raw::Text(text) => Value::Text(text.clone()),
        };
        let name = name(record);
        // Meters repeat themselves with units that differ; the first one is the one on the display.
        let free = (1..).map(|n| {
            if n == 1 {
                name.clone()
            } else {
                format!("{name}_{n}")
            }
        });
        if let Some(name) = free.take(64).find(|name| reading.get(name).is_none()) {
            reading.put(name, value);
        }
    }
    Report {
        time: None,
        id: message.number.clone(),
        sort: ReadingType::Mbus,
        channel: None,
        reading,
        unknown: Fields::default(),
        message: Some(message.clone()),
    }
}

/// `energy`, `energy_t1`, `power_max`, `volume_storage_1`.
fn name(record: &Record) -> String {
    let mut name = record.quantity.clone();
    if record.subunit > 0 {
        name += &format!("_unit_{}", record.subunit);
    }
    if record.tariff > 0 {
        name += &format!("_t{}", record.tariff);
    }
    name += match record.function {
        Function::Instantaneous | Function::ManufacturerSpecific => "",
        Function::Maximum => "_max",
        Function::Minimum => "_min",
        Function::Error => "_error",
    };
    if record.storage > 0 {
        name += &format!("_storage_{}", record.storage);
    }
    name
}

/// In the units of the other wires.
fn quantity(number: &Decimal, unit: &str) -> Quantity {
    match unit {
        "J" => Quantity::new(number.thousandth().thousandth().thousandth(), "GJ"),
        _ => Quantity::new(number.clone(), unit),
    }
}
