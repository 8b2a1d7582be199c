//! DLMS and KMP frames of other projects, compared with what independent readers found in them.

use crate::support::*;
use serde_json::Value;
use std::path::Path;

/// `metertap decode`: success, its lines, its standard error.
fn decode(wire: &str, file: &Path, keys: &[(&str, &Value)]) -> (bool, Vec<Value>, String) {
    let mut command = metertap();
    command.args(["decode", wire]).arg(file);
    for (flag, key) in keys {
        if let Some(key) = key.as_str() {
            command.args([flag, key]);
        }
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), json_lines(&output.stdout), stderr)
}

/// Files of a folder, with what must come out of them.
fn each(folder: &str, ending: &str, mut check: impl FnMut(&Path, &Value)) {
    let folder = shared(folder);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(stem) = path.to_str().unwrap().strip_suffix(ending) else {
            continue;
        };
        let expected = std::fs::read(format!("{stem}.expected.json")).unwrap();
        check(&path, &serde_json::from_slice(&expected).unwrap());
        files += 1;
    }
    assert!(files > 7, "{files}");
}

/// A number in the unit that meters count in.
fn base(quantity: &Value) -> Option<f64> {
    let value = quantity["value"].as_f64()?;
    let is_thousandfold = ["kWh", "kW", "kvarh", "kvar", "kVAh", "kVA"].contains(&quantity["unit"].as_str()?);
    Some(if is_thousandfold { value * 1000.0 } else { value })
}

/// Names of the fields by their codes.
fn names() -> Vec<(String, &'static str)> {
    metertap_decode::fields::table()
        .map(|(code, field)| (code.split_once(':').unwrap().1.to_owned(), field.name))
        .collect()
}

#[needs(shared)]
#[test]
fn pushed_values_match_the_reference() {
    let names = names();
    let mut compared = 0;
    for folder in ["vectors/dlms-hdlc", "vectors/dlms-mbus"] {
        each(folder, ".hex", |path, expected| {
            let keys = [
                ("--key", &expected["key"]),
                ("--auth-key", &expected["authentication_key"]),
            ];
            let (ok, lines, stderr) = decode("dlms", path, &keys);
            let name = path.display();
            match expected["expect"].as_str().unwrap() {
                "framing_only" => {
                    return assert!(!ok && stderr.contains("--key is needed"), "{name}: {stderr}");
                }
                "key_error" => {
                    return assert!(!ok && stderr.contains("is the key right?"), "{name}: {stderr}");
                }
                // One that the reference itself could not read, or for which there is no key.
                _ if !expected["decoded"]["reference_error"].is_null() => return assert!(!ok, "{name}"),
                _ if expected["decoded"]["ciphering"].is_object() && expected["key"].is_null() => {
                    return assert!(!ok && stderr.contains("--key is needed"), "{name}: {stderr}");
                }
                _ => assert!(ok && lines.len() == 1, "{name}: {stderr}"),
            }
            let line = &lines[0];
            let kamstrup = expected["decoded"]["tree"]["v"][0]["v"] == "4b616d73747275705f5630303031";
            for object in expected["decoded"]["objects"].as_array().unwrap() {
                let code = object["obis"].as_str().unwrap().split_once(':').unwrap().1;
                let short = code.strip_suffix(".255").unwrap();
                let Some((_, field)) = names.iter().find(|(other, _)| other == short) else {
                    continue;
                };
                let Some(is) = base(&line["reading"][field]) else {
                    continue;
                };
                // The reference knows no scale where the meter sends none.
                let factor = match object["scaler"].is_null() && kamstrup {
                    true if short.contains(".8.") => 10.0,
                    true if ["31.7.0", "51.7.0", "71.7.0"].contains(&short) => 0.01,
                    _ => 1.0,
                };
                let due = object["value"].as_f64().unwrap() * factor;
                assert!(
                    (is - due).abs() < 1e-6 * due.abs().max(1.0),
                    "{name}: {field}: {is}, not {due}"
                );
                compared += 1;
            }
        });
    }
    assert!(compared > 130, "{compared}");
}

#[needs(shared)]
#[test]
fn norwegian_lists_without_codes_match_the_reference() {
    each("vectors/dlms-hdlc", ".hex", |path, expected| {
        let theirs = &expected["source_expected"]["value"];
        if theirs["meter_manufacturer"] != "Kaifa" {
            return;
        }
        let (_, lines, _) = decode("dlms", path, &[]);
        for (name, ours) in [
            ("active_power_import", "power_import"),
            ("reactive_power_export", "reactive_power_export"),
            ("current_l1", "current_l1"),
            ("current_l3", "current_l3"),
            ("voltage_l1", "voltage_l1"),
            ("voltage_l3", "voltage_l3"),
            ("active_power_import_total", "energy_import_total"),
            ("reactive_power_export_total", "reactive_energy_export_total"),
        ] {
            assert_eq!(
                base(&lines[0]["reading"][ours]),
                theirs[name].as_f64(),
                "{}: {name}",
                path.display()
            );
        }
        if let Some(id) = theirs["meter_id"].as_str() {
            assert_eq!(lines[0]["id"], id);
        }
    });
}

/// Values read by hand in the bytes of captures: file, field, value in the meter's unit.
const BY_HAND: &[(&str, &str, f64)] = &[
    // 06 00 00 0D DB, scale 0; 10 00 60, scale -1; 12 08 F1, scale -1; 06 00 5F 3C 5B 02 02 0F 01 16 1E is not there.
    ("aidon/gh143-2", "power_import", 3547.0),
    ("aidon/gh143-2", "current_l1", 9.6),
    ("aidon/gh143-2", "voltage_l1", 228.9),
    // 06 00 00 0F BB; 06 00 A7 2A 19 with scale 1.
    ("aidon/gh1119-1", "power_import", 4027.0),
    ("aidon/gh1119-1", "energy_import_total", 109_552_250.0),
    // Positional: 12 09 0A, 12 01 C3, 06 00 00 09 5F.
    ("iskraemeco/gh615-8", "voltage_l1", 231.4),
    ("iskraemeco/gh615-8", "current_l1", 4.51),
    ("iskraemeco/gh615-8", "power_import", 2399.0),
    ("iskraemeco/gh869-1", "power_import", 373.0),
    ("iskraemeco/gh869-3", "energy_import_total", 7_924_641.0),
    // 06 00 C3 28 BE, the tariffs 06 00 57 7A 26 and 06 00 6B AE 98.
    ("iskraemeco/gh869-6", "energy_import_total", 12_789_950.0),
    ("iskraemeco/gh869-6", "energy_import_t1", 5_732_902.0),
    ("iskraemeco/gh869-6", "energy_import_t2", 7_057_048.0),
    // Kaifa in Sweden: 06 00 00 00 20 in mA, 06 00 00 09 12 in 0.1 V, 06 00 00 04 76.
    ("kaifa/gh242-1", "current_l1", 0.032),
    ("kaifa/gh242-1", "voltage_l1", 232.2),
    ("kaifa/gh242-1", "energy_import_total", 1142.0),
    ("kaifa/gh242-2", "current_l1", 0.199),
    ("kaifa/gh242-3", "voltage_l1", 244.2),
    ("kaifa/gh242-4", "voltage_l1", 243.5),
    // Logged after it was decrypted in place: 12 09 1A.
    ("kaifa/gh539-3", "voltage_l1", 233.0),
    ("kaifa/gh539-4", "power_export", 24.0),
    // Kamstrup: 06 00 00 04 DF; energies in 10 Wh, currents in 0.01 A.
    ("kamstrup/em001-1", "power_import", 1247.0),
    ("kamstrup/em001-1", "energy_import_total", 85_823_280.0),
    ("kamstrup/em001-1", "current_l1", 1.89),
    ("kamstrup/gh175-2", "power_import", 3337.0),
    // 06 00 02 9E D7 is 171735, 06 00 00 62 27 is 25127.
    ("kamstrup/gh350-2", "energy_import_total", 1_717_350.0),
    ("kamstrup/gh350-2", "energy_export_total", 251_270.0),
    ("kamstrup/gh741-1", "power_import", 21.0),
];

#[needs(shared)]
#[test]
fn captures_match_values_read_by_hand() {
    let folder = shared("vectors/dlms");
    for (name, field, due) in BY_HAND {
        let (ok, lines, stderr) = decode("dlms", &folder.join(format!("{name}.hex")), &[]);
        assert!(ok, "{name}: {stderr}");
        let is = base(&lines[0]["reading"][field]).unwrap_or_else(|| panic!("{name}: {field}"));
        assert!(
            (is - due).abs() < 1e-6 * due,
            "{name}: {field} is {is}, not {due}"
        );
    }
}

#[needs(shared)]
#[test]
fn encrypted_or_corrupt_captures_give_a_reason_and_no_values() {
    let folder = shared("vectors/dlms");
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let mut recognised = 0;
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns[4] != "encrypted, no key" {
            continue;
        }
        let (ok, lines, stderr) = decode("dlms", &folder.join(&columns[0][5..]), &[]);
        assert!(!ok && lines.is_empty(), "{}: {lines:?}", columns[0]);
        let reasons = ["--key is needed", "cut off", "FCS", "missing", "no message"];
        assert!(
            reasons.iter().any(|reason| stderr.contains(reason)),
            "{}: {stderr}",
            columns[0]
        );
        recognised += usize::from(stderr.contains("--key is needed"));
    }
    assert!(recognised >= 12, "{recognised}");
}

#[needs(shared)]
#[test]
fn given_any_cut_or_flipped_bit_then_a_checked_frame_gives_no_wrong_value() {
    let folder = shared("vectors/dlms-hdlc");
    use metertap::port::{Dlms, DlmsOptions, Listener};
    let hex: String = std::fs::read_to_string(folder.join("esphome-hdlc-norway-han-3phase.hex"))
        .unwrap()
        .lines()
        .flat_map(|line| line.split("//").next().unwrap().chars())
        .filter(|digit| !digit.is_whitespace())
        .collect();
    let whole = data_encoding::HEXUPPER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
    let reports = |bytes: &[u8]| {
        let (mut dlms, mut reports, mut troubles) = (Dlms::new(DlmsOptions::default()), Vec::new(), 0);
        let mut tell = |event: metertap::port::DecodeEvent| match event.result {
            Ok(report) => reports.push(report),
            Err(_) => troubles += 1,
        };
        dlms.push(bytes, &mut tell);
        dlms.finish(&mut tell);
        (reports, troubles)
    };
    let (truth, _) = reports(&whole);
    assert_eq!(truth.len(), 1);
    for at in 8..whole.len() - 1 {
        let (cut, troubles) = reports(&whole[..at]);
        assert!(cut.is_empty() && troubles == 1, "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(reports(&flipped).0.is_empty(), "flipped at {at}");
    }
}

const KEY: &str = "000102030405060708090A0B0C0D0E0F";
const AUTH_KEY: &str = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF";
const TITLE: [u8; 8] = *b"MTP\0\0\0\x12\x34";

/// Codes with their values and scales, as Austrian meters send them: so many watts.
fn message(watts: u32) -> Vec<u8> {
    let mut message = vec![
        0x0F, 0, 0, 0, 1, 12, 0x07, 0xEA, 7, 15, 3, 12, 0, 0, 0, 0xFF, 0x88, 0x80, 2, 20,
    ];
    let values = [
        (1u8, 8u8, 12_937u32),
        (2, 8, 0),
        (1, 7, watts),
        (2, 7, 0),
        (32, 7, 230),
    ];
    for (c, d, value) in values {
        message.extend([9, 6, 1, 0, c, d, 0, 255, 6]);
        message.extend(value.to_be_bytes());
        let unit = match (c, d) {
            (32, _) => 35,
            (_, 8) => 30,
            _ => 27,
        };
        message.extend([2, 2, 15, 0, 22, unit]);
    }
    for c in [52, 72, 31, 51, 71] {
        message.extend([9, 6, 1, 0, c, 7, 0, 255, 18, 0, 0]);
    }
    message[19] = 3 * 5 + 2 * 5;
    message
}

fn sealed(watts: u32, counter: u32, authentication: bool) -> Vec<u8> {
    use metertap_decode::cipher::{Ciphered, Key};
    let auth_key: Key = AUTH_KEY.parse().unwrap();
    let key = KEY.parse().unwrap();
    Ciphered::encrypt(
        TITLE,
        counter,
        &message(watts),
        &key,
        authentication.then_some(&auth_key),
    )
    .unwrap()
}

#[test]
fn given_any_framing_and_ciphering_then_a_port_detects_and_decrypts_it() {
    use metertap_decode::framing::dlms::{block_segments, hdlc_segments, mbus_segments};
    use std::io::Write;
    let pty = Pty::open();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"grid\"\nsource = \"{}\"\nprotocol = \"dlms\"\nbaud = 2400\nkey = \"{KEY}\"\nauth_key = \"{AUTH_KEY}\"\n",
        pty.port.display()
    ));
    daemon.wait_for_log("Port opened");
    let mut meter = pty.meter();
    type Carrier = fn(&[u8]) -> Vec<u8>;
    let carriers: [Carrier; 4] = [
        |message| mbus_segments(message, 200),
        |message| hdlc_segments(message, 120),
        |message| block_segments(message, 100),
        |message| hdlc_segments(message, 2000),
    ];
    let mut counter = 0;
    let mut watts = Vec::new();
    for authentication in [false, true] {
        for carrier in carriers {
            counter += 1;
            watts.push(f64::from(counter) / 1000.0);
            let bytes = carrier(&sealed(counter, counter, authentication));
            // In pieces, with a little noise in front.
            meter.write_all(b"\x00\xff").unwrap();
            for piece in bytes.chunks(7) {
                meter.write_all(piece).unwrap();
            }
        }
    }
    daemon.wait_for_lines(watts.len());
    let is: Vec<f64> = daemon
        .lines()
        .iter()
        .map(|line| line["reading"]["power_import"]["value"].as_f64().unwrap())
        .collect();
    assert_eq!(is, watts, "{}", daemon.log());
    assert_eq!(daemon.lines()[0]["id"], "MTP0000001234");
    assert_eq!(daemon.lines()[0]["time"], "2026-07-15T12:00:00+02:00");
    // And now what must not be believed: a repeated frame, one without the tag of this meter, one that is changed,
    // one with another key.
    meter
        .write_all(&hdlc_segments(&sealed(999, 3, true), 2000))
        .unwrap();
    meter
        .write_all(&hdlc_segments(&sealed(999, 90, false), 2000))
        .unwrap();
    let mut changed = sealed(999, 91, true);
    changed[0] = 0xDB;
    changed[60] ^= 1;
    meter.write_all(&mbus_segments(&changed, 200)).unwrap();
    let mut other = sealed(999, 92, false);
    other[2] = b'X';
    meter.write_all(&mbus_segments(&other, 200)).unwrap();
    for reason in [
        "at 2400 8E1",
        "repeated frame",
        "no authentication tag",
        "the tag is wrong",
        "is the key right?",
    ] {
        daemon.wait_for_log(reason);
    }
    meter
        .write_all(&hdlc_segments(&sealed(77, 100, true), 2000))
        .unwrap();
    daemon.wait_for_lines(watts.len() + 1);
    let log = daemon.log();
    assert!(
        daemon
            .lines()
            .iter()
            .all(|line| line["reading"]["power_import"]["value"] != 0.999),
        "{log}"
    );
    assert!(!log.contains(KEY), "{log}");
}

#[test]
fn given_a_meter_that_seldom_sends_its_id_then_earlier_lists_wait_for_it() {
    use metertap::port::{DecodeEvent, Dlms, DlmsOptions, Listener};
    use metertap_decode::framing::dlms::hdlc_segments;
    // List 1: the power alone. List 2 begins with version, number and model.
    let one = [&[0x0F, 0, 0, 0, 0, 0, 2, 1, 6][..], &500u32.to_be_bytes()].concat();
    let mut two = vec![0x0F, 0, 0, 0, 0, 0, 2, 9, 9, 7];
    two.extend(b"KFM_001");
    two.extend([9, 4]);
    two.extend(b"6970");
    two.extend([9, 2]);
    two.extend(b"MA");
    for value in [500u32, 0, 0, 0, 1000, 2300] {
        two.push(6);
        two.extend(value.to_be_bytes());
    }
    let mut dlms = Dlms::new(DlmsOptions::default());
    let mut ids = Vec::new();
    let mut tell = |event: DecodeEvent| ids.push(event.result.unwrap().id);
    for message in [&one, &one, &two, &one] {
        dlms.push(&hdlc_segments(message, 500), &mut tell);
    }
    assert_eq!(ids, ["6970"; 4]);
    // A meter that never sends its id is read all the same, without an id.
    let mut nameless = Vec::new();
    let mut dlms = Dlms::new(DlmsOptions::default());
    for _ in 0..10 {
        dlms.push(&hdlc_segments(&one, 500), &mut |event: DecodeEvent| {
            nameless.push(event.result.unwrap().id);
        });
    }
    assert_eq!(nameless, [""; 10]);
}

#[needs(shared)]
#[test]
fn kamstrup_answers_match_the_reference() {
    each("vectors/kamstrup-kmp", ".response.bin", |path, expected| {
        let (ok, lines, stderr) = decode("kmp", path, &[]);
        let name = path.display();
        match expected["expect"].as_str().unwrap() {
            "ok" | "register_mismatch" => assert!(ok && lines.len() == 1, "{name}: {stderr}"),
            "missing" => return assert!(!ok && stderr.contains("no such register"), "{name}: {stderr}"),
            "crc_error" => return assert!(!ok && stderr.contains("the CRC is"), "{name}: {stderr}"),
            _ => return assert!(!ok && lines.is_empty(), "{name}: {stderr}"),
        }
        let response = &expected["response"];
        if let Some(serial) = response["serial"].as_u64() {
            assert_eq!(lines[0]["id"], serial.to_string());
        }
        let is: Vec<(f64, &str)> = lines[0]["reading"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|value| Some((value["value"].as_f64()?, value["unit"].as_str()?)))
            .collect();
        for register in response["registers"].as_array().into_iter().flatten() {
            let unit = register["unit"].as_str().unwrap_or_default().replace('*', "·");
            let text = register["value_text"].as_str().unwrap();
            // Clocks are times, Wh are kWh.
            if unit == "hh:mm:ss" || unit == "Wh" || unit == "yy:mm:dd" {
                continue;
            }
            let due = (text.parse().unwrap(), &*unit.replace("·C", "·°C"));
            assert!(is.contains(&due), "{name}: {due:?} is not among {is:?}");
        }
    });
}
