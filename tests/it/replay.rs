//! `metertap replay` through the real binary.

use crate::support::*;
use serde_json::Value;
use std::io::Write;

/// `(type, id, consumption)`, sorted.
fn summary(kind: &str, id: &Value, consumption: &Value) -> (String, u64, i64) {
    (
        kind.to_lowercase().replace('+', "plus"),
        id.as_u64().unwrap(),
        consumption.as_i64().unwrap(),
    )
}

fn of_lines(lines: &[Value]) -> Vec<(String, u64, i64)> {
    let mut all: Vec<_> = lines
        .iter()
        .map(|line| {
            let (kind, message) = (line["Type"].as_str().unwrap(), &line["Message"]);
            let (id, consumption) = match kind {
                "SCM" | "R900" | "R900BCD" => ("ID", "Consumption"),
                "SCM+" => ("EndpointID", "Consumption"),
                "IDM" => ("ERTSerialNumber", "LastConsumptionCount"),
                _ => ("ERTSerialNumber", "LastConsumptionNet"),
            };
            let mut one = summary(kind, &message[id], &message[consumption]);
            one.2 = if kind == "NetIDM" {
                i64::from(one.2 as u32 as i32)
            } else {
                one.2
            };
            one
        })
        .collect();
    all.sort();
    all
}

fn of_truth() -> Vec<(String, u64, i64)> {
    let mut all: Vec<_> = street_truth()
        .iter()
        .map(|line| summary(line["type"].as_str().unwrap(), &line["id"], &line["consumption"]))
        .collect();
    all.sort();
    all
}

#[test]
fn every_message_of_the_street_is_received_once_and_nothing_else() {
    assert_eq!(of_lines(&json_lines(&stdout_of(&["replay", STREET]))), of_truth());
}

#[test]
fn messages_carry_what_was_sent_to_the_last_field() {
    let received = json_lines(&stdout_of(&["replay", STREET]));
    for truth in street_truth() {
        assert!(
            received.iter().any(|line| line["Message"] == truth["message"]),
            "{truth}"
        );
    }
}

#[test]
fn times_are_the_start_and_the_sample_offset() {
    let received = json_lines(&stdout_of(&[
        "replay",
        STREET,
        "--start",
        "2026-01-31T12:00:00Z",
        "--filterid",
        "1234567890",
    ]));
    assert_eq!(received.len(), 1);
    // 0.29 s in the truth file.
    let time: jiff::Timestamp = received[0]["Time"].as_str().unwrap().parse().unwrap();
    let due: jiff::Timestamp = "2026-01-31T12:00:00.29Z".parse().unwrap();
    assert!(
        (time - due).total(jiff::Unit::Microsecond).unwrap().abs() < 5.0,
        "{time}"
    );
}

#[test]
fn standard_input_and_every_format_give_the_same_messages() {
    let bytes = std::fs::read(root().join(STREET)).unwrap();
    let converted: [(&str, Vec<u8>); 3] = [
        ("cs8", bytes.iter().map(|b| b.wrapping_sub(128)).collect()),
        (
            "cs16",
            bytes
                .iter()
                .flat_map(|&b| (((f32::from(b) - 127.5) * 256.0) as i16).to_le_bytes())
                .collect(),
        ),
        (
            "cf32",
            bytes
                .iter()
                .flat_map(|&b| ((f32::from(b) - 127.5) / 127.5).to_le_bytes())
                .collect(),
        ),
    ];
    for (format, bytes) in converted {
        let mut replay = metertap()
            .args(["replay", "-", "--sample-rate", "2359296"])
            .args(["--sample-format", format])
            .with_stdin()
            .start();
        replay.stdin().write_all(&bytes).unwrap();
        replay.wait_for_success();
        assert_eq!(of_lines(&replay.lines()), of_truth(), "{format}");
    }
}

#[test]
fn given_sigmf_metadata_then_format_rate_frequency_and_time_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("night.sigmf-data");
    std::fs::copy(root().join(STREET), &data).unwrap();
    std::fs::write(
        dir.path().join("night.sigmf-meta"),
        r#"{"global":{"core:datatype":"cu8","core:sample_rate":2359296,"core:version":"1.0.0"},
            "captures":[{"core:sample_start":0,"core:frequency":912600155,"core:datetime":"2026-01-31T12:00:00Z"}],"annotations":[]}"#,
    )
    .unwrap();
    let output = run(&["replay", data.to_str().unwrap()]);
    assert_eq!(of_lines(&json_lines(&output.stdout)), of_truth());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "nothing had to be assumed"
    );
    let first = &json_lines(&output.stdout)[0];
    assert!(
        first["Time"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-31T12:00:00.0")
    );
}

#[test]
fn given_no_metadata_then_the_assumed_sample_rate_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("night.cu8");
    std::fs::copy(root().join(STREET), &file).unwrap();
    let output = run(&["replay", file.to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        printed.contains("assuming 2359296 S/s (change with --sample-rate)"),
        "{printed}"
    );
    assert_eq!(of_lines(&json_lines(&output.stdout)), of_truth());
}

#[test]
fn message_types_are_chosen_as_in_rtlamr() {
    let kinds = |arg: &str| {
        let mut kinds: Vec<String> = of_lines(&json_lines(&stdout_of(&["replay", STREET, "--msgtype", arg])))
            .into_iter()
            .map(|(kind, ..)| kind)
            .collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("scm"), ["scm"]);
    assert_eq!(kinds("SCM+,r900"), ["r900", "scmplus"]);
    // `all` has neither netidm nor r900bcd: frames of the IDM family are IDMs then.
    assert_eq!(kinds("all"), ["idm", "r900", "scm", "scmplus"]);
    assert_eq!(kinds("netidm"), ["netidm"]);
    assert_eq!(kinds("idm,netidm"), ["idm", "netidm"]);
}

#[test]
fn filters_pick_meters() {
    let lines = |args: &[&str]| json_lines(&stdout_of(&[&["replay", STREET], args].concat())).len();
    assert_eq!(lines(&["--filterid", "17580293,12345678"]), 2);
    assert_eq!(lines(&["--filtertype", "12"]), 2);
    assert_eq!(lines(&["--filtertype", "12", "--filterid", "20240556"]), 1);
    assert_eq!(lines(&["--single"]), 1);
    assert_eq!(lines(&["--single", "--filterid", "23456789,12345678"]), 2);
    // The street twice: unchanged readings are dropped, new ones are not.
    assert_eq!(
        lines(&["--unique", "--filterid", "23456789", STREET]),
        6,
        "another counter each time"
    );
    assert_eq!(lines(&["--unique", "--filterid", "12345678", STREET]), 1);
}

#[test]
fn given_signal_then_level_and_offset_are_those_that_were_sent() {
    let received = json_lines(&stdout_of(&["replay", STREET, "--signal"]));
    for truth in street_truth() {
        let line = received
            .iter()
            .find(|line| line["Message"] == truth["message"])
            .unwrap();
        let (signal, db) = (&line["signal"], truth["snr_db"].as_f64().unwrap());
        assert!(
            (signal["snr_db"].as_f64().unwrap() - db).abs() < 1.0,
            "{signal} {truth}"
        );
        assert!(
            (signal["offset_hz"].as_f64().unwrap() - truth["offset_hz"].as_f64().unwrap()).abs() < 50.0,
            "{signal} {truth}"
        );
        assert_eq!(
            signal.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["offset_hz", "snr_db", "level_dbfs", "corrected", "clock_ppm"]
        );
    }
}

#[needs(shared)]
#[test]
fn the_sixteen_meters_of_the_real_recording_are_received_and_no_other() {
    let file = shared("recordings/ert_scm_2555.904k.cu8");
    // Id, type, consumption, start in ms.
    let expected = [
        (48180892, 12, 990674, 0.1),
        (17580293, 8, 111414, 0.9),
        (17578504, 8, 243171, 7.5),
        (17479804, 8, 798754, 15.0),
        (17564085, 8, 102314, 22.8),
        (17563920, 8, 101614, 31.0),
        (17565073, 8, 1657255, 38.4),
        (58418772, 8, 102814, 45.3),
        (17565099, 8, 101614, 53.5),
        (17561667, 8, 61799, 59.8),
        (17569243, 8, 101714, 68.3),
        (31553606, 8, 7120, 75.7),
        (17556728, 8, 110714, 82.9),
        (17556726, 8, 1407059, 89.8),
        (17556727, 8, 0, 97.8),
        (20240556, 8, 3907400, 104.5),
    ];
    let mut received = json_lines(&stdout_of(&["replay", file.to_str().unwrap()]));
    received.sort_by_key(|line| line["Offset"].as_u64());
    assert_eq!(received.len(), expected.len());
    for (line, (id, ert_type, consumption, ms)) in received.iter().zip(expected) {
        let message = &line["Message"];
        assert_eq!(
            (&message["ID"], &message["Type"], &message["Consumption"]),
            (&id.into(), &ert_type.into(), &consumption.into())
        );
        let at_ms = line["Offset"].as_f64().unwrap() / 2.0 / 2555.904;
        assert!((at_ms - ms).abs() < 0.3, "{id}: {at_ms} ms, not {ms}");
    }
}

#[test]
fn the_four_formats_are_chosen() {
    for (format, start) in [
        ("plain", "{Time:"),
        ("json", "{\"Time\":"),
        ("csv", "20"),
        ("xml", "<LogMessage "),
    ] {
        let out = stdout_of(&["replay", STREET, "--format", format]);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines().all(|line| line.starts_with(start)) && text.lines().count() == of_truth().len(),
            "{format}"
        );
    }
}
