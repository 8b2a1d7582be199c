//! Nothing is lost: brokers that are away, networks that swallow everything, processes that are killed.

mod common;

use common::counting::*;
use common::wire::Daemon;
use common::*;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

/// Says so many telegrams, and gives the daemon a moment for them.
fn says(meter: &mut Meter, telegrams: u32) {
    meter.says(telegrams);
    std::thread::sleep(Duration::from_millis(300));
}

fn config(meter: &Meter, port: u16, spool: &Path, more: &str) -> String {
    meter.config(&format!(
        "host = \"127.0.0.1\"\nport = {port}\nspool = \"{}\"\n{more}",
        spool.display()
    ))
}

fn kill(mut daemon: Daemon) {
    // SIGKILL.
    daemon.process.0.kill().unwrap();
    daemon.process.0.wait().unwrap();
}

#[test]
fn given_a_broker_that_is_away_and_a_process_that_is_killed_then_all_readings_come_in_order() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let spool = dir.path().join("spool.redb");
    let mut meter = Meter::new();
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    meter.connected();
    says(&mut meter, 150);
    kill(daemon);
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    meter.connected();
    says(&mut meter, 150);
    let broker = Mosquitto::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 310, &[]);
    daemon.wait_for_log("Connected to the broker");
    says(&mut meter, 10);
    assert_eq!(
        counters(subscriber),
        (1..=310).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_broker_that_comes_and_goes_then_all_readings_come_in_order() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = Meter::new();
    // It remembers what a subscriber has missed.
    let db = dir.path().display().to_string();
    let persistent = format!(
        "allow_anonymous true\nuser root\npersistence true\npersistence_location {db}/\nmax_queued_messages 0"
    );
    let broker = Mosquitto::start_with(port, &persistent);
    let daemon = Daemon::start(&config(&meter, port, &dir.path().join("spool.redb"), ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    let durable = ["-i", "durable", "-c"];
    drop(broker.subscribe("readings/M1/p1", 1, &durable));
    let mut broker = Some(broker);
    for round in 2..5 {
        says(&mut meter, 40);
        // Gracefully, so that it saves what the subscriber has missed.
        let mut old = broker.take().unwrap();
        signal(&old.process, "TERM");
        old.process.0.wait().unwrap();
        drop(old);
        says(&mut meter, 40);
        broker = Some(Mosquitto::start_with(port, &persistent));
        wait_for("the connection", || {
            daemon.log().matches("Connected to the broker").count() == round
        });
    }
    says(&mut meter, 40);
    wait_for("the connections", || {
        daemon.log().matches("Connected to the broker").count() == 4
    });
    let subscriber = broker
        .as_ref()
        .unwrap()
        .subscribe("readings/M1/p1", 280, &durable);
    assert_eq!(
        without_repeats(counters(subscriber)),
        (1..=280).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_network_that_swallows_everything_then_a_kill_loses_nothing() {
    let (dir, port, swallowing) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let spool = dir.path().join("spool.redb");
    let broker = Mosquitto::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 60, &[]);
    // Between the daemon and the broker: a proxy that lets the greeting through, and nothing after it.
    let proxy = TcpListener::bind(("127.0.0.1", swallowing)).unwrap();
    std::thread::spawn(move || swallow(proxy.accept().unwrap().0, port));
    let mut meter = Meter::new();
    let daemon = Daemon::start(&config(&meter, swallowing, &spool, ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    says(&mut meter, 50);
    // Two seconds without a PUBACK, and it is on the disk.
    std::thread::sleep(Duration::from_secs(5));
    kill(daemon);
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    says(&mut meter, 10);
    assert_eq!(
        counters(subscriber),
        (1..=60).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_that_only_the_newest_are_wanted_then_a_backlog_is_one_reading() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = Meter::new();
    let daemon = Daemon::start(&config(
        &meter,
        port,
        &dir.path().join("spool.redb"),
        "backlog = \"latest\"",
    ));
    meter.connected();
    says(&mut meter, 100);
    let broker = Mosquitto::start_with(port, "allow_anonymous true");
    let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
    daemon.wait_for_log("Connected to the broker");
    says(&mut meter, 2);
    assert_eq!(counters(subscriber), [100, 101, 102], "{}", daemon.log());
}

#[test]
fn given_a_stop_while_the_broker_is_away_then_what_is_kept_is_said() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = Meter::new();
    let mut daemon = Daemon::start(&config(&meter, port, &dir.path().join("spool.redb"), ""));
    meter.connected();
    says(&mut meter, 30);
    signal(&daemon.process, "TERM");
    assert!(daemon.process.0.wait().unwrap().success());
    assert!(daemon.log().contains("undelivered=0 kept=30"), "{}", daemon.log());
}
