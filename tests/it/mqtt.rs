//! Readings published to a real mosquitto.

use crate::support::*;
use std::collections::BTreeMap;

/// Number of messages by topic that the street must give.
fn expected() -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for truth in street_truth() {
        let topic = format!("readings/{}/{}", truth["id"], truth["type"].as_str().unwrap());
        *counts.entry(topic).or_default() += 1;
    }
    counts
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
fn given_a_broker_then_every_reading_arrives_on_its_topic_as_json() {
    let broker = Broker::start();
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
    assert_eq!(counted(&messages), expected());
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
        .start();
    replay.wait_for_log("No connection to the broker");
    let _broker = Broker::start_with(port, "allow_anonymous true");
    replay.wait_for_success();
    let log = replay.log();
    assert!(log.contains(&format!("delivered={}", total())), "{log}");
    assert_eq!(log.matches("No connection to the broker").count(), 1, "{log}");
}

#[test]
fn given_configured_meters_then_only_they_are_published_and_the_status_is_retained() {
    let broker = Broker::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("metertap.toml");
    let source = root().join(STREET);
    std::fs::write(
        &config,
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {}\ninstance = \"\"\nretain = true\n[[radio]]\nsource = {:?}\n[[meter]]\nid = 12345678\n[[meter]]\nid = 41007788\ntype = \"idm\"\n",
            broker.port,
            source.to_str().unwrap()
        ),
    )
    .unwrap();
    let mut program = metertap();
    program.args(["run", "--config"]).arg(&config).expect_log(NO_TIME);
    assert!(program.output().unwrap().status.success());
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
fn given_a_password_then_it_is_used_and_a_wrong_one_is_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    let made = tool("mosquitto_passwd")
        .args(["-b", "-c", passwords.to_str().unwrap(), "pi", "s@cret"])
        .status();
    assert!(made.unwrap().success());
    let broker = Broker::start_with(
        free_port(),
        &format!(
            "allow_anonymous false\npassword_file {}\nuser root",
            passwords.display()
        ),
    );
    let url = |password: &str| format!("mqtt://pi:{password}@127.0.0.1:{}", broker.port);
    stdout_of(&["replay", STREET, "--mqtt", &url("s%40cret")]);

    let mut replay = metertap()
        .args(["replay", STREET, "--mqtt", &url("wrong")])
        .start();
    replay.wait_for_log("refuses user name or password");
    // Refused again and again; logged once.
    wait_for("three attempts", || broker.refused() >= 3);
    replay.signal("INT");
    replay.expect_log("undelivered");
    replay.wait();
    let log = replay.log();
    assert_eq!(log.matches("refuses user name or password").count(), 1, "{log}");
    assert!(!log.contains("wrong"), "a password was printed: {log}");
}

/// Replays the street so many times in real time, to `broker`.
fn play(times: usize, broker: &Broker) -> Running {
    metertap()
        .args(["-v", "replay"])
        .args(vec![STREET; times])
        .args(["--realtime", "--mqtt", &broker.url()])
        .start()
}

#[test]
fn given_an_interrupt_then_the_status_is_offline_and_the_exit_code_130() {
    let broker = Broker::start();
    let mut replay = play(6, &broker);
    let first = broker.subscribe("readings/+/scm", 1, &[]);
    assert_eq!(first.messages().len(), 1);
    replay.signal("INT");
    assert_eq!(replay.wait().code(), Some(130));
    let status = broker.subscribe("readings/metertap/status", 1, &[]).payloads();
    assert_eq!(status, ["offline"]);
}

#[test]
fn given_a_kill_then_the_broker_publishes_the_last_will() {
    let broker = Broker::start();
    let mut replay = play(6, &broker);
    assert_eq!(broker.subscribe("readings/+/scm", 1, &[]).messages().len(), 1);
    let statuses = broker.subscribe("readings/metertap/status", 2, &[]);
    replay.kill();
    assert_eq!(statuses.payloads(), ["online", "offline"]);
}

#[test]
fn given_a_broker_that_is_restarted_then_every_reading_still_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "allow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\nuser root",
        dir.path().display()
    );
    let broker = Broker::start_with(free_port(), &config);
    let port = broker.port;
    // A session of the subscriber that outlives the broker.
    let session = ["-i", "witness", "-c"];
    drop(broker.subscribe("readings/+/+", 1, &session));
    let mut replay = play(4, &broker);
    wait_for("some readings", || broker.acknowledged("metertap") > total());
    // A clean end, so that the broker keeps what it has acknowledged.
    broker.stop();
    replay.wait_for_log("No connection to the broker");
    let broker = Broker::start_with(port, &config);
    replay.wait_for_success();
    let want = 4 * total();
    broker.publish("readings/the/end", "x", &[]);
    let received = broker
        .subscribe("readings/+/+", 10 * want, &session)
        .messages_until(|messages| {
            messages
                .last()
                .is_some_and(|(topic, _)| topic == "readings/the/end")
        });
    let counts = counted(&received);
    for (topic, count) in expected() {
        assert!(
            counts.get(&topic).is_some_and(|&n| n >= 4 * count),
            "{topic}: {:?} of {}",
            counts.get(&topic),
            4 * count
        );
    }
}
