//! The spool: no reading is lost while the broker is away, the network swallows everything or the process is killed.

use crate::support::*;
use std::net::TcpListener;
use std::path::Path;

fn config(meter: &CountingMeter, port: u16, spool: &Path, more: &str) -> String {
    meter.config(&format!(
        "host = \"127.0.0.1\"\nport = {port}\nspool = \"{}\"\n{more}",
        spool.display()
    ))
}

#[test]
fn given_no_broker_and_a_killed_process_then_all_readings_arrive_in_order() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let spool = dir.path().join("spool.redb");
    let mut meter = CountingMeter::new();
    let mut daemon = Daemon::start(&config(&meter, port, &spool, ""));
    daemon.expect_log("No connection to the broker");
    meter.accept();
    meter.send(150);
    meter.wait_until_spooled(&spool);
    daemon.kill();
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    daemon.expect_log("No connection to the broker");
    meter.accept();
    meter.send(150);
    meter.wait_until_spooled(&spool);
    let broker = Broker::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 310, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.send(10);
    assert_eq!(
        counters(subscriber),
        (1..=310).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_broker_that_comes_and_goes_then_all_readings_arrive_in_order() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = CountingMeter::new();
    // It remembers what a subscriber has missed.
    let db = dir.path().display().to_string();
    let persistent = format!(
        "allow_anonymous true\nuser root\npersistence true\npersistence_location {db}/\nmax_queued_messages 0"
    );
    let broker = Broker::start_with(port, &persistent);
    let spool = dir.path().join("spool.redb");
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    daemon.expect_log("No connection to the broker");
    meter.accept();
    daemon.wait_for_log("Connected to the broker");
    let durable = ["-i", "durable", "-c"];
    drop(broker.subscribe("readings/M1/p1", 1, &durable));
    let mut broker = Some(broker);
    for round in 2..5 {
        meter.send(40);
        // In an orderly way, so that it saves what the subscriber has missed.
        broker.take().unwrap().stop();
        meter.send(40);
        meter.wait_until_spooled(&spool);
        broker = Some(Broker::start_with(port, &persistent));
        wait_for("the connection", || {
            daemon.log().matches("Connected to the broker").count() == round
        });
    }
    meter.send(40);
    let subscriber = broker
        .as_ref()
        .unwrap()
        .subscribe("readings/M1/p1", 1000, &durable);
    assert_eq!(
        counters_through(subscriber, 280),
        (1..=280).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_network_that_swallows_everything_then_a_kill_loses_nothing() {
    let (dir, port, swallowing) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let spool = dir.path().join("spool.redb");
    let broker = Broker::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 60, &[]);
    // Between the daemon and the broker: a proxy that lets the greeting through, and nothing after it.
    let proxy = TcpListener::bind(("127.0.0.1", swallowing)).unwrap();
    std::thread::spawn(move || swallow(proxy.accept().unwrap().0, port));
    let mut meter = CountingMeter::new();
    let mut daemon = Daemon::start(&config(&meter, swallowing, &spool, ""));
    meter.accept();
    daemon.wait_for_log("Connected to the broker");
    meter.send(50);
    // Without a PUBACK for two seconds they go to the disk.
    meter.wait_until_spooled(&spool);
    daemon.kill();
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    meter.accept();
    daemon.wait_for_log("Connected to the broker");
    meter.send(10);
    assert_eq!(
        counters(subscriber),
        (1..=60).collect::<Vec<_>>(),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_backlog_latest_then_only_the_newest_reading_is_sent_later() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = CountingMeter::new();
    let spool = dir.path().join("spool.redb");
    let daemon = Daemon::start(&config(&meter, port, &spool, "backlog = \"latest\""));
    daemon.expect_log("No connection to the broker");
    meter.accept();
    meter.send(100);
    meter.wait_until_spooled(&spool);
    let broker = Broker::start_with(port, "allow_anonymous true");
    let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.send(2);
    assert_eq!(counters(subscriber), [100, 101, 102], "{}", daemon.log());
}

#[test]
fn given_a_stop_while_the_broker_is_away_then_the_readings_kept_are_counted() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = CountingMeter::new();
    let spool = dir.path().join("spool.redb");
    let mut daemon = Daemon::start(&config(&meter, port, &spool, ""));
    daemon.expect_log("No connection to the broker");
    meter.accept();
    meter.send(30);
    meter.wait_until_spooled(&spool);
    daemon.stop();
    assert!(daemon.log().contains("undelivered=0 kept=30"), "{}", daemon.log());
}
