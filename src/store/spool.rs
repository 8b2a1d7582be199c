//! Readings on disk while the broker is away: bounded, in order, and still there after the process is killed.
//!
//! Each row has a key; ascending keys are the order of publication. New readings are appended behind the highest key.
//! Readings that were in flight when the broker left are older than everything on disk and get keys below the lowest.

use anyhow::{Context, Result};
use redb::{Database, Durability, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::collections::HashMap;
use std::path::Path;

/// Key → topic, payload, retain flag.
const ROWS: TableDefinition<u64, (&str, &str, bool)> = TableDefinition::new("readings");
/// Key of the first row of a new file. 2^40 rows may be put in front of it before keys run out.
const FIRST: u64 = 1 << 40;
/// Estimate of what a row takes besides its text: key, lengths, flag and its share of the tree.
const ROW_OVERHEAD: usize = 32;

/// A message on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// MQTT topic.
    pub topic: String,
    /// MQTT payload.
    pub payload: String,
    /// MQTT retain flag.
    pub is_retained: bool,
}

/// End of the spool at which records are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before all rows: the records are older than every row.
    Front,
    /// After all rows: the records are newer than every row.
    Back,
}

/// The spool file; at most one per file can be open.
pub struct Spool {
    db: Database,
    /// Lowest key ever used in this file as far as known; rows may since have been removed.
    first: u64,
    /// Key of the next row at the back.
    next: u64,
    bytes: u64,
    limit_bytes: u64,
    dropped: u64,
}

impl Spool {
    /// Opens the file, or creates it. `limit_bytes` bounds the text of all rows, with [`ROW_OVERHEAD`] each.
    ///
    /// # Errors
    /// Returns an error that names the path if the file cannot be created or read, is locked by another process, or is
    /// not a redb database.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Self> {
        let shown = || format!("mqtt.spool: {}", path.display());
        let db = Database::create(path).with_context(shown)?;
        let transaction = db.begin_write().with_context(shown)?;
        let (mut first, mut next, mut bytes) = (FIRST, FIRST, 0);
        {
            let table = transaction.open_table(ROWS).with_context(shown)?;
            if let Some((key, _)) = table.first().with_context(shown)? {
                first = key.value();
            }
            if let Some((key, _)) = table.last().with_context(shown)? {
                next = key.value() + 1;
            }
            for row in table.iter().with_context(shown)? {
                bytes += size(row.with_context(shown)?.1.value());
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

    /// Number of rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn rows(&self) -> Result<u64> {
        Ok(self.db.begin_read()?.open_table(ROWS)?.len()?)
    }

    /// Key of the next row at the back.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Rows dropped so far because the limit was reached.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Upper limit of the number of rows above the key `loaded`: counts the keys, of which some rows may be gone.
    pub fn count_after(&self, loaded: u64) -> usize {
        usize::try_from(self.next.saturating_sub(self.first.max(loaded + 1))).unwrap_or(usize::MAX)
    }

    /// Adds records in their order, and returns the key of the first one; the others follow without a gap. Above the
    /// limit, the oldest rows with keys above `loaded` are dropped; those up to `loaded` are in flight and stay.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; it holds what it held before.
    pub fn put(&mut self, records: &[Record], end: End, loaded: u64) -> Result<u64> {
        let count = records.len() as u64;
        let begin = match end {
            End::Front => self.first - count,
            End::Back => self.next,
        };
        let mut transaction = self.db.begin_write()?;
        // The rows are with the kernel at once, where killing this process does not touch them, and on the disk a
        // little later.
        transaction.set_durability(Durability::Eventual);
        let (mut bytes, mut dropped) = (self.bytes, 0);
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, record) in (begin..).zip(records) {
                let row = (record.topic.as_str(), record.payload.as_str(), record.is_retained);
                let replaced = table.insert(key, row)?;
                debug_assert!(replaced.is_none(), "key {key} was in use");
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
        match end {
            End::Front => self.first = begin,
            End::Back => self.next = begin + count,
        }
        Ok(begin)
    }

    /// Returns the oldest rows with keys above `loaded`, `count` at most.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn load(&self, loaded: u64, count: usize) -> Result<Vec<(u64, Record)>> {
        let table = self.db.begin_read()?.open_table(ROWS)?;
        let mut rows = Vec::new();
        for row in table.range(loaded + 1..)?.take(count) {
            let (key, row) = row?;
            let (topic, payload, is_retained) = row.value();
            let record = Record {
                topic: topic.to_owned(),
                payload: payload.to_owned(),
                is_retained,
            };
            rows.push((key.value(), record));
        }
        Ok(rows)
    }

    /// Removes the rows with keys up to `last`, which are delivered.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; all rows stay.
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

    /// Keeps only the newest row of each topic among those with keys above `loaded`; returns how many were removed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; all rows stay.
    pub fn keep_latest(&mut self, loaded: u64) -> Result<u64> {
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

    /// Waits until everything written so far is on the disk.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn sync(&self) -> Result<()> {
        Ok(self.db.begin_write()?.commit()?)
    }
}

/// Bytes of a row that count against the limit.
fn size((topic, payload, _): (&str, &str, bool)) -> u64 {
    (topic.len() + payload.len() + ROW_OVERHEAD) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(topics: &[&str]) -> Vec<Record> {
        let record = |topic: &&str| Record {
            topic: (*topic).to_owned(),
            payload: "x".repeat(100),
            is_retained: false,
        };
        topics.iter().map(record).collect()
    }

    fn topics(spool: &Spool, loaded: u64) -> Vec<String> {
        let rows = spool.load(loaded, 100).unwrap();
        rows.into_iter().map(|(_, record)| record.topic).collect()
    }

    #[test]
    fn given_a_spool_that_is_opened_again_then_all_is_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        spool.put(&records(&["b", "c"]), End::Back, 0).unwrap();
        spool.put(&records(&["a"]), End::Front, 0).unwrap();
        drop(spool);
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(topics(&spool, 0), ["a", "b", "c"]);
        spool.put(&records(&["d"]), End::Back, 0).unwrap();
        let second = spool.load(0, 2).unwrap()[1].0;
        spool.remove_through(second).unwrap();
        assert_eq!(
            (topics(&spool, 0), spool.rows().unwrap()),
            (vec!["c".into(), "d".into()], 2)
        );
    }

    #[test]
    fn given_rows_on_both_sides_of_the_first_key_when_opened_again_then_both_ends_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(spool.put(&records(&["c"]), End::Front, 0).unwrap(), FIRST - 1);
        assert_eq!(spool.put(&records(&["d"]), End::Back, 0).unwrap(), FIRST);
        drop(spool);
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(
            spool.put(&records(&["a", "b"]), End::Front, 0).unwrap(),
            FIRST - 3
        );
        assert_eq!(spool.put(&records(&["e"]), End::Back, 0).unwrap(), FIRST + 1);
        assert_eq!(topics(&spool, 0), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn given_no_room_then_the_oldest_go_first_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 3 * 133).unwrap();
        for topic in ["a", "b", "c", "d", "e"] {
            spool.put(&records(&[topic]), End::Back, 0).unwrap();
        }
        assert_eq!(
            (topics(&spool, 0), spool.dropped()),
            (vec!["c".into(), "d".into(), "e".into()], 2)
        );
    }

    #[test]
    fn given_no_room_then_rows_in_flight_are_not_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 2 * 133).unwrap();
        let loaded = spool.put(&records(&["a"]), End::Back, 0).unwrap();
        for topic in ["b", "c"] {
            spool.put(&records(&[topic]), End::Back, loaded).unwrap();
        }
        assert_eq!(
            (topics(&spool, 0), spool.dropped()),
            (vec!["a".into(), "c".into()], 1)
        );
    }

    #[test]
    fn given_many_of_a_topic_then_only_the_newest_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 1 << 20).unwrap();
        spool
            .put(&records(&["a", "b", "a", "b", "a"]), End::Back, 0)
            .unwrap();
        assert_eq!(
            (spool.keep_latest(0).unwrap(), topics(&spool, 0)),
            (3, vec!["b".into(), "a".into()])
        );
    }
}
