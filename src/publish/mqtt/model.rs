//! Property test of the policies: `SpoolQueue` and `Delivery` against a model of a broker that is slow, falls silent and
//! breaks connections, over any sequence of events.

use crate::publish::message::Message;
use crate::publish::mqtt::delivery::Delivery;
use crate::publish::mqtt::spool_queue::SpoolQueue;
use crate::store::spool::Spool;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::path::PathBuf;

#[derive(Clone, Debug)]
enum Event {
    /// Publishers offer this many readings.
    Offer(usize),
    /// The broker acknowledges this many messages.
    Acknowledge(usize),
    /// The broker has been silent: what is in flight is stored.
    Silence,
    /// The connection breaks, and a new one is made.
    Reconnect,
    /// The connection breaks, and the process ends and starts again.
    Restart,
}

struct Model {
    path: PathBuf,
    queue: SpoolQueue,
    delivery: Delivery,
    /// Number of the next reading.
    next: usize,
    /// Packet ids that the broker has not acknowledged, and the next one of this connection.
    pending: VecDeque<u16>,
    next_id: u16,
    /// Readings in the order in which the broker got them.
    received: Vec<usize>,
}

impl Model {
    fn new(path: PathBuf) -> Self {
        Model {
            queue: SpoolQueue::new(Spool::open(&path, 1 << 24).unwrap()),
            path,
            delivery: Delivery::new(true),
            next: 0,
            pending: VecDeque::new(),
            next_id: 1,
            received: Vec::new(),
        }
    }

    fn apply(self, event: &Event) -> Self {
        let mut model = self;
        match event {
            Event::Offer(count) => {
                let range = model.next..model.next + count;
                let reading = |i: usize| Message::reading(i.to_string(), "{}", false);
                model.queue.offer(range.map(reading).collect());
                model.next += count;
            }
            Event::Acknowledge(count) => model.acknowledge(*count),
            Event::Silence => model.store(),
            Event::Reconnect => {
                model.delivery.connection_lost();
                model.store();
                model.begin();
            }
            Event::Restart => {
                model.delivery.connection_lost();
                model.store();
                // A reading between two rows has no place on disk; a restart would lose it.
                if model.delivery.unspooled() == 0 {
                    model.queue.close();
                    let Model {
                        path,
                        queue,
                        next,
                        received,
                        ..
                    } = model;
                    drop(queue);
                    model = Model {
                        next,
                        received,
                        ..Model::new(path)
                    };
                }
                model.begin();
            }
        }
        model.serve();
        model
    }

    fn begin(&mut self) {
        self.delivery.begin();
        self.pending.clear();
        self.next_id = 1;
    }

    /// Takes and sends as much as may be in flight.
    fn serve(&mut self) {
        if self.queue.has_more() && self.delivery.room() > 0 {
            for waiting in self.queue.take(self.delivery.room()) {
                self.delivery.enqueue_spooled(waiting, false);
            }
        }
        while let Some(message) = self.delivery.next_unsent() {
            self.received.push(message.topic.parse().unwrap());
            self.delivery.sent_next();
            self.delivery.written(self.next_id);
            self.pending.push_back(self.next_id);
            self.next_id += 1;
        }
    }

    fn acknowledge(&mut self, count: usize) {
        for id in self.pending.drain(..count.min(self.pending.len())) {
            self.delivery.acknowledged(id, Ok(())).unwrap();
            if let Some(last) = self.delivery.take_removable() {
                self.queue.remove_through(last);
            }
        }
    }

    fn store(&mut self) {
        let (slots, removable) = self.delivery.slots_to_store();
        if let Some(last) = removable {
            self.queue.remove_through(last);
        }
        let stored = self.queue.store(slots);
        self.delivery.stored(&stored.keys);
        for waiting in stored.more {
            self.delivery.enqueue_spooled(waiting, false);
        }
    }

    /// Lets the broker acknowledge everything.
    fn finish(&mut self) {
        while self.queue.has_more() || !self.delivery.is_empty() {
            self.serve();
            self.acknowledge(usize::MAX);
        }
    }
}

/// Removes readings that came before: what is left is the order of their first arrival.
fn first_arrivals(received: &[usize]) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    received
        .iter()
        .copied()
        .filter(|reading| seen.insert(*reading))
        .collect()
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1usize..130).prop_map(Event::Offer),
        4 => (1usize..130).prop_map(Event::Acknowledge),
        1 => Just(Event::Silence),
        1 => Just(Event::Reconnect),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn given_any_broker_then_each_reading_arrives_and_none_before_an_earlier_one(
        events in prop::collection::vec(event(), 1..40)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new(dir.path().join("spool.redb"));
        model.begin();
        for event in &events {
            model = model.apply(event);
        }
        model.finish();
        prop_assert_eq!(first_arrivals(&model.received), (0..model.next).collect::<Vec<_>>());
        prop_assert_eq!(model.queue.close().0, 0, "rows of delivered readings are removed");
    }
}
