//! A recording of real ERT meters, attenuated until they are too weak for others: as known meters, the program receives them.

use crate::support::*;
use metertap_dsp::synth::Random;
use metertap_dsp::{CHIP_RATE_HZ, Complex32, iq};
use serde_json::Value;
use std::path::Path;

const RECORDING: &str = "recordings/ert_scm_2555.904k.cu8";
const RATE_HZ: f64 = 2_555_904.0;
/// Width of the window whose noise counts in an SNR of docs/receiver.md.
const WINDOW_HZ: f64 = 2_359_296.0;
/// Packets of the recording below this SNR bring too much noise of their own along.
const CLEAR_DB: f64 = 3.0;
/// SNR after attenuation, as the receiver measures it.
const WEAK_DB: f64 = -15.0;
/// Repetitions of each packet.
const REPEATED: usize = 3;

/// Returns what a daemon publishes of a recording, with these keys of each of its meters and its state in `state`.
fn readings(recording: &Path, start: &str, meters: &[u64], keys: &str, state: &Path) -> Vec<Value> {
    let meters: String = meters
        .iter()
        .map(|id| format!("[[meter]]\nid = {id}\n{keys}\n"))
        .collect();
    let config = format!(
        "publish = \"all\"\n{meters}[[radio]]\nsample_rate = {RATE_HZ}\nstart = \"{start}\"\nsource = \"{}\"\n",
        recording.display()
    );
    let mut daemon = Daemon::start_with(&config, |command| command.env("STATE_DIRECTORY", state));
    daemon.wait_for_success();
    daemon.lines()
}

fn id(reading: &Value) -> u64 {
    reading["Message"]["ID"].as_u64().unwrap()
}

/// Writes a recording in which each of `packets` is at [`WEAK_DB`] above noise, [`REPEATED`] times.
fn attenuate(recording: &[Complex32], packets: &[Value], to: &Path) {
    let around = (8.0 * RATE_HZ / CHIP_RATE_HZ) as usize;
    let gap = (0.015 * RATE_HZ) as usize;
    let number = |value: &Value| value.as_f64().unwrap();
    let mut random = Random::new(41);
    let mut air = Vec::new();
    let mut noise = |count: usize| (0..count).map(|_| random.gaussian()).collect::<Vec<_>>();
    for packet in packets.iter().cycle().take(REPEATED * packets.len()) {
        // Offsets and lengths are in bytes.
        let start = number(&packet["Offset"]) as usize / 2;
        let length = number(&packet["Length"]) as usize / 2;
        let from = start.saturating_sub(around);
        let cut = &recording[from..(start + length + around).min(recording.len())];
        let weaker_db =
            WEAK_DB - number(&packet["signal"]["level_dbfs"]) + 10.0 * (WINDOW_HZ / RATE_HZ).log10();
        let gain = 10f64.powf(weaker_db / 20.0) as f32;
        air.extend(noise(gap));
        air.extend(
            noise(cut.len())
                .iter()
                .zip(cut)
                .map(|(noise, sample)| noise + sample * gain),
        );
    }
    air.extend(noise(2 * gap));
    write_cu8(to, air, 0.08);
}

#[needs(shared)]
#[test]
fn given_real_meters_that_were_received_once_then_they_are_received_at_minus_15_db() {
    let clear = shared(RECORDING);
    let state = tempfile::tempdir().unwrap();
    let start = "2026-11-21T04:12:30Z";
    let ids: Vec<u64> = readings(&clear, start, &[], "", state.path())
        .iter()
        .map(id)
        .collect();
    let mut heard = readings(&clear, start, &ids, "", state.path());
    assert_eq!(heard.len(), 16);
    heard.retain(|reading| reading["signal"]["snr_db"].as_f64().unwrap() > CLEAR_DB);
    let mut samples = Vec::new();
    iq::Format::Cu8.decode(&std::fs::read(&clear).unwrap(), &mut samples);
    let folder = tempfile::tempdir().unwrap();
    let weak = folder.path().join("weak.cu8");
    attenuate(&samples, &heard, &weak);

    let later = "2026-11-21T04:42:30Z";
    let none = tempfile::tempdir().unwrap();
    let unknown = readings(&weak, later, &[], "", none.path());
    assert!(unknown.len() <= 1, "{unknown:?}");
    let received = readings(&weak, later, &ids, "", state.path());
    let sent = REPEATED * heard.len();
    println!("{} of {sent} at {WEAK_DB} dB", received.len());
    assert!(5 * received.len() >= 4 * sent, "{} of {sent}", received.len());
    for reading in &received {
        let heard = heard.iter().find(|heard| id(heard) == id(reading)).unwrap();
        assert_eq!(reading["Message"], heard["Message"]);
    }
    for heard in &heard {
        assert!(received.iter().any(|reading| id(reading) == id(heard)), "{heard}");
    }
}
