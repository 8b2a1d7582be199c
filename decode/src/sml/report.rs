//! Report of a list: names, units and signs of its values.

use super::data::Data;
use super::list::{Entry, List};
use super::server_id::printed_id;
use crate::dlms::unit::unit;
use crate::fields::{FieldKind, field};
use crate::obis::Obis;
use crate::quantity::{Quantity, scaled};
use crate::report::{Fields, ReadingType, Report, Value};
use crate::time::MeterTime;
use data_encoding::HEXUPPER;

/// Identification of the server, as a rule the id of the meter.
const SERVER_ID: [u8; 6] = [1, 0, 0, 0, 9, 255];
/// Identification of the device.
const DEVICE_ID: [u8; 6] = [1, 0, 96, 1, 0, 255];
/// Identification printed on some older meters.
const METER_ID: [u8; 6] = [1, 0, 0, 0, 0, 255];
/// Number that the owner of the meter gave it.
const PROPERTY_NUMBER: [u8; 6] = [0, 0, 96, 1, 255, 255];
/// Letters of the maker, today and on older meters.
const MAKERS: [[u8; 6]; 2] = [[1, 0, 96, 50, 1, 1], [129, 129, 199, 130, 3, 255]];
/// Key that verifies signatures, 48 octets in each file: no value of the meter.
const PUBLIC_KEY: [u8; 6] = [129, 129, 199, 130, 5, 255];
/// Version of the firmware.
const FIRMWARE: [u8; 6] = [1, 0, 0, 2, 0, 0];
/// Imported energy; its status word tells the direction of the power.
const ENERGY_IMPORT: [u8; 3] = [1, 8, 0];

/// Returns the report of a list.
///
/// The id is the first id of the form of DIN 43863-5 (`1EMH0012345678`), else the first id at all, of: device id, server id,
/// server id of the message, id printed on older meters. A second, different server id is the field `server_id`.
pub fn report(list: &List) -> Report {
    let mut reading = Fields::default();
    let id = write_ids(list, &mut reading);
    let direction = list.entries.iter().find_map(direction);
    let has_sign_error = has_sign_error(list);
    let mut unknown = Fields::default();
    for entry in &list.entries {
        match &entry.value {
            Data::Octets(octets) => write_octets(entry, octets, &mut reading, &mut unknown),
            Data::Bool(is_true) => unknown.put(printed_code(entry.code), Value::Count((*is_true).into())),
            Data::Integer(..) | Data::Unsigned(_) => {
                let number = number(entry, direction, has_sign_error);
                write_number(entry, number, direction, &mut reading, &mut unknown);
            }
            // Lists are signatures and times, of no use without the meter's public key.
            Data::List(_) => {}
        }
    }
    Report {
        time: list.time.map(MeterTime::Utc),
        reading,
        unknown,
        ..Report::new(ReadingType::Sml, id)
    }
}

/// Writes the ids of a meter; returns the one that identifies it.
fn write_ids(list: &List, reading: &mut Fields) -> String {
    let octets = |code: [u8; 6]| {
        let entry = list.entries.iter().find(|entry| entry.code == code)?;
        entry.value.octets()
    };
    let of_message = Some(&list.server_id[..]).filter(|id| !id.is_empty());
    let ids = [octets(DEVICE_ID), octets(SERVER_ID), of_message, octets(METER_ID)];
    let ids: Vec<&[u8]> = ids.into_iter().flatten().collect();
    let is_din = |id: &&&[u8]| matches!(id, [0x09 | 0x0A, ..]) && id.len() == 10;
    let Some(chosen) = ids.iter().find(is_din).or(ids.first()) else {
        return String::new();
    };
    let id = printed_id(chosen);
    reading.put("equipment_id", Value::Text(id.clone()));
    let server = octets(SERVER_ID).or(of_message).map(printed_id);
    if let Some(server) = server.filter(|server| *server != id) {
        reading.put("server_id", Value::Text(server));
    }
    id
}

fn write_octets(entry: &Entry, octets: &[u8], reading: &mut Fields, unknown: &mut Fields) {
    let is_text = octets.iter().all(|octet| (0x20..0x7F).contains(octet));
    let text = match is_text {
        true => String::from_utf8_lossy(octets).trim().to_owned(),
        false => HEXUPPER.encode(octets),
    };
    match entry.code {
        SERVER_ID | DEVICE_ID | PUBLIC_KEY => {}
        METER_ID if reading.get("equipment_id") == Some(&Value::Text(text.clone())) => {}
        code if MAKERS.contains(&code) => reading.put("manufacturer", Value::Text(text)),
        PROPERTY_NUMBER => reading.put("property_number", Value::Text(text)),
        FIRMWARE => reading.put("firmware_version", Value::Text(text)),
        code => unknown.put(printed_code(code), Value::Text(text)),
    }
}

/// Direction of the power of a meter, by the status word of its imported energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Import,
    Export,
}

/// Returns the direction in the status word of an entry.
///
/// Two layouts are in use. Meters by FNN's "Basiszähler" have 04 in bits 0 to 7 and the direction in bit 11; older ones (EMH
/// ED300L, Iskraemeco MT175) have bit 7 set and the direction in bit 5.
fn direction(entry: &Entry) -> Option<Direction> {
    if entry.code[2..5] != ENERGY_IMPORT && entry.code[2..5] != [2, 8, 0] {
        return None;
    }
    let status = entry.status?;
    let is_export = match status & 0xFF {
        0x04 => status & 0x800 != 0,
        low if low & 0x80 != 0 => low & 0x20 != 0,
        _ => return None,
    };
    Some(if is_export {
        Direction::Export
    } else {
        Direction::Import
    })
}

/// Returns true for the meters of DZG's DVS74 series that send a positive power in too few bytes, so that it reads as
/// negative (328.05 W as `53 80 25`). Their numbers are those that libsml lists.
fn has_sign_error(list: &List) -> bool {
    let id = list.entries.iter().find(|entry| entry.code == DEVICE_ID);
    let id = id.and_then(|entry| entry.value.octets());
    let Some([0x0A, 1, b'D', b'Z', b'G', 0, number @ ..]) = id else {
        return false;
    };
    let number = <[u8; 4]>::try_from(number).map(u32::from_be_bytes);
    matches!(number, Ok(42_000_000..=48_999_999 | 55_000_000..=58_999_999))
}

/// Returns true for the power of the whole meter, whose direction is that of the status word.
fn is_net_power(code: [u8; 6]) -> bool {
    code[2..5] == [16, 7, 0]
}

/// Returns the number of an entry before scaling, with its sign.
fn number(entry: &Entry, direction: Option<Direction>, has_sign_error: bool) -> i128 {
    let number = entry.value.number().unwrap_or_default();
    if !is_net_power(entry.code) {
        return number;
    }
    match (&entry.value, direction) {
        (Data::Integer(number @ ..0, bytes @ 1..=3), Some(Direction::Import) | None) if has_sign_error => {
            i128::from(*number) + (1 << (8 * bytes))
        }
        // AS2020, DTZ541: the magnitude alone; the sign is in the status word.
        (_, Some(Direction::Export)) if number > 0 => -number,
        _ => number,
    }
}

fn write_number(
    entry: &Entry,
    number: i128,
    direction: Option<Direction>,
    reading: &mut Fields,
    unknown: &mut Fields,
) {
    let [a, b, c, d, e, f] = entry.code;
    let obis = Obis { a, b, c, d, e };
    let known = field(obis).filter(|field| f == 255 && field.kind == FieldKind::Quantity);
    let unit = unit(entry.unit.unwrap_or(255));
    let unit = match &known {
        Some(field) if unit.is_none() => field.unit.thousandth(),
        _ => unit,
    };
    // The power of ten goes to the larger unit: 2324 with 10^3 Wh is 2324 kWh, not 2324.000 kWh.
    let quantity = match unit.thousandfold() {
        Some(thousandfold) => scaled(number, i32::from(entry.scaler) - 3).map(|value| (value, thousandfold)),
        None => scaled(number, entry.scaler.into()).map(|value| (value, unit)),
    };
    let Some((value, unit)) = quantity else {
        let text = Value::Text(format!("{number}e{}", entry.scaler));
        return unknown.put(printed_code(entry.code), text);
    };
    let quantity = Quantity { value, unit };
    // Hager's EHZ361 sends the signed power of the connection as that of a tariff.
    if (c, d, e, f) == (1, 7, 1, 255) && reading.get("power_net").is_none() {
        return reading.put("power_net", Value::Quantity(quantity));
    }
    let Some(field) = known else {
        return unknown.put(printed_code(entry.code), Value::Quantity(quantity));
    };
    // ED300L and its kind send the absolute value of the power only.
    let is_absolute = (c, d, e) == (15, 7, 0);
    if let (true, Some(direction), None) = (is_absolute, direction, reading.get("power_net")) {
        let value = match direction {
            Direction::Import => quantity.value,
            Direction::Export if quantity.value.is_zero() => quantity.value,
            Direction::Export => -quantity.value,
        };
        let net = Quantity {
            value,
            unit: quantity.unit.clone(),
        };
        reading.put("power_net", Value::Quantity(net));
    }
    reading.put(field.name, Value::Quantity(quantity));
}

/// Prints a code with all six groups; without F if it means "now".
fn printed_code([a, b, c, d, e, f]: [u8; 6]) -> String {
    match f {
        255 => format!("{a}-{b}:{c}.{d}.{e}"),
        f => format!("{a}-{b}:{c}.{d}.{e}*{f}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(code: [u8; 6], unit: u8, scaler: i8, value: Data) -> Entry {
        Entry {
            code,
            status: None,
            unit: Some(unit),
            scaler,
            value,
        }
    }

    fn energy(status: Option<u64>, scaler: i8, value: u64) -> Entry {
        Entry {
            status,
            ..entry([1, 0, 1, 8, 0, 255], 30, scaler, Data::Unsigned(value))
        }
    }

    fn power(value: i64, bytes: u8) -> Entry {
        entry([1, 0, 16, 7, 0, 255], 27, -2, Data::Integer(value, bytes))
    }

    fn text(code: [u8; 6], octets: &[u8]) -> Entry {
        Entry {
            unit: None,
            ..entry(code, 0, 0, Data::Octets(octets.to_vec()))
        }
    }

    /// Fields of a list as JSON, without `equipment_id`.
    fn reading(entries: Vec<Entry>) -> String {
        let list = List {
            entries,
            ..List::default()
        };
        let mut report = report(&list);
        report.reading.0.retain(|(name, _)| name != "equipment_id");
        serde_json::to_string(&report.reading).unwrap()
    }

    #[test]
    fn given_a_meter_that_is_locked_then_whole_kilowatt_hours_show_no_digits_that_were_not_sent() {
        assert_eq!(
            reading(vec![energy(None, 3, 2324)]),
            r#"{"energy_import_total":{"value":2324,"unit":"kWh"}}"#
        );
        assert_eq!(
            reading(vec![energy(None, -1, 23_555_706)]),
            r#"{"energy_import_total":{"value":2355.5706,"unit":"kWh"}}"#
        );
    }

    #[test]
    fn given_a_positive_power_and_a_status_of_export_then_it_is_negative() {
        for (status, value, printed) in [
            (0x1C_0104, 37_600, "0.37600"),
            (0x1C_0904, 37_600, "-0.37600"),
            (0x1C_0904, -37_600, "-0.37600"),
            (0x00_0182, 37_600, "0.37600"),
            (0x01_01A2, 37_600, "-0.37600"),
            (0x00_0100, 37_600, "0.37600"),
        ] {
            let read = reading(vec![energy(Some(status), 3, 1), power(value, 4)]);
            let net = format!(r#""power_net":{{"value":{printed},"unit":"kW"}}"#);
            assert!(read.contains(&net), "{status:X}: {read}");
        }
    }

    #[test]
    fn given_an_absolute_power_then_the_status_gives_the_net_power() {
        let absolute = || entry([1, 0, 15, 7, 0, 255], 27, -1, Data::Integer(1266, 4));
        let read = reading(vec![energy(Some(0x01B0), 3, 1), absolute()]);
        assert_eq!(
            read,
            concat!(
                r#"{"energy_import_total":{"value":1,"unit":"kWh"},"power_net":{"value":-0.1266,"unit":"kW"},"#,
                r#""power_combined_abs":{"value":0.1266,"unit":"kW"}}"#
            )
        );
        assert!(!reading(vec![energy(None, 3, 1), absolute()]).contains("power_net"));
    }

    #[test]
    fn given_a_meter_of_dzg_that_sends_too_few_bytes_then_the_power_is_positive() {
        let id = |number: u32| {
            let mut octets = b"\x0A\x01DZG\x00".to_vec();
            octets.extend(number.to_be_bytes());
            text(DEVICE_ID, &octets)
        };
        for (number, status, printed) in [
            (42_000_001, 0x1C_0104, "0.32805"),
            (42_000_001, 0x1C_0904, "-0.32731"),
            (60_000_001, 0x1C_0104, "-0.32731"),
        ] {
            let read = reading(vec![id(number), energy(Some(status), 3, 1), power(-32_731, 2)]);
            let net = format!(r#""power_net":{{"value":{printed},"unit":"kW"}}"#);
            assert!(read.contains(&net), "{number} {status:X}: {read}");
        }
    }

    #[test]
    fn given_several_ids_then_the_printed_one_is_chosen_and_a_second_one_kept() {
        let din = b"\x0A\x01MTP\x00\x00\x00\x00\x2A";
        let old = b"\x06MTP\x01\x02\x71\x53\xC8\xC6";
        let id = |entries: Vec<Entry>, server: &[u8]| {
            let report = report(&List {
                server_id: server.to_vec(),
                entries,
                time: None,
            });
            let server = report
                .reading
                .get("server_id")
                .map(|id| serde_json::to_string(id).unwrap());
            (report.id.to_string(), server)
        };
        let one = "1MTP0000000042".to_owned();
        assert_eq!(id(vec![text(DEVICE_ID, din)], din), (one.clone(), None));
        let server = Some(r#""064D545001027153C8C6""#.to_owned());
        assert_eq!(
            id(vec![text(SERVER_ID, old), text(DEVICE_ID, din)], b""),
            (one, server)
        );
        assert_eq!(id(vec![text(METER_ID, b" 4711 ")], b""), ("4711".into(), None));
        assert_eq!(id(vec![], b"").0, "");
    }

    #[test]
    fn given_the_net_power_under_the_code_of_a_tariff_then_it_is_that_of_the_meter() {
        let list = List {
            entries: vec![entry([1, 0, 1, 7, 1, 255], 27, -4, Data::Integer(-56_321_916, 4))],
            ..List::default()
        };
        assert_eq!(
            serde_json::to_string(&report(&list).reading).unwrap(),
            r#"{"power_net":{"value":-5.6321916,"unit":"kW"}}"#
        );
    }

    #[test]
    fn given_a_value_without_a_name_then_it_is_kept_under_its_code() {
        let list = List {
            entries: vec![
                entry([1, 0, 1, 8, 0, 96], 30, -1, Data::Unsigned(123)),
                entry([1, 0, 1, 8, 0, 255], 30, 127, Data::Unsigned(5)),
                text([1, 0, 96, 90, 2, 1], b"\xA0\x1A"),
                text(MAKERS[0], b"MTP"),
            ],
            ..List::default()
        };
        let report = report(&list);
        assert_eq!(
            serde_json::to_string(&(report.reading, report.unknown)).unwrap(),
            concat!(
                r#"[{"manufacturer":"MTP"},{"1-0:1.8.0*96":{"value":0.0123,"unit":"kWh"},"#,
                r#""1-0:1.8.0":"5e127","1-0:96.90.2*1":"A01A"}]"#
            )
        );
    }

    proptest! {
        #[test]
        fn no_list_panics(
            code in any::<[u8; 6]>(), status in any::<Option<u64>>(), unit in any::<Option<u8>>(), scaler in any::<i8>(),
            number in any::<i64>(), bytes in 1u8..=8,
        ) {
            let known = Entry { code: [1, 0, 16, 7, 0, 255], status, unit, scaler, value: Data::Integer(number, bytes) };
            let entries = vec![energy(status, 3, 1), Entry { code, ..known.clone() }, known];
            let _ = report(&List { entries, ..List::default() });
        }
    }
}
