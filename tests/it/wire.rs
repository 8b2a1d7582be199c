//! P1 ports: the real binary on ptys, TCP connections and a real broker.

use crate::support::*;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const KEY: &str = "000102030405060708090A0B0C0D0E0F";
const AUTH_KEY: &str = "00112233445566778899AABBCCDDEEFF";

/// A telegram of `testdata/p1`, and the readings it must give.
fn telegram(name: &str) -> (Vec<u8>, Vec<Value>) {
    let path = root().join("testdata/p1").join(name);
    let bytes = std::fs::read(path.with_extension("txt")).unwrap();
    let truth = json_lines(&std::fs::read(path.with_extension("jsonl")).unwrap());
    (bytes, truth)
}

#[test]
fn telegrams_of_every_country_give_the_golden_readings() {
    let mut dialects = 0;
    for entry in std::fs::read_dir(root().join("testdata/p1")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let out = stdout_of(&["decode", "p1", path.to_str().unwrap()]);
        let golden = std::fs::read(path.with_extension("jsonl")).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&golden),
            "{}",
            path.display()
        );
        dialects += 1;
    }
    assert!(dialects >= 12, "{dialects}");
}

#[test]
fn given_splits_noise_and_flipped_bits_then_only_true_values_are_published() {
    let pty = Pty::open();
    let port = pty.port.display();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nsource = \"{port}\"\nprotocol = \"p1\"\nbaud = 115200\n"
    ));
    daemon.wait_for_log("Port opened");
    daemon.expect_log("wrong CRC");
    daemon.expect_log("truncated telegram");
    let (bytes, truth) = telegram("switzerland");
    let mut meter = pty.meter();
    // 115200 8N1 carries 11.5 bytes in a millisecond.
    let mut send = |bytes: &[u8]| {
        meter.write_all(bytes).unwrap();
        std::thread::sleep(Duration::from_micros(87 * bytes.len() as u64));
    };
    let mut sent = 0;
    for cut in 1..bytes.len() {
        send(&bytes[..cut]);
        send(&bytes[cut..]);
        send(b"\xff\x00 noise (1*kW)\r\n");
        sent += 1;
    }
    daemon.wait_for_lines(sent);
    for at in 0..bytes.len() - 2 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        send(&flipped);
        if at % 8 == 0 {
            send(&bytes);
            sent += 1;
        }
    }
    send(&bytes);
    sent += 1;
    // Another meter marks the end.
    let (last, last_truth) = telegram("sweden");
    send(&last);
    let is_last = |line: &Value| without_origin(line) == last_truth[0];
    daemon.wait_for("the last telegram", || daemon.lines().last().is_some_and(is_last));
    let mut lines = daemon.lines();
    lines.pop();
    for line in &lines {
        assert_eq!(without_origin(line), truth[0], "a wrong value");
    }
    // A flip that turns a digit of the CRC into its small letter changes nothing.
    assert!(
        (sent..sent + 7).contains(&lines.len()),
        "{} of {sent}",
        lines.len()
    );
    let log = daemon.log();
    assert_eq!(log.matches("wrong CRC").count(), 1, "logged once: {log}");
}

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
fn encrypted(counter: u32, key: &str) -> Vec<u8> {
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
fn given_a_bridge_that_dies_or_goes_silent_then_the_next_connection_is_read() {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"bridge\"\nprotocol = \"p1\"\nperiod = 1\nsource = \"tcp://{}\"\n",
        bridge.local_addr().unwrap()
    ));
    let (bytes, truth) = telegram("sweden");
    let (mut meter, _) = bridge.accept().unwrap();
    meter.write_all(&bytes).unwrap();
    meter.write_all(&bytes[..300]).unwrap();
    drop(meter);
    daemon.expect_log("truncated telegram");
    daemon.wait_for_log("hung up");
    let (mut meter, _) = bridge.accept().unwrap();
    meter.write_all(&bytes).unwrap();
    daemon.wait_for_lines(2);
    // A connection that stays open and carries nothing.
    daemon.wait_for_log("no bytes for");
    let (mut meter, _) = bridge.accept().unwrap();
    meter.write_all(&bytes).unwrap();
    daemon.wait_for_lines(3);
    assert!(daemon.lines().iter().all(|line| without_origin(line) == truth[0]));
}

#[test]
fn given_a_pty_that_is_pulled_then_the_port_is_opened_again_when_it_is_back() {
    let pty = Pty::open();
    let port = pty.port.clone();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"{}\"\n",
        port.display()
    ));
    let (bytes, _) = telegram("dsmr50");
    daemon.wait_for_log("Port opened");
    pty.meter().write_all(&bytes).unwrap();
    daemon.wait_for_lines(2);
    let Pty { mut socat, dir, .. } = pty;
    socat.kill();
    for end in ["meter", "port"] {
        let _ = std::fs::remove_file(dir.path().join(end));
    }
    daemon.wait_for_log("is not there: is it plugged in?");
    let pty = Pty::open_in(dir);
    wait_for("the port", || {
        // A meter that sends five times a second.
        pty.meter().write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        daemon.lines().len() >= 4
    });
}

#[test]
fn given_an_old_meter_then_its_speed_is_found() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let port = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the line has a speed between two attempts, too.
    let held = OpenOptions::new().read(true).write(true).open(&port).unwrap();
    let mut raw = rustix::termios::tcgetattr(&held).unwrap();
    raw.make_raw();
    rustix::termios::tcsetattr(&held, rustix::termios::OptionalActions::Now, &raw).unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"{port}\"\n"
    ));
    let (bytes, _) = telegram("dsmr22");
    let mut meter = std::fs::File::from(controller);
    let noise: Vec<u8> = (0..1500u32).map(|i| (i * 97 % 251) as u8).collect();
    wait_for("a telegram at 9600", || {
        let line = rustix::termios::tcgetattr(&held).unwrap();
        let is_right = line.output_speed() == 9600;
        // A meter that sends six times a second, which another speed turns into noise.
        meter.write_all(if is_right { &bytes } else { &noise }).unwrap();
        std::thread::sleep(Duration::from_millis(150));
        daemon.lines().len() >= 2
    });
    assert!(daemon.log().contains("at 9600 7E1"), "{}", daemon.log());
}

#[test]
fn given_telegrams_on_standard_input_then_all_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    std::fs::write(&file, "[[wire]]\nprotocol = \"p1\"\nsource = \"-\"\n").unwrap();
    let mut running = metertap()
        .args(["run", "--config"])
        .arg(&file)
        .with_stdin()
        .start();
    let (bytes, truth) = telegram("belgium");
    running.stdin().write_all(&bytes).unwrap();
    running.wait_for_success();
    let lines: Vec<Value> = running.lines().iter().map(without_origin).collect();
    assert_eq!(lines, truth);
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
fn given_an_invalid_section_then_the_mistake_is_named_and_no_secret_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    for (section, reason) in [
        (
            "source = \"tcp://host\"\nprotocol = \"p1\"",
            "line 2: [[wire]] 1: source: invalid wire `tcp://host`",
        ),
        ("source = \"-\"\nprotocol = \"p2\"", "unknown value `p2`"),
        (
            "source = \"-\"\nprotocol = \"p1\"\nkey = \"0011aabbcc\"",
            "key: expected a key of 32",
        ),
        (
            "source = \"-\"\nprotocol = \"p1\"\nkey = 11223344",
            "must be text in quotes",
        ),
        (
            "source = \"-\"\nprotocol = \"p1\"\nkey_env = \"NO_SUCH\"",
            "environment variable NO_SUCH is not set",
        ),
        (
            "source = \"-\"\nprotocol = \"p1\"\nzone = \"Europe/Atlantis\"",
            "`Europe/Atlantis` is not a time zone",
        ),
        (
            "source = \"-\"\nprotocol = \"p1\"\nframing = \"7E1\"",
            "framing needs baud",
        ),
        (
            "source = \"-\"\nprotocol = \"p1\"\nspeed = 9600",
            "unknown field `speed`",
        ),
    ] {
        std::fs::write(&file, format!("[[wire]]\n{section}\n")).unwrap();
        let output = metertap().args(["run", "--config"]).arg(&file).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && stderr.contains(reason),
            "{section}: {stderr}"
        );
        assert!(
            !stderr.contains("0011aabbcc") && !stderr.contains("11223344"),
            "{stderr}"
        );
    }
}

#[test]
fn given_a_host_that_refuses_then_it_is_logged_and_tried_again() {
    let port = free_port();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{port}\"\n"
    ));
    daemon.wait_for_log("refused");
    let bridge = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (meter, _): (TcpStream, _) = bridge.accept().unwrap();
    let (bytes, _) = telegram("switzerland");
    (&meter).write_all(&bytes).unwrap();
    daemon.wait_for_lines(1);
}

#[test]
fn given_a_bridge_that_closes_after_each_telegram_then_all_are_read_and_the_state_stays_up() {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"bridge\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
        bridge.local_addr().unwrap()
    ));
    let (bytes, truth) = telegram("sweden");
    for _ in 0..30 {
        let (mut meter, _) = bridge.accept().unwrap();
        meter.write_all(&bytes).unwrap();
    }
    daemon.wait_for_lines(30);
    assert!(daemon.lines().iter().all(|line| without_origin(line) == truth[0]));
    let log = daemon.log();
    assert_eq!(log.matches("Source ").count(), 1, "{log}");
    assert_eq!(log.matches("opened again at once").count(), 1, "{log}");
}

#[test]
fn given_two_meters_that_send_no_number_then_each_is_a_meter_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = String::new();
    for (port, energy) in [("house", 9621.0), ("barn", 28_073.0)] {
        let telegrams: String = (0..5)
            .map(|i| {
                format!(
                    "/KAM5\r\n\r\n1-0:1.8.0({:012.3}*kWh)\r\n!\r\n",
                    energy + f64::from(i) / 1000.0
                )
            })
            .collect();
        let file = dir.path().join(port);
        std::fs::write(&file, telegrams).unwrap();
        config += &format!(
            "[[wire]]\nname = \"{port}\"\nprotocol = \"p1\"\nsource = \"{}\"\n",
            file.display()
        );
    }
    let mut daemon = Daemon::start(&config);
    daemon.wait_for_success();
    let of = |port: &str| {
        let lines = daemon.lines();
        let ids = lines
            .iter()
            .filter(|line| line["port"] == port)
            .map(|line| line["id"].to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(
        (of("house"), of("barn")),
        (vec!["\"KAM5\"".into(); 5], vec!["\"barn\"".into(); 5])
    );
}

#[test]
fn given_a_recording_in_hex_then_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("telegram.hex");
    let (bytes, truth) = telegram("switzerland");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
    std::fs::write(&file, hex).unwrap();
    let mut daemon = Daemon::start(&format!(
        "[[wire]]\nprotocol = \"p1\"\nsource = \"{}\"\n",
        file.display()
    ));
    daemon.wait_for_success();
    let lines: Vec<Value> = daemon.lines().iter().map(without_origin).collect();
    assert_eq!(lines, truth);
}

#[test]
fn given_a_speed_that_is_wrong_then_the_state_says_that_nothing_is_understood() {
    let pty = Pty::open();
    let port = pty.port.display();
    let daemon = Daemon::start(&format!(
        "[[wire]]\nname = \"hall\"\nsource = \"{port}\"\nprotocol = \"p1\"\nbaud = 115200\n"
    ));
    daemon.expect_log("nothing understood at 115200 8N1");
    daemon.wait_for_log("Port opened");
    pty.meter().write_all(&[0xF8; 5000]).unwrap();
    daemon
        .wait_for_log("nothing understood at 115200 8N1: without baud and framing, the usual ones are tried");
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

#[test]
fn given_wires_then_the_doctor_judges_their_telegrams() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, _) = telegram("belgium");
    let hdlc = "7EA036410883 1374D0E6E7000F00000000000205090600006001 00FF0A0441424331090601000107 00FF06000004A902020F00161B11987E";
    let mut config = String::new();
    for (name, content, protocol) in [
        ("plain", plain, "p1"),
        ("sealed", encrypted(1, KEY), "p1"),
        ("other", hdlc.into(), "p1"),
        ("noise", b"noise of another speed".to_vec(), "dlms"),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        config += &format!(
            "[[wire]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\nsource = \"{}\"\n",
            file.display()
        );
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    config += &format!(
        "[[wire]]\nname = \"silent\"\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
        silent.local_addr().unwrap()
    );
    let file = dir.path().join("metertap.toml");
    write_private(&file, &config);
    let output = metertap()
        .args(["doctor", "--wire-seconds", "0.5", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    for line in [
        "ok   wire      plain: ",
        "BAD  wire      sealed: ",
        "no key is configured",
        "set key (and auth_key)",
        "set protocol = \"dlms\"",
        "bytes, and nothing understood",
        "no bytes in 0.5 s",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("All is well"), "{text}");
}
