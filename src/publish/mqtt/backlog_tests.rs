//! Tests of the backlog: kills, disks that fail, files that are damaged.

use super::*;
use std::ops::Range;

struct Fixture {
    dir: tempfile::TempDir,
    now: Instant,
    limit_bytes: u64,
}

impl Fixture {
    fn new() -> Self {
        Fixture {
            dir: tempfile::tempdir().unwrap(),
            now: Instant::now(),
            limit_bytes: 1 << 20,
        }
    }

    fn settings(&self) -> SpoolConfig {
        SpoolConfig {
            path: self.dir.path().join("spool.redb"),
            journal: self.dir.path().join("journal"),
            limit_bytes: self.limit_bytes,
            is_latest_only: false,
            sync: Duration::from_secs(5),
        }
    }

    fn open(&self) -> Backlog {
        let metrics = Arc::new(SinkMetrics::new("mqtt".into()));
        Backlog::open(self.settings(), metrics, self.now).unwrap()
    }
}

/// Publishes readings, as [`SpoolSender`](crate::publish::mqtt::inbox::SpoolSender) does.
pub(super) fn publish(backlog: &mut Backlog, range: Range<usize>, now: Instant) {
    let journal = backlog.journal();
    for i in range {
        let message = Message::reading(i.to_string(), "{}", false);
        let (key, result) = journal.lock().append(&message.topic, &message.payload, false);
        result.unwrap();
        backlog.offer(vec![(key, message)], now);
    }
}

fn take(backlog: &mut Backlog, count: usize, now: Instant) -> (Vec<usize>, Vec<u64>) {
    let taken = backlog.take(count, now);
    let number = |waiting: &Waiting| waiting.message.topic.parse().unwrap();
    (
        taken.iter().map(number).collect(),
        taken.iter().filter_map(|waiting| waiting.key).collect(),
    )
}

/// Everything that a process finds that starts after a kill.
fn after_a_kill(fixture: &Fixture, backlog: Backlog) -> Vec<usize> {
    drop(backlog);
    let mut backlog = fixture.open();
    let mut numbers = Vec::new();
    while backlog.has_more() {
        numbers.extend(take(&mut backlog, 64, fixture.now).0);
    }
    numbers
}

#[test]
fn given_a_broker_that_keeps_up_then_the_spool_is_not_written_and_nothing_is_left() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    for i in 0..20 {
        publish(&mut backlog, i * 10..i * 10 + 10, fixture.now);
        let (numbers, keys) = take(&mut backlog, 64, fixture.now);
        assert_eq!(numbers, (i * 10..i * 10 + 10).collect::<Vec<_>>());
        backlog.settled(&keys, fixture.now);
        assert_eq!((backlog.len(), backlog.spool.as_ref().unwrap().rows()), (0, 0));
    }
    assert_eq!(after_a_kill(&fixture, backlog), Vec::<usize>::new());
}

#[test]
fn given_a_kill_then_what_is_in_memory_in_flight_and_on_disk_is_found_in_order() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    let later = fixture.now + Duration::from_secs(6);
    publish(&mut backlog, 0..20, fixture.now);
    let (_, keys) = take(&mut backlog, 8, fixture.now);
    backlog.settled(&keys[..3], fixture.now);
    backlog.tick(later);
    assert_eq!(backlog.spool.as_ref().unwrap().rows(), 17, "older than a batch");
    publish(&mut backlog, 20..30, later);
    assert_eq!(take(&mut backlog, 100, later).0, (8..30).collect::<Vec<_>>());
    publish(&mut backlog, 30..33, later);
    assert_eq!(backlog.len(), 30);
    assert_eq!(after_a_kill(&fixture, backlog), (3..33).collect::<Vec<_>>());
}

#[test]
fn given_rows_that_are_delivered_and_not_yet_removed_then_a_kill_does_not_bring_them_back() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..300, fixture.now);
    backlog.close(fixture.now);
    drop(backlog);
    let mut backlog = fixture.open();
    let (_, keys) = take(&mut backlog, 200, fixture.now);
    backlog.settled(&keys[..150], fixture.now);
    assert_eq!(backlog.spool.as_ref().unwrap().rows(), 300, "removed in lots");
    assert_eq!(after_a_kill(&fixture, backlog), (150..300).collect::<Vec<_>>());
}

#[test]
fn given_rows_of_an_earlier_process_then_those_that_may_have_arrived_are_marked() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..400, fixture.now);
    let (_, keys) = take(&mut backlog, 30, fixture.now);
    backlog.settled(&keys[..10], fixture.now);
    for _ in 0..2 {
        drop(backlog);
        backlog = fixture.open();
        let taken = backlog.take(10, fixture.now);
        assert!(taken.iter().all(|waiting| waiting.may_have_arrived));
    }
    let taken = backlog.take(500, fixture.now);
    let marked = taken.iter().take_while(|waiting| waiting.may_have_arrived);
    assert_eq!((marked.count(), taken.len()), (10, 380));
}

#[test]
fn given_rows_of_an_earlier_process_and_no_journal_then_as_many_are_marked_as_can_have_arrived() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..2000, fixture.now);
    backlog.close(fixture.now);
    drop(backlog);
    std::fs::remove_file(fixture.settings().journal).unwrap();
    let taken = fixture.open().take(2000, fixture.now);
    let marked = taken.iter().take_while(|waiting| waiting.may_have_arrived);
    assert_eq!((marked.count(), taken.len()), (REMOVE + 2 * IN_FLIGHT, 2000));
}

#[test]
fn given_a_disk_that_fails_then_readings_flow_from_memory_and_the_rows_follow() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    let mut now = fixture.now;
    publish(&mut backlog, 0..10, now);
    backlog.save(now);
    backlog.fail_disk(Duration::from_secs(60), now);
    assert!(backlog.metrics.status().trouble.is_some());
    publish(&mut backlog, 10..20, now);
    let (numbers, keys) = take(&mut backlog, 100, now);
    assert_eq!(numbers, (10..20).collect::<Vec<_>>());
    backlog.settled(&keys, now);
    now += Duration::from_secs(60);
    backlog.tick(now);
    assert_eq!(backlog.metrics.status().trouble, None);
    assert_eq!(take(&mut backlog, 100, now).0, (0..10).collect::<Vec<_>>());
    assert_eq!(after_a_kill(&fixture, backlog), (0..10).collect::<Vec<_>>());
}

#[test]
fn given_a_disk_that_fails_for_long_then_memory_is_bounded_and_the_loss_counted() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    backlog.fail_disk(Duration::from_secs(3600), fixture.now);
    publish(&mut backlog, 0..MAX_MEMORY + 7, fixture.now);
    assert_eq!(backlog.len(), MAX_MEMORY);
    assert_eq!(backlog.metrics.status().lost_by_reason["queue_full"], 7);
    assert_eq!(take(&mut backlog, 1, fixture.now).0, [7]);
}

#[test]
fn given_a_full_spool_then_the_oldest_are_dropped_and_counted() {
    let mut fixture = Fixture::new();
    fixture.limit_bytes = 10 * 40;
    let mut backlog = fixture.open();
    publish(&mut backlog, 100..120, fixture.now);
    backlog.save(fixture.now);
    let lost = backlog.metrics.status().lost_by_reason["spool_full"];
    assert_eq!(lost as usize + backlog.len(), 20);
    assert_eq!(take(&mut backlog, 1, fixture.now).0, [100 + lost as usize]);
}

#[test]
fn given_many_readings_before_a_batch_is_due_then_they_are_written_at_once() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..MAX_UNSAVED + 1, fixture.now);
    assert_eq!(backlog.memory.len(), 1);
    assert_eq!(
        backlog.next_due(),
        Some(fixture.now + Duration::from_secs(5)),
        "one batch each five seconds"
    );
    assert_eq!(backlog.close(fixture.now), MAX_UNSAVED as u64 + 1);
}

#[test]
fn given_backlog_latest_then_only_the_newest_of_each_topic_is_left() {
    let fixture = Fixture::new();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..3, fixture.now);
    publish(&mut backlog, 0..2, fixture.now);
    backlog.keep_latest(fixture.now);
    assert_eq!(take(&mut backlog, 10, fixture.now).0, [2, 0, 1]);
}

#[test]
fn given_a_damaged_spool_then_the_daemon_starts_with_a_fresh_one() {
    let fixture = Fixture::new();
    std::fs::write(fixture.settings().path, "garbage").unwrap();
    let mut backlog = fixture.open();
    publish(&mut backlog, 0..3, fixture.now);
    assert_eq!(after_a_kill(&fixture, backlog), [0, 1, 2]);
}

#[test]
fn given_a_spool_of_another_process_or_no_folder_then_the_error_names_the_file() {
    let fixture = Fixture::new();
    let _first = fixture.open();
    let metrics = Arc::new(SinkMetrics::new("mqtt".into()));
    let mut settings = fixture.settings();
    let second = Backlog::open(settings.clone(), metrics.clone(), fixture.now);
    let error = format!("{:#}", second.err().unwrap());
    assert!(error.contains("spool.redb: in use by another process"), "{error}");
    settings.path = fixture.dir.path().join("missing/spool.redb");
    assert!(Backlog::open(settings, metrics, fixture.now).is_err());
}
