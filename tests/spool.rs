//! Nothing is lost: brokers that are away, networks that swallow everything, processes that are killed.

mod common;

use common::wire::Daemon;
use common::*;
use metertap::link::p1::seal;
use serde_json::Value;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// A meter that counts: telegram number `n` says `n` kWh.
struct Meter {
    bridge: TcpListener,
    line: Option<TcpStream>,
    sent: u32,
}

impl Meter {
    fn new() -> Self {
        Meter {
            bridge: TcpListener::bind("127.0.0.1:0").unwrap(),
            line: None,
            sent: 0,
        }
    }

    /// The daemon has connected.
    fn connected(&mut self) {
        self.line = Some(self.bridge.accept().unwrap().0);
    }

    fn says(&mut self, telegrams: u32) {
        for _ in 0..telegrams {
            self.sent += 1;
            let text = format!(
                "/MTP5count\n\n0-0:96.1.1(4D31)\n1-0:1.8.0({:06}.000*kWh)\n",
                self.sent
            );
            self.line.as_mut().unwrap().write_all(&seal(&text, true)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
    }

    fn config(&self, port: u16, spool: &Path, more: &str) -> String {
        format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nspool = \"{}\"\n{more}\n\
             [[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
            spool.display(),
            self.bridge.local_addr().unwrap()
        )
    }
}

/// The counters that came, in their order.
fn counters(subscriber: Subscriber) -> Vec<u32> {
    let number = |payload: &str| {
        let payload: Value = serde_json::from_str(payload).unwrap();
        payload["reading"]["energy_import_total"]["value"]
            .as_f64()
            .unwrap() as u32
    };
    subscriber
        .messages()
        .iter()
        .map(|(_, payload)| number(payload))
        .collect()
}

/// All of them, in order; what came twice is left out.
fn without_repeats(mut counters: Vec<u32>) -> Vec<u32> {
    let mut highest = 0;
    counters.retain(|counter| {
        let is_new = *counter > highest;
        highest = highest.max(*counter);
        is_new
    });
    counters
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
    let daemon = Daemon::start(&meter.config(port, &spool, ""));
    meter.connected();
    meter.says(150);
    kill(daemon);
    let daemon = Daemon::start(&meter.config(port, &spool, ""));
    meter.connected();
    meter.says(150);
    let broker = Mosquitto::start_with(port, "allow_anonymous true\nmax_queued_messages 0");
    let subscriber = broker.subscribe("readings/M1/p1", 310, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.says(10);
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
    let daemon = Daemon::start(&meter.config(port, &dir.path().join("spool.redb"), ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    let durable = ["-i", "durable", "-c"];
    drop(broker.subscribe("readings/M1/p1", 1, &durable));
    let mut broker = Some(broker);
    for round in 2..5 {
        meter.says(40);
        // Gracefully, so that it saves what the subscriber has missed.
        let mut old = broker.take().unwrap();
        let pid = old.process.0.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        old.process.0.wait().unwrap();
        drop(old);
        meter.says(40);
        broker = Some(Mosquitto::start_with(port, &persistent));
        wait_for("the connection", || {
            daemon.log().matches("Connected to the broker").count() == round
        });
    }
    meter.says(40);
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
    std::thread::spawn(move || {
        use std::io::Read;
        let (mut from, _) = proxy.accept().unwrap();
        let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut back, mut greeted) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4];
            greeted.read_exact(&mut buffer).unwrap();
            back.write_all(&buffer).unwrap();
        });
        let mut buffer = [0; 4096];
        let n = from.read(&mut buffer).unwrap();
        to.write_all(&buffer[..n]).unwrap();
        while from.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    let mut meter = Meter::new();
    let daemon = Daemon::start(&meter.config(swallowing, &spool, ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    meter.says(50);
    // Two seconds without a PUBACK, and it is on the disk.
    std::thread::sleep(Duration::from_secs(5));
    kill(daemon);
    let daemon = Daemon::start(&meter.config(port, &spool, ""));
    meter.connected();
    daemon.wait_for_log("Connected to the broker");
    meter.says(10);
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
    let daemon = Daemon::start(&meter.config(port, &dir.path().join("spool.redb"), "backlog = \"latest\""));
    meter.connected();
    meter.says(100);
    let broker = Mosquitto::start_with(port, "allow_anonymous true");
    let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
    daemon.wait_for_log("Connected to the broker");
    meter.says(2);
    assert_eq!(counters(subscriber), [100, 101, 102], "{}", daemon.log());
}

#[test]
fn given_a_stop_while_the_broker_is_away_then_what_is_kept_is_said() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut meter = Meter::new();
    let mut daemon = Daemon::start(&meter.config(port, &dir.path().join("spool.redb"), ""));
    meter.connected();
    meter.says(30);
    let pid = daemon.process.0.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(daemon.process.0.wait().unwrap().success());
    assert!(daemon.log().contains("undelivered=0 kept=30"), "{}", daemon.log());
}
