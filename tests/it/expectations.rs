//! Known meters: received where they are too weak for others, from the configuration to the published reading.

use crate::support::*;
use serde_json::Value;
use std::path::Path;

/// Transmissions in the recording.
const SENT: usize = 30;

/// Writes a recording of an SCM meter at this SNR that sends [`SENT`] times, with a counter from 1000 on.
fn record(to: &Path, snr_db: f64) {
    let scenario = to.with_extension("toml");
    let text = format!(
        "seconds = 6.2\nsample_rate = 1048576\n[[meter]]\ntype = \"scm\"\nid = 40111117\nert_type = 7\n\
         consumption = 1000\nat = 0.1\nevery = 0.2\noffset_hz = 123000\nsnr_db = {snr_db}\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let made = run(&["synth", scenario.to_str().unwrap(), "--out", to.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Readings of a daemon that plays `recording`, has these keys of the meter, and keeps its state in `state`.
fn readings(recording: &Path, keys: &str, state: &Path) -> Vec<Value> {
    let config = format!(
        "publish = \"all\"\n[[meter]]\nid = 40111117\n{keys}\n[[radio]]\nsample_rate = 1048576\n\
         start = \"2026-11-21T04:12:30Z\"\nsource = \"{}\"\n",
        recording.display()
    );
    let mut daemon = Daemon::start_with(&config, |command| command.env("STATE_DIRECTORY", state));
    daemon.wait_for_success();
    daemon.lines()
}

#[test]
fn given_a_meter_too_weak_for_others_then_its_dial_or_its_last_message_is_enough_to_receive_it() {
    let folder = tempfile::tempdir().unwrap();
    let (weak, clear) = (folder.path().join("weak.cu8"), folder.path().join("clear.cu8"));
    // -14.2 dB in the window of docs/receiver.md, and 5 dB.
    record(&weak, -10.7);
    record(&clear, 8.5);
    let state = tempfile::tempdir().unwrap();
    let off = readings(
        &weak,
        "protocol = \"scm\"\nreading = 990\nlock = false",
        state.path(),
    );
    assert!(off.len() < SENT / 3, "{} without expectations", off.len());

    let dial = readings(&weak, "protocol = \"scm\"\nreading = 990", state.path());
    assert!(dial.len() > SENT / 2, "{} by the dial", dial.len());
    for reading in &dial {
        let count = reading["reading"]["count"]["value"].as_i64().unwrap();
        assert!((1000..1000 + SENT as i64 + 1).contains(&count), "{reading}");
    }
    let expected = dial
        .iter()
        .filter(|reading| reading["signal"]["method"] == "expected");
    assert!(expected.clone().count() > SENT / 3);
    assert!(
        expected
            .clone()
            .all(|reading| reading["signal"]["margin_db"].as_f64().unwrap() >= 0.0)
    );

    // A message received clearly by one process is what the next one expects.
    let state = tempfile::tempdir().unwrap();
    let first = readings(&clear, "", state.path());
    assert_eq!(first.len(), SENT + 1);
    assert!(
        first
            .iter()
            .all(|reading| reading["signal"].get("method").is_none())
    );
    let learned = state.path().join("registers.json");
    let text = std::fs::read_to_string(&learned).unwrap();
    assert!(
        text.contains("\"frames\":[{\"meter\":40111117,\"kind\":\"scm\""),
        "{text}"
    );
}
