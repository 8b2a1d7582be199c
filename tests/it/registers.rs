//! Values of radio registers: their widths, signs, rollovers and flags, from the samples to the published reading.

use crate::support::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Readings published by a daemon with the configuration `meters` that receives `scenario`, and the folder of its files.
fn readings(scenario: &str, meters: &str) -> Vec<Value> {
    let state = tempfile::tempdir().unwrap();
    readings_with_state(scenario, meters, state.path())
}

/// The same, with what was learned of registers in `state`.
fn readings_with_state(scenario: &str, meters: &str, state: &Path) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(
        path("scenario.toml"),
        format!("seconds = 6.0\nsample_rate = 1048576\n{scenario}"),
    )
    .unwrap();
    let (from, to) = (path("scenario.toml"), path("air.cu8"));
    let made = run(&["synth", from.to_str().unwrap(), "--out", to.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = format!(
        "publish = \"all\"\n{meters}\n[[radio]]\nsample_rate = 1048576\nstart = \"2026-11-21T04:12:30Z\"\nsource = \"{}\"\n",
        to.display()
    );
    let mut daemon = Daemon::start_with(&config, |command| command.env("STATE_DIRECTORY", state));
    daemon.wait_for_success();
    daemon.lines()
}

/// One transmission of a meter.
fn sends(kind: &str, id: u32, at: f64, more: &str) -> String {
    format!(
        "[[meter]]\ntype = \"{kind}\"\nid = {id}\nat = {at}\nsnr_db = 15\noffset_hz = {}\n{more}\n",
        40_000.0 * at
    )
}

fn counts(kind: &str, id: u32, values: &[u32]) -> String {
    let sent = values.iter().enumerate();
    sent.map(|(i, value)| {
        sends(
            kind,
            id,
            0.5 + i as f64,
            &format!("consumption = {value}\nert_type = 7"),
        )
    })
    .collect()
}

fn values(readings: &[Value], field: &str) -> Vec<i64> {
    let value = |reading: &Value| reading["reading"][field]["value"].as_i64().unwrap();
    readings.iter().map(value).collect()
}

#[test]
fn given_an_r900_beyond_24_bits_then_the_reading_goes_on_and_rtlamrs_fields_stay() {
    let sent = [(1 << 24) - 3, 1 << 24, (1 << 24) + 70];
    let readings = readings(&counts("r900", 1_511_111_111, &sent), "");
    assert_eq!(values(&readings, "count"), sent.map(i64::from));
    let consumption: Vec<u64> = readings
        .iter()
        .map(|reading| reading["Message"]["Consumption"].as_u64().unwrap())
        .collect();
    assert_eq!(consumption, [(1 << 24) - 3, 0, 70]);
}

#[test]
fn given_an_scm_that_rolls_over_then_its_total_continues() {
    let readings = readings(&counts("scm", 40_111_111, &[(1 << 24) - 2, 3, 4]), "");
    assert_eq!(
        values(&readings, "count"),
        [(1 << 24) - 2, (1 << 24) + 3, (1 << 24) + 4]
    );
}

#[test]
fn given_a_restart_then_what_has_rolled_over_is_continued_unless_the_offset_has_changed() {
    const METER: &str = "[[meter]]\nid = 40111115\n";
    let state = tempfile::tempdir().unwrap();
    let next = |sent: &[u32], meters: &str| {
        let readings = readings_with_state(&counts("scm", 40_111_115, sent), meters, state.path());
        values(&readings, "count")
    };
    const RANGE: i64 = 1 << 24;
    assert_eq!(next(&[(1 << 24) - 5], METER), [RANGE - 5]);
    // It has rolled over while the program did not run.
    assert_eq!(next(&[3, 4], METER), [RANGE + 3, RANGE + 4]);
    assert_eq!(next(&[6], METER), [RANGE + 6]);
    // Whoever sets an offset has added what was missing.
    assert_eq!(next(&[7], &format!("{METER}offset = {RANGE}\n")), [RANGE + 7]);
}

#[test]
fn given_a_damaged_file_of_registers_then_it_is_set_aside_and_readings_go_on() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("registers.json"), "{").unwrap();
    let config = "[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:9\"\n";
    let mut daemon = Daemon::start_with(config, |command| command.env("STATE_DIRECTORY", state.path()));
    daemon.wait_for_log("Registers cannot be read");
    daemon.expect_log("Source down");
    daemon.stop();
    let aside = std::fs::read_dir(state.path()).unwrap().flatten();
    let aside: Vec<_> = aside
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    assert!(aside[0].starts_with("registers.json.damaged-"), "{aside:?}");
}

#[test]
fn given_a_signed_meter_then_its_counter_falls_below_zero() {
    let below = |range: u64, by: u64| (range - by) as u32;
    for (kind, range) in [("scm", 1u64 << 24), ("scmplus", 1 << 32), ("idm", 1 << 32)] {
        let sent = [4, 1, below(range, 2), below(range, 9), 3];
        let meters = "[[meter]]\nid = 40111112\nsigned = true\n";
        let readings = readings(&counts(kind, 40_111_112, &sent), meters);
        assert_eq!(values(&readings, "count"), [4, 1, -2, -9, 3], "{kind}");
    }
}

#[test]
fn given_a_net_idm_then_import_export_and_net_are_published() {
    let sent = sends(
        "netidm",
        40_111_113,
        0.5,
        "ert_type = 8\nconsumption = 700\ngeneration = 1900",
    );
    let readings = readings(&sent, "");
    for (field, value) in [
        ("count", -1200),
        ("import", 700),
        ("export", 1900),
        ("net", -1200),
    ] {
        assert_eq!(values(&readings, field), [value], "{field}");
    }
}

#[test]
fn given_an_r900_whose_first_unknown_byte_flips_then_every_reading_is_published() {
    let sent: String = (0..5)
        .map(|i| {
            let unknown = if i % 2 == 0 { 163 } else { 131 };
            let more = format!("ert_type = {unknown}\nconsumption = {}", 500 + i);
            sends("r900", 1_511_111_114, 0.5 + f64::from(i), &more)
        })
        .collect();
    assert_eq!(values(&readings(&sent, ""), "count"), [500, 501, 502, 503, 504]);
}
