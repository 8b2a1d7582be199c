//! Readings to a real mosquitto.

mod common;

use common::*;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It promises 2 s; a busy machine may take longer, a hang takes for ever.
const PATIENCE: Duration = Duration::from_secs(8);

/// `topic → number of messages` that the street owes.
fn due() -> BTreeMap<String, usize> {
    let mut due = BTreeMap::new();
    for truth in street_truth() {
        let topic = format!("readings/{}/{}", truth["id"], truth["type"].as_str().unwrap());
        *due.entry(topic).or_default() += 1;
    }
    due
}

fn counted(messages: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (topic, _) in messages {
        *counts.entry(topic.clone()).or_default() += 1;
    }
    counts
}

fn total() -> usize {
    street_truth().len()
}

#[test]
fn given_a_broker_then_every_reading_arrives_on_its_topic_as_its_json_line() {
    let broker = Mosquitto::start();
    let subscriber = broker.subscribe("readings/+/+", total(), &["-T", "readings/metertap/status"]);
    let lines = stdout_of(&[
        "replay",
        STREET,
        "--start",
        "2026-01-31T12:00:00Z",
        "--format",
        "json",
        "--mqtt",
        &broker.url(),
    ]);
    let messages = subscriber.messages();
    assert_eq!(counted(&messages), due());
    let lines = String::from_utf8(lines).unwrap();
    let payloads: Vec<&str> = messages.iter().map(|(_, payload)| payload.as_str()).collect();
    assert_eq!(payloads, lines.lines().collect::<Vec<_>>());
}

#[test]
fn given_a_broker_that_comes_late_then_nothing_is_lost() {
    let port = free_port();
    let mut replay = metertap()
        .args([
            "-v",
            "replay",
            STREET,
            "--mqtt",
            &format!("mqtt://127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let _broker = Mosquitto::start_with(port, "allow_anonymous true");
    assert!(replay.wait().unwrap().success());
    let said = stderr_of(&mut replay);
    assert!(said.contains(&format!("delivered={}", total())), "{said}");
    assert_eq!(said.matches("No connection to the broker").count(), 1, "{said}");
}

#[test]
fn given_a_configuration_then_only_our_meters_are_published_and_the_status_is_kept() {
    let broker = Mosquitto::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("metertap.toml");
    let source = root().join(STREET);
    std::fs::write(
        &config,
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\nretain = true\n[[radio]]\nsource = {:?}\n[[meter]]\nid = 12345678\n[[meter]]\nid = 41007788\ntype = \"idm\"\n",
            broker.port,
            source.to_str().unwrap()
        ),
    )
    .unwrap();
    stdout_of(&["run", "--config", config.to_str().unwrap()]);
    // All is retained, so a subscriber that comes afterwards sees it.
    let mut messages = broker.subscribe("readings/+/+", 3, &[]).messages();
    messages.sort();
    let topics: Vec<&str> = messages.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "readings/12345678/scm",
            "readings/41007788/idm",
            "readings/metertap/status"
        ]
    );
    assert_eq!(messages[2].1, "offline");
    let births = broker
        .subscribe("readings/metertap/meters/+/availability", 2, &[])
        .messages();
    assert!(
        births.len() == 2 && births.iter().all(|(_, payload)| payload == "online"),
        "{births:?}"
    );
}

#[test]
fn given_user_and_password_then_they_are_used_and_wrong_ones_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c", passwords.to_str().unwrap(), "pi", "s@cret"])
        .status()
        .expect("mosquitto_passwd (make test installs it)");
    assert!(made.success());
    let broker = Mosquitto::start_with(
        free_port(),
        &format!(
            "allow_anonymous false\npassword_file {}\nuser root",
            passwords.display()
        ),
    );
    let url = |password: &str| format!("mqtt://pi:{password}@127.0.0.1:{}", broker.port);
    stdout_of(&["replay", STREET, "--mqtt", &url("s%40cret")]);

    let mut child = metertap()
        .args(["replay", STREET, "--mqtt", &url("wrong")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    interrupt(&child);
    let begun = Instant::now();
    child.wait().unwrap();
    assert!(begun.elapsed() < PATIENCE);
    let said = stderr_of(&mut child);
    assert_eq!(said.matches("refuses user name or password").count(), 1, "{said}");
    assert!(!said.contains("wrong"), "a password was printed: {said}");
}

/// The street so many times at its own pace, to `broker`.
fn play(times: usize, broker: &Mosquitto) -> Child {
    metertap()
        .arg("replay")
        .args(vec![STREET; times])
        .args(["--realtime", "--mqtt", &broker.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn stderr_of(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn given_an_interrupt_then_it_says_goodbye_and_is_gone_soon() {
    let broker = Mosquitto::start();
    let mut child = play(6, &broker);
    let first = broker.subscribe("readings/+/scm", 1, &[]);
    assert_eq!(first.messages().len(), 1);
    interrupt(&child);
    let begun = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < PATIENCE);
    let status = broker.subscribe("readings/metertap/status", 1, &[]).messages();
    assert_eq!(status[0].1, "offline");
}

#[test]
fn given_a_kill_then_the_broker_tells_the_last_will() {
    let broker = Mosquitto::start();
    let mut child = play(6, &broker);
    assert_eq!(broker.subscribe("readings/+/scm", 1, &[]).messages().len(), 1);
    let statuses = broker.subscribe("readings/metertap/status", 2, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    let statuses: Vec<String> = statuses
        .messages()
        .into_iter()
        .map(|(_, payload)| payload)
        .collect();
    assert_eq!(statuses, ["online", "offline"]);
}

#[test]
fn given_a_broker_that_is_restarted_then_every_reading_still_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "allow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\nuser root",
        dir.path().display()
    );
    let mut broker = Mosquitto::start_with(free_port(), &config);
    let port = broker.port;
    // A session of the subscriber's that outlives the broker.
    let session = ["-i", "witness", "-c"];
    drop(broker.subscribe("readings/+/+", 1, &session));
    let mut replay = play(4, &broker);
    std::thread::sleep(Duration::from_millis(700));
    // A clean end, so that the broker keeps what it has acknowledged.
    let stopped = Command::new("kill")
        .args(["-TERM", &broker.process.0.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    broker.process.0.wait().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let broker = Mosquitto::start_with(port, &config);
    assert!(replay.wait().unwrap().success());
    let want = 4 * total();
    let got = broker
        .subscribe("readings/+/+", 10 * want, &["-i", "witness", "-c", "-W", "3"])
        .messages();
    let counts = counted(&got);
    for (topic, count) in due() {
        assert!(
            counts.get(&topic).is_some_and(|&n| n >= 4 * count),
            "{topic}: {:?} of {}",
            counts.get(&topic),
            4 * count
        );
    }
}
