//! Reports of whole messages.

use super::*;
use crate::dlms::list_mapping::{ListEntry, ValueType};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use proptest::prelude::*;

/// A notification with this body.
fn notification(body: &str) -> Notification {
    let message = HEXUPPER_PERMISSIVE
        .decode(format!("0F0000000000{}", body.replace(' ', "")).as_bytes())
        .unwrap();
    Notification::parse(&message).unwrap()
}

/// The fields of a notification with this body, as JSON.
fn fields(body: &str) -> String {
    let report = report(&notification(body), None, &ReportOptions::default());
    serde_json::to_string(&(report.reading, report.unknown)).unwrap()
}

#[test]
fn floats_have_the_digits_of_their_precision_and_are_scaled() {
    // Voltage 230.1 as a float of single precision, in V, without and with a scaler of 10^-1.
    let code = "0906 0100200700FF";
    for (body, printed) in [
        (
            format!("0203 {code} 174366199A 0202 0F00 1623"),
            r#"[{"voltage_l1":{"value":230.1,"unit":"V"}},{}]"#,
        ),
        (
            format!("0203 {code} 174366199A 0202 0FFF 1623"),
            r#"[{"voltage_l1":{"value":23.01,"unit":"V"}},{}]"#,
        ),
        (
            format!("0202 {code} 174366199A"),
            r#"[{"voltage_l1":{"value":230.1,"unit":"V"}},{}]"#,
        ),
        (format!("0202 {code} 177FC00000"), r#"[{},{"1-0:32.7.0":"NaN"}]"#),
    ] {
        assert_eq!(fields(&body), printed, "{body}");
    }
    // Power factor 0.5 of double precision, for which integers would be thousandths.
    let factor = fields("0202 0906 01000D0700FF 183FE0000000000000");
    assert_eq!(factor, r#"[{"power_factor":{"value":0.5,"unit":""}},{}]"#);
}

/// Integers of 32 and 16 bits, and octets, as they are encoded.
fn u32s(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!("06{number:08X}")).collect()
}

fn u16s(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("12{number:04X}")).collect()
}

fn octets(text: &str) -> String {
    let hex = HEXUPPER.encode(text.as_bytes());
    format!("09{:02X}{hex}", text.len())
}

const CLOCK: &str = "090C 07E9030B 06 0D1B2FFF 800000";

#[test]
fn the_lists_of_operators_have_names_units_and_powers_of_ten() {
    let energies = u32s(&[12_345_678, 234_567, 345_678, 456_789]);
    let croatia =
        octets("90000001") + "0904 0D1B2F00 0905 07E9030B06" + &u32s(&[3000, 2000, 1000, 600, 500, 100]);
    let phases = u32s(&[100, 200, 130, 0, 0, 0]) + &u16s(&[2311, 2322, 2333, 51, 92, 63]);
    let croatia_end = u32s(&[17_250]) + &"0101 12 24B8".repeat(3) + "0301";
    for (name, count, body, expected) in [
        (
            "Kärnten Netz",
            12,
            "0906 0006190900FF".to_owned()
                + &octets("1121370000009")
                + "0904 0D1B2F00 0905 07E9030B06"
                + &energies
                + &u32s(&[1500, 0])
                + "0900 0900",
            vec![
                r#""equipment_id":"1121370000009""#,
                r#""energy_import_total":{"value":12345.678,"unit":"kWh"}"#,
                r#""energy_export_total":{"value":234.567,"unit":"kWh"}"#,
                r#""reactive_energy_export_total":{"value":456.789,"unit":"kvarh"}"#,
                r#""power_import":{"value":1.500,"unit":"kW"}"#,
            ],
        ),
        (
            "Wiener Netze",
            9,
            CLOCK.to_owned() + &energies + &u32s(&[1500, 0, 20, 30]),
            vec![
                r#""timestamp":"2025-03-11T13:27:47+01:00""#,
                r#""energy_import_total":{"value":12345.678,"unit":"kWh"}"#,
                r#""reactive_power_export":{"value":0.030,"unit":"kvar"}"#,
            ],
        ),
        (
            "Wiener Netze, Siemens",
            10,
            octets("SIE1030300000009") + CLOCK + &energies + &u32s(&[1500, 0, 20, 30]),
            vec![
                r#""equipment_id":"SIE1030300000009""#,
                r#""energy_export_total":{"value":234.567,"unit":"kWh"}"#,
                r#""reactive_power_import":{"value":0.020,"unit":"kvar"}"#,
            ],
        ),
        (
            "Netz Burgenland",
            14,
            u16s(&[229, 231, 230, 781, 402, 63])
                + &u32s(&[2800, 0, 40_091_000, 5000])
                + &u16s(&[1, 2, 3])
                + &octets("30000009"),
            vec![
                r#""voltage_l1":{"value":229,"unit":"V"}"#,
                r#""current_l1":{"value":7.81,"unit":"A"}"#,
                r#""energy_export_total":{"value":5.000,"unit":"kWh"}"#,
                r#""equipment_id":"30000009""#,
                r#""10":{"value":1,"unit":""}"#,
            ],
        ),
        (
            "Netz Burgenland, tenths of a volt",
            11,
            u16s(&[2291, 2313, 2304, 781, 402, 63])
                + &u32s(&[2800, 0, 40_091_000, 5000])
                + &octets("30000009"),
            vec![r#""voltage_l2":{"value":231.3,"unit":"V"}"#],
        ),
        (
            "Croatia, long",
            33,
            croatia.clone() + &u32s(&[10, 20, 30, 40, 430, 0]) + &u16s(&[889]) + &phases + &croatia_end,
            vec![
                r#""equipment_id":"90000001""#,
                r#""energy_import_t2":{"value":1.000,"unit":"kWh"}"#,
                r#""reactive_energy_q4_total":{"value":0.040,"unit":"kvarh"}"#,
                r#""power_factor":{"value":0.889,"unit":""}"#,
                r#""current_l2":{"value":0.92,"unit":"A"}"#,
                r#""28":{"value":17250,"unit":""}"#,
                r#""32":1"#,
            ],
        ),
        (
            "Croatia, short",
            28,
            croatia + &u32s(&[430, 0]) + &phases + &croatia_end,
            vec![
                r#""power_import":{"value":0.430,"unit":"kW"}"#,
                r#""voltage_l3":{"value":233.3,"unit":"V"}"#,
            ],
        ),
        (
            "Switzerland",
            15,
            u32s(&[3000, 2000, 1000, 600, 500, 100])
                + "0900"
                + CLOCK
                + &u32s(&[0, 430])
                + &u16s(&[51, 92, 63, 2311, 2333]),
            vec![
                r#""power_import":{"value":0.430,"unit":"kW"}"#,
                r#""current_l3":{"value":0.63,"unit":"A"}"#,
                r#""voltage_l3":{"value":233.3,"unit":"V"}"#,
            ],
        ),
        (
            "Slovenia, energies",
            12,
            octets("ISK1030700000009")
                + &octets("16820006")
                + "1601"
                + &octets("0002")
                + &u32s(&[3000, 2000, 1000, 600, 500, 100, 70, 80]),
            vec![
                r#""switch_electricity":1"#,
                r#""tariff":2"#,
                r#""energy_export_t1":{"value":0.500,"unit":"kWh"}"#,
                r#""1":"16820006""#,
            ],
        ),
    ] {
        let printed = fields(&format!("02{count:02X} {body}"));
        for value in expected {
            assert!(printed.contains(value), "{name}: {value} in {printed}");
        }
    }
}

#[test]
fn currents_of_a_list_are_checked_against_voltage_and_power_unless_the_user_describes_it() {
    let current = |report: &Report| {
        let current = report
            .reading
            .get("current_l1")
            .and_then(Value::quantity)
            .unwrap();
        format!("{} {}", current.value, current.unit)
    };
    // Burgenland's list of a meter behind transformers, which counts in mA: 2.8 kW, and 12 A at 230 V.
    let body = "020B".to_owned()
        + &u16s(&[229, 231, 230, 7810, 4020, 630])
        + &u32s(&[2800, 0, 40_091_000, 5000])
        + &octets("30000009");
    let read = |options: &ReportOptions| {
        let mut memory = ScaleMemory::default();
        let report = report_with(&notification(&body), None, options, &mut memory);
        (current(&report), memory.take_findings())
    };
    let phases_unknown = read(&ReportOptions::default());
    assert_eq!(phases_unknown.0, "78.10 A", "phases may compensate each other");
    let mut options = ReportOptions::default();
    options.scales.current = Some(-3);
    assert_eq!(read(&options), ("7.810 A".into(), vec![]));
    // Kaifa's list of one phase with currents in hundredths: 2250 W are not 0.1 A at 230 V.
    let kaifa = "0209".to_owned()
        + &octets("KFM_001")
        + &octets("6970000000000009")
        + &octets("MA105H2E")
        + &u32s(&[2250, 0, 0, 40, 100, 2301]);
    let mut memory = ScaleMemory::default();
    let report = report_with(
        &notification(&kaifa),
        None,
        &ReportOptions::default(),
        &mut memory,
    );
    assert_eq!(current(&report), "10.0 A");
    assert_eq!(memory.take_findings().len(), 1);
}

#[test]
fn a_list_that_is_not_known_keeps_every_value_and_says_so() {
    let mut memory = ScaleMemory::default();
    let notification = notification(&format!("0203{}", u32s(&[1, 2, 3])));
    let report = report_with(&notification, None, &ReportOptions::default(), &mut memory);
    assert_eq!((report.unknown.0.len(), memory.unknown_list()), (3, Some(3)));
}

#[test]
fn a_described_list_may_hold_every_type() {
    let entry = |value_type, code: &str| ListEntry {
        value_type,
        obis: Some(code.parse().unwrap()),
        exponent: 0,
    };
    let list = ListMapping::new(vec![
        entry(ValueType::Enumeration, "0-0:96.3.10"),
        entry(ValueType::DateTime, "0-0:96.2.1"),
        entry(ValueType::Octets, "0-0:96.5.1"),
        entry(ValueType::Octets, "0-0:96.5.2"),
        entry(ValueType::Float, "1-0:32.7.0"),
    ]);
    let name = |code: &str, name: &str| (code.parse().unwrap(), name.to_owned());
    let options = ReportOptions {
        lists: vec![list],
        names: vec![name("0-0:96.2.1", "key_changed"), name("0-0:96.5.1", "flags")],
        ..ReportOptions::default()
    };
    let body = format!("0205 1601 {CLOCK} 0903 01FF02 0408 A5 174366199A");
    let report = report(&notification(&body), None, &options);
    assert_eq!(
        serde_json::to_string(&(report.reading, report.unknown)).unwrap(),
        concat!(
            r#"[{"switch_electricity":1,"key_changed":"2025-03-11T13:27:47+01:00","flags":"01FF02","#,
            r#""voltage_l1":{"value":230.1,"unit":"V"}},{"0-0:96.5.2":"A5"}]"#
        )
    );
}

#[test]
fn a_code_with_several_values_keeps_each() {
    let printed = fields("0202 0906 0000636200FF 0203 1101 0902 FF00 0102 1102 1103");
    assert_eq!(
        printed,
        r#"[{},{"0-0:99.98.0[0]":{"value":1,"unit":""},"0-0:99.98.0[1]":"FF00","0-0:99.98.0[2][0]":{"value":2,"unit":""},"0-0:99.98.0[2][1]":{"value":3,"unit":""}}]"#
    );
}

#[test]
fn a_quantity_of_two_channels_keeps_both() {
    let printed = fields("0204 0906 0100010800FF 06000001F4 0906 0101010800FF 06000001F5");
    assert_eq!(
        printed,
        r#"[{"energy_import_total":{"value":0.500,"unit":"kWh"}},{"1-1:1.8.0":{"value":0.501,"unit":"kWh"}}]"#
    );
}

#[test]
fn energies_of_kamstrup_are_an_assumption_that_is_told_once_and_not_if_the_user_knows() {
    let body = "0203 0A0E 4B616D73747275705F5630303031 0906 0101010800FF 0600000064";
    for (energy, told) in [(None, 1), (Some(0), 0)] {
        let mut options = ReportOptions::default();
        options.scales.energy = energy;
        let mut memory = ScaleMemory::default();
        let mut message = HEXUPPER_PERMISSIVE
            .decode(format!("0F00000000{}", CLOCK[2..].replace(' ', "")).as_bytes())
            .unwrap();
        message.extend(
            HEXUPPER_PERMISSIVE
                .decode(body.replace(' ', "").as_bytes())
                .unwrap(),
        );
        let notification = Notification::parse(&message).unwrap();
        for _ in 0..3 {
            let _ = report_with(&notification, None, &options, &mut memory);
        }
        let findings = memory.take_findings();
        assert_eq!(findings.len(), told, "{findings:?}");
        assert!(findings.iter().all(|finding| {
            finding
                .to_string()
                .contains("10 times what the meter's display shows, set energy = 0")
        }));
    }
}

#[test]
fn numbers_without_a_code_beside_coded_ones_are_kept() {
    let printed = fields("0204 0906 0100010700FF 06000001F4 1200E6 1200E7");
    assert_eq!(
        printed,
        r#"[{"power_import":{"value":0.500,"unit":"kW"}},{"0":{"value":230,"unit":""},"1":{"value":231,"unit":""}}]"#
    );
}

#[test]
fn the_tariff_is_a_number_however_it_is_sent() {
    for (sent, printed) in [
        ("0904 30303032", r#"[{"tariff":2},{}]"#),
        ("0902 0002", r#"[{"tariff":2},{}]"#),
        ("1102", r#"[{"tariff":2},{}]"#),
        ("1602", r#"[{"tariff":2},{}]"#),
        ("0903 4E4E4E", r#"[{"tariff":"NNN"},{}]"#),
    ] {
        assert_eq!(
            fields(&format!("0202 0906 0000600E00FF {sent}")),
            printed,
            "{sent}"
        );
    }
}

#[test]
fn a_number_under_a_usual_code_comes_first() {
    let (lesser, usual) = ("0906 0000000000FF 0A024C31", "0906 0000600100FF 0A024D31");
    assert_eq!(fields(&format!("0202 {lesser}")), r#"[{"equipment_id":"L1"},{}]"#);
    for both in [format!("{lesser} {usual}"), format!("{usual} {lesser}")] {
        assert_eq!(
            fields(&format!("0204 {both}")),
            r#"[{"equipment_id":"M1"},{"0-0:0.0.0":"L1"}]"#
        );
    }
}

#[test]
fn a_clock_that_was_never_set_is_no_time() {
    let report = fields("0202 0906 0000010000FF 090C 07D00101060C0000FF800000");
    assert!(!report.contains("timestamp\""), "{report}");
}

#[test]
fn a_year_is_no_ampere() {
    let years = fields("0203 0906 0000600605FF 110C 0202 0F00 1601");
    assert_eq!(years, r#"[{},{"0-0:96.6.5":{"value":12,"unit":"a"}}]"#);
}

#[test]
fn given_a_power_of_ten_that_no_decimal_holds_then_the_number_is_text() {
    let huge = fields("0203 0906 0100010800FF 0600000005 0202 0F7F 161E");
    assert_eq!(huge, r#"[{"energy_import_total":"5e127"},{}]"#);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = Notification::parse(&bytes);
        if let Ok(notification) = Notification::parse(&[&[0x0F, 0, 0, 0, 0, 0], &bytes[..]].concat()) {
            let _ = report(&notification, None, &ReportOptions::default());
        }
    }
}
