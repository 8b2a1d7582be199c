//! Wireless M-Bus by radio: modulated samples through the real program, and a recording by others.

use crate::support::*;
use crate::wmbus::{KEY, RECORDS, hex, sender};
use metertap_decode::cipher::Key;
use metertap_decode::wmbus::encode::Protection;
use metertap_dsp::synth::{Random, Scene};
use metertap_dsp::wmbus::synth::{Transmission, transmission};
use metertap_dsp::wmbus::{Format, Mode};
use serde_json::Value;
use std::path::{Path, PathBuf};

const RATE_HZ: f64 = 2_359_296.0;
/// Channels of modes T and C, and of S, relative to the center of the window.
const T_HZ: f64 = 325e3;
const S_HZ: f64 = -325e3;

/// Plain telegram of the meter whose number ends in `last`.
fn plain(last: u8) -> Vec<u8> {
    let mut sender = sender(Protection::None);
    sender.radio.identification[0] = last;
    sender.telegram(&RECORDS).unwrap()
}

/// Encrypted telegram of meter 12345678.
fn encrypted() -> Vec<u8> {
    let key: Key = KEY.parse().unwrap();
    sender(Protection::Mode5 { key }).telegram(&RECORDS).unwrap()
}

/// Writes a second of the band with three meters: T1 with a large tuning error, C1 in format B, S1.
pub fn air(folder: &Path) -> PathBuf {
    let at = |transmission: Transmission, offset_hz| Transmission {
        offset_hz,
        ..transmission
    };
    let sent = [
        at(
            transmission(Mode::T1, Format::A, &plain(1), 0.2, 12.0),
            T_HZ - 45e3,
        ),
        at(
            transmission(Mode::C1, Format::B, &encrypted(), 0.4, 12.0),
            T_HZ + 10e3,
        ),
        at(transmission(Mode::S1, Format::A, &plain(3), 0.6, 12.0), S_HZ),
    ];
    let noise = Scene {
        sample_rate_hz: RATE_HZ,
        samples: RATE_HZ as usize,
        noise: 1.0,
        transmissions: Vec::new(),
    };
    let mut samples = noise.render(&mut Random::new(7));
    for transmission in &sent {
        transmission.add(RATE_HZ, &mut samples);
    }
    let file = folder.join("air_868.625M_2359296.cu8");
    write_cu8(&file, samples, 0.03);
    file
}

const REPLAY: [&str; 7] = [
    "--band",
    "868",
    "--sample-rate",
    "2359296",
    "--center-freq",
    "868625000",
    "--start=2026-01-15T12:00:00Z",
];

#[test]
fn given_three_modes_at_once_then_each_telegram_is_a_line_with_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let args = |more: &[&'static str]| {
        let mut args = vec!["replay", file.to_str().unwrap()];
        args.extend(REPLAY);
        args.extend(more);
        stdout_of(&args)
    };
    let lines = json_lines(&args(&["--format", "json", "--signal"]));
    let found: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let message = &line["Message"];
            let text = |key: &str| message[key].as_str().unwrap();
            (text("mode"), text("format"), text("telegram"))
        })
        .collect();
    let sent = [plain(1), encrypted(), plain(3)].map(|bytes| hex(&bytes).to_lowercase());
    assert_eq!(
        found,
        [
            ("T1", "A", &*sent[0]),
            ("C1", "B", &*sent[1]),
            ("S1", "A", &*sent[2])
        ]
    );
    assert_eq!(lines[0]["Type"], "wmbus");
    assert_eq!(lines[1]["Message"]["security"], "no_key");
    assert_eq!(lines[2]["reading"]["volume"]["value"].to_string(), "1.234");
    let signal = &lines[0]["signal"];
    let channel_offset_hz = signal["channel_offset_hz"].as_f64().unwrap();
    assert!((channel_offset_hz + 45e3).abs() < 2e3, "{signal}");
    assert!(
        (signal["snr_db"].as_f64().unwrap() - 12.0).abs() < 1.5,
        "{signal}"
    );
    // What rtl_wmbus would print is read by this program, too.
    let csv = dir.path().join("lines.csv");
    std::fs::write(&csv, args(&["--format", "csv"])).unwrap();
    let decoded = stdout_of(&[
        "decode",
        "wmbus",
        csv.to_str().unwrap(),
        "--key",
        &format!("12345678={KEY}"),
    ]);
    assert_eq!(json_lines(&decoded).len(), 3);
}

#[test]
fn given_a_radio_of_band_868_then_the_meters_of_this_home_are_published_and_announced() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let broker = Broker::start();
    let mut daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nretain = true\n[homeassistant]\n\
         [[radio]]\nname = \"roof\"\nsource = \"{}\"\nband = \"868\"\nsample_rate = 2359296\ncenter_freq = 868625000\nstart = \"2026-01-15T12:00:00Z\"\n\
         [[meter]]\nid = 12345678\nkey = \"{KEY}\"\nname = \"Water\"\n",
        broker.port,
        file.display()
    ));
    daemon.wait_for_success();
    let retained = broker.retained("#");
    let readings: Vec<&(String, String)> = retained
        .iter()
        .filter(|(topic, _)| topic.starts_with("readings/") && topic.ends_with("/wmbus"))
        .collect();
    let [(topic, reading)] = &readings[..] else {
        panic!("{readings:?}");
    };
    let reading: Value = serde_json::from_str(reading).unwrap();
    assert_eq!(topic, "readings/12345678/wmbus");
    assert_eq!(reading["reading"]["volume"]["value"].to_string(), "1.234");
    assert_eq!(
        (&reading["port"], &reading["signal"]["mode"]),
        (&"roof".into(), &"C1".into())
    );
    let announced = retained.iter().find(|(topic, payload)| {
        topic.starts_with("homeassistant/") && payload.contains("12345678") && payload.contains("volume")
    });
    assert!(announced.is_some(), "{retained:?}");
}

#[test]
fn given_two_radios_then_what_both_receive_is_one_reading() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let radio = format!(
        "[[radio]]\nsource = \"{}\"\nband = \"868\"\nsample_rate = 2359296\ncenter_freq = 868625000\nstart = \"2026-01-15T12:00:00Z\"\n",
        file.display()
    );
    let mut daemon = Daemon::start(&format!("{radio}{radio}"));
    daemon.wait_for_success();
    let mut ids: Vec<String> = daemon.lines().iter().map(|line| line["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"12345601\"", "\"12345603\""], "the third has no key");
}

#[test]
fn given_a_recording_then_find_lists_its_meters_and_marks_the_one_on_the_dial() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let find = |more: &[&str]| {
        let base = ["find", "--band", "868", "--file", file.to_str().unwrap()];
        run(&[&base[..], more].concat())
    };
    let all = find(&[]);
    let text = String::from_utf8(all.stdout).unwrap();
    assert!(all.status.success(), "{text}");
    for row in [
        "12345601  KAM    cold_water          T1    none ",
        "12345678  KAM    cold_water          C1    no_key ",
        "12345603  KAM    cold_water          S1    none ",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    let mine = find(&["--reading", "1234"]);
    let text = String::from_utf8(mine.stdout).unwrap();
    assert!(text.contains("Your meter is 12345601: volume shows it"), "{text}");
    assert!(!find(&["--reading", "777"]).status.success());
}

#[test]
fn given_a_dongle_then_doctor_listen_and_scan_hear_its_meters() {
    let dir = tempfile::tempdir().unwrap();
    let file = air(dir.path());
    let mut dongles = Dongles::plugged("00000042");
    dongles.set("file", &file.display().to_string());
    let (ok, text, _) = dongles.run(&["doctor", "--band", "868", "--seconds", "3", "--source", "rtlsdr"]);
    assert!(ok, "{text}");
    for line in ["ok   tuning    carriers ", "median of 3 meters", "ok   meters "] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (ok, text, _) = dongles.run(&["listen", "--band", "868", "--single", "--filterid", "12345603"]);
    assert!(ok && text.contains(&hex(&plain(3)).to_lowercase()), "{text}");
    let broker = Broker::start();
    let daemon = Daemon::start_with(
        &format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\nband = \"868\"\n\
             [[meter]]\nid = 12345678\n",
            broker.port
        ),
        |command| dongles.plug_into(command),
    );
    daemon.expect_log("there is no key for the meter");
    let state = || {
        let retained = broker.retained("readings/metertap/#");
        let state = retained.iter().find(|(topic, _)| topic.ends_with("/roof/state"));
        state.map_or(Value::Null, |(_, state)| serde_json::from_str(state).unwrap())
    };
    daemon.wait_for("the state of the key", || state()["keys"]["12345678"] == "no_key");
    drop(daemon);
    let (ok, text, _) = dongles.run(&["scan", "--band", "868", "--dwell", "3", "--gain", "30"]);
    assert!(ok && text.contains("868.625 MHz"), "{text}");
    let centers: Vec<String> = dongles.log().lines().map(str::to_owned).collect();
    assert!(
        centers.iter().any(|line| line.contains("868625000")),
        "{centers:?}"
    );
}

#[test]
fn given_a_band_or_mode_that_does_not_exist_or_fit_then_the_configuration_says_so() {
    for (keys, expected) in [
        ("band = \"900\"", "`900` is not a band"),
        ("modes = [\"x1\"]", "`x1` is not a mode"),
        ("band = \"915\"\nmodes = [\"t1\"]", "band = \"868\""),
        (
            "band = \"868\"\ncenter_freq = \"hop\"",
            "one window holds all channels",
        ),
    ] {
        let (ok, text) = checked(&format!("[[radio]]\nsource = \"rtlsdr\"\n{keys}\n"));
        assert!(!ok && text.contains(expected), "{text}");
    }
}

#[needs(shared)]
#[test]
fn every_frame_of_the_recording_by_others_comes_out() {
    let name = "recordings/rtlsdr_868.950M_1M6_samples2.cu8";
    let truth = std::fs::read(shared(&format!("{name}.truth.jsonl"))).unwrap();
    let lines = json_lines(&stdout_of(&[
        "replay",
        shared(name).to_str().unwrap(),
        "--band",
        "868",
        "--format",
        "json",
    ]));
    for frame in json_lines(&truth) {
        let found = lines
            .iter()
            .find(|line| line["Message"]["telegram"] == frame["hex"]);
        let found = found.unwrap_or_else(|| panic!("{frame} is not among {lines:?}"));
        assert_eq!(found["Message"]["mode"], frame["mode"]);
    }
}
