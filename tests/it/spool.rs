//! The spool: no reading is lost while the broker is away, the network swallows everything or the process is killed.

use crate::support::*;
use std::collections::BTreeSet;
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

#[needs(small_disk)]
#[test]
fn given_a_disk_that_is_full_for_a_while_then_nothing_is_lost() {
    let (disk, port) = (SmallDisk::mount(4), free_port());
    let mut meter = CountingMeter::new();
    let spool = disk.path().join("spool.redb");
    let daemon = Daemon::start(&config(&meter, port, &spool, ""));
    for warning in ["No connection to the broker", "Journal failed", "no bytes for"] {
        daemon.expect_log(warning);
    }
    meter.accept();
    meter.send(100);
    meter.wait_until_spooled(&spool);
    disk.fill();
    // More than fits into what the file has of its own.
    wait_for("the full disk", || {
        meter.send(20);
        daemon.log().contains("Spool failed")
    });
    daemon.wait_for_log("Spool failed");
    meter.send(100);
    // With a broker, readings flow although the disk is still full; what lies on it follows when it works again.
    let broker = Broker::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 1_000_000, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.send(100);
    disk.clear();
    daemon.wait_for_log("Spool works again");
    arrive(subscriber, 1..=meter.sent, &daemon);
}

#[needs(small_disk)]
#[test]
fn given_a_disk_that_is_full_at_the_start_then_readings_flow_and_the_spool_comes_with_room() {
    let (disk, broker) = (SmallDisk::mount(4), Broker::start());
    let mut meter = CountingMeter::new();
    let spool = disk.path().join("spool.redb");
    disk.fill();
    let mut daemon = Daemon::start(&config(&meter, broker.port, &spool, ""));
    for warning in ["Spool failed", "Journal failed", "no bytes for"] {
        daemon.expect_log(warning);
    }
    let subscriber = broker.subscribe("readings/M1/p1", 1_000_000, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.send(100);
    arrive(subscriber, 1..=100, &daemon);
    disk.clear();
    daemon.wait_for_log("Spool works again");
    daemon.stop();
    // The next start finds a whole file.
    let daemon = Daemon::start(&config(&meter, broker.port, &spool, ""));
    let subscriber = broker.subscribe("readings/M1/p1", 1_000_000, &[]);
    meter.accept();
    meter.send(5);
    arrive(subscriber, 101..=105, &daemon);
}

#[test]
fn given_damaged_files_then_they_are_set_aside_and_the_daemon_starts() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), Broker::start());
    let mut meter = CountingMeter::new();
    let spool = dir.path().join("spool.redb");
    let history = dir.path().join("history.redb");
    for file in [&spool, &history, &dir.path().join("spool.redb.journal")] {
        std::fs::write(
            file,
            "garbage that nobody understands, and enough of it for a header",
        )
        .unwrap();
    }
    let web = format!(
        "[web]\nlisten = \"127.0.0.1:{}\"\nhistory = \"{}\"\n",
        free_port(),
        history.display()
    );
    let daemon = Daemon::start(&(config(&meter, broker.port, &spool, "") + &web));
    daemon.wait_for_logs("set aside", 3);
    let subscriber = broker.subscribe("readings/M1/p1", 1_000_000, &[]);
    meter.send(3);
    arrive(subscriber, 1..=3, &daemon);
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names.iter().filter(|name| name.contains(".damaged-")).count(),
        3,
        "{names:?}"
    );
}

/// Asserts that all these readings arrive, in whatever order and however often.
fn arrive(mut subscriber: Subscriber, numbers: std::ops::RangeInclusive<u32>, daemon: &Daemon) {
    let mut missing: BTreeSet<u32> = numbers.collect();
    for line in subscriber.lines() {
        let (_, payload) = line.split_once(' ').unwrap();
        missing.remove(&number(payload));
        if missing.is_empty() {
            return;
        }
    }
    panic!("missing {missing:?}: {}", daemon.log());
}
