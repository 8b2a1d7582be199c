//! Encrypted P1 ports: keys from every source, and what is refused.

use crate::support::*;
use crate::wire::telegram;
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;

pub const KEY: &str = "000102030405060708090A0B0C0D0E0F";
const AUTH_KEY: &str = "00112233445566778899AABBCCDDEEFF";

#[test]
fn given_an_encrypted_and_a_plain_port_then_each_meter_has_its_topic() {
    let broker = Broker::start();
    let subscriber = broker.subscribe("readings/+/+", 8, &[]);
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let testdata = root().join("testdata/p1");
    let daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\
         [[wire]]\nname = \"attic\"\nprotocol = \"p1\"\nsource = \"{1}/four-sub-meters.txt\"\n\
         [[wire]]\nname = \"cellar\"\nprotocol = \"p1\"\nsource = \"{1}/luxembourg.bin\"\nkey_file = \"{2}\"\n",
        broker.port,
        testdata.display(),
        key_file.display()
    ));
    daemon.expect_log("all users may read it");
    let mut readings: Vec<(String, Value)> = Vec::new();
    for (topic, payload) in subscriber.messages() {
        if !topic.contains("/metertap/") {
            readings.push((topic, serde_json::from_str(&payload).unwrap()));
        }
    }
    let mut topics: Vec<&str> = readings.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.sort_unstable();
    assert_eq!(
        topics,
        [
            "readings/MTPFU0001/p1",
            "readings/MTPFU0002/water",
            "readings/MTPFU0003/warm_water",
            "readings/MTPFU0004/heat",
            "readings/MTPFU0005/gas",
            "readings/MTPLU0001/p1",
        ]
    );
    let (_, truth) = telegram("luxembourg");
    let (_, reading) = readings
        .iter()
        .find(|(topic, _)| topic.contains("MTPLU"))
        .unwrap();
    assert_eq!(without_origin(reading), truth[0]);
    assert_eq!(reading["port"], "cellar");
    let log = daemon.log();
    assert!(!log.contains(KEY), "{log}");
    assert!(log.contains("all users may read it"), "{log}");
}

/// Frames of one meter, encrypted by the project's own encryptor.
pub fn encrypted(counter: u32, key: &str) -> Vec<u8> {
    let draft = root().join("testdata/p1/luxembourg.draft");
    stdout_of(&[
        "synth-p1",
        draft.to_str().unwrap(),
        "--out",
        "-",
        "--key",
        key,
        "--auth-key",
        AUTH_KEY,
        "--counter",
        &counter.to_string(),
    ])
}

#[test]
fn given_wrong_keys_repeats_and_cut_frames_then_each_is_logged_once() {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"bridge\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\nkey = \"{KEY}\"\nauth_key = \"{AUTH_KEY}\"\n",
        bridge.local_addr().unwrap()
    ));
    daemon.expect_log("repeated frame");
    daemon.expect_log("the tag is wrong");
    daemon.expect_log("decrypts to nothing");
    let (mut meter, _) = bridge.accept().unwrap();
    for counter in 1..=3 {
        meter.write_all(&encrypted(counter, KEY)).unwrap();
    }
    for counter in [3, 2, 3] {
        meter.write_all(&encrypted(counter, KEY)).unwrap();
    }
    for counter in 4..=6 {
        meter
            .write_all(&encrypted(counter, "FF0102030405060708090A0B0C0D0E0F"))
            .unwrap();
    }
    let mut flipped = encrypted(7, KEY);
    flipped[100] ^= 1;
    meter.write_all(&flipped).unwrap();
    meter.write_all(&encrypted(8, KEY)).unwrap();
    daemon.wait_for_lines(4);
    let cut = encrypted(9, KEY);
    meter.write_all(&cut[..200]).unwrap();
    daemon.wait_for_log("cut off: 200 of");
    assert_eq!(daemon.lines().len(), 4);
    let log = daemon.log();
    for (what, times) in [
        ("frame counter 3 after 3", 1),
        ("repeated frame", 1),
        ("the tag is wrong", 1),
    ] {
        assert_eq!(log.matches(what).count(), times, "{what}: {log}");
    }
    assert!(!log.contains(KEY) && !log.contains(AUTH_KEY), "{log}");
}

#[test]
fn given_a_systemd_credential_then_its_name_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    write_private(&dir.path().join("house"), &format!("{KEY}\n"));
    let bin = root().join("testdata/p1/austria.bin");
    let section = |key: &str| {
        format!(
            "[[wire]]\nprotocol = \"p1\"\nsource = \"{}\"\n{key}\n",
            bin.display()
        )
    };
    let run = |variable: &str, value: &std::ffi::OsStr| {
        let output = metertap()
            .args(["run", "--config"])
            .arg(&file)
            .env(variable, value)
            .output()
            .unwrap();
        json_lines(&output.stdout)
            .iter()
            .map(without_origin)
            .collect::<Vec<_>>()
    };
    let (_, truth) = telegram("austria");
    std::fs::write(&file, section("key_file = \"house\"")).unwrap();
    assert_eq!(run("CREDENTIALS_DIRECTORY", dir.path().as_os_str()), truth);
    std::fs::write(&file, section("key_env = \"HOUSE_KEY\"")).unwrap();
    assert_eq!(run("HOUSE_KEY", KEY.as_ref()), truth);
}

#[test]
fn given_a_meter_that_lost_its_frame_counter_then_it_is_read_on_with_a_word() {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"bridge\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\nkey = \"{KEY}\"\nauth_key = \"{AUTH_KEY}\"\n",
        bridge.local_addr().unwrap()
    ));
    daemon.expect_log("the frame counter fell from 700021 to 1");
    let (mut meter, _) = bridge.accept().unwrap();
    for counter in [700_020, 700_021, 1, 2, 3] {
        meter.write_all(&encrypted(counter, KEY)).unwrap();
    }
    daemon.wait_for_lines(5);
    assert_eq!(daemon.log().matches("the frame counter fell").count(), 1);
}
