use super::*;
use crate::meter::{Meter, WireReading};
use jiff::Timestamp;
use metertap_decode::p1::{Telegram, readings};
use metertap_decode::time::Zone;

/// Reading of a P1 meter whose counter stands at `kwh`.
fn reading(id: u32, kwh: u32, is_configured: bool) -> Arc<ReadingEvent> {
    let id: String = id.to_string().bytes().map(|byte| format!("{byte:02X}")).collect();
    let text = format!("/MTP5x\r\n\r\n0-0:96.1.1({id})\r\n1-0:1.8.0({kwh:06}.000*kWh)\r\n!");
    let zone: Zone = "Europe/Amsterdam".parse().unwrap();
    let report = readings(&Telegram::parse(&text).unwrap(), &zone).remove(0);
    let meter = is_configured.then(|| Arc::new(Meter::default()));
    Arc::new(ReadingEvent::from_wire(
        Box::new(WireReading::new("hall".into(), report, Timestamp::UNIX_EPOCH)),
        meter,
    ))
}

fn status() -> (Status, Clock) {
    let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
    let mut status = Status::new(LogBuffer::default(), clock.clone());
    status.set_enabled(true);
    status.flush();
    (status, clock)
}

#[test]
fn given_readings_in_quick_succession_then_they_are_published_together_and_an_old_snapshot_stays_as_it_is() {
    let (mut status, clock) = status();
    let reader = status.reader();
    let old = reader.snapshot();
    for id in 0..3 {
        status.add_reading(&reading(id, 1, true));
        status.tick();
    }
    assert!(reader.snapshot().meters.is_empty(), "not due yet");
    clock.advance(INTERVAL);
    status.tick();
    let new = reader.snapshot();
    assert_eq!((new.meters.len(), new.readings.len()), (3, 3));
    assert!(old.meters.is_empty() && old.readings.is_empty());
    clock.advance(INTERVAL);
    status.tick();
    assert!(Arc::ptr_eq(&new, &reader.snapshot()), "nothing has changed");
}

#[test]
fn given_a_viewer_then_each_change_is_beyond_the_number_that_it_had_before_the_change_was_visible() {
    let (mut status, _) = status();
    let reader = status.reader();
    status.add_reading(&reading(1, 1, true));
    status.flush();
    status.add_reading(&reading(2, 1, true));
    // Another thread makes a change of its own before the second reading is published.
    status.revision().next();
    let seen = reader.revision();
    status.flush();
    let snapshot = reader.snapshot();
    let new: Vec<&str> = snapshot
        .meters
        .iter()
        .filter(|meter| meter.revision() > seen)
        .map(|meter| meter.last.id.as_str())
        .collect();
    assert_eq!(new, ["2"]);
    assert!(
        snapshot
            .meters
            .iter()
            .all(|meter| meter.revision() <= reader.revision())
    );
}

#[test]
fn given_a_meter_then_its_count_change_and_consumption_are_kept_until_there_is_no_page() {
    let (mut status, _) = status();
    let reader = status.reader();
    for kwh in [5, 7] {
        status.add_reading(&reading(1, kwh, true));
    }
    status.flush();
    let snapshot = reader.snapshot();
    let meter = snapshot.meters.with_id("1").next().unwrap();
    let value = meter.count.as_ref().unwrap().value;
    assert_eq!((meter.times, meter.first, value), (2, 5.0, 7.0));
    assert_eq!(snapshot.consumption.of_meter("1").count(), 1);
    status.set_enabled(false);
    status.add_reading(&reading(1, 8, true));
    status.flush();
    let snapshot = reader.snapshot();
    assert!(snapshot.meters.is_empty() && snapshot.readings.is_empty() && snapshot.p1_telegram.is_none());
    assert_eq!(snapshot.first_reading, 2, "numbers of readings go on");
}

#[test]
fn given_more_meters_and_readings_than_are_kept_then_the_first_meters_and_the_last_readings_stay() {
    let (mut status, _) = status();
    for id in 0..MAX_METERS as u32 + 5 {
        status.add_reading(&reading(id, 1, false));
    }
    status.flush();
    let snapshot = status.reader().snapshot();
    assert_eq!(snapshot.meters.len(), MAX_METERS);
    assert_eq!(snapshot.meters.iter().count(), MAX_METERS);
    assert!(snapshot.meters.with_id("0").next().is_some());
    assert_eq!(snapshot.readings.len(), MAX_READINGS);
    assert_eq!(snapshot.first_reading, (MAX_METERS + 5 - MAX_READINGS) as u64);
}

#[test]
fn given_many_meters_when_one_changes_then_all_others_are_shared_with_the_last_snapshot() {
    let (mut status, _) = status();
    for id in 0..1000 {
        status.add_reading(&reading(id, 1, false));
    }
    status.flush();
    let before = status.reader().snapshot();
    status.add_reading(&reading(500, 2, false));
    status.flush();
    let after = status.reader().snapshot();
    let shared = after.meters.iter().filter(|meter| {
        let old = before.meters.get(&meter.last);
        old.is_some_and(|old| Arc::ptr_eq(old, meter))
    });
    assert_eq!(shared.count(), 999);
}

#[test]
fn given_a_reading_that_its_rate_withholds_then_the_meter_is_seen_and_its_publication_later_is_not_another_reading()
 {
    let (mut status, _) = status();
    let at = |second, kwh| {
        let mut event = ReadingEvent::clone(&reading(1, kwh, true));
        if let Origin::Wire(reading) = &mut event.origin {
            reading.received = Timestamp::from_second(second).unwrap();
        }
        Arc::new(event)
    };
    status.add_reading(&at(0, 1));
    status.add_withheld(&at(10, 2));
    let meter = |status: &Status| status.current().meters.with_id("1").next().unwrap().clone();
    let seen = meter(&status);
    assert_eq!((seen.at.as_second(), seen.times), (10, 2));
    assert_eq!(seen.count.as_ref().unwrap().value, 1.0, "as published");
    assert_eq!(
        (seen.interval.seconds(), seen.silence_limit_s()),
        (Some(10.0), Some(200.0))
    );
    status.add_reading(&at(10, 2));
    let published = meter(&status);
    assert_eq!((published.times, published.interval), (2, seen.interval));
    assert_eq!(published.count.as_ref().unwrap().value, 2.0);
}

#[test]
fn given_a_meter_with_another_name_then_its_last_reading_has_it_at_once() {
    let (mut status, _) = status();
    status.add_reading(&reading(1, 1, false));
    status.flush();
    let seen = status.reader().revision();
    let named = Meter {
        name: Some("House".into()),
        ..Meter::default()
    };
    status.set_meters(&Meters::new([("1".to_owned(), named)].into()));
    status.flush();
    let snapshot = status.reader().snapshot();
    let meter = snapshot.meters.with_id("1").next().unwrap();
    assert_eq!((meter.last.name(), meter.times), ("House", 1));
    assert!(meter.revision() > seen);
    status.set_meters(&Meters::default());
    let meter = status.current().meters.with_id("1").next().unwrap();
    assert_eq!(meter.last.name(), "1");
}
