//! Readings on disk while the broker is away: bounded, in order, and there after a kill.
//!
//! Rows are numbered. What was already on its way when the broker left goes in front of what has come since.

use crate::publish::mqtt::message::Message;
use anyhow::{Context, Result};
use redb::{Database, Durability, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::collections::HashMap;
use std::path::Path;

/// Number → topic, payload, whether it is retained.
const ROWS: TableDefinition<u64, (&str, &str, bool)> = TableDefinition::new("readings");
/// The first number ever given: there is room in front of it.
const FIRST: u64 = 1 << 40;

/// Readings on disk.
pub struct Spool {
    db: Database,
    /// The lowest and the next number.
    first: u64,
    next: u64,
    bytes: u64,
    limit_bytes: u64,
    /// Dropped because there was no room.
    pub dropped: u64,
}

impl Spool {
    /// Opens the spool, and makes it if it is not there.
    ///
    /// # Errors
    /// Where the file cannot be used.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Self> {
        let shown = || format!("mqtt.spool: {}", path.display());
        let db = Database::create(path).with_context(shown)?;
        let transaction = db.begin_write().with_context(shown)?;
        let (mut first, mut next, mut bytes) = (FIRST, FIRST, 0);
        {
            let table = transaction.open_table(ROWS).with_context(shown)?;
            for row in table.iter().with_context(shown)? {
                let (key, value) = row.with_context(shown)?;
                if next == FIRST {
                    first = key.value();
                }
                next = key.value() + 1;
                bytes += size(value.value());
            }
        }
        transaction.commit().with_context(shown)?;
        Ok(Spool {
            db,
            first,
            next,
            bytes,
            limit_bytes,
            dropped: 0,
        })
    }

    /// How many there are.
    ///
    /// # Errors
    /// What the disk says.
    pub fn len(&self) -> Result<u64> {
        Ok(self.db.begin_read()?.open_table(ROWS)?.len()?)
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many numbers above `loaded` were given: as many as there are messages, or more where some were let go.
    pub fn after(&self, loaded: u64) -> usize {
        usize::try_from(self.next.saturating_sub(self.first.max(loaded + 1))).unwrap_or(usize::MAX)
    }

    /// Puts messages behind all others, or in front of them, and gives the number of the first one. Where there is
    /// no room, the oldest with a number above `loaded` are dropped.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put(&mut self, messages: &[Message], in_front: bool, loaded: u64) -> Result<u64> {
        let count = messages.len() as u64;
        let begin = if in_front { self.first - count } else { self.next };
        let mut transaction = self.db.begin_write()?;
        // It is with the kernel at once, which a kill of ours does not touch, and on the disk a little later.
        transaction.set_durability(Durability::Eventual);
        let (mut bytes, mut dropped) = (self.bytes, 0);
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, message) in (begin..).zip(messages) {
                let row = (message.topic.as_str(), message.payload.as_str(), message.retain);
                table.insert(key, row)?;
                bytes += size(row);
            }
            while bytes > self.limit_bytes {
                let oldest = table.range(loaded + 1..)?.next().transpose()?;
                let Some((key, freed)) = oldest.map(|(key, row)| (key.value(), size(row.value()))) else {
                    break;
                };
                table.remove(key)?;
                bytes -= freed;
                dropped += 1;
            }
        }
        transaction.commit()?;
        self.bytes = bytes;
        self.dropped += dropped;
        if in_front {
            self.first = begin;
        } else {
            self.next = begin + count;
        }
        Ok(begin)
    }

    /// The oldest messages with numbers above `loaded`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn load(&self, loaded: u64, count: usize) -> Result<Vec<(u64, Message)>> {
        let table = self.db.begin_read()?.open_table(ROWS)?;
        let mut messages = Vec::new();
        for row in table.range(loaded + 1..)?.take(count) {
            let (key, row) = row?;
            let (topic, payload, retain) = row.value();
            messages.push((key.value(), Message::reading(topic, payload, retain)));
        }
        Ok(messages)
    }

    /// Those up to this number are delivered.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_through(&mut self, last: u64) -> Result<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Eventual);
        let mut freed = 0;
        transaction.open_table(ROWS)?.retain(|key, row| {
            let is_left = key > last;
            freed += if is_left { 0 } else { size(row) };
            is_left
        })?;
        transaction.commit()?;
        self.bytes -= freed.min(self.bytes);
        Ok(())
    }

    /// Keeps only the newest of each topic above `loaded`; gives how many were let go.
    ///
    /// # Errors
    /// What the disk says.
    pub fn thin(&mut self, loaded: u64) -> Result<u64> {
        let transaction = self.db.begin_write()?;
        let (mut freed, mut count) = (0, 0);
        {
            let mut table = transaction.open_table(ROWS)?;
            let mut newest = HashMap::new();
            for row in table.range(loaded + 1..)? {
                let (key, row) = row?;
                newest.insert(row.value().0.to_owned(), key.value());
            }
            table.retain(|key, row| {
                let is_left = key <= loaded || newest.get(row.0) == Some(&key);
                if !is_left {
                    freed += size(row);
                    count += 1;
                }
                is_left
            })?;
        }
        transaction.commit()?;
        self.bytes -= freed.min(self.bytes);
        Ok(count)
    }

    /// Writes through to the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&self) -> Result<()> {
        Ok(self.db.begin_write()?.commit()?)
    }
}

/// What a row takes, about.
fn size((topic, payload, _): (&str, &str, bool)) -> u64 {
    (topic.len() + payload.len() + 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(topics: &[&str]) -> Vec<Message> {
        topics
            .iter()
            .map(|topic| Message::reading(*topic, "x".repeat(100), false))
            .collect()
    }

    fn topics(spool: &Spool, loaded: u64) -> Vec<String> {
        spool
            .load(loaded, 100)
            .unwrap()
            .into_iter()
            .map(|(_, message)| message.topic)
            .collect()
    }

    #[test]
    fn given_a_spool_that_is_opened_again_then_all_is_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        spool.put(&messages(&["b", "c"]), false, 0).unwrap();
        spool.put(&messages(&["a"]), true, 0).unwrap();
        drop(spool);
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(topics(&spool, 0), ["a", "b", "c"]);
        spool.put(&messages(&["d"]), false, 0).unwrap();
        let second = spool.load(0, 2).unwrap()[1].0;
        spool.remove_through(second).unwrap();
        assert_eq!(
            (topics(&spool, 0), spool.len().unwrap()),
            (vec!["c".into(), "d".into()], 2)
        );
    }

    #[test]
    fn given_no_room_then_the_oldest_go_first_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 3 * 133).unwrap();
        for topic in ["a", "b", "c", "d", "e"] {
            spool.put(&messages(&[topic]), false, 0).unwrap();
        }
        assert_eq!(
            (topics(&spool, 0), spool.dropped),
            (vec!["c".into(), "d".into(), "e".into()], 2)
        );
    }

    #[test]
    fn given_many_of_a_topic_then_only_the_newest_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 1 << 20).unwrap();
        spool
            .put(&messages(&["a", "b", "a", "b", "a"]), false, 0)
            .unwrap();
        assert_eq!(
            (spool.thin(0).unwrap(), topics(&spool, 0)),
            (3, vec!["b".into(), "a".into()])
        );
    }
}
