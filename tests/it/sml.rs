//! SML: the golden readings, and the real binary on a pty.

use crate::support::*;
use serde_json::Value;
use std::io::Write;

/// A file of `testdata/sml`, and the readings it must give.
fn file(name: &str) -> (Vec<u8>, Vec<Value>) {
    let path = root().join("testdata/sml").join(name);
    let bytes = std::fs::read(path.with_extension("bin")).unwrap();
    (
        bytes,
        json_lines(&std::fs::read(path.with_extension("jsonl")).unwrap()),
    )
}

#[test]
fn files_of_every_kind_of_meter_give_the_golden_readings() {
    assert_golden("sml", 3);
}

#[test]
fn given_noise_cuts_and_flipped_bits_then_only_true_values_are_published() {
    let pty = Pty::open();
    let port = pty.port.display();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nsource = \"{port}\"\nprotocol = \"sml\"\n"
    ));
    daemon.wait_for_log("Port opened");
    daemon.expect_log("wrong CRC of an SML frame");
    daemon.expect_log("cut off");
    daemon.expect_log("expected an end (1A)");
    daemon.expect_log("without an end");
    let (bytes, truth) = file("ed300l");
    let mut meter = pty.meter();
    let mut sent = 0;
    for cut in (1..bytes.len()).step_by(7) {
        meter.write_all(&bytes[..cut]).unwrap();
        meter.write_all(&bytes).unwrap();
        let mut flipped = bytes.clone();
        flipped[cut] ^= 1 << (cut % 8);
        meter.write_all(&flipped).unwrap();
        meter.write_all(b"\xff\x1b\x00 noise").unwrap();
        meter.write_all(&bytes).unwrap();
        sent += 2;
    }
    daemon.wait_for_lines(sent - 3);
    for line in daemon.lines() {
        assert_eq!(
            (&line["id"], &line["type"], &line["reading"]),
            (&truth[0]["id"], &truth[0]["type"], &truth[0]["reading"])
        );
    }
}

#[test]
fn given_a_wrong_protocol_then_the_doctor_names_the_right_one_and_given_the_right_one_the_meter() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    for (protocol, recording, finding) in [
        ("p1", "sml/mme40.bin", "set protocol = \"sml\""),
        ("sml", "tic/historique.bin", "set protocol = \"tic\""),
        ("sml", "sml/mme40.bin", "meter 1MTP0000000042"),
        ("sml", "sml/locked.bin", "enter the meter's PIN"),
        ("tic", "tic/producer.bin", "meter 041234567890"),
    ] {
        let source = root().join("testdata").join(recording);
        let wire = format!(
            "[[wire]]\nprotocol = \"{protocol}\"\nsource = \"{}\"\n",
            source.display()
        );
        std::fs::write(&file, wire).unwrap();
        let output = run(&[
            "doctor",
            "--wire-seconds",
            "1",
            "--config",
            file.to_str().unwrap(),
        ]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains(finding), "{protocol} {recording}: {printed}");
    }
}
