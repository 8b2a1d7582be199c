//! Which readings are published, and how often: plausibility, throttling, intervals, availability.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

fn telegram(kwh: u32, watts: u32) -> Vec<u8> {
    telegram_of("4D31", kwh, watts)
}

/// A telegram of the meter with this id in hexadecimal ASCII; `4D31` is `M1`.
fn telegram_of(id: &str, kwh: u32, watts: u32) -> Vec<u8> {
    seal(
        &format!("/MTP5x\n\n0-0:96.1.1({id})\n1-0:1.8.0({kwh:06}.000*kWh)\n1-0:1.7.0(00.{watts:03}*kW)\n"),
        true,
    )
}

/// A daemon with a meter on a wire.
fn daemon(more: &str) -> (Daemon, TcpStream) {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::start(&format!(
        "{more}\n[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://{}\"\n",
        bridge.local_addr().unwrap()
    ));
    (daemon, bridge.accept().unwrap().0)
}

/// Values of a field in all readings of the meter `M1`.
fn values(daemon: &Daemon, field: &str) -> Vec<f64> {
    let lines = daemon.lines();
    let value = |line: &Value| line["reading"][field]["value"].as_f64().unwrap();
    lines
        .iter()
        .filter(|line| line["id"] == "M1")
        .map(value)
        .collect()
}

#[test]
fn given_implausible_readings_then_they_wait_for_confirmation_and_are_counted() {
    let port = free_port();
    let (mut daemon, mut line) = daemon(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[meter]]\nid = \"M1\"\n"
    ));
    for kwh in [100, 100, 900_000, 101, 50, 101, 102, 3, 3] {
        line.write_all(&telegram(kwh, 5)).unwrap();
    }
    // An exchanged meter: the second one that agrees is believed.
    daemon.wait_for_lines(6);
    daemon.wait_for_log("Reading is not plausible");
    daemon.stop();
    let total = "energy_import_total";
    assert_eq!(
        values(&daemon, total),
        [100.0, 100.0, 101.0, 101.0, 102.0, 3.0],
        "{}",
        daemon.log()
    );
    assert!(
        daemon.log().contains("not published refused=3"),
        "{}",
        daemon.log()
    );
}

#[test]
fn given_a_rate_then_changes_or_one_reading_per_interval_are_published() {
    let (mut changes, mut line) = daemon("rate = \"change\"");
    for watts in [5, 5, 5, 6, 6, 5] {
        line.write_all(&telegram(1, watts)).unwrap();
    }
    changes.wait_for_lines(3);
    changes.stop();
    assert_eq!(values(&changes, "power_import"), [0.005, 0.006, 0.005]);
    let (mut throttled, mut line) = daemon("[[meter]]\nid = \"M1\"\nrate = 2\n");
    for watts in 1..=5 {
        line.write_all(&telegram(1, watts)).unwrap();
    }
    throttled.wait_for_lines(2);
    // Another meter is not throttled: when its reading is there, those before it have been read.
    line.write_all(&telegram(1, 9)).unwrap();
    line.write_all(&telegram_of("4D32", 1, 1)).unwrap();
    throttled.wait_for_lines(3);
    throttled.stop();
    let values = values(&throttled, "power_import");
    assert_eq!(values.first(), Some(&0.001), "the first at once");
    assert_eq!(values.last(), Some(&0.009), "the rest at the end");
    assert!(values.len() < 6 && values.is_sorted(), "{values:?}");
}

#[test]
fn given_intervals_wanted_then_each_five_minutes_are_published_once() {
    let broker = Broker::start();
    let truth = street_truth()
        .into_iter()
        .find(|line| line["type"] == "idm")
        .unwrap();
    let id = &truth["id"];
    let subscriber = broker.subscribe(&format!("readings/{id}/interval"), 47, &[]);
    let mut daemon = Daemon::start(&format!(
        "[mqtt]\nhost = \"127.0.0.1:{}\"\n[[radio]]\nsource = \"{}\"\nstart = \"2026-11-21T04:12:30Z\"\n\
         [[meter]]\nid = {id}\nprotocol = \"idm\"\nunit = \"kWh\"\nscale = 0.01\nintervals = true\n",
        broker.port,
        root().join(STREET).display()
    ));
    daemon.wait_for_success();
    let intervals: Vec<Value> = subscriber
        .messages()
        .iter()
        .map(|(_, payload)| serde_json::from_str(payload).unwrap())
        .collect();
    let ends: Vec<&str> = intervals
        .iter()
        .map(|one| one["time"].as_str().unwrap())
        .collect();
    assert_eq!(intervals.len(), 47);
    assert!(
        ends.windows(2).all(|two| two[0] < two[1]),
        "oldest first: {ends:?}"
    );
    let counts = &truth["message"]["DifferentialConsumptionIntervals"];
    let newest = &intervals[46];
    assert_eq!(
        newest["reading"]["interval"]["value"].as_f64().unwrap(),
        counts[0].as_f64().unwrap() / 100.0
    );
    assert_eq!(
        (&newest["filled_in"], &intervals[0]["filled_in"]),
        (&false.into(), &true.into())
    );
    assert_eq!(newest["reading"]["total"]["unit"], "kWh");
}

#[test]
fn given_a_silent_meter_then_it_is_offline_until_its_next_reading() {
    let broker = Broker::start();
    let subscriber = broker.subscribe("readings/metertap/meters/M1/availability", 3, &[]);
    let (daemon, mut line) = daemon(&format!(
        "[mqtt]\nhost = \"127.0.0.1:{}\"\n[[meter]]\nid = \"M1\"\nexpire = 2\n",
        broker.port
    ));
    line.write_all(&telegram(1, 1)).unwrap();
    daemon.wait_for_log("Meter expired");
    line.write_all(&telegram(1, 2)).unwrap();
    assert_eq!(
        subscriber.payloads(),
        ["online", "offline", "online"],
        "{}",
        daemon.log()
    );
}
