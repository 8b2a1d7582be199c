//! Profiles: topics and payloads of the programs that metertap replaces, message by message, over a real mosquitto.
//!
//! The golden files under testdata/profiles were written by this test (`METERTAP_WRITE_GOLDEN=1`), and compared with
//! what is known of each program by hand.

use crate::support::*;
use metertap_decode::framing::dlms::mbus_segments;
use metertap_decode::framing::p1::seal;
use std::path::Path;

/// Everything that is published while `config` runs to its end: `topic payload`, then the topics that are retained.
fn published(config: impl FnOnce(u16) -> String) -> String {
    const END: &str = "metertap-test/end";
    let broker = Broker::start();
    let mut everything = broker.subscribe("#", 1_000_000, &["-F", "%t %p"]);
    let mut daemon = Daemon::start(&config(broker.port));
    daemon.wait_for_success();
    broker.publish(END, "x", &[]);
    let text: String = everything
        .lines()
        .take_while(|line| !line.starts_with(END))
        .map(|line| line + "\n")
        .collect();
    let mut retained: Vec<String> = broker.retained("#").into_iter().map(|(topic, _)| topic).collect();
    retained.sort();
    format!("{text}retained: {}\n", retained.join(" "))
}

/// Replaces times of publishing, which differ each time, by 0.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = ["\"tc\":", "\"ts\":1"]
        .iter()
        .filter_map(|key| rest.find(key).map(|at| at + 5))
        .min()
    {
        let (before, after) = rest.split_at(at);
        masked.push_str(before);
        masked.push('0');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    masked + rest
}

fn compare(name: &str, text: &str) {
    let golden = root().join("testdata/profiles").join(name);
    let text = masked(text);
    if std::env::var_os("METERTAP_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap();
    for (i, (is, wanted)) in text.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(is, wanted, "{name}, line {}", i + 1);
    }
    assert_eq!(text.lines().count(), wanted.lines().count(), "{name}: {text}");
}

/// Three telegrams of a made-up meter: its power changes, and its gas meter is read anew.
fn telegrams(dir: &Path) -> std::path::PathBuf {
    let draft = std::fs::read_to_string(root().join("testdata/p1/dsmr50.draft")).unwrap();
    let later = draft
        .replace("1-0:1.7.0(00.244*kW)", "1-0:1.7.0(01.500*kW)")
        .replace("251026023000S", "251026023010S");
    let last = later
        .replace("1-0:1.7.0(01.500*kW)", "1-0:1.7.0(00.000*kW)")
        .replace("1-0:2.7.0(00.000*kW)", "1-0:2.7.0(00.750*kW)")
        .replace("(251026020500W)(00473.789*m3)", "(251026021000W)(00473.914*m3)");
    let path = dir.join("telegrams.txt");
    let all: Vec<u8> = [draft, later, last]
        .iter()
        .flat_map(|text| seal(text, true))
        .collect();
    std::fs::write(&path, all).unwrap();
    path
}

/// A meter of Lower Austria: two frames of M-Bus, values by code with their scales.
fn push(dir: &Path) -> std::path::PathBuf {
    let mut message = vec![
        0x0F, 0, 0, 0, 1, 12, 0x07, 0xEA, 7, 15, 3, 12, 0, 0, 0, 0xFF, 0x88, 0x80, 2, 0,
    ];
    let values: [(u8, u8, u32, i8, u8); 11] = [
        (1, 8, 12_937_456, 0, 30),
        (2, 8, 4_711, 0, 30),
        (1, 7, 431, 0, 27),
        (2, 7, 0, 0, 27),
        (32, 7, 2331, -1, 35),
        (52, 7, 2318, -1, 35),
        (72, 7, 2325, -1, 35),
        (31, 7, 102, -2, 33),
        (51, 7, 31, -2, 33),
        (71, 7, 69, -2, 33),
        (13, 7, 943, -3, 255),
    ];
    for (c, d, value, scale, unit) in values {
        message.extend([9, 6, 1, 0, c, d, 0, 255, 6]);
        message.extend(value.to_be_bytes());
        message.extend([2, 2, 15, scale as u8, 22, unit]);
    }
    message[19] = 3 * values.len() as u8;
    let path = dir.join("push.bin");
    std::fs::write(&path, mbus_segments(&message, 200)).unwrap();
    path
}

fn wire(protocol: &str, path: &Path) -> String {
    format!(
        "[[wire]]\nprotocol = \"{protocol}\"\nsource = \"{}\"\n",
        path.display()
    )
}

fn mqtt(port: u16, more: &str) -> String {
    format!("[mqtt]\nhost = \"127.0.0.1:{port}\"\n{more}\n")
}

#[test]
fn as_amr2mqtt() {
    let street = root().join(STREET);
    let text = published(|port| {
        format!(
            "{}[[radio]]\nsource = \"{}\"\nstart = \"2026-11-21T04:12:30Z\"\n[[meter]]\nid = 12345678\n[[meter]]\nid = 41007788\nprotocol = \"idm\"\n",
            mqtt(port, "profile = \"amr2mqtt\""),
            street.display()
        )
    });
    compare("amr2mqtt.txt", &text);
    // To the letter, and its end: rtlamr's line.
    let lines = stdout_of(&[
        "replay",
        STREET,
        "--format",
        "json",
        "--filterid",
        "12345678",
        "--start",
        "2026-11-21T04:12:30Z",
    ]);
    let line = std::str::from_utf8(&lines).unwrap().lines().next().unwrap();
    assert!(
        text.contains(&format!("readings/12345678/scm {line}\n\n")),
        "{line}\n{text}"
    );
}

#[test]
fn as_smartmeter_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = telegrams(dir.path());
    let text = published(|port| {
        mqtt(port, "profile = { name = \"smartmeter-reader\", interval = 2 }") + &wire("p1", &path)
    });
    compare("smartmeter-reader.txt", &text);
    let array = text
        .lines()
        .next()
        .unwrap()
        .strip_prefix("dev.sample.topic ")
        .unwrap();
    let array: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(array).unwrap();
    assert_eq!(array.len(), 3);
    assert_eq!(array[0].len(), 32, "all keys, always");
}

#[test]
fn as_the_reader_for_lower_austria() {
    let dir = tempfile::tempdir().unwrap();
    let path = push(dir.path());
    let profile = "[mqtt.profile]\nname = \"netz-noe\"\n[[mqtt.profile.config_topics]]\n\
                   config_topic = \"homeassistant/sensor/smartmeterP/config\"\n\
                   config = { name = \"Power\", dev_cla = \"power\", stat_t = \"homeassistant/sensor/smartmeter/state\", unit_of_meas = \"W\", val_tpl = \"{{value_json.power}}\" }\n";
    let text = published(|port| mqtt(port, "") + profile + &wire("dlms", &path));
    compare("netz-noe.txt", &text);
}

#[test]
fn as_smartmeter2mqtt() {
    let dir = tempfile::tempdir().unwrap();
    let path = telegrams(dir.path());
    let profile = |more: &str| format!("profile = {{ name = \"smartmeter2mqtt\"{more} }}");
    let whole = published(|port| mqtt(port, &profile(", discovery = true")) + &wire("p1", &path));
    compare("smartmeter2mqtt.txt", &whole);
    let distinct =
        published(|port| mqtt(port, &profile(", distinct = true, topic = \"meter\"")) + &wire("p1", &path));
    compare("smartmeter2mqtt-distinct.txt", &distinct);
}

#[test]
fn as_homie() {
    let dir = tempfile::tempdir().unwrap();
    let path = telegrams(dir.path());
    let profile = "[mqtt.profile]\nname = \"homie\"\ndevices = { MTP50001 = \"smart-meter\" }\n";
    let text = published(|port| mqtt(port, "") + profile + &wire("p1", &path));
    // Two devices, two connections: each in its order.
    let of = |device: &str| {
        let lines = text
            .lines()
            .filter(|line| line.starts_with(&format!("homie/{device}/")));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let retained = text.lines().last().unwrap();
    compare(
        "homie.txt",
        &format!("{}{}{retained}\n", of("smart-meter"), of("mtp50002")),
    );
}

#[test]
fn given_homie_and_a_kill_then_the_device_is_lost_and_ready_after_a_restart() {
    let broker = Broker::start();
    let bridge = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "{}{}",
        mqtt(broker.port, "profile = \"homie\""),
        wire(
            "p1",
            Path::new(&format!("tcp://{}", bridge.local_addr().unwrap()))
        )
    );
    let telegram = seal("/MTP5x\n\n0-0:96.1.1(4D31)\n1-0:1.8.0(000001.000*kWh)\n", true);
    let state = |wanted: &str| {
        wait_for(wanted, || {
            let retained = broker.retained("homie/m1/$state");
            retained.first().is_some_and(|(_, state)| state == wanted)
        });
    };
    // The line stays: a daemon that lost it would connect again, and the next one not be the first in the queue.
    let hear = || {
        let mut line = bridge.accept().unwrap().0;
        std::io::Write::write_all(&mut line, &telegram).unwrap();
        line
    };
    let mut daemon = Daemon::start(&config);
    let line = hear();
    state("ready");
    daemon.kill();
    drop(line);
    state("lost");
    let daemon = Daemon::start(&config);
    let line = hear();
    state("ready");
    // The last will of a connection that the broker gives up only now.
    broker.publish("homie/m1/$state", "lost", &["-r"]);
    daemon.wait_for_log("Status corrected after a late last will");
    state("ready");
    drop((daemon, line));
}

#[test]
fn given_invalid_profile_settings_then_each_is_rejected_with_the_reason() {
    assert_each_is_rejected(
        &[
            (
                "[mqtt]\nhost = \"x\"\nprofile = \"amr2mqt\"",
                "expected amr2mqtt, smartmeter-reader",
            ),
            (
                "[mqtt]\nhost = \"x\"\nprofile = { name = \"smartmeter-reader\", intervall = 3 }",
                "unknown field `intervall`",
            ),
            (
                "[mqtt]\nhost = \"x\"\nprofile = { name = \"smartmeter-reader\", interval = 0 }",
                "between 1 and 3600",
            ),
            (
                "[mqtt]\nhost = \"x\"\nprofile = { name = \"homie\", topic = \"a/#\" }",
                "cannot be a topic",
            ),
            (
                "[mqtt]\nhost = \"x\"\nprofile = \"homie\"\ntopic = \"{id}\"",
                "a profile has topics of its own",
            ),
            (
                "[mqtt]\nhost = \"x\"\nprofile = \"homie\"\n[homeassistant]",
                "needs metertap's own topics",
            ),
        ],
        "[[radio]]\nsource = \"rtlsdr\"\n",
    );
}

/// Telegrams of four kinds of meters, of which one sends its values by and by and one has no driver.
fn wireless_telegrams() -> String {
    use metertap_decode::wmbus::Address;
    use metertap_decode::wmbus::encode::{Protection, Sender};
    let sender = |manufacturer, number: u8, version, device_type, access_number| Sender {
        radio: Address {
            manufacturer,
            identification: [number, 0x56, 0x34, 0x12],
            version,
            device_type,
        },
        meter: None,
        access_number,
        status: 0,
        protection: Protection::None,
    };
    let kamstrup = |number, version, device_type, access_number| {
        sender(0x2C2D, number, version, device_type, access_number)
    };
    let sent: [(Sender, &[u8]); 10] = [
        // Water: volume, volume and date of the set day.
        (
            kamstrup(1, 0x1B, 0x16, 1),
            &[
                0x04, 0x13, 0xD2, 0x04, 0, 0, 0x44, 0x13, 0xE8, 0x03, 0, 0, 0x42, 0x6C, 0x9F, 0x35,
            ],
        ),
        // Heat: energy in GJ, volume; then power, temperatures and time.
        (
            kamstrup(2, 0x30, 0x04, 1),
            &[0x04, 0x0F, 100, 0, 0, 0, 0x04, 0x14, 0x10, 0x27, 0, 0],
        ),
        (
            kamstrup(2, 0x30, 0x04, 2),
            &[
                0x02, 0x2B, 0xDC, 0x05, 0x02, 0x59, 0xB8, 0x1A, 0x02, 0x5D, 0xA0, 0x0F, 0x04, 0x6D, 0x1E,
                0x0C, 0x5F, 0x31,
            ],
        ),
        // Heat cost allocator of LSE (Qundis): units now and at the set day.
        (
            sender(0x3265, 3, 0x18, 0x08, 1),
            &[
                0x0B, 0x6E, 0x23, 0x01, 0, 0x4B, 0x6E, 0x56, 0x04, 0, 0x42, 0x6C, 0x9F, 0x3C,
            ],
        ),
        // Heat of Kamstrup with an info code: two of its bits have names.
        (
            kamstrup(5, 0x30, 0x04, 1),
            &[0x04, 0x06, 5, 0, 0, 0, 0x02, 0xFF, 0x22, 0x02, 0x02],
        ),
        // Smoke detector of Ei: version, state of the head.
        (
            sender(0x1525, 6, 0x0C, 0x1A, 1),
            &[
                0x0B, 0xFD, 0x0F, 7, 1, 1, 0x84, 0x40, 0xFF, 0x2C, 0x5C, 0x0F, 0x11, 0,
            ],
        ),
        // Water of BMeters: what stands behind the records.
        (
            sender(0x09B4, 7, 0x17, 0x07, 1),
            &[0x04, 0x13, 1, 0, 0, 0, 0x0F, 0x03, 0x0D, 0x40, 0x24, 0x05, 0x17],
        ),
        // Water of Qundis: values of the year and of the month.
        (
            sender(0x4493, 8, 0x17, 0x07, 1),
            &[
                0x0C, 0x13, 1, 2, 0, 0, 0x4C, 0x13, 1, 1, 0, 0, 0x42, 0x6C, 0x3F, 0x3C, 0xCC, 0x08, 0x13, 1,
                2, 0, 0, 0xC2, 0x08, 0x6C, 0x5F, 0x31,
            ],
        ),
        // Heat of Maddalena: history of months, counted back from a date.
        (
            sender(0x3424, 9, 0x00, 0x04, 1),
            &[
                0x04, 0x06, 9, 0, 0, 0, 0x42, 0x6C, 0x3F, 0x3C, 0x44, 0x06, 8, 0, 0, 0, 0xC4, 0x01, 0x06, 7,
                0, 0, 0,
            ],
        ),
        // Electricity of a maker without a driver.
        (
            sender(0x0443, 4, 1, 0x02, 1),
            &[0x04, 0x03, 0x40, 0xE2, 0x01, 0, 0x04, 0x2B, 0xE8, 0x03, 0, 0],
        ),
    ];
    let lines = sent
        .iter()
        .map(|(sender, records)| data_encoding::HEXUPPER.encode(&sender.telegram(records).unwrap()) + "\n");
    lines.collect()
}

#[test]
fn given_the_profile_of_wmbusmeters_then_each_telegram_is_an_object_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("telegrams.txt");
    std::fs::write(&file, wireless_telegrams()).unwrap();
    let text = published(|port| {
        format!(
            "publish = \"all\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nprofile = \"wmbusmeters\"\n\
             [[wire]]\nname = \"air\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n\
             [[meter]]\nid = 12345601\nname = \"Cold water\"\n",
            file.display()
        )
    });
    let mut masked = String::new();
    for line in text.lines() {
        // The time of reception differs each time.
        let (before, after) = line.split_once("\"timestamp\":\"").unwrap_or((line, ""));
        let after = after
            .split_once('"')
            .map_or(String::new(), |(_, rest)| format!("\"timestamp\":\"0\"{rest}"));
        masked += &format!("{before}{after}\n");
    }
    compare("wmbusmeters.txt", &masked);
}
