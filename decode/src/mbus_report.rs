//! Report of an M-Bus answer: current totals under short names, earlier values and tariffs under longer ones.

use crate::mbus::{Function, Message, Record, Value as RecordValue, status_names};
use crate::mbus_manufacturers;
use crate::quantity::{Decimal, Quantity, shifted};
use crate::report::{ReadingType, Report, Value};
use crate::unit::Unit;

/// Most records of one name; further ones are left out.
const MAX_SAME_NAME: usize = 64;

/// Returns the report of a message of a wired meter: manufacturer, medium, every record under its name, and the
/// status. Its records may have come in several frames.
pub fn report(message: &Message) -> Report {
    let mut report = report_as(ReadingType::Mbus, message);
    // The lowest bits are of the answer, and have another meaning in fixed structures.
    let status = status_names(message.status & !3);
    let status = if status.is_empty() {
        "ok".into()
    } else {
        status.join(" ")
    };
    report.reading.put("status", Value::Text(status));
    report
}

/// Returns the report of a message that came by wire or by radio.
pub(crate) fn report_as(reading_type: ReadingType, message: &Message) -> Report {
    let mut report = Report::new(reading_type, message.number.as_str());
    let reading = &mut report.reading;
    if !message.manufacturer.is_empty() {
        reading.put("manufacturer", Value::Text(message.manufacturer.clone()));
    }
    reading.put("medium", Value::Text(message.medium.into()));
    for record in &message.records {
        let mut record = record.clone();
        mbus_manufacturers::name(&message.manufacturer, &mut record);
        let Some(value) = &record.value else {
            continue;
        };
        if matches!(record.quantity, "reserved" | "manufacturer_specific") {
            continue;
        }
        let value = match value {
            RecordValue::Number(number) => Value::Quantity(quantity(*number, &record.unit)),
            RecordValue::Time(time) => Value::Time(*time),
            RecordValue::Text(text) => Value::Text(text.clone()),
        };
        let name = name(&record, message.medium);
        // Some meters send the same quantity in several units. The first one, which is on the display, gets the plain
        // name.
        let candidates = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}_{n}")));
        let free = candidates
            .take(MAX_SAME_NAME)
            .find(|name| reading.get(name).is_none());
        if let Some(name) = free {
            reading.put(name, value);
        }
    }
    report.message = Some(message.clone());
    report
}

/// Returns the name of a record: `energy`, `energy_t1`, `voltage_l1`, `power_max`, `volume_storage_1`.
fn name(record: &Record, medium: &str) -> String {
    let mut name = record.quantity.to_owned();
    for qualifier in &record.qualifiers {
        name += "_";
        name += match &**qualifier {
            "negative" if medium == "electricity" => "export",
            "negative" => "backward",
            other => other,
        };
    }
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

/// Returns a number in the unit in which all wired meters are reported.
fn quantity(number: Decimal, unit: &Unit) -> Quantity {
    match (unit, shifted(number, -9)) {
        (Unit::J, Some(value)) => Quantity {
            value,
            unit: Unit::GJ,
        },
        _ => Quantity::new(number, unit.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(quantity: &'static str, number: i64, unit: Unit) -> Record {
        Record::current(quantity, Some(RecordValue::Number(number.into())), unit)
    }

    #[test]
    fn the_status_of_a_wired_meter_is_named_without_the_bits_of_the_answer() {
        for (status, expected) in [
            (0, "ok"),
            (3, "ok"),
            (0x04, "low_power"),
            (0x2B, "permanent_error manufacturer_20"),
        ] {
            let message = Message {
                number: "12345678".into(),
                manufacturer: "ABC".into(),
                version: 1,
                device_type: 4,
                medium: "heat",
                access_number: 0,
                status,
                records: Vec::new(),
                data: Vec::new(),
                more_follows: false,
            };
            assert_eq!(
                report(&message).reading.get("status"),
                Some(&Value::Text(expected.into())),
                "{status:02x}"
            );
        }
    }

    #[test]
    fn the_opposite_direction_is_export_of_electricity_and_backward_flow_of_anything_else() {
        let qualified = |qualifier: &'static str| Record {
            qualifiers: vec![qualifier.into()],
            storage: 1,
            ..record("energy", 1, Unit::Wh)
        };
        for (qualifier, medium, expected) in [
            ("negative", "electricity", "energy_export_storage_1"),
            ("negative", "heat", "energy_backward_storage_1"),
            ("l1", "electricity", "energy_l1_storage_1"),
        ] {
            assert_eq!(name(&qualified(qualifier), medium), expected);
        }
    }

    #[test]
    fn values_are_named_by_tariff_function_and_storage_and_repeated_ones_numbered() {
        let records = vec![
            record("energy", 1_500_000, Unit::Wh),
            record("energy", 5_400_000_000, Unit::J),
            Record {
                tariff: 1,
                ..record("energy", 7, Unit::Wh)
            },
            Record {
                function: Function::Maximum,
                storage: 2,
                ..record("power", 7000, Unit::W)
            },
            record("battery_time", 12, Unit::Year),
            record("reserved", 1, Unit::None),
        ];
        let message = Message {
            number: "12345678".into(),
            manufacturer: "ABC".into(),
            version: 1,
            device_type: 4,
            medium: "heat",
            access_number: 0,
            status: 0,
            records,
            data: Vec::new(),
            more_follows: false,
        };
        let report = report(&message);
        assert_eq!(report.id.as_str(), "12345678");
        assert_eq!(
            serde_json::to_string(&report.reading).unwrap(),
            concat!(
                r#"{"manufacturer":"ABC","medium":"heat","energy":{"value":1500.000,"unit":"kWh"},"#,
                r#""energy_2":{"value":5.400000000,"unit":"GJ"},"energy_t1":{"value":0.007,"unit":"kWh"},"#,
                r#""power_max_storage_2":{"value":7.000,"unit":"kW"},"battery_time":{"value":12,"unit":"a"},"status":"ok"}"#
            )
        );
    }
}
