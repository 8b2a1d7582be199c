//! Telegrams of our own making for every manufacturer's payload.

mod forms;

use super::makers::diehl::scramble;
use crate::cipher::Key;
use crate::wmbus::crypto::cbc_encrypt;
use crate::wmbus::encode::{Protection, Sender};
use crate::wmbus::security::mode_5_iv;
use crate::wmbus::{Address, Decoder, KeyOrigin, KeyRing, Security, Telegram, report};
use serde_json::Value;

fn sender(letters: &str, version: u8, device_type: u8, protection: Protection) -> Sender {
    let code = letters
        .bytes()
        .fold(0, |code, letter| code << 5 | u16::from(letter - b'@'));
    Sender {
        radio: Address {
            manufacturer: code,
            identification: [0x78, 0x56, 0x34, 0x12],
            version,
            device_type,
        },
        meter: None,
        access_number: 3,
        status: 0,
        protection,
    }
}

fn decoded(bytes: &[u8]) -> (Telegram, Value) {
    let telegram = Decoder::default().decode(bytes, &KeyRing::default()).unwrap();
    let reading = serde_json::to_value(report(&telegram).reading).unwrap();
    (telegram, reading)
}

/// Compares fields, given as `name value unit` one a line, with those of the reading.
fn assert_fields(reading: &Value, expected: &str) {
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [name, value, unit @ ..] = &line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let field = &reading[name];
        match unit {
            [unit] => {
                assert_eq!(field["value"].as_f64(), value.parse().ok(), "{line}: {reading}");
                assert_eq!(field["unit"], unit.trim_matches('-'), "{line}");
            }
            _ => assert_eq!(field, value, "{line}: {reading}"),
        }
    }
}

#[test]
fn techem() {
    // Set day 2025-12-31, today 2026-02-05.
    let head = [0x11, 0x9F, 0x33, 45, 0, 0x50, 0x04, 4, 0];
    let allocator = sender("TCH", 0x69, 0x80, Protection::None);
    let bytes = allocator
        .manufacturer(0xA0, &[&head[..], &[0xBD, 0x08, 0x38, 0x09]].concat())
        .unwrap();
    assert_fields(
        &decoded(&bytes).1,
        "medium heat_cost_allocator
         heat_cost_units 4 -
         heat_cost_units_storage_1 45 -
         date 2026-02-05
         date_storage_1 2025-12-31
         room_temperature 22.37 °C
         radiator_temperature 23.60 °C",
    );
    let water = sender("TCH", 0x74, 0x62, Protection::None);
    assert_fields(
        &decoded(&water.manufacturer(0xA2, &head).unwrap()).1,
        "medium warm_water
         volume 4.9 m3
         volume_storage_1 4.5 m3
         volume_since_set_day 0.4 m3",
    );
    let older = sender("TCH", 0x50, 0x72, Protection::None);
    let bytes = older
        .manufacturer(0xA2, &[0x0C, 0, 0x9F, 0x33, 0x10, 0x25, 0])
        .unwrap();
    assert_fields(
        &decoded(&bytes).1,
        "medium water\nvolume 948.8 m3\ndate 2025-12-31",
    );
    let heat = sender("TCH", 0x45, 0x43, Protection::None);
    let bytes = heat
        .manufacturer(0xA1, &[0, 0x9F, 0x33, 0x77, 1, 0, 0x60, 0x78, 0, 0])
        .unwrap();
    assert_fields(
        &decoded(&bytes).1,
        "energy 495 kWh\nenergy_storage_1 375 kWh\nenergy_since_set_day 120 kWh",
    );
    let megajoules = sender("TCH", 0x27, 0x04, Protection::None);
    assert_fields(
        &decoded(&megajoules.manufacturer(0xA2, &head).unwrap()).1,
        "energy 0.049 GJ",
    );
    let smoke = sender("TCH", 0x76, 0xF0, Protection::None);
    let bytes = smoke.manufacturer(0xA0, &[1, 0x9F, 0x33]).unwrap();
    assert_fields(
        &decoded(&bytes).1,
        "medium smoke_detector\nsmoke_alarm 1 -\ndate_storage_1 2025-12-31",
    );
    // Cut anywhere, there is no value instead of a wrong one.
    for len in 0..9 {
        let bytes = water.manufacturer(0xA2, &head[..len]).unwrap();
        assert!(decoded(&bytes).0.records.is_empty(), "{len}");
    }
}

#[test]
fn diehl_prios() {
    // On the air version and type stand in front of the identification.
    let radio = sender("HYD", 0x12, 0x34, Protection::None);
    let payload = [
        0x81, 0x8F, 0x80, 0, 0x4B, 0xD2, 0x04, 0, 0, 0xE8, 0x03, 0, 0, 0x3F, 0x3C,
    ];
    let mut bytes = radio.manufacturer(0xA2, &payload).unwrap();
    bytes[4..10].copy_from_slice(&[0x85, 0x07, 0x78, 0x56, 0x34, 0x12]);
    scramble(&mut bytes);
    let (telegram, reading) = decoded(&bytes);
    assert_eq!(telegram.meter.number(), "12345678");
    assert_fields(
        &reading,
        "medium water
         volume 1.234 m3
         volume_storage_1 1.000 m3
         date_storage_1 2025-12-31
         battery_remaining 7.5 a
         transmission_interval 8 s",
    );
    assert_eq!(reading["alarms"], "general leak backflow");
    // A wrong first byte is the only thing that tells noise.
    bytes[15] ^= 1;
    let (telegram, reading) = decoded(&bytes);
    assert!(matches!(telegram.security, Security::NoKey(_)));
    assert_eq!(reading.get("volume"), None);
}

#[test]
fn diehl_real_data() {
    let radio = sender("HYD", 0x85, 0x07, Protection::None);
    let records = [0x04, 0x13, 0xD2, 0x04, 0, 0];
    let mut bytes = radio
        .manufacturer(0x7A, &[&[3, 0, 0, 0x10], &records[..]].concat())
        .unwrap();
    // The sum of the plain bytes is the high byte of the configuration, apart from bit 4.
    let sum = records.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[14] = sum & 0xEF | 0x10;
    scramble(&mut bytes);
    let (telegram, reading) = decoded(&bytes);
    assert!(
        matches!(telegram.security, Security::Decrypted(_, KeyOrigin::Default(_))),
        "{:?}",
        telegram.security
    );
    assert_fields(&reading, "volume 1.234 m3");
}

#[test]
fn apator_162() {
    let meter = |protection| sender("APA", 5, 7, protection);
    let tail = [
        0x0F, 1, 2, 3, 4, 5, 6, 7, 0x43, 1, 2, 0x71, 9, 1, 0, 0, 0, 2, 0, 0, 0, 0x10, 0xD2, 0x04, 0, 0, 0xFF,
        0xFF, 0x12, 0x34,
    ];
    let zero = meter(Protection::Mode5 {
        key: Key::from([0; 16]),
    });
    let (telegram, reading) = decoded(&zero.telegram(&tail).unwrap());
    assert!(matches!(
        telegram.security,
        Security::Decrypted(_, KeyOrigin::Default("Apator's default key"))
    ));
    assert_fields(&reading, "volume 1.234 m3");
    // Behind a tag of unknown length nothing can be found.
    let mut unknown = tail;
    unknown[8] = 0xEE;
    let (_, reading) = decoded(&meter(Protection::None).telegram(&unknown).unwrap());
    assert_eq!(reading.get("volume"), None);
}

#[test]
fn apator_na_1() {
    let meter = sender("APA", 0x14, 7, Protection::None);
    // 0x1234 · 16 + 5 litres times ten; the clock shows 2026-01-01.
    let seconds = 9497u32 * 86_400;
    let [t1, t2, t3, t4] = seconds.to_le_bytes();
    let mut block = [
        0x2F, 0x15, 0x34, 0x12, 0, t1, t2, t3, t4, 24, 0b01, 2, 0, 0, 0x08, 0x80,
    ];
    cbc_encrypt(&[0; 16].into(), &mode_5_iv(&meter.radio, 7), &mut block);
    let bytes = meter.manufacturer(0xA0, &[&[7, 1], &block[..]].concat()).unwrap();
    assert_fields(
        &decoded(&bytes).1,
        "volume 745.65 m3
         datetime 2026-01-01T00:00:00
         volume_storage_1 745.56 m3
         datetime_storage_1 2025-12-31T00:00:00
         alarms leak
         alarms_storage_1 minimum_flow",
    );
    let mut keys = KeyRing::default();
    keys.set_any(Key::from([1; 16]));
    let telegram = Decoder::default().decode(&bytes, &keys).unwrap();
    assert!(
        matches!(telegram.security, Security::WrongKey(_)),
        "{:?}",
        telegram.security
    );
    assert!(telegram.records.is_empty());
}

#[test]
fn other_apators() {
    let eitn = sender("APT", 4, 8, Protection::None);
    let payload = [
        2, 0xFF, 0xFF, 0xA0, 0xA1, 0, 0, 0x59, 0, 0x9C, 0x25, 1, 0, 0x32, 0x2D, 0, 0x15, 0x80, 0x14,
    ];
    assert_fields(
        &decoded(&eitn.manufacturer(0xB6, &payload).unwrap()).1,
        "heat_cost_units 1 -
         heat_cost_units_storage_1 89 -
         date 2022-09-18
         room_temperature_average 20.5 °C
         room_temperature_average_before 21 °C",
    );
    let thirds = sender("APT", 0x0F, 0x0F, Protection::None);
    assert_fields(
        &decoded(&thirds.manufacturer(0xA0, &[100, 0, 0, 0]).unwrap()).1,
        "volume 0.033333 m3",
    );
    let thirds = sender("APT", 0x04, 0x11, Protection::None);
    assert_fields(
        &decoded(&thirds.manufacturer(0xA0, &[100, 0, 0, 0]).unwrap()).1,
        "volume 33.333 m3",
    );
}

#[test]
fn bmeters() {
    let hydrodigit = sender("BMT", 0x13, 7, Protection::None);
    let mut records = vec![
        0x04, 0x13, 0xD2, 0x04, 0, 0, 0x0F, 0x97, 0x0B, 0, 0x26, 0x01, 0x15, 0x25, 0x12, 0x31,
    ];
    records.extend([7, 0, 0, 0]);
    records.extend([0x64, 0, 0].repeat(11));
    records.extend([0xFF; 3]);
    let (_, reading) = decoded(&hydrodigit.telegram(&records).unwrap());
    assert_fields(
        &reading,
        "volume 1.234 m3
         battery_voltage 3.20 V
         fraud_date 2026-01-15
         leak_date 2025-12-31
         volume_backward 0.007 m3
         volume_january 1.00 m3
         volume_november 1.00 m3",
    );
    assert_eq!(reading.get("volume_december"), None);
    let rfm = sender("BMT", 5, 7, Protection::None);
    // Access number A0: row 0 of the masks.
    let hidden = [0x34 ^ 0xA0 ^ 122, 0x12 ^ 0xA0 ^ 16, 0xA0 ^ 26, 0xA0 ^ 10];
    let mut payload = vec![0xA0, 0, 0x06, 0x10, 0x11, 0x15];
    payload.extend(hidden);
    payload.extend([0; 7]);
    payload.extend([0x59, 0x04, 0x10, 0x31, 0x03, 0x20]);
    assert_fields(
        &decoded(&rfm.manufacturer(0x7A, &payload).unwrap()).1,
        "volume 1.234 m3\ndatetime 2020-03-31T10:04:59",
    );
    let hydroclima = sender("BMP", 0x85, 8, Protection::None);
    let mut tail = vec![
        0x03, 0x6E, 5, 0, 0, 0x0F, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x27, 0x08, 0x00, 0x80, 0x1B, 0x08,
    ];
    tail.extend([0, 0, 0x94, 0x07, 0x66, 0x07]);
    let (_, reading) = decoded(&hydroclima.telegram(&tail).unwrap());
    assert_fields(
        &reading,
        "heat_cost_units 5 -\nradiator_temperature_average 20.87 °C",
    );
    assert_eq!(reading.get("room_temperature_average"), None);
}

#[test]
fn bfw() {
    let meter = sender("BFW", 2, 8, Protection::None);
    let mut payload = vec![0x2F, 0x2F, 0x6F, 0x1F, 0x01, 0x44, 0x01, 0x00, 0, 0];
    payload.extend([0; 24]);
    payload.extend([0x44, 0x10, 0xAC, 0x26, 0x02, 0x21]);
    let telegram = [&[3, 0, 0, 0], &payload[..]].concat();
    assert_fields(
        &decoded(&meter.manufacturer(0x7A, &telegram).unwrap()).1,
        "heat_cost_units 256 -
         heat_cost_units_storage_1 324 -
         heat_cost_units_storage_2 172 -
         heat_cost_units_storage_3 324 -
         heat_cost_units_storage_4 0 -
         date 2021-02-26",
    );
}

#[test]
fn qundis() {
    let meter = sender("QDS", 0x18, 6, Protection::None);
    let mut record = vec![0x0D, 0xFF, 0x5F, 0x35];
    record.extend([0; 9]);
    record.extend([
        0x13, 0xFF, 0xFF, 0x34, 0x12, 0, 0, 0x3F, 0x3C, 0x00, 0x10, 0, 0, 0x3F, 0x31, 0x34, 0x11, 0, 0,
    ]);
    record.extend([0x00, 0x80].repeat(11));
    record.extend([7, 0, 0x2F]);
    let (_, reading) = decoded(&meter.telegram(&record).unwrap());
    assert_fields(
        &reading,
        "volume 1.234 m3
         volume_storage_1 1.000 m3
         date_storage_1 2025-12-31
         volume_storage_17 1.134 m3
         volume_month_1 0.007 m3",
    );
    assert_eq!(reading.get("volume_month_2"), None);
}

#[test]
fn a_record_with_an_identification_names_the_meter_behind_a_radio_converter() {
    let converter = sender("QDS", 0x33, 0x37, Protection::None);
    let mut records = vec![0x07, 0x79, 0x21, 0x43, 0x65, 0x87, 0x93, 0x44, 0x23, 0x04];
    records.extend([0x04, 0x06, 5, 0, 0, 0]);
    let (telegram, reading) = decoded(&converter.telegram(&records).unwrap());
    assert_eq!(
        (telegram.meter.number().as_str(), telegram.medium),
        ("87654321", "heat")
    );
    assert_fields(&reading, "energy 5 kWh");
    assert_eq!(reading["radio_id"], "12345678");
}

#[test]
fn zenner_and_kamstrup() {
    let zenner = sender("ZRI", 0x0B, 0x16, Protection::None);
    let tail = [0x0F, 0, 0, 0, 0, 0x80, 0xBF, 0x1B, 0, 0, 0xA6, 0x42, 0, 0];
    assert_fields(
        &decoded(&zenner.telegram(&tail).unwrap()).1,
        "volume 17.062 m3\nvolume_storage_1 7.1035 m3",
    );
    let kamstrup = sender("KAM", 0x34, 0x0A, Protection::None);
    let records = [
        0x04, 0xFF, 0x07, 5, 0, 0, 0, 0x04, 0xFF, 0x08, 6, 0, 0, 0, 0x02, 0xFF, 0x22, 1, 0,
    ];
    assert_fields(
        &decoded(&kamstrup.telegram(&records).unwrap()).1,
        "volume_temperature_1 5 m3·°C
         volume_temperature_2 6 m3·°C
         info_code 1 -",
    );
}
