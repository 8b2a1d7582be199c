//! Meters that are polled (M-Bus, Kamstrup): scripted ones on ptys, polled by the real binary.

use crate::support::*;
use metertap_decode::framing::kmp;
use metertap_decode::framing::mbus::{ACK, Frame, long};
use serde_json::Value;
use std::time::Duration;

/// Answer of the meter with secondary address `number` at the primary address `place`: 1234.5 kWh, 48.2 °C.
fn answer(place: u8, number: &str) -> Vec<u8> {
    let mut data = data_encoding::HEXUPPER.decode(number.as_bytes()).unwrap();
    data.reverse();
    // Maker MTP, version 1, heat, access number 7, status 0, no encryption.
    let maker = (u16::from(b'M' - 64) << 10 | u16::from(b'T' - 64) << 5 | u16::from(b'P' - 64)).to_le_bytes();
    data.extend(maker);
    data.extend([1, 4, 7, 0, 0, 0]);
    data.extend([0x0C, 0x05, 0x45, 0x23, 0x01, 0x00, 0x0A, 0x5A, 0x82, 0x04]);
    long(8, place, 0x72, &data)
}

/// Answers of a bus with meters (primary address, secondary address); those of several meters at once collide.
pub fn bus(meters: Vec<(u8, &'static str)>) -> impl FnMut(&[u8]) -> Option<Vec<u8>> {
    let mut selected: Vec<usize> = Vec::new();
    // A complete frame is answered, if only by silence.
    move |request| Some(reply(&meters, &mut selected, &Frame::parse(request).ok()?.0).unwrap_or_default())
}

fn reply(meters: &[(u8, &'static str)], selected: &mut Vec<usize>, frame: &Frame) -> Option<Vec<u8>> {
    match *frame {
        Frame::Short {
            control: 0x40,
            address: 0xFD,
        } => {
            selected.clear();
            None
        }
        Frame::Short {
            control: 0x40,
            address,
        } => meters.iter().any(|meter| meter.0 == address).then(|| vec![ACK]),
        Frame::Short { address: 0xFD, .. } => match &selected[..] {
            [] => None,
            [one] => Some(answer(meters[*one].0, meters[*one].1)),
            // Two currents at once are neither.
            many => Some(
                many.iter()
                    .map(|one| answer(1, meters[*one].1))
                    .reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a & b).collect())?,
            ),
        },
        Frame::Short { address, .. } => meters
            .iter()
            .find(|meter| meter.0 == address)
            .map(|meter| answer(meter.0, meter.1)),
        Frame::Long {
            information: 0x52,
            data,
            ..
        } => {
            let wanted: String = data[..4].iter().rev().map(|two| format!("{two:02X}")).collect();
            let fits = |number: &str| {
                wanted
                    .chars()
                    .zip(number.chars())
                    .all(|(w, is)| w == 'F' || w == is)
            };
            *selected = (0..meters.len()).filter(|i| fits(meters[*i].1)).collect();
            (!selected.is_empty()).then(|| vec![ACK])
        }
        _ => None,
    }
}

/// Runs a polling command on a line: success, its lines, its standard error.
fn ask(pty: &Pty, args: &[&str]) -> (bool, Vec<Value>, String) {
    let (command, options) = args.split_at(2);
    let output = metertap()
        .args(command)
        .arg("--source")
        .arg(&pty.port)
        .args(options)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), json_lines(&output.stdout), stderr)
}

#[test]
fn given_a_bus_then_a_scan_finds_its_meters_by_primary_and_secondary_address() {
    let pty = Pty::open();
    scripted(
        &pty,
        bus(vec![(5, "12345678"), (17, "12990001"), (0, "70000000")]),
    );
    let (ok, lines, stderr) = ask(&pty, &["mbus", "scan", "--patience", "20"]);
    let ids = |lines: &[Value]| {
        let mut ids: Vec<String> = lines
            .iter()
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    assert!(ok, "{stderr}");
    assert_eq!(ids(&lines), ["12345678", "12990001", "70000000"]);
    assert_eq!(lines[0]["manufacturer"], "MTP");
    let (ok, lines, stderr) = ask(&pty, &["mbus", "scan", "--numbers", "--patience", "40"]);
    assert!(ok, "{stderr}");
    assert_eq!(ids(&lines), ["12345678", "12990001", "70000000"]);
    let (ok, lines, _) = ask(&pty, &["mbus", "read", "12990001", "--patience", "200"]);
    assert!(
        ok && lines[0]["reading"]["energy"]["value"] == 1234.5,
        "{lines:?}"
    );
}

/// A daemon that polls every second on this line.
fn asking(pty: &Pty, wire: &str) -> Daemon {
    Daemon::start(&format!(
        "[[wire]]\nname = \"cellar\"\nsource = \"{}\"\nevery = 1\n{wire}\n",
        pty.port.display()
    ))
}

#[test]
fn given_a_slow_bus_and_an_absent_meter_then_the_other_meters_are_read() {
    let pty = Pty::open();
    let mut bus = bus(vec![(5, "12345678"), (6, "22222222")]);
    scripted(&pty, move |request| {
        let reply = bus(request);
        // The meter's own delay.
        std::thread::sleep(Duration::from_millis(200));
        reply
    });
    let daemon = asking(
        &pty,
        "protocol = \"mbus\"\naddresses = [\"p5\", \"22222222\", \"p9\"]",
    );
    daemon.wait_for_lines(3);
    let lines = daemon.lines();
    let topics: Vec<&Value> = lines.iter().map(|line| &line["id"]).collect();
    assert_eq!(topics[..3], ["12345678", "22222222", "12345678"]);
    assert_eq!(lines[0]["type"], "mbus");
    assert_eq!(
        lines[0]["reading"].to_string(),
        r#"{"manufacturer":"MTP","medium":"heat","energy":{"value":1234.5,"unit":"kWh"},"flow_temperature":{"value":48.2,"unit":"°C"},"status":"ok"}"#
    );
    daemon.wait_for_log("p9 does not answer");
    assert_eq!(
        daemon.log().matches("p9 does not answer").count(),
        1,
        "logged once"
    );
}

#[test]
fn given_garbled_answers_then_they_are_requested_again_and_never_published() {
    let pty = Pty::open();
    let mut bus = bus(vec![(5, "12345678"), (6, "66666666")]);
    let mut count = 0;
    scripted(&pty, move |request| {
        let mut reply = bus(request)?;
        // Of place 6 all answers are garbled, of place 5 every other one.
        let place = if reply.len() > 5 { reply[5] } else { 0 };
        count += usize::from(place == 5);
        if place == 6 || (place == 5 && count % 2 == 1) {
            reply[20] ^= 0x10;
        }
        Some(reply)
    });
    let daemon = asking(&pty, "protocol = \"mbus\"\naddresses = [\"p5\", \"p6\"]");
    daemon.wait_for_lines(2);
    daemon.wait_for_log("p6: the checksum of an M-Bus frame is");
    for line in daemon.lines() {
        assert_eq!(
            (&line["id"], &line["reading"]["energy"]["value"]),
            (&"12345678".into(), &1234.5.into())
        );
    }
}

#[test]
fn given_a_meter_that_fails_every_second_poll_then_its_port_stays_up_and_the_log_quiet() {
    let pty = Pty::open();
    let mut bus = bus(vec![(5, "12345678")]);
    let mut round = 0;
    scripted(&pty, move |request| {
        let mut reply = bus(request)?;
        if matches!(Frame::parse(request), Ok((Frame::Short { control: 0x40, .. }, _))) {
            round += 1;
        } else if round % 2 == 0 {
            reply[20] ^= 0x10;
        }
        Some(reply)
    });
    let daemon = asking(&pty, "protocol = \"mbus\"\naddresses = [\"p5\"]");
    daemon.expect_log("the checksum of an M-Bus frame is");
    daemon.wait_for_lines(4);
    let log = daemon.log();
    assert_eq!(log.matches("Source ").count(), 1, "one change of state: {log}");
    assert_eq!(log.matches("the checksum of").count(), 1, "{log}");
}

#[test]
fn given_an_answer_of_another_meter_then_it_is_rejected() {
    let pty = Pty::open();
    scripted(&pty, |request| match Frame::parse(request).ok()?.0 {
        Frame::Short { control: 0x40, .. } => Some(vec![ACK]),
        Frame::Short { .. } => Some(answer(7, "77777777")),
        _ => Some(vec![ACK]),
    });
    let daemon = asking(&pty, "protocol = \"mbus\"\naddresses = [\"p5\", \"12345678\"]");
    daemon.expect_log("expected an answer of 12345678, found one of 77777777");
    daemon.wait_for_log("expected an answer of p5, found one of p7");
    assert!(daemon.lines().is_empty());
    let (ok, lines, stderr) = ask(&Pty::open(), &["mbus", "read", "p5", "--patience", "20"]);
    assert!(
        !ok && lines.is_empty() && stderr.contains("p5 does not answer"),
        "{stderr}"
    );
}

#[test]
fn given_an_answer_in_several_frames_then_all_are_requested_and_a_lost_one_again() {
    let pty = Pty::open();
    let whole = answer(5, "12345678");
    let header = whole[7..19].to_vec();
    // Volume in the first frame, then "more follows"; energy and temperature in the second.
    let first = long(
        8,
        5,
        0x72,
        &[&header[..], &[0x0C, 0x13, 0x78, 0x56, 0x34, 0x12, 0x1F]].concat(),
    );
    let mut last = None;
    let (mut frame, mut asked) = (0, 0);
    scripted(&pty, move |request| match Frame::parse(request).ok()?.0 {
        Frame::Short { control: 0x40, .. } => {
            (last, frame) = (None, 0);
            Some(vec![ACK])
        }
        Frame::Short { control, .. } => {
            asked += 1;
            // The same bit means that the last answer was not understood.
            if last.is_some_and(|last| last != control) {
                frame += 1;
            }
            last = Some(control);
            let mut reply = if frame == 0 { first.clone() } else { whole.clone() };
            if asked == 2 {
                reply.truncate(10);
            }
            Some(reply)
        }
        _ => Some(vec![]),
    });
    let (ok, lines, stderr) = ask(&pty, &["mbus", "read", "p5", "--patience", "100"]);
    assert!(ok, "{stderr}");
    let reading = &lines[0]["reading"];
    assert_eq!(
        (&reading["volume"]["value"], &reading["energy"]["value"]),
        (&12345.678.into(), &1234.5.into())
    );
    assert_eq!(lines[0]["records"].as_array().unwrap().len(), 3);
}

#[test]
fn given_a_dead_connection_then_another_one_is_made() {
    let bridge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nsource = \"tcp://{}\"\nprotocol = \"mbus\"\naddresses = [\"p5\"]\nevery = 1\n",
        bridge.local_addr().unwrap()
    ));
    daemon.expect_log("p5 does not answer");
    let _dead = bridge.accept().unwrap();
    let (mut line, _) = bridge.accept().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut bus, mut buffer) = (bus(vec![(5, "12345678")]), [0; 64]);
        while let Ok(n @ 1..) = line.read(&mut buffer) {
            if let Some(reply) = bus(&buffer[..n]) {
                line.write_all(&reply).unwrap();
            }
        }
    });
    daemon.wait_for_lines(1);
}

/// A Kamstrup meter with an optical head that echoes.
fn kamstrup(request: &[u8]) -> Option<Vec<u8>> {
    let (start, stop) = (
        request.iter().position(|b| *b == 0x80)?,
        request.iter().position(|b| *b == 0x0D)?,
    );
    // A request is an answer with another first byte.
    let mut turned = request[start..=stop].to_vec();
    turned[0] = 0x40;
    let frame = kmp::Frame::find(&turned)?.0.ok()?;
    let data = match frame.command {
        0x01 => vec![0x04, 0x02, 0x01, 0x0A],
        0x02 => 65_432_109u32.to_be_bytes().to_vec(),
        0x10 => frame.data[1..]
            .chunks(2)
            .flat_map(|number| match number {
                [0, 60] => vec![0, 60, 8, 4, 0x43, 0, 0, 0xDF, 0xE6],
                [0, 68] => vec![0, 68, 40, 4, 0x42, 0, 2, 0x2B, 0xB5],
                [0, 86] => vec![0, 86, 37, 2, 0x42, 0x1A, 0x9C],
                [0, 74] => vec![0, 74, 41, 4, 0x00, 0, 0, 0, 84],
                // The others it does not have.
                _ => vec![],
            })
            .collect(),
        _ => return None,
    };
    Some([request.to_vec(), kmp::answer(frame.command, &data)].concat())
}

#[test]
fn given_a_kamstrup_meter_then_type_serial_number_and_registers_are_read() {
    let pty = Pty::open();
    scripted(&pty, kamstrup);
    let (ok, lines, stderr) = ask(&pty, &["kamstrup", "dump", "--model", "403"]);
    assert!(ok, "{stderr}");
    assert_eq!(
        lines[0].to_string(),
        r#"{"id":"65432109","type":"kmp","reading":{"heat_energy":{"value":57.318,"unit":"GJ"},"volume":{"value":1422.61,"unit":"m3"},"flow":{"value":84,"unit":"l/h"},"flow_temperature":{"value":68.12,"unit":"°C"},"meter_type":"0402","software_revision":"010A"}}"#
    );
    let daemon = asking(&pty, "protocol = \"kmp\"\nregisters = [\"heat_energy\", \"86\"]");
    daemon.wait_for_lines(2);
    let line = &daemon.lines()[1];
    assert_eq!((&line["id"], &line["type"]), (&"65432109".into(), &"kmp".into()));
    assert_eq!(line["reading"]["heat_energy"]["value"], 57.318);
    assert!(line["reading"].get("volume").is_none(), "only what was asked for");
}

#[test]
fn given_a_kamstrup_meter_that_does_not_answer_right_then_the_reason_is_given() {
    for (how, reason) in [
        ("sleeps", "no answer: is the head on the meter's eye"),
        ("garbles", "the CRC is"),
        ("answers something else", "register 1 was not asked for"),
    ] {
        let pty = Pty::open();
        scripted(&pty, move |request| {
            let mut reply = kamstrup(request)?;
            let is_registers = request.get(2) == Some(&0x10);
            match how {
                "sleeps" => return Some(Vec::new()),
                "garbles" => {
                    let at = reply.len() - 3;
                    reply[at] ^= 0x20;
                }
                _ if is_registers => reply = kmp::answer(0x10, &[0, 1, 2, 1, 0, 139]),
                _ => {}
            }
            Some(reply)
        });
        let (ok, lines, stderr) = ask(&pty, &["kamstrup", "dump", "--patience", "100"]);
        assert!(
            !ok && lines.is_empty() && stderr.contains(reason),
            "{how}: {stderr}"
        );
    }
}

#[test]
fn given_an_invalid_section_then_the_mistake_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    for (section, reason) in [
        (
            "protocol = \"mbus\"",
            "addresses are missing: `metertap mbus scan` finds them",
        ),
        (
            "protocol = \"mbus\"\naddresses = [\"5\"]",
            "invalid M-Bus address `5`",
        ),
        (
            "protocol = \"kmp\"\nmodel = \"21\"",
            "model = \"21\" is not known; these are: 302",
        ),
        (
            "protocol = \"kmp\"\nregisters = [\"pwoer\"]",
            "`pwoer` is neither a number nor a known name",
        ),
        (
            "protocol = \"kmp\"\nevery = 0.1",
            "every = 0.1 must be between 1 and 86400",
        ),
        (
            "protocol = \"p1\"\nevery = 5",
            "every is for protocol = \"mbus\" or \"kmp\"",
        ),
        (
            "protocol = \"dlms\"\ncrc = \"ignore\"",
            "crc is for protocol = \"p1\"",
        ),
        (
            "protocol = \"dlms\"\ndlms = { list = [\"u9\"] }",
            "invalid value `u9`",
        ),
    ] {
        std::fs::write(&file, format!("[[wire]]\nsource = \"/dev/ttyUSB0\"\n{section}\n")).unwrap();
        let output = metertap().args(["run", "--config"]).arg(&file).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && stderr.contains(reason),
            "{section}: {stderr}"
        );
    }
}

#[test]
fn given_a_recording_of_answers_in_hex_then_it_is_read_instead_of_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.hex");
    std::fs::write(&file, data_encoding::HEXLOWER.encode(&answer(5, "12345678"))).unwrap();
    let mut daemon = Daemon::start(&format!(
        "[[wire]]\nprotocol = \"mbus\"\naddresses = [\"p5\"]\nsource = \"{}\"\n",
        file.display()
    ));
    daemon.wait_for_success();
    let lines = daemon.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["id"], &lines[0]["reading"]["energy"]["value"]),
        (&"12345678".into(), &1234.5.into())
    );
}

#[test]
fn given_an_answer_then_the_page_has_each_record_with_its_dif_and_vif() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.hex");
    std::fs::write(&file, data_encoding::HEXLOWER.encode(&answer(5, "12345678"))).unwrap();
    let (port, quiet) = (free_port(), free_port());
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nprotocol = \"mbus\"\naddresses = [\"p5\"]\nsource = \"{}\"\n\
         [[wire]]\nname = \"gone\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n",
        file.display()
    ));
    daemon.expect_log("onnection refused");
    wait_for("the page", || daemon.log().contains("Recording ended"));
    wait_for("the meter", || get(port, "/api/meters/12345678", "").0 == 200);
    let meter = json(port, "/api/meters/12345678");
    assert_eq!(
        meter["telegrams"],
        serde_json::json!([{"type": "mbus", "bytes": "", "parts": [
            {"layer": "record", "bytes": "0C0545230100", "text": "energy: 1234500 Wh"},
            {"layer": "record", "bytes": "0A5A8204", "text": "flow_temperature: 48.2 °C"},
        ]}])
    );
}
