//! Property test of the policies: `Backlog` and `Delivery` against a model of a broker that is slow, acknowledges in any
//! order, twice and for unknown ids, hangs up at a message and breaks connections, and of a disk that fails and recovers, with
//! kills of the process and panics of the connection in between, over any sequence of events.

use crate::publish::message::Message;
use crate::publish::mqtt::backlog::Backlog;
use crate::publish::mqtt::broker::SpoolConfig;
use crate::publish::mqtt::delivery::Delivery;
use crate::publish::mqtt::waiting::Settled;
use crate::status::sink::SinkMetrics;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Readings with these numbers are those at which the broker hangs up.
const POISON_EVERY: usize = 61;

#[derive(Clone, Debug)]
enum Event {
    /// Publishers offer this many readings.
    Offer(usize),
    /// The broker acknowledges this many messages, beginning at this place of those that wait.
    Acknowledge(usize, usize),
    /// Time passes, in seconds.
    Wait(u64),
    /// The connection breaks, and a new one is made.
    Reconnect,
    /// The disk fails for so many seconds.
    DiskFails(u64),
    /// The connection's task panics; the component is restarted.
    Panic,
    /// The process is killed and starts again.
    Kill,
}

struct Model {
    dir: PathBuf,
    now: Instant,
    backlog: Backlog,
    delivery: Delivery,
    metrics: Arc<SinkMetrics>,
    /// Number of the next reading.
    next: usize,
    /// Packet ids that the broker has not acknowledged, with the number of the reading.
    pending: Vec<(u16, usize)>,
    next_id: u16,
    has_poison: bool,
    /// Readings in the order in which the broker got them, with their mark.
    received: Vec<(usize, bool)>,
    refused: BTreeSet<usize>,
}

impl Model {
    fn new(dir: PathBuf, has_poison: bool) -> Self {
        let metrics = Arc::new(SinkMetrics::new("mqtt".into()));
        let mut model = Model::of_process(dir, metrics, Instant::now(), has_poison);
        model.begin();
        model
    }

    /// A process before its first connection, with what it finds on disk.
    fn of_process(dir: PathBuf, metrics: Arc<SinkMetrics>, now: Instant, has_poison: bool) -> Self {
        Model {
            backlog: Self::open(&dir, &metrics, now),
            dir,
            now,
            delivery: Delivery::new(None, true),
            metrics,
            next: 0,
            pending: Vec::new(),
            next_id: 1,
            has_poison,
            received: Vec::new(),
            refused: BTreeSet::new(),
        }
    }

    fn open(dir: &std::path::Path, metrics: &Arc<SinkMetrics>, now: Instant) -> Backlog {
        let settings = SpoolConfig {
            path: dir.join("spool.redb"),
            journal: dir.join("journal"),
            limit_bytes: 1 << 24,
            is_latest_only: false,
            sync: Duration::from_secs(5),
        };
        Backlog::open(settings, metrics.clone(), now).unwrap()
    }

    /// Ends the process or the component, and starts it again.
    fn start_again(self, is_killed: bool) -> Self {
        let Model {
            dir,
            now,
            mut backlog,
            metrics,
            next,
            next_id,
            has_poison,
            received,
            refused,
            ..
        } = self;
        if !is_killed {
            backlog.close(now);
        }
        drop(backlog);
        let mut model = Model {
            next,
            next_id,
            received,
            refused,
            ..Model::of_process(dir, metrics, now, has_poison)
        };
        model.begin();
        model
    }

    fn apply(self, event: &Event) -> Self {
        let mut model = self;
        match event {
            Event::Offer(count) => model.offer(*count),
            Event::Acknowledge(count, from) => model.acknowledge(*count, *from),
            Event::Wait(seconds) => {
                model.now += Duration::from_secs(*seconds);
                model.backlog.tick(model.now);
            }
            Event::Reconnect => model.reconnect(),
            Event::DiskFails(seconds) => {
                let pause = Duration::from_secs(*seconds);
                model.backlog.fail_disk(pause, model.now);
            }
            Event::Panic => model = model.start_again(false),
            Event::Kill => model = model.start_again(true),
        }
        model.serve();
        model
    }

    fn offer(&mut self, count: usize) {
        let journal = self.backlog.journal();
        for i in self.next..self.next + count {
            let message = Message::reading(i.to_string(), "{\"a\":1}", false);
            let (key, result) = journal.lock().append(&message.topic, &message.payload, false);
            result.unwrap();
            self.backlog.offer(vec![(key, message)], self.now);
        }
        self.next += count;
    }

    fn reconnect(&mut self) {
        let settled = self.delivery.connection_lost(self.now);
        self.settle(settled.into_iter().collect());
        self.begin();
    }

    fn begin(&mut self) {
        self.pending.clear();
        self.delivery.begin(1 << 20, self.now);
    }

    fn is_poison(&self, number: usize) -> bool {
        self.has_poison && number % POISON_EVERY == 7
    }

    /// Takes and sends as much as may be in flight.
    fn serve(&mut self) {
        loop {
            if self.backlog.has_more() && self.delivery.room() > 0 {
                for waiting in self.backlog.take(self.delivery.room(), self.now) {
                    self.delivery.enqueue_waiting(waiting);
                }
            }
            let settled = self.delivery.set_aside(self.now);
            self.settle(settled);
            let Some(message) = self.delivery.next_unsent() else {
                return;
            };
            let number = message.topic.parse().unwrap();
            let is_marked = message.payload.contains("resent");
            self.delivery.sent_next();
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            self.delivery.written(self.next_id);
            if self.is_poison(number) {
                self.acknowledge(usize::MAX, 0);
                self.reconnect();
                continue;
            }
            self.received.push((number, is_marked));
            self.pending.push((self.next_id, number));
        }
    }

    fn acknowledge(&mut self, count: usize, from: usize) {
        if self.pending.is_empty() {
            return;
        }
        let from = from % self.pending.len();
        let until = from.saturating_add(count).min(self.pending.len());
        for (id, _) in self.pending.drain(from..until).collect::<Vec<_>>() {
            for id in [id, id, id ^ 0x4000] {
                if id != 0 && !self.pending.iter().any(|(pending, _)| *pending == id) {
                    let settled = self.delivery.acknowledged(id, Ok(()), self.now).unwrap();
                    self.settle(settled);
                }
            }
        }
    }

    fn settle(&mut self, settled: Vec<Settled>) {
        let keys: Vec<u64> = settled.iter().filter_map(|settled| settled.key).collect();
        for settled in settled.into_iter().filter(|settled| settled.result.is_err()) {
            self.refused.insert(settled.topic.parse().unwrap());
        }
        self.backlog.settled(&keys, self.now);
    }

    /// Lets the disk recover and the broker acknowledge everything, until nothing is left but a poisonous last reading.
    fn finish(&mut self) {
        self.now += Duration::from_secs(60);
        self.backlog.tick(self.now);
        for _ in 0..10_000 {
            self.now += Duration::from_secs(1);
            self.backlog.tick(self.now);
            self.serve();
            self.acknowledge(usize::MAX, 0);
            if !self.backlog.has_more() && self.delivery.is_idle() {
                return;
            }
        }
        panic!("nothing moves: {} left", self.backlog.len());
    }
}

/// Removes readings that came before: what is left is the order of their first arrival.
fn first_arrivals(received: &[(usize, bool)]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let numbers = received.iter().map(|(number, _)| *number);
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// Readings that came again without a mark.
fn unmarked_repeats(received: &[(usize, bool)]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let repeats = received
        .iter()
        .filter(|(number, is_marked)| !seen.insert(*number) && !is_marked);
    repeats.map(|(number, _)| *number).collect()
}

fn event(with_failing_disk: bool) -> impl Strategy<Value = Event> {
    let disk = if with_failing_disk { 1 } else { 0 };
    prop_oneof![
        8 => (1usize..130).prop_map(Event::Offer),
        8 => (1usize..130, 0usize..130).prop_map(|(count, from)| Event::Acknowledge(count, from)),
        4 => (1u64..12).prop_map(Event::Wait),
        2 => Just(Event::Reconnect),
        2 => Just(Event::Panic),
        2 => Just(Event::Kill),
        disk => (1u64..20).prop_map(Event::DiskFails),
    ]
}

fn run(events: &[Event], has_poison: bool) -> Model {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new(dir.path().to_owned(), has_poison);
    for event in events {
        model = model.apply(event);
    }
    model.finish();
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn given_any_broker_and_kills_then_each_reading_arrives_in_order_and_repeats_are_marked(
        events in prop::collection::vec(event(false), 1..40)
    ) {
        let mut model = run(&events, false);
        prop_assert_eq!(first_arrivals(&model.received), (0..model.next).collect::<Vec<_>>());
        prop_assert_eq!(unmarked_repeats(&model.received), Vec::<usize>::new());
        prop_assert_eq!(model.metrics.status().lost, 0);
        prop_assert_eq!(model.backlog.close(model.now), 0, "rows of delivered readings are removed");
    }

    #[test]
    fn given_a_disk_that_fails_and_a_broker_that_hangs_up_then_each_reading_arrives_or_is_refused(
        events in prop::collection::vec(event(true), 1..40)
    ) {
        let model = run(&events, true);
        let arrived: BTreeSet<usize> = first_arrivals(&model.received).into_iter().collect();
        let missing: Vec<usize> = (0..model.next).filter(|number| !arrived.contains(number)).collect();
        // The last ones wait until another reading shows that the broker accepts any.
        for number in &missing {
            prop_assert!(model.is_poison(*number), "{} is lost", number);
        }
        let is_innocent = |number: &&usize| !model.is_poison(**number);
        prop_assert_eq!(model.refused.iter().filter(is_innocent).count(), 0);
        prop_assert_eq!(model.metrics.status().lost, 0);
    }
}
