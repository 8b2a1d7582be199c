//! Known meters of which nothing but the id, or the dial, is known at first: a recording holds the frame that tells the rest.

use crate::support::*;
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips};
use metertap_dsp::{Protocol, fec};
use serde_json::Value;
use std::path::Path;

const RATE_HZ: f64 = 1_048_576.0;
const ID: u32 = 40_111_117;
/// -14.2 dB in the window of docs/receiver.md.
const WEAK_DB: f64 = -10.7;

/// Writes a recording of frames, 0.15 s apart, at these SNRs.
fn record(to: &Path, protocol: Protocol, frames: &[(Vec<u8>, f64)]) {
    let transmissions = frames
        .iter()
        .enumerate()
        .map(|(i, (frame, snr_db))| Transmission {
            chips: chips(protocol, frame, 0),
            start_s: 0.1 + 0.15 * i as f64,
            offset_hz: -77e3,
            phase_rad: i as f64,
            snr_db: *snr_db,
            clock_ppm: -15.0,
            keying: Keying::default(),
        });
    let scene = Scene {
        sample_rate_hz: RATE_HZ,
        samples: (RATE_HZ * (0.3 + 0.15 * frames.len() as f64)) as usize,
        noise: 1.0,
        transmissions: transmissions.collect(),
    };
    let samples = scene.render(&mut Random::new(3));
    write_cu8(to, samples, 0.08);
}

/// Readings of a daemon that plays `recording` and has these keys of the meter.
fn readings(recording: &Path, keys: &str) -> Vec<Value> {
    let config = format!(
        "publish = \"all\"\n[[meter]]\nid = {ID}\n{keys}\n[[radio]]\nsample_rate = {RATE_HZ}\n\
         start = \"2026-11-27T04:00:00Z\"\nsource = \"{}\"\n",
        recording.display()
    );
    let mut daemon = Daemon::start(&config);
    daemon.wait_for_success();
    daemon.lines()
}

/// Returns a frame of the meter with this counter.
fn frame(protocol: Protocol, counter: u32) -> Vec<u8> {
    let mut frame = vec![0; protocol.bytes()];
    let id = ID.to_be_bytes();
    match protocol {
        Protocol::Scm => {
            frame[2] = id[0] << 1;
            frame[3] = 0x1C;
            frame[4..7].copy_from_slice(&counter.to_be_bytes()[1..]);
            frame[7..10].copy_from_slice(&id[1..]);
        }
        Protocol::ScmPlus => {
            frame[3] = 0x9C;
            frame[4..8].copy_from_slice(&id);
            frame[8..12].copy_from_slice(&counter.to_be_bytes());
        }
        Protocol::Idm => {
            frame[7..9].copy_from_slice(&[4, 0x17]);
            frame[9..13].copy_from_slice(&id);
            frame[29..33].copy_from_slice(&counter.to_be_bytes());
        }
        Protocol::R900 => {
            frame[..4].copy_from_slice(&id);
            frame[4] = 0xA3;
            frame[6..9].copy_from_slice(&counter.to_be_bytes()[1..]);
        }
    }
    fec::encode(protocol, &mut frame);
    frame
}

fn counts(readings: &[Value]) -> Vec<i64> {
    let counts = readings
        .iter()
        .filter_map(|reading| reading["reading"]["count"]["value"].as_i64());
    counts.collect()
}

#[test]
fn given_one_strong_message_in_a_recording_then_the_weak_ones_behind_it_are_received() {
    let folder = tempfile::tempdir().unwrap();
    for (protocol, name) in [
        (Protocol::Scm, "scm"),
        (Protocol::ScmPlus, "scm+"),
        (Protocol::Idm, "idm"),
        (Protocol::R900, "r900"),
    ] {
        let recording = folder.path().join("strong-then-weak.cu8");
        let weak = (0..12).map(|_| (frame(protocol, 5000), WEAK_DB));
        let frames: Vec<_> = [(frame(protocol, 5000), 8.0)].into_iter().chain(weak).collect();
        record(&recording, protocol, &frames);
        let keys = format!("protocol = \"{name}\"");
        let without = readings(&recording, &format!("{keys}\nlock = false"));
        assert!(without.len() < 7, "{name}: {} without", without.len());
        let readings = readings(&recording, &keys);
        assert!(readings.len() >= 11, "{name}: {} of 13", readings.len());
        assert!(counts(&readings).iter().all(|count| *count == 5000), "{name}");
    }
}

#[test]
fn given_the_dial_of_a_water_meter_then_it_is_received_too_weak_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("weak.cu8");
    let frames: Vec<_> = (0..12)
        .map(|i| (frame(Protocol::R900, 70_300 + i / 4), WEAK_DB))
        .collect();
    record(&recording, Protocol::R900, &frames);
    let dial = "protocol = \"r900\"\nreading = 70123";
    let without = readings(&recording, &format!("{dial}\nlock = false"));
    assert!(without.len() < 5, "{} without", without.len());
    let readings = readings(&recording, dial);
    assert!(readings.len() >= 10, "{} of 12", readings.len());
    assert!(
        counts(&readings)
            .iter()
            .all(|count| (70_300..70_303).contains(count))
    );
}

#[test]
fn given_a_dial_that_no_such_meter_can_have_then_the_configuration_says_so() {
    for (section, expected) in [
        (
            "id = 5\nprotocol = \"scm\"\nreading = 16777216",
            "expected at most 16777215, the highest counter of scm meters",
        ),
        (
            "id = 5\nprotocol = \"r900bcd\"\nreading = 1000000",
            "expected at most 999999",
        ),
        (
            "id = 67108864\nprotocol = \"scm\"\nreading = 1",
            "id does not fit protocol = \"scm\": expected a number up to 67108863",
        ),
        ("id = 5\nreading = 1", "needs one protocol of radio meters"),
        (
            "id = 4294967296\nprotocol = \"scm+\"",
            "id does not fit protocol = \"scm+\"",
        ),
        (
            "id = 5\nprotocol = \"scm\"\nreading = 4821.3",
            "found 4821.3, expected the counter in counts",
        ),
        (
            "id = 5\nprotocol = \"scm\"\nreading = \"48213\"",
            "found \"48213\", expected the counter in counts",
        ),
        (
            "id = 5\nprotocol = \"scm\"\nreading = -5",
            "found -5, expected the counter",
        ),
        ("id = -5", "expected the number of the meter, or text in quotes"),
        (
            "id = 5\nprotocol = [\"scm\", \"idm\"]\nreading = 1",
            "needs one protocol of radio meters",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, format!("[[meter]]\n{section}\n[[radio]]\n")).unwrap();
        let check = run(&["check", "-c", config.to_str().unwrap()]);
        let text =
            String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
        assert!(
            !check.status.success() && text.contains(expected),
            "{section}: {text}"
        );
    }
}
