//! Wireless M-Bus: telegrams of our own making by the command line, and those of another project, read where they stand,
//! value by value.

use crate::support::*;
use metertap_decode::cipher::Key;
use metertap_decode::wmbus::encode::{Protection, Sender};
use metertap_decode::wmbus::{Address, format_a};
use serde_json::Value;
use std::io::Write;

pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXUPPER.encode(bytes)
}

pub fn sender(protection: Protection) -> Sender {
    Sender {
        radio: Address {
            manufacturer: 0x2C2D,
            identification: [0x78, 0x56, 0x34, 0x12],
            version: 0x1B,
            device_type: 0x16,
        },
        meter: None,
        access_number: 7,
        status: 0,
        protection,
    }
}

/// Volume of 1.234 m3, and one of 1 m3 at the set day.
pub const RECORDS: [u8; 12] = [0x04, 0x13, 0xD2, 0x04, 0, 0, 0x44, 0x13, 0xE8, 0x03, 0, 0];
pub const KEY: &str = "000102030405060708090A0B0C0D0E0F";

/// Runs `metertap decode wmbus` on these lines; returns success, standard output and standard error.
fn decode(lines: &[String], args: &[&str]) -> (bool, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("telegrams.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let output = run(&[&["decode", "wmbus", file.to_str().unwrap()], args].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn telegrams_are_read_in_every_form_in_which_people_have_them() {
    let telegram = sender(Protection::None).telegram(&RECORDS).unwrap();
    let bare = hex(&telegram);
    let lines = [
        "# my water meter".into(),
        bare.clone(),
        hex(&format_a(&telegram)),
        format!("telegram=|{}_{}|+3", &bare[..30], &bare[30..]),
        format!("T1;1;1;2026-01-15 12:00:00.000;52;48;12345678;0x{bare}"),
    ];
    let (ok, stdout, stderr) = decode(&lines, &[]);
    assert!(ok, "{stderr}");
    let readings = json_lines(stdout.as_bytes());
    assert_eq!(readings.len(), 4);
    for reading in readings {
        assert_eq!(
            (&reading["id"], &reading["type"]),
            (&"12345678".into(), &"wmbus".into())
        );
        assert_eq!(reading["reading"]["medium"], "cold_water");
        assert_eq!(reading["reading"]["volume"]["value"].to_string(), "1.234");
        assert_eq!(reading["reading"]["volume_storage_1"]["unit"], "m3");
    }
}

#[test]
fn reasons_for_missing_values_are_told_apart() {
    let key: Key = KEY.parse().unwrap();
    let encrypted = hex(&sender(Protection::Mode5 { key }).telegram(&RECORDS).unwrap());
    let plain = hex(&sender(Protection::None).telegram(&RECORDS).unwrap());
    let wrong = "F".repeat(32);
    let cut = encrypted[..30].to_owned();
    for (line, args, reason) in [
        (
            &encrypted,
            &[][..],
            "there is no key for the meter: --key is needed",
        ),
        (
            &encrypted,
            &["--key", &*wrong],
            "the key of the meter is not the right one",
        ),
        (
            &plain,
            &["--key", KEY],
            "it is in plain text although there is a key",
        ),
        (&cut, &[], "the telegram is cut off: its length field states"),
        (
            &"1x".into(),
            &[],
            "expected a hexadecimal digit, found `x` at character 2",
        ),
        (&"68030368080172".into(), &[], "`metertap decode mbus` decodes it"),
    ] {
        let (ok, stdout, stderr) = decode(std::slice::from_ref(line), args);
        assert!(!ok && stdout.is_empty(), "{stdout}");
        assert!(
            stderr.contains("line 1: ") && stderr.contains(reason),
            "{reason}: {stderr}"
        );
    }
    let (ok, stdout, _) = decode(&[encrypted, plain], &["--key", &format!("12345678={KEY}")]);
    assert!(ok);
    assert_eq!(json_lines(stdout.as_bytes()).len(), 1);
}

#[test]
fn earlier_lines_teach_compact_formats_and_explain_shows_the_layers() {
    let sender = sender(Protection::None);
    let (full, compact) = (
        sender.telegram(&RECORDS).unwrap(),
        sender.compact(&RECORDS).unwrap(),
    );
    // A format that no meter has: it must be learned.
    let (ok, stdout, stderr) = decode(&[hex(&full), hex(&compact)], &["--explain"]);
    assert!(ok && stderr.is_empty(), "{stderr}");
    for part in [
        "link      1A442D2C785634121B16 Bare",
        "radio KAM 12345678 version 1B type 16 (cold_water)",
        "security   plain text",
        "record    0413D2040000 volume: 1.234 m3",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let readings: Vec<&str> = stdout.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(readings.len(), 2, "{stdout}");
    assert!(readings[1].contains("\"volume\":{\"value\":1.234"));
}

#[test]
fn given_lines_of_another_receiver_then_the_values_of_configured_meters_are_published() {
    let pty = Pty::open();
    let port = pty.port.display();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"air\"\nsource = \"{port}\"\nprotocol = \"wmbus\"\n\
         [[meter]]\nid = \"12345678\"\nkey = \"{KEY}\"\n"
    ));
    daemon.wait_for_log("Port opened");
    daemon.expect_log("it is in plain text although there is a key");
    let key: Key = KEY.parse().unwrap();
    let encrypted = |access_number, records: &[u8]| {
        let sender = Sender {
            access_number,
            ..sender(Protection::Mode5 { key: key.clone() })
        };
        hex(&sender.telegram(records).unwrap())
    };
    let mut neighbour = sender(Protection::None);
    neighbour.radio.identification = [9; 4];
    let first = encrypted(1, &RECORDS);
    // A repeater sends the first telegram again; the temperature comes in a telegram of its own.
    let lines = [
        first.clone(),
        hex(&neighbour.telegram(&RECORDS).unwrap()),
        hex(&sender(Protection::None).telegram(&RECORDS).unwrap()),
        first,
        encrypted(2, &[0x02, 0x5A, 0xD7, 0]),
    ];
    pty.meter()
        .write_all((lines.join("\n") + "\n").as_bytes())
        .unwrap();
    daemon.wait_for_lines(2);
    let readings = daemon.lines();
    assert_eq!(readings.len(), 2, "{readings:?}");
    for reading in &readings {
        assert_eq!(
            (&reading["id"], &reading["type"]),
            (&"12345678".into(), &"wmbus".into())
        );
        assert_eq!(reading["reading"]["volume"]["value"].to_string(), "1.234");
    }
    assert_eq!(
        readings[1]["reading"]["flow_temperature"]["value"].to_string(),
        "21.5"
    );
}

/// Telegrams whose expected values contradict their bytes, or cannot be in them.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "supercom587-04",
        "the BCD 00005648 litres are expected as 6.548 m3",
    ),
    (
        "flowiq2200-01",
        "compact frame changed by hand: its check does not match",
    ),
    ("qwater-07", "the flow is that of another telegram"),
    (
        "ebzwmbe-02",
        "the total power is the sum of the phases, which the meter does not send",
    ),
    ("em24-01", "0.1 kvarh (VIFE 75) are expected as kvarh"),
];

/// Units of the main values: suffix of the expected name, our unit, and the factor between them.
const UNITS: &[(&str, &str, f64)] = &[
    ("m3", "m3", 1.0),
    ("kwh", "kWh", 1.0),
    ("kwh", "GJ", 3.6e-3),
    ("kvarh", "kvarh", 1.0),
    ("m3h", "m3/h", 1.0),
    ("kw", "kW", 1.0),
    ("c", "°C", 1.0),
    ("hca", "", 1.0),
];

/// Expected names of current values, and the names that must have exactly these values if they are there.
const CURRENT: &[(&str, &str)] = &[
    ("total_m3", "volume"),
    ("total_volume_m3", "volume"),
    ("total_water_m3", "volume"),
    ("volume_m3", "volume"),
    ("total_kwh", "energy"),
    ("heat_kwh", "energy"),
    ("total_energy_consumption_kwh", "energy"),
    ("current_hca", "heat_cost_units"),
    ("consumption_hca", "heat_cost_units"),
    ("current_consumption_hca", "heat_cost_units"),
    ("flow_m3h", "volume_flow"),
    ("volume_flow_m3h", "volume_flow"),
    ("power_kw", "power"),
    ("current_power_consumption_kw", "power"),
    ("flow_temperature_c", "flow_temperature"),
    ("return_temperature_c", "return_temperature"),
];

/// Returns true for totals, targets, flows, powers, temperatures and heat cost units; false for values of earlier months, for
/// differences and for limits.
fn is_main(name: &str) -> bool {
    let is_history =
        name.contains("prev") || name.contains("delta") || name.contains("history") || name.contains("month");
    let has_number = name
        .split('_')
        .any(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let is_monthly = name.ends_with("_total_m3");
    !is_history && !has_number && !is_monthly && !name.contains("difference")
}

fn is_close(is: f64, due: f64) -> bool {
    (is - due).abs() <= (1e-5 * due.abs()).max(1e-6)
}

/// Returns the number of a field in the expected unit, of which `suffix` is the name.
fn in_unit(field: &Value, suffix: &str) -> Option<f64> {
    let unit = field["unit"].as_str()?;
    let (_, _, factor) = UNITS
        .iter()
        .find(|(other, ours, _)| *other == suffix && *ours == unit)?;
    Some(field["value"].as_f64()? / factor)
}

/// Returns what is missing or wrong in a reading.
fn mistakes(reading: &Value, expected: &Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    let fields = reading.as_object().unwrap();
    for (name, due) in expected.as_object().unwrap() {
        let Some(suffix) = name.rsplit('_').next() else {
            continue;
        };
        let Some(due) = due
            .as_f64()
            .filter(|_| UNITS.iter().any(|(other, ..)| *other == suffix))
        else {
            continue;
        };
        if let Some((_, ours)) = CURRENT.iter().find(|(theirs, _)| *theirs == name) {
            if let Some(is) = fields.get(*ours).and_then(|field| in_unit(field, suffix)) {
                if !is_close(is, due) {
                    mistakes.push(format!("{ours} is {is}, but should be {name} {due}"));
                }
            }
        }
        let has_it = fields
            .values()
            .any(|field| in_unit(field, suffix).is_some_and(|is| is_close(is, due)));
        if is_main(name) && !has_it {
            mistakes.push(format!("{name} {due} is missing"));
        }
    }
    mistakes
}

#[needs(shared)]
#[test]
fn main_values_are_those_of_wmbusmeters() {
    let (mut telegrams, mut right, mut failed) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(shared("vectors/wmbus")).unwrap() {
        let vector: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let name = vector["name"].as_str().unwrap();
        if vector["link"] != "wmbus" || vector["expected"].is_null() {
            continue;
        }
        telegrams += 1;
        let before = vector["before"].as_array().unwrap().iter();
        let lines = before
            .chain([&vector["hex"]])
            .map(|hex| hex.as_str().unwrap().to_owned());
        let key = vector["key"].as_str().map(|key| ["--key", key]);
        let args = key.as_ref().map_or(&[][..], |args| args);
        let (_, stdout, stderr) = decode(&lines.collect::<Vec<_>>(), args);
        let readings = json_lines(stdout.as_bytes());
        let mistakes = match readings.last() {
            Some(line) => {
                if let Some(id) = vector["expected"]["id"].as_str() {
                    let is_it = line["id"].as_str().is_some_and(|is| is.eq_ignore_ascii_case(id));
                    // Of two addresses one is that of the radio.
                    assert!(
                        is_it || line["reading"]["radio_id"].is_string(),
                        "{name}: {}",
                        line["id"]
                    );
                }
                mistakes(&line["reading"], &vector["expected"])
            }
            None => vec![stderr],
        };
        if mistakes.is_empty() {
            right += 1;
        } else {
            failed.push((name.to_owned(), mistakes));
        }
    }
    for (name, mistakes) in &failed {
        println!("{name}: {}", mistakes.join("; "));
    }
    println!("{right} of {telegrams} telegrams give every main value");
    assert!(
        telegrams > 150 && right * 100 >= telegrams * 95,
        "{right} of {telegrams}"
    );
    for (name, _) in failed {
        assert!(CONTRADICTIONS.iter().any(|(known, _)| *known == name), "{name}");
    }
}
