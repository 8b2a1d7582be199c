//! Forms of manufacturers' payloads that are rarer, and records that only they understand.

use super::{assert_fields, decoded, sender};
use crate::wmbus::encode::Protection;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Reading of a telegram with these records, in plain text.
fn read(letters: &str, version: u8, device_type: u8, records: &[u8]) -> serde_json::Value {
    let sender = sender(letters, version, device_type, Protection::None);
    decoded(&sender.telegram(records).unwrap()).1
}

/// Reading of a telegram with a CI of the manufacturer.
fn read_own(
    letters: &str,
    version: u8,
    device_type: u8,
    information: u8,
    payload: &[u8],
) -> serde_json::Value {
    let sender = sender(letters, version, device_type, Protection::None);
    decoded(&sender.manufacturer(information, payload).unwrap()).1
}

#[test]
fn the_first_byte_of_a_techem_allocator_tells_where_its_temperatures_are() {
    let fields = [0x9F, 0x33, 45, 0, 0x50, 0x04, 4, 0];
    let temperatures = [0xBD, 0x08, 0x38, 0x09];
    for (version, payload) in [
        (0x69, [&[0x11][..], &fields, &temperatures].concat()),
        (0x94, [&[0x0F][..], &fields, &[0], &temperatures].concat()),
        (0x94, [&[0x11][..], &fields, &temperatures].concat()),
    ] {
        assert_fields(
            &read_own("TCH", version, 0x80, 0xA0, &payload),
            "room_temperature 22.37 °C\nradiator_temperature 23.60 °C",
        );
    }
    // Day and month 0 are the first day and the last month.
    let payload = [0x11, 0x9F, 0x32, 45, 0, 0, 0, 4, 0];
    assert_fields(&read_own("TCH", 0x69, 0x80, 0xA0, &payload), "date 2025-12-01");
    let megajoules = [0x11, 0x9F, 0x33, 45, 0, 0x50, 0x04, 4, 0];
    assert_fields(&read_own("TCH", 0x27, 0xC3, 0xA2, &megajoules), "energy 0.049 GJ");
}

#[test]
fn techem_radio_3_has_halves_of_months() {
    // 31 December 2025, 948.8 m3; this month 1.5 and 0.7 m3, November 0.2 and 0.3 m3.
    let late = [0x0C, 0, 0x9F, 0x33, 0x10, 0x25, 0, 0, 15, 7, 0, 2, 3];
    assert_fields(
        &read_own("TCH", 0x50, 0x72, 0xA2, &late),
        "volume 948.8 m3
         volume_this_month 2.2 m3
         volume_in_december 2.2 m3
         volume_in_november 0.5 m3",
    );
    // On 10 January its first half is not over: the second value is of December.
    let early = [0x0C, 0, 0x2A, 0x34, 0x10, 0x25, 0, 0, 15, 7, 0, 2, 3];
    let reading = read_own("TCH", 0x50, 0x72, 0xA2, &early);
    assert_fields(
        &reading,
        "date 2026-01-10
         volume_this_month 1.5 m3
         volume_in_january 1.5 m3
         volume_in_december 0.9 m3",
    );
    assert_eq!(reading.get("volume_in_november"), None, "half of it is missing");
}

#[test]
fn an_apator_allocator_says_when_its_seal_was_broken() {
    let whole = [0xA1, 0, 0, 0x59, 0, 0, 0, 1, 0, 0x32, 0x2D, 0, 0x15, 0x80, 0x14];
    let mut broken = whole;
    broken[5..7].copy_from_slice(&[0x9C, 0x25]);
    let reading = read_own("APT", 4, 8, 0xA0, &whole);
    assert_eq!(
        (reading.get("seal_broken_date"), &reading["alarms"]),
        (None, &"ok".into())
    );
    // With and without a second A0 in front.
    for payload in [broken.to_vec(), [&[0xA0][..], &broken].concat()] {
        assert_fields(
            &read_own("APA", 4, 8, 0xA0, &payload),
            "heat_cost_units 1 -
             heat_cost_units_storage_1 89 -
             seal_broken_date 2018-12-28
             alarms seal_broken",
        );
    }
}

#[test]
fn the_number_on_the_case_of_a_sappel_meter_is_packed_into_its_address() {
    let payload = [0x81, 0x8F, 0x80, 0, 0x4B, 0xD2, 0x04, 0, 0];
    let radio = sender("SAP", 0, 0, Protection::None);
    let mut bytes = radio.manufacturer(0xA2, &payload).unwrap();
    // Year 19, serial number 145842; supplier C, kind U, diameter A.
    let [b4, b5, b6, b7] = 19_145_842u32.to_le_bytes();
    bytes[4..10].copy_from_slice(&[b4, b5, b6, b7 | 1 << 5, 0x80 | 21 << 2, 1]);
    super::scramble(&mut bytes);
    assert_fields(
        &decoded(&bytes).1,
        "fabrication_number C19UA145842\nvolume 1.234 m3",
    );
}

#[test]
fn hydroclima_has_two_forms() {
    let ten = [
        0x0F, 0x10, 1, 0, 0, 0, 0, 0, 0xD0, 0x07, 0x34, 0x08, 0, 0, 0, 0, 0x6C, 0x07, 0xB8, 0x0B, 0, 0, 5, 1,
        0,
    ];
    assert_fields(
        &read("BMP", 0x53, 8, &ten),
        "room_temperature_average 20 °C
         room_temperature_highest 21 °C
         room_temperature_average_before 19 °C
         radiator_temperature_average_before 30 °C
         heat_cost_units_total 261 -
         error_flags 1 -",
    );
    let mut eleven = [0; 48];
    eleven[..2].copy_from_slice(&[0x0F, 0x11]);
    eleven[10..14].copy_from_slice(&[0xB8, 0x0B, 0x00, 0x80]);
    eleven[22..24].copy_from_slice(&[7, 0]);
    eleven[30..32].copy_from_slice(&[0x6C, 0x07]);
    let reading = read("BMP", 0x85, 8, &eleven);
    assert_fields(
        &reading,
        "radiator_temperature_average 30 °C
         heat_cost_units_storage_2 7 -
         heat_cost_units_storage_3 0 -
         room_temperature_average_storage_2 19 °C",
    );
    assert_eq!(reading.get("room_temperature_average"), None, "8000: none");
}

#[test]
fn alarms_and_batteries_stand_behind_ordinary_records() {
    let volume = [0x04, 0x13, 1, 0, 0, 0];
    let gwf = [&volume[..], &[0x0F, 0x01, 0x22, 0x11, 0]].concat();
    let reading = read("GWF", 0x3C, 7, &gwf);
    assert_fields(&reading, "battery_remaining 1 a\npower_saving 1 -");
    assert_eq!(reading["alarms"], "continuous_flow battery_low");
    let other = [&volume[..], &[0x0F, 0x02, 0x22, 0x11, 0]].concat();
    assert_eq!(read("GWF", 0x3C, 7, &other).get("alarms"), None, "another form");
    let hydrodigit = [&volume[..], &[0x0F, 0x03, 0x0D, 0x40, 0x24, 0x05, 0x17]].concat();
    let reading = read("BMT", 0x17, 7, &hydrodigit);
    assert_fields(
        &reading,
        "battery_voltage 3.5 V\nfraud sensor_fraud_attempt\nfraud_date 2024-05-17",
    );
    assert_eq!(reading["contents"], "battery_voltage fraud_date");
}

#[test]
fn records_that_only_their_manufacturers_understand_have_names() {
    // Obstacle detection completed, battery 3.00 V, to be cleaned, removed.
    let ei = [0x84, 0x40, 0xFF, 0x2C, 0x5C, 0x0F, 0x11, 0];
    let reading = read("EIE", 0x0C, 0x1A, &ei);
    assert_fields(
        &reading,
        "dust_level 28 -\nbattery_voltage 3 V\nobstacle_distance none",
    );
    assert_eq!(reading["alarms"], "cleaning_recommended tamper_while_removed");
    for (letters, version, device_type, record, expected) in [
        ("LSE", 0x18, 8, &[0x01, 0xFD, 0x73, 4][..], "error_flags 4 -"),
        (
            "DME",
            0x41,
            4,
            &[0x04, 0xA6, 0x18, 3, 0, 0, 0],
            "operating_time_in_error 10800 s",
        ),
        (
            "DME",
            0x41,
            4,
            &[0x0A, 0xA6, 0x18, 0x12, 0],
            "operating_time_in_error 43200 s",
        ),
        (
            "ITW",
            0x00,
            7,
            &[0x04, 0xFD, 0x97, 0x18, 5, 0, 0, 0],
            "error_flags 5 -",
        ),
        (
            "KAW",
            0x3C,
            0x16,
            &[0x04, 0xFF, 0x23, 0, 0, 0, 0x80],
            "error_flags 2147483648 -",
        ),
        (
            "KAM",
            0x01,
            0x18,
            &[0x05, 0xFF, 0x09, 0, 0, 0xC0, 0x3F],
            "alpha 1.5 -",
        ),
        ("ABC", 0x01, 7, &[0x01, 0xFD, 0x08, 0xF0], "access_number 240 -"),
    ] {
        assert_fields(&read(letters, version, device_type, record), expected);
    }
}

/// Bytes that begin, extend and end records, and lengths that are longer than what follows.
const HOSTILE: [u8; 24] = [
    0x04, 0x84, 0x8D, 0x0D, 0x0F, 0x1F, 0x2F, 0x82, 0x02, 0xFF, 0x7F, 0xFC, 0x7C, 0xFD, 0xFB, 0x93, 0x13,
    0x1E, 0x1F, 0x6C, 0x6D, 0x80, 0xBF, 0xF6,
];

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(21),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chains_of_records_without_sense_never_panic(
        records in prop::collection::vec(prop::sample::select(&HOSTILE[..]), 0..230),
        (letters, version, device_type) in prop::sample::select(vec![
            ("KAM", 0x1B, 0x16), ("EIE", 0x0C, 0x1A), ("DME", 0x41, 4), ("ITW", 0, 7), ("QDS", 0x17, 7), ("BMT", 0x17, 7),
            ("BMP", 0x85, 8), ("GWF", 0x3C, 7), ("ZRI", 0x0B, 0x16), ("ABB", 0x20, 2), ("APA", 5, 7),
        ]),
    ) {
        let reading = read(letters, version, device_type, &records);
        // A reading of one telegram is bounded, however many values a profile claims.
        prop_assert!(reading.as_object().unwrap().len() < 600);
    }
}
