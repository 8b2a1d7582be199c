//! Queue between the publishers and the connection: in memory while the broker keeps up, on disk while it does not.
//!
//! ```text
//!   publishers ──▶ offer ─┬─ is_direct ──▶ direct ───────────────┬─▶ take ──▶ Delivery
//!                         └─ otherwise ──▶ spool, above `loaded` ─┘     ◀── store
//! ```
//!
//! Order of the readings, oldest first: those in `Delivery`, those in `direct`, the rows above `loaded`. It holds because
//! - `is_direct` becomes false with the first reading that goes to the spool, and `direct` gets no further reading until
//!   every row was taken;
//! - `take` empties `direct` before it touches the spool;
//! - one thread calls all of this, so nothing slips in between.

use crate::publish::message::Message;
use crate::publish::mqtt::waiting::{IN_FLIGHT, Slot, Waiting};
use crate::store::spool::{End, Record, Spool};
use std::collections::VecDeque;
use std::ops::Range;

/// Capacity of `direct`. It must not be less than [`IN_FLIGHT`]: when it overflows, `IN_FLIGHT` readings without a row
/// have to be taken before the next row, so a queue in flight never holds such readings *between* two rows, where no key
/// is free for them.
const DIRECT: usize = IN_FLIGHT;

/// The queue; its methods block on the disk.
pub(crate) struct SpoolQueue {
    spool: Spool,
    /// Messages that bypass the disk.
    direct: VecDeque<Message>,
    /// True while no row waits above `loaded` and the connection takes messages as they come.
    is_direct: bool,
    /// Highest key taken by the connection: the rows up to it are in flight.
    loaded: u64,
    has_complained: bool,
    lost: u64,
}

/// Result of [`SpoolQueue::store`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Keys of the slots, in their order.
    pub keys: Vec<Option<u64>>,
    /// Messages that were taken from `direct` in the same step; they stand behind the slots.
    pub more: Vec<Waiting>,
}

impl SpoolQueue {
    /// Creates a queue over `spool`, whose rows come first.
    pub fn new(spool: Spool) -> Self {
        SpoolQueue {
            spool,
            direct: VecDeque::with_capacity(DIRECT),
            is_direct: false,
            loaded: 0,
            has_complained: false,
            lost: 0,
        }
    }

    /// Key of the next row at the back. Rows that [`SpoolQueue::take`] returns are older than this call if their keys are
    /// lower: rows put in front have been taken already.
    pub fn next_key(&self) -> u64 {
        self.spool.next()
    }

    /// Number of messages that the connection has not taken; an upper limit.
    pub fn len(&self) -> usize {
        let on_disk = if self.is_direct {
            0
        } else {
            self.spool.count_after(self.loaded)
        };
        self.direct.len() + on_disk
    }

    /// Returns true if [`SpoolQueue::take`] may return something, or must be called to find out that nothing is left.
    pub fn has_more(&self) -> bool {
        !self.is_direct || !self.direct.is_empty()
    }

    /// Adds messages of the publishers. States and announcements that find `direct` full are dropped; readings are not.
    pub fn offer(&mut self, batch: Vec<Message>) {
        let mut to_disk = Vec::new();
        for message in batch {
            let has_room = self.direct.len() < DIRECT;
            if !message.is_reading() {
                if has_room {
                    self.direct.push_back(message);
                }
            } else if self.is_direct && has_room {
                self.direct.push_back(message);
            } else {
                self.is_direct = false;
                to_disk.push(message.into());
            }
        }
        let count = to_disk.len() as u64;
        if self.put(&to_disk, End::Back).is_err() {
            self.lost += count;
        }
    }

    /// Takes the oldest messages, `count` at most.
    pub fn take(&mut self, count: usize) -> Vec<Waiting> {
        let direct = self.direct.drain(..count.min(self.direct.len()));
        let mut taken: Vec<Waiting> = direct.map(|message| Waiting { message, key: None }).collect();
        if self.is_direct || taken.len() == count {
            return taken;
        }
        match self.spool.load(self.loaded, count - taken.len()) {
            Ok(rows) => {
                self.is_direct = rows.is_empty();
                self.loaded = rows.last().map_or(self.loaded, |(key, _)| *key);
                taken.extend(rows.into_iter().map(|(key, record)| Waiting {
                    message: record.into(),
                    key: Some(key),
                }));
            }
            Err(error) => self.complain(&error),
        }
        taken
    }

    /// Stores the readings of `slots`, the queue in flight, and those in `direct`, as far as their order allows. The rows
    /// count as taken.
    pub fn store(&mut self, mut slots: Vec<Slot>) -> Stored {
        let count = slots.len();
        let mut more: Vec<Waiting> = self
            .direct
            .drain(..)
            .map(|message| Waiting { message, key: None })
            .collect();
        slots.extend(more.iter().map(|waiting| match waiting.message.is_reading() {
            true => Slot::Unspooled(waiting.message.clone().into()),
            false => Slot::Other,
        }));
        // If the spool cannot be read, rows may be left.
        let is_drained = self.spool.load(self.loaded, 1).is_ok_and(|rows| rows.is_empty());
        let (front, back) = storable(&slots, is_drained);
        self.is_direct = false;
        let mut keys: Vec<Option<u64>> = slots
            .iter()
            .map(|slot| match slot {
                Slot::Spooled(key) => Some(*key),
                Slot::Unspooled(_) | Slot::Other => None,
            })
            .collect();
        for (range, end) in [(front, End::Front), (back, End::Back)] {
            let (mut places, mut records) = (Vec::new(), Vec::new());
            for place in range {
                if let Some(Slot::Unspooled(record)) = slots.get(place) {
                    places.push(place);
                    records.push(record.clone());
                }
            }
            if let Ok(Some(begin)) = self.put(&records, end) {
                for (place, key) in places.into_iter().zip(begin..) {
                    keys[place] = Some(key);
                    self.loaded = self.loaded.max(key);
                }
            }
        }
        debug_assert!(keys.iter().flatten().is_sorted(), "keys ascend along the queue");
        for (waiting, key) in more.iter_mut().zip(keys.split_off(count)) {
            waiting.key = key;
        }
        Stored { keys, more }
    }

    /// Removes the rows up to the key `last`: they are delivered.
    pub fn remove_through(&mut self, last: u64) {
        if let Err(error) = self.spool.remove_through(last) {
            self.complain(&error);
        }
    }

    /// Keeps only the newest row of each topic among those that were not taken.
    pub fn keep_latest(&mut self) {
        match self.spool.keep_latest(self.loaded) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "Older readings of the backlog dropped (mqtt.backlog)"),
            Err(error) => self.complain(&error),
        }
    }

    /// Writes `direct` to the spool, behind everything else, and waits for the disk. Returns the number of rows, and of
    /// the readings lost so far.
    pub fn close(&mut self) -> (u64, u64) {
        self.is_direct = false;
        let direct = self.direct.drain(..).filter(Message::is_reading).collect();
        self.offer(direct);
        if let Err(error) = self.spool.sync() {
            self.complain(&error);
        }
        (
            self.spool.rows().unwrap_or_default(),
            self.lost + self.spool.dropped(),
        )
    }

    /// Puts records into the spool; returns the key of the first one, `None` if there are none.
    fn put(&mut self, records: &[Record], end: End) -> Result<Option<u64>, ()> {
        if records.is_empty() {
            return Ok(None);
        }
        let before = self.spool.dropped();
        match self.spool.put(records, end, self.loaded) {
            Ok(begin) => {
                if before == 0 && self.spool.dropped() > 0 {
                    tracing::warn!("Spool full; dropping the oldest readings");
                }
                Ok(Some(begin))
            }
            Err(error) => {
                self.complain(&error);
                Err(())
            }
        }
    }

    fn complain(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.has_complained, true) {
            let error = format!("{error:#}");
            tracing::error!(error, "Spool failed; readings may be lost");
        }
    }
}

/// Returns the places of the queue that are older than every row on disk, and those that are newer than every row.
///
/// A reading between two rows has no place on disk and stays in memory: it can be one only while a slow broker is there,
/// after `direct` overflowed and was taken.
fn storable(slots: &[Slot], is_drained: bool) -> (Range<usize>, Range<usize>) {
    let first_row = slots.iter().position(|slot| matches!(slot, Slot::Spooled(_)));
    match (first_row, is_drained) {
        // Rows in the queue, and none beyond it: what stands behind the first row is newer than the last one, since
        // nothing but rows stands between rows.
        (Some(row), true) => (0..row, row..slots.len()),
        // Rows beyond the queue are newer than what stands behind its own rows.
        (Some(row), false) => (0..row, row..row),
        // No row at all: append.
        (None, true) => (0..0, 0..slots.len()),
        // Only rows beyond the queue: all of it is older.
        (None, false) => (0..slots.len(), slots.len()..slots.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::message::DeliveryClass;

    fn queue(dir: &tempfile::TempDir) -> SpoolQueue {
        SpoolQueue::new(Spool::open(&dir.path().join("spool.redb"), 1 << 20).unwrap())
    }

    fn readings(range: Range<usize>) -> Vec<Message> {
        range
            .map(|i| Message::reading(i.to_string(), "{}", false))
            .collect()
    }

    fn numbers(taken: &[Waiting]) -> Vec<usize> {
        taken
            .iter()
            .map(|waiting| waiting.message.topic.parse().unwrap())
            .collect()
    }

    fn slots(waiting: &[Waiting]) -> Vec<Slot> {
        let slot = |waiting: &Waiting| match waiting.key {
            Some(key) => Slot::Spooled(key),
            None => Slot::Unspooled(waiting.message.clone().into()),
        };
        waiting.iter().map(slot).collect()
    }

    /// Stores `in_flight`, as a connection does when it breaks; returns all that is in flight afterwards.
    fn store(queue: &mut SpoolQueue, mut in_flight: Vec<Waiting>) -> Vec<Waiting> {
        let stored = queue.store(slots(&in_flight));
        for (waiting, key) in in_flight.iter_mut().zip(stored.keys) {
            waiting.key = key;
        }
        in_flight.extend(stored.more);
        in_flight
    }

    /// Everything that a new process finds, in its order.
    fn after_a_restart(queue: SpoolQueue, dir: &tempfile::TempDir) -> Vec<usize> {
        drop(queue);
        let path = dir.path().join("spool.redb");
        numbers(&SpoolQueue::new(Spool::open(&path, 1 << 20).unwrap()).take(10_000))
    }

    #[test]
    fn given_a_connection_that_keeps_up_then_nothing_touches_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        assert!(queue.has_more(), "it is not known that nothing is left");
        assert_eq!(queue.take(10), []);
        queue.offer(readings(0..3));
        assert_eq!((queue.len(), queue.has_more()), (3, true));
        assert_eq!(numbers(&queue.take(10)), [0, 1, 2]);
        assert!(!queue.has_more());
        assert_eq!(after_a_restart(queue, &dir), Vec::<usize>::new());
    }

    #[test]
    fn given_a_connection_that_is_slow_then_readings_keep_their_order_over_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.take(1);
        queue.offer(readings(0..DIRECT + 50));
        let mut taken = numbers(&queue.take(60));
        queue.offer(readings(DIRECT + 50..DIRECT + 60));
        while queue.has_more() {
            taken.extend(numbers(&queue.take(7)));
        }
        assert_eq!(taken, (0..DIRECT + 60).collect::<Vec<_>>());
    }

    #[test]
    fn given_a_broken_connection_then_what_was_in_flight_precedes_what_came_since() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.take(1);
        queue.offer(readings(0..20));
        let in_flight = queue.take(15);
        let in_flight = store(&mut queue, in_flight);
        assert_eq!(in_flight.len(), 20, "the queue in memory comes along");
        assert!(in_flight.iter().all(|waiting| waiting.key.is_some()));
        queue.offer(readings(20..30));
        assert_eq!(numbers(&queue.take(100)), (20..30).collect::<Vec<_>>());
        assert_eq!(after_a_restart(queue, &dir), (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn given_readings_in_flight_that_are_older_than_all_rows_then_they_are_put_in_front() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.take(1);
        queue.offer(readings(0..DIRECT + 5));
        let in_flight = queue.take(IN_FLIGHT);
        assert!(in_flight.iter().all(|waiting| waiting.key.is_none()));
        let in_flight = store(&mut queue, in_flight);
        assert!(in_flight.iter().all(|waiting| waiting.key.is_some()));
        assert_eq!(after_a_restart(queue, &dir), (0..DIRECT + 5).collect::<Vec<_>>());
    }

    #[test]
    fn given_rows_in_flight_and_rows_beyond_then_readings_between_them_stay_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.offer(readings(0..1));
        let mut in_flight = queue.take(2);
        assert_eq!(queue.take(1), [], "from now on direct");
        queue.offer(readings(1..DIRECT + 3));
        in_flight.extend(queue.take(IN_FLIGHT - 1));
        let in_flight = store(&mut queue, in_flight);
        let is_in_memory = |waiting: &&Waiting| waiting.key.is_none();
        assert_eq!(in_flight.iter().filter(is_in_memory).count(), DIRECT);
        assert_eq!(in_flight[0].key.is_some(), in_flight.len() == DIRECT + 1);
        assert_eq!(numbers(&queue.take(10)), [DIRECT + 1, DIRECT + 2]);
    }

    #[test]
    fn given_states_then_they_overtake_the_disk_and_are_dropped_without_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.offer(readings(0..1));
        let state = |i: usize| Message::retained(format!("{i}"), "up", DeliveryClass::State);
        queue.offer((10..=10 + DIRECT).map(state).collect());
        let taken = numbers(&queue.take(DIRECT + 2));
        assert_eq!(taken.len(), DIRECT + 1);
        assert_eq!((taken[0], taken[DIRECT]), (10, 0));
    }

    #[test]
    fn given_the_end_then_what_was_not_taken_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = queue(&dir);
        queue.take(1);
        queue.offer(readings(0..3));
        assert_eq!(queue.close(), (3, 0));
        assert_eq!(after_a_restart(queue, &dir), [0, 1, 2]);
    }

    #[test]
    fn given_a_queue_then_only_its_ends_are_storable() {
        let row = || Slot::Spooled(7);
        let new = || Slot::Unspooled(readings(0..1).remove(0).into());
        let queue = [new(), Slot::Other, row(), new()];
        assert_eq!(storable(&queue, true), (0..2, 2..4));
        assert_eq!(storable(&queue, false), (0..2, 2..2));
        assert_eq!(storable(&queue[..2], true), (0..0, 0..2));
        assert_eq!(storable(&queue[..2], false), (0..2, 2..2));
    }
}
