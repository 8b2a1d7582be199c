//! Linky's TIC: the golden readings, and the real binary on a pty.

use crate::support::*;
use serde_json::Value;
use std::io::Write;

#[test]
fn frames_of_both_modes_give_the_golden_readings() {
    assert_golden("tic", 3);
}

#[test]
fn given_flipped_bits_then_no_other_quantity_is_published() {
    let pty = Pty::open();
    let port = pty.port.display();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nsource = \"{port}\"\nprotocol = \"tic\"\nbaud = 9600\n"
    ));
    daemon.wait_for_log("Port opened");
    daemon.expect_log("with a wrong check are left out");
    daemon.expect_log("without the meter's number");
    daemon.expect_log("cut off");
    let path = root().join("testdata/tic/producer.bin");
    let bytes = std::fs::read(&path).unwrap();
    let truth = json_lines(&std::fs::read(path.with_extension("jsonl")).unwrap()).remove(0);
    let mut meter = pty.meter();
    for at in 1..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        meter.write_all(&flipped).unwrap();
        meter.write_all(&bytes).unwrap();
    }
    daemon.wait_for_lines(bytes.len());
    for line in daemon.lines() {
        assert_eq!(line["id"], truth["id"]);
        for (name, value) in line["reading"].as_object().unwrap() {
            if let Some(number) = value["value"].as_f64() {
                assert_eq!(
                    Some(number),
                    truth["reading"][name]["value"].as_f64(),
                    "{name}: {line}"
                );
            }
        }
    }
}

#[test]
fn given_a_frame_in_historique_mode_then_its_reading_has_the_meters_labels_too() {
    let path = root().join("testdata/tic/historique.bin");
    let lines = json_lines(&stdout_of(&["decode", "tic", path.to_str().unwrap()]));
    let reading: &Value = &lines[0]["reading"];
    assert_eq!(reading["energy_import_t1"]["value"], 12_345.678);
    assert_eq!(reading["labels"]["HCHC"], "012345678");
}
