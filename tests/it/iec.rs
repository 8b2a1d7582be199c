//! IEC 62056-21: scripted meters on ptys, whose line must have the announced speed when they send their data.

use crate::support::*;
use metertap_decode::framing::iec::{acknowledgement, seal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

/// Terminal whose other end the program opens; on this end its speed can be seen.
struct Line {
    meter: File,
    port: PathBuf,
}

impl Line {
    fn open() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let port = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let mut raw: Termios = tcgetattr(&master).unwrap();
        raw.make_raw();
        rustix::termios::tcsetattr(&master, rustix::termios::OptionalActions::Now, &raw).unwrap();
        Line {
            meter: File::from(master),
            port: port.into(),
        }
    }

    /// Plays a meter. `answer` gets the speed of the line, now, and what was received since the last answer.
    fn play(&self, mut answer: impl FnMut(&dyn Fn() -> u32, &[u8]) -> Option<Vec<u8>> + Send + 'static) {
        let mut meter = self.meter.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut received, mut buffer) = (Vec::new(), [0; 512]);
            // Reading fails while the other end is closed.
            loop {
                let Ok(n @ 1..) = meter.read(&mut buffer) else {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    continue;
                };
                received.extend_from_slice(&buffer[..n]);
                let speed = || tcgetattr(&meter).unwrap().input_speed();
                if let Some(reply) = answer(&speed, &received) {
                    received.clear();
                    if meter.write_all(&reply).is_err() {
                        return;
                    }
                }
            }
        });
    }

    fn dump(&self, options: &[&str]) -> (bool, String, String) {
        let output = metertap()
            .args(["d0", "dump", "--source"])
            .arg(&self.port)
            .args(options)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

fn draft(name: &str) -> [Vec<u8>; 2] {
    let text = std::fs::read_to_string(root().join(format!("testdata/iec/{name}.draft"))).unwrap();
    let (identification, lines) = text.split_once('\n').unwrap();
    seal(identification.trim_start_matches('/'), lines.trim_end())
}

fn golden(name: &str) -> Value {
    json_lines(&std::fs::read(root().join(format!("testdata/iec/{name}.jsonl"))).unwrap()).remove(0)
}

/// A meter in mode C at 9600 baud behind a head that echoes; `garble` alters its data block.
fn zmd(
    mut garble: impl FnMut(&mut Vec<u8>) + Send + 'static,
) -> impl FnMut(&dyn Fn() -> u32, &[u8]) -> Option<Vec<u8>> + Send {
    let [first, block] = draft("zmd");
    move |speed, received| {
        if received.ends_with(b"/?!\r\n") {
            assert_eq!(speed(), 300, "a request at another speed");
            return Some([received, &first].concat());
        }
        if received.ends_with(&acknowledgement(b'5')) {
            wait_for("9600 baud", || speed() == 9600);
            let mut block = block.clone();
            garble(&mut block);
            return Some([received, &block].concat());
        }
        None
    }
}

#[test]
fn readouts_give_the_golden_readings() {
    assert_golden("iec", 2);
}

#[test]
fn given_a_meter_in_mode_c_then_it_is_acknowledged_and_read_at_its_speed() {
    let line = Line::open();
    line.play(zmd(|_| ()));
    let (ok, stdout, stderr) = line.dump(&["--json"]);
    assert!(ok, "{stderr}");
    assert_eq!(json_lines(stdout.as_bytes())[0], golden("zmd"));
    assert_eq!(
        tcgetattr(&line.meter).unwrap().input_speed(),
        300,
        "the next request is at 300 baud"
    );
    let (ok, stdout, _) = line.dump(&["--raw"]);
    assert!(
        ok && stdout.starts_with("/MTP5\\2ZMD310\nF.F(00000000)\nC.1.0(12345678)\n"),
        "{stdout}"
    );
}

#[test]
fn given_a_meter_in_mode_a_then_its_data_are_read_at_300_baud() {
    let line = Line::open();
    let [first, block] = draft("zmd");
    let first = String::from_utf8(first).unwrap().replace("/MTP5", "/MTP!");
    line.play(move |speed, received| {
        assert_eq!(speed(), 300, "a change of speed");
        received
            .ends_with(b"/?!\r\n")
            .then(|| [first.as_bytes(), &block].concat())
    });
    let (ok, stdout, stderr) = line.dump(&["--json"]);
    assert!(ok, "{stderr}");
    assert_eq!(json_lines(stdout.as_bytes())[0], golden("zmd"));
}

#[test]
fn given_a_head_that_is_too_slow_for_the_meters_speed_then_it_is_read_at_300_baud() {
    let line = Line::open();
    let [first, block] = draft("zmd");
    line.play(move |speed, received| {
        if received.ends_with(b"/?!\r\n") {
            return Some(first.clone());
        }
        if received.ends_with(&acknowledgement(b'5')) {
            return Some(b"\x81\x12".to_vec());
        }
        received.ends_with(&acknowledgement(b'0')).then(|| {
            assert_eq!(speed(), 300);
            block.clone()
        })
    });
    let (ok, stdout, stderr) = line.dump(&["--json"]);
    assert!(ok, "{stderr}");
    assert_eq!(json_lines(stdout.as_bytes())[0], golden("zmd"));
}

#[test]
fn given_a_heat_meter_that_sleeps_then_it_is_woken_and_its_speed_followed_unasked() {
    let line = Line::open();
    let [first, block] = draft("ultraheat");
    let mut meter = line.meter.try_clone().unwrap();
    line.play(move |speed, received| {
        let nuls = received.iter().filter(|byte| **byte == 0).count();
        if !received.ends_with(b"/?!\r\n") || nuls < 40 {
            return None;
        }
        meter.write_all(&first).unwrap();
        wait_for("2400 baud", || speed() == 2400);
        Some(block.clone())
    });
    let (ok, stdout, stderr) = line.dump(&["--json"]);
    assert!(ok, "{stderr}");
    assert_eq!(json_lines(stdout.as_bytes())[0], golden("ultraheat"));
}

#[test]
fn given_a_garbled_block_then_it_is_requested_again_and_never_published() {
    let line = Line::open();
    let mut count = 0;
    line.play(zmd(move |block| {
        count += 1;
        if count == 1 {
            block[20] ^= 4;
        }
    }));
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"cellar\"\nsource = \"{}\"\nprotocol = \"iec\"\nevery = 1\n",
        line.port.display()
    ));
    daemon.wait_for_lines(2);
    for line in daemon.lines() {
        assert_eq!(line["reading"], golden("zmd")["reading"]);
    }
}

#[test]
fn given_a_tcp_bridge_whose_speed_cannot_be_changed_then_the_meter_is_kept_at_300_baud() {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = bridge.local_addr().unwrap();
    std::thread::spawn(move || {
        let [first, block] = draft("zmd");
        let (mut line, _) = bridge.accept().unwrap();
        let (mut received, mut buffer) = (Vec::new(), [0; 512]);
        while let Ok(n @ 1..) = line.read(&mut buffer) {
            received.extend_from_slice(&buffer[..n]);
            if received.ends_with(&acknowledgement(b'0')) {
                line.write_all(&block).unwrap();
            } else if received.ends_with(b"/?!\r\n") {
                line.write_all(&first).unwrap();
            }
        }
    });
    let out = stdout_of(&["d0", "dump", "--source", &format!("tcp://{address}"), "--json"]);
    assert_eq!(json_lines(&out)[0], golden("zmd"));
}

#[test]
fn given_no_answer_then_the_error_says_what_to_look_at() {
    let line = Line::open();
    let (ok, _, stderr) = line.dump(&[]);
    assert!(!ok && stderr.contains("no answer at 300 baud"), "{stderr}");
}
