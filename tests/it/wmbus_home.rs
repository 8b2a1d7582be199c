//! Wireless M-Bus in the daemon: keys of meters, formats that are learned, neighbours, and telegrams that come over the broker.

use crate::support::*;
use crate::wmbus::{KEY, RECORDS, hex, sender};
use metertap_decode::cipher::Key;
use metertap_decode::wmbus::encode::{Protection, Sender};
use metertap_decode::wmbus::imst;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Daemon that reads `lines` from a file, with what it learns in `state`; returns its readings and its log.
fn readings(config: &str, lines: &[String], state: &Path) -> (Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("telegrams.txt");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let config = format!(
        "{config}\n[[wire]]\nname = \"air\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n",
        file.display()
    );
    let mut daemon = Daemon::start_with(&config, |command| command.env("STATE_DIRECTORY", state));
    daemon.expect_log("Telegram of the meter");
    daemon.expect_log("which is not known yet");
    daemon.wait_for_success();
    (daemon.lines(), daemon.log())
}

fn encrypted(key: &str) -> String {
    let key: Key = key.parse().unwrap();
    hex(&sender(Protection::Mode5 { key }).telegram(&RECORDS).unwrap())
}

#[test]
fn given_a_compact_frame_after_a_restart_then_its_format_is_known_from_before() {
    let state = tempfile::tempdir().unwrap();
    let sender = sender(Protection::None);
    let (full, compact) = (
        hex(&sender.telegram(&RECORDS).unwrap()),
        hex(&sender.compact(&RECORDS).unwrap()),
    );
    let config = "[[meter]]\nid = 12345678\n";
    let (nothing, log) = readings(config, std::slice::from_ref(&compact), state.path());
    assert!(
        nothing.is_empty() && log.contains("which is not known yet"),
        "{log}"
    );
    assert_eq!(readings(config, &[full], state.path()).0.len(), 1);
    let (known, _) = readings(config, &[compact], state.path());
    assert_eq!(known[0]["reading"]["volume"]["value"].to_string(), "1.234");
}

#[test]
fn given_no_key_a_wrong_one_and_plain_text_then_state_and_log_tell_them_apart_once() {
    let state = tempfile::tempdir().unwrap();
    let plain = hex(&sender(Protection::None).telegram(&RECORDS).unwrap());
    for (key, telegram, name, text) in [
        (
            "",
            encrypted(KEY),
            "no_key",
            "there is no key for the meter: set key in its [[meter]]",
        ),
        (
            KEY,
            encrypted(&"F".repeat(32)),
            "wrong_key",
            "the key of the meter is not the right one",
        ),
        (
            KEY,
            plain.clone(),
            "plain_text_refused",
            "in plain text although there is a key",
        ),
        (KEY, encrypted(KEY), "decrypted", "decrypted with the given key"),
        ("", plain, "plain", "plain text"),
    ] {
        let broker = Broker::start();
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("key = \"{key}\"\n")
        };
        let config = format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[[meter]]\nid = 12345678\n{key}",
            broker.port
        );
        let (_, log) = readings(&config, &vec![telegram; 5], state.path());
        assert_eq!(log.matches(text).count(), 1, "{name}: {log}");
        let retained = broker.retained("readings/#");
        let (_, state) = retained
            .iter()
            .find(|(topic, _)| topic.ends_with("/air/state"))
            .unwrap_or_else(|| panic!("{retained:?}"));
        let state: Value = serde_json::from_str(state).unwrap();
        assert_eq!(state["keys"]["12345678"], name, "{state}");
        assert!(!log.contains(KEY), "{log}");
    }
}

#[test]
fn given_an_id_without_its_zeros_then_the_meter_and_its_key_are_found() {
    let state = tempfile::tempdir().unwrap();
    let key: Key = KEY.parse().unwrap();
    let mut sender = sender(Protection::Mode5 { key });
    sender.radio.identification = [0x78, 0x56, 0x34, 0];
    let telegram = hex(&sender.telegram(&RECORDS).unwrap());
    let config = format!("[[meter]]\nid = 345678\nkey = \"{KEY}\"\n");
    let (found, log) = readings(&config, &[telegram], state.path());
    assert_eq!(found[0]["id"], "345678", "{log}");
}

#[test]
fn given_telegrams_of_neighbours_then_they_are_published_only_if_all_are() {
    let state = tempfile::tempdir().unwrap();
    let telegram = hex(&sender(Protection::None).telegram(&RECORDS).unwrap());
    let lines = [telegram];
    let ours = "[[meter]]\nid = 87654321\n";
    let (none, log) = readings(ours, &lines, state.path());
    assert!(none.is_empty(), "{log}");
    for all in [&format!("publish = \"all\"\n{ours}"), ""] {
        let (found, log) = readings(all, &lines, state.path());
        assert_eq!(found.len(), 1, "{log}");
    }
}

#[test]
fn given_a_bridge_that_publishes_telegrams_then_they_are_read_from_its_topic() {
    let broker = Broker::start();
    let daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n\
         [[wire]]\nname = \"bridge\"\nsource = \"mqtt:wmbus-bridge/+/telegram\"\nprotocol = \"wmbus\"\n\
         [[meter]]\nid = 12345678\nkey = \"{KEY}\"\n[[output]]\nkind = \"file\"\npath = \"-\"\n",
        broker.port
    ));
    daemon.wait_for_log("Port opened");
    let first = encrypted(KEY);
    broker.publish("wmbus-bridge/attic/telegram", &first, &[]);
    broker.publish(
        "wmbus-bridge/cellar/telegram",
        &format!("C1;1;1;2026-01-15 12:00:00.000;52;48;12345678;0x{first}"),
        &[],
    );
    let key: Key = KEY.parse().unwrap();
    let next = Sender {
        access_number: 8,
        ..sender(Protection::Mode5 { key })
    };
    broker.publish(
        "wmbus-bridge/attic/telegram",
        &hex(&next.telegram(&RECORDS).unwrap()),
        &[],
    );
    daemon.wait_for_lines(2);
    let readings = daemon.lines();
    assert_eq!(
        readings.len(),
        2,
        "both bridges have heard the first: {readings:?}"
    );
    assert_eq!(readings[0]["port"], "bridge");
    assert_eq!(readings[0]["reading"]["volume"]["value"].to_string(), "1.234");
}

#[test]
fn given_a_topic_without_a_broker_or_of_another_protocol_then_the_configuration_says_so() {
    for (config, expected) in [
        ("protocol = \"wmbus\"", "needs [mqtt]"),
        (
            "protocol = \"p1\"\n[mqtt]\nhost = \"broker\"",
            "is for protocol = \"wmbus\"",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metertap.toml");
        std::fs::write(&file, format!("[[wire]]\nsource = \"mqtt:a/b\"\n{config}\n")).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()]);
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(expected), "{text}");
    }
}

#[test]
fn given_a_stick_of_imst_then_the_telegrams_in_its_binary_frames_are_published() {
    let pty = Pty::open();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"stick\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n[[meter]]\nid = \"12345678\"\n",
        pty.port.display()
    ));
    daemon.wait_for_log("Port opened");
    let frame = |access_number| {
        let sender = Sender {
            access_number,
            ..sender(Protection::None)
        };
        imst::frame(&sender.telegram(&RECORDS).unwrap(), true).unwrap()
    };
    pty.meter().write_all(&[frame(1), frame(2)].concat()).unwrap();
    daemon.wait_for_lines(2);
    for reading in daemon.lines() {
        assert_eq!(
            (&reading["id"], &reading["type"]),
            (&"12345678".into(), &"wmbus".into())
        );
        assert_eq!(reading["reading"]["volume"]["value"].to_string(), "1.234");
    }
}

#[test]
fn given_lines_that_come_in_pieces_then_none_is_lost() {
    let pty = Pty::open();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"air\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n[[meter]]\nid = 12345678\n",
        pty.port.display()
    ));
    daemon.wait_for_log("Port opened");
    let mut meter = pty.meter();
    for access_number in 1..=20 {
        let sender = Sender {
            access_number,
            ..sender(Protection::None)
        };
        let line = hex(&sender.telegram(&RECORDS).unwrap()) + "\n";
        let (first, second) = line.as_bytes().split_at(usize::from(access_number));
        meter.write_all(first).unwrap();
        meter.write_all(second).unwrap();
    }
    daemon.wait_for_lines(20);
}
