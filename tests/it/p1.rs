//! P1 telegrams of other projects, compared with what an independent reader found in them.

use crate::support::*;
use metertap_decode::framing::p1::{Crc, Frame, frames};
use metertap_decode::p1::{Telegram, readings, text};
use metertap_decode::time::Zone;
use serde_json::Value;

/// Every telegram of `../shared/vectors/p1`: what was found in it, and what an independent reader found.
fn each(mut check: impl FnMut(&str, &Frame, &Value)) {
    let folder = shared("vectors/p1");
    let mut telegrams = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".txt") else {
            continue;
        };
        let expected = std::fs::read_to_string(path.with_file_name(format!("{stem}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let whole = expected["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|frame| frame["complete"] == true);
        let found = frames(&std::fs::read(&path).unwrap());
        assert_eq!(found.len(), whole.clone().count(), "{name}");
        for (frame, expected) in found.iter().zip(whole) {
            check(&name, frame, expected);
            telegrams += 1;
        }
    }
    assert!(telegrams > 40, "{telegrams}");
}

#[needs(shared)]
#[test]
fn telegrams_are_found_and_their_crc_is_checked() {
    each(|name, frame, expected| {
        // The reference takes lines without CR as they are; the meter computed its CRC with it.
        if !frame.bytes.contains(&b'\r') && frame.crc == Crc::Right {
            return;
        }
        let verdict = match frame.crc {
            Crc::Absent => Value::Null,
            Crc::Right => true.into(),
            Crc::Wrong { .. } => false.into(),
        };
        assert_eq!(verdict, expected["crc_ok"], "{name}");
    });
}

#[needs(shared)]
#[test]
fn objects_are_those_of_the_reference() {
    each(|name, frame, expected| {
        let text = text(&frame.bytes);
        let telegram = Telegram::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(telegram.identification, expected["identification"], "{name}");
        assert_eq!(
            telegram.manufacturer().as_deref(),
            expected["manufacturer"].as_str(),
            "{name}"
        );
        let objects: Vec<Value> = telegram
            .objects
            .iter()
            .map(|object| serde_json::json!({"obis": object.obis.to_string(), "groups": object.groups}))
            .collect();
        // "Now" as the billing period carries no information, and is left out of ours.
        let mut due = expected["objects"].clone();
        for object in due.as_array_mut().unwrap() {
            let code = object["obis"].as_str().unwrap();
            let short = code
                .strip_suffix(".255")
                .or(code.strip_suffix("*255"))
                .unwrap_or(code);
            object["obis"] = short.into();
        }
        assert_eq!(Value::from(objects), due, "{name}");
        assert_eq!(
            telegram
                .unread
                .iter()
                .map(|(_, line)| Value::from(*line))
                .collect::<Value>(),
            expected["unparsed_lines"],
            "{name}"
        );
    });
}

/// A number as the reference writes it: without trailing zeros.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// The reference's time: its `cet`, if it is one that exists.
fn time(expected: &Value) -> Value {
    match &expected["dst"] {
        Value::Bool(_) => expected["cet"].clone(),
        _ => Value::Null,
    }
}

/// The reference does not ask whether there is such a day.
fn is_no_day(stamp: &Value) -> bool {
    let local = stamp["local"].as_str();
    local.is_some_and(|local| local.parse::<jiff::civil::DateTime>().is_err())
}

/// The reference's value in our form.
fn ours(expected: &Value) -> Value {
    let Some(map) = expected.as_object() else {
        return plain(expected);
    };
    if map.contains_key("cet") {
        return time(expected);
    }
    if let Some(events) = map.get("events").or(map.get("entries")) {
        // 2^31 - 1 s is filler (docs/protocols/p1.md, power_failure_log).
        let is_real = |event: &&Value| event["duration_s"] != 2_147_483_647 && !is_no_day(&event["end"]);
        let real = events.as_array().unwrap().iter().filter(is_real);
        return real.map(ours).collect();
    }
    map.iter()
        .map(|(key, value)| (key.clone(), ours(value)))
        .collect()
}

#[needs(shared)]
#[test]
fn readings_are_those_of_the_reference() {
    let mut compared = 0;
    each(|name, frame, expected| {
        let text = text(&frame.bytes);
        let telegram = Telegram::parse(&text).unwrap();
        let all = readings(&telegram, &Zone::default());
        let main = serde_json::to_value(&all[0].reading).unwrap();
        for (field, due) in expected["readings"].as_object().unwrap() {
            // Empty brackets are no value, a day in the 34th month is none, nor are Hungary's registers or a clock that was
            // never set.
            let is_unset =
                || field == "timestamp" && ours(due).as_str().is_some_and(|time| time.starts_with("2000"));
            let nothing = due.is_null() || field == "month_end_registers" || is_no_day(due) || is_unset();
            let is = main.get(field).unwrap_or(&Value::Null);
            if nothing {
                assert_eq!(*is, Value::Null, "{name}: {field}");
            } else if !due["dst"].is_null() || due.get("dst").is_none() {
                assert_eq!(plain(is), ours(due), "{name}: {field}");
            }
            compared += 1;
        }
        for (channel, due) in expected["channels"].as_object().unwrap() {
            let due_unit = &due["reading"]["unit"];
            let sub = all
                .iter()
                .find(|sub| sub.channel.map(|c| c.to_string()).as_deref() == Some(channel));
            if due_unit.is_null() {
                assert!(sub.is_none(), "{name}: channel {channel} says nothing");
                continue;
            }
            let sub = serde_json::to_value(sub.unwrap_or_else(|| panic!("{name}: {channel}"))).unwrap();
            let quantity = sub["reading"].as_object().unwrap().values().next().unwrap();
            assert_eq!(
                plain(&quantity["value"]),
                plain(&due["reading"]["value"]),
                "{name}: {channel}"
            );
            assert_eq!(quantity["unit"], *due_unit, "{name}: {channel}");
            if due["reading"]["timestamp"]["dst"].is_boolean() {
                assert_eq!(
                    sub["time"], due["reading"]["timestamp"]["cet"],
                    "{name}: {channel}"
                );
            }
        }
    });
    assert!(compared > 900, "{compared}");
}

/// `metertap decode p1` with keys: success, its lines, its standard error.
fn decode(file: &std::path::Path, keys: &[(&str, &Value)]) -> (bool, Vec<Value>, String) {
    let mut command = metertap();
    command.args(["decode", "p1"]).arg(file);
    for (flag, key) in keys {
        if let Some(key) = key.as_str() {
            command.args([flag, key]);
        }
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), json_lines(&output.stdout), stderr)
}

#[needs(shared)]
#[test]
fn encrypted_telegrams_are_decrypted_or_rejected_with_the_reason() {
    let folder = shared("vectors/p1-encrypted");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(stem) = path.to_str().unwrap().strip_suffix(".hex") else {
            continue;
        };
        let expected: Value =
            serde_json::from_str(&std::fs::read_to_string(format!("{stem}.expected.json")).unwrap()).unwrap();
        let keys = [
            ("--key", &expected["key"]),
            ("--auth-key", &expected["authentication_key"]),
        ];
        let (ok, lines, stderr) = decode(&path, &keys);
        if expected["expect"] == "ok" {
            let plain = std::fs::read(format!("{stem}.plain.txt")).unwrap();
            let frame = &frames(&plain)[0];
            // Some of the published plaintexts have a wrong CRC inside.
            if matches!(frame.crc, Crc::Wrong { .. }) {
                assert!(!ok && stderr.contains("wrong CRC"), "{stem}: {stderr}");
            } else {
                let text = text(&frame.bytes);
                let due = readings(&Telegram::parse(&text).unwrap(), &Zone::default());
                assert!(ok, "{stem}: {stderr}");
                assert_eq!(lines[0], serde_json::to_value(&due[0]).unwrap(), "{stem}");
            }
        } else {
            assert!(
                !ok && lines.is_empty() && stderr.contains("the tag is wrong"),
                "{stem}: {stderr}"
            );
        }
        let (ok, lines, stderr) = decode(&path, &[]);
        assert!(
            !ok && lines.is_empty() && stderr.contains("--key is needed"),
            "{stem}: {stderr}"
        );
        assert!(
            !stderr.contains(expected["key"].as_str().unwrap()),
            "a key is never shown"
        );
        files += 1;
    }
    assert!(files > 10, "{files}");
}

#[test]
fn given_a_cut_or_changed_telegram_then_the_reason_is_given_and_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("telegram.txt");
    let good =
        "/MTP5made-up\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:1.8.1(000123.450*kWh)\r\n1-0:1.7.0(00.000*kW)\r\n!";
    let crc = metertap_decode::framing::p1::crc(good.bytes());
    let whole = format!("{good}{crc:04X}\r\n");
    std::fs::write(&file, &whole).unwrap();
    let output = metertap().args(["decode", "p1"]).arg(&file).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        line,
        "{\"id\":\"M1\",\"type\":\"p1\",\"reading\":{\"equipment_id\":\"M1\",\
         \"energy_import_t1\":{\"value\":123.450,\"unit\":\"kWh\"},\"power_import\":{\"value\":0.000,\"unit\":\"kW\"}}}\n",
        "digits as printed"
    );
    for (text, reason) in [
        (whole.replace("123.450", "123.460"), "wrong CRC"),
        (whole[..60].to_owned(), "line 1: truncated telegram"),
        (String::new(), "no telegram"),
        ("db084d5450".to_owned(), "cut off"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (ok, lines, stderr) = decode(&file, &[]);
        assert!(
            !ok && lines.is_empty() && stderr.contains(reason),
            "{reason}: {stderr}"
        );
        assert!(stderr.contains("telegram.txt"), "{stderr}");
    }
}

#[needs(shared)]
#[test]
fn p1_captures_of_dlms_meters_give_every_number_in_them() {
    let makers = ["kamstrup", "landis-gyr"];
    for folder in makers
        .iter()
        .map(|maker| shared(&format!("vectors/dlms/{maker}")))
    {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "txt") {
                continue;
            }
            let (ok, lines, stderr) = decode(&path, &[]);
            assert!(
                ok && lines.len() == 1 && stderr.is_empty(),
                "{}: {stderr}",
                path.display()
            );
            let mut values: Vec<f64> = lines[0]["reading"]
                .as_object()
                .unwrap()
                .values()
                .filter_map(|value| value["value"].as_f64())
                .collect();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut due: Vec<f64> = text
                .lines()
                .filter_map(|line| line.split_once('(')?.1.split_once('*')?.0.parse().ok())
                .collect();
            values.sort_by(f64::total_cmp);
            due.sort_by(f64::total_cmp);
            assert!(due.len() > 20, "{}", path.display());
            assert_eq!(values, due, "{}", path.display());
        }
    }
}
