//! Readings on disk while the broker is away: bounded, in order, and still there after the machine has lost its power.
//!
//! Each row has the key that the reading got when it was accepted; ascending keys are the order of publication.

use crate::store::database::{self, StoreError, guard};
use crate::store::record::Record;
use redb::{Database, ReadableTable, TableDefinition};
use std::collections::HashMap;
use std::path::Path;

/// Key → topic, payload, retain flag.
const ROWS: TableDefinition<u64, (&str, &str, bool)> = TableDefinition::new("readings");
/// Estimate of what a row takes besides its text: key, lengths, flag and its share of the tree.
const ROW_OVERHEAD: usize = 32;
/// Memory for pages of the file.
const CACHE_BYTES: usize = 2 << 20;

/// The spool file; at most one per file can be open.
pub struct Spool {
    db: Database,
    contents: Contents,
    limit_bytes: u64,
    was_set_aside: bool,
}

/// Summary of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Contents {
    rows: u64,
    bytes: u64,
    last: u64,
}

impl Spool {
    /// Opens the file, or creates it; a damaged one is set aside. `limit_bytes` bounds the text of all rows, with
    /// [`ROW_OVERHEAD`] each.
    ///
    /// # Errors
    /// Returns an error if another process has the file open, or the disk fails.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Self, StoreError> {
        let (opened, contents) = database::open(path, CACHE_BYTES, summarize)?;
        Ok(Spool {
            db: opened.db,
            contents,
            limit_bytes,
            was_set_aside: opened.set_aside.is_some(),
        })
    }

    /// Returns true if a damaged file was in its place.
    pub fn was_set_aside(&self) -> bool {
        self.was_set_aside
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.contents.rows
    }

    /// Highest key that was ever in the file as far as known; 0 if there was none.
    pub fn last(&self) -> u64 {
        self.contents.last
    }

    /// Adds rows and waits until they are on the disk. Above the limit, the oldest rows are dropped except those for which
    /// `is_in_flight` is true. Returns the number of dropped rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; it holds what it held before.
    pub fn insert<'a>(
        &mut self,
        rows: impl Iterator<Item = (u64, &'a str, &'a str, bool)>,
        is_in_flight: impl Fn(u64) -> bool,
    ) -> Result<u64, StoreError> {
        let (mut contents, limit_bytes) = (self.contents, self.limit_bytes);
        let dropped = guard(|| {
            let transaction = self.db.begin_write()?;
            let mut dropped = 0;
            {
                let mut table = transaction.open_table(ROWS)?;
                for (key, topic, payload, is_retained) in rows {
                    let row = (topic, payload, is_retained);
                    let replaced = table.insert(key, row)?.map(|row| size(row.value()));
                    contents.rows += u64::from(replaced.is_none());
                    contents.bytes += size(row);
                    contents.bytes -= replaced.unwrap_or_default();
                    contents.last = contents.last.max(key);
                }
                let mut after = 0;
                while contents.bytes > limit_bytes {
                    let oldest = table.range(after..)?.next().transpose()?;
                    let Some((key, freed)) = oldest.map(|(key, row)| (key.value(), size(row.value()))) else {
                        break;
                    };
                    after = key + 1;
                    if is_in_flight(key) {
                        continue;
                    }
                    table.remove(key)?;
                    contents.bytes -= freed;
                    contents.rows -= 1;
                    dropped += 1;
                }
            }
            transaction.commit()?;
            Ok(dropped)
        })?;
        self.contents = contents;
        Ok(dropped)
    }

    /// Returns the oldest rows with keys above `after`, `count` at most, without those for which `is_skipped` is true.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn load(
        &self,
        after: u64,
        count: usize,
        is_skipped: impl Fn(u64) -> bool,
    ) -> Result<Vec<(u64, Record)>, StoreError> {
        guard(|| {
            let table = self.db.begin_read()?.open_table(ROWS)?;
            let mut rows = Vec::new();
            for row in table.range(after.saturating_add(1)..)? {
                if rows.len() == count {
                    break;
                }
                let (key, row) = row?;
                if is_skipped(key.value()) {
                    continue;
                }
                let (topic, payload, is_retained) = row.value();
                let record = Record {
                    topic: topic.to_owned(),
                    payload: payload.to_owned(),
                    is_retained,
                };
                rows.push((key.value(), record));
            }
            Ok(rows)
        })
    }

    /// Removes rows; keys without a row do not matter.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; all rows stay.
    pub fn remove(&mut self, keys: impl Iterator<Item = u64>) -> Result<(), StoreError> {
        let mut contents = self.contents;
        guard(|| {
            let transaction = self.db.begin_write()?;
            {
                let mut table = transaction.open_table(ROWS)?;
                for key in keys {
                    if let Some(row) = table.remove(key)? {
                        contents.rows -= 1;
                        contents.bytes -= size(row.value());
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        })?;
        self.contents = contents;
        Ok(())
    }

    /// Removes the rows up to the key `last`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; all rows stay.
    pub fn remove_through(&mut self, last: u64) -> Result<(), StoreError> {
        let keys: Vec<u64> = guard(|| {
            let table = self.db.begin_read()?.open_table(ROWS)?;
            let rows = table.range(..=last)?;
            Ok(rows
                .map(|row| row.map(|(key, _)| key.value()))
                .collect::<Result<_, _>>()?)
        })?;
        if keys.is_empty() {
            return Ok(());
        }
        self.remove(keys.into_iter())
    }

    /// Keeps only the newest row of each topic among those with keys above `after`; returns the number of rows removed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; all rows stay.
    pub fn keep_latest(&mut self, after: u64) -> Result<u64, StoreError> {
        let mut superseded = Vec::new();
        guard(|| {
            let table = self.db.begin_read()?.open_table(ROWS)?;
            let mut newest = HashMap::new();
            for row in table.range(after.saturating_add(1)..)? {
                let (key, row) = row?;
                let older = newest.insert(row.value().0.to_owned(), key.value());
                superseded.extend(older);
            }
            Ok(())
        })?;
        let count = superseded.len() as u64;
        if count > 0 {
            self.remove(superseded.into_iter())?;
        }
        Ok(count)
    }
}

/// Counts the rows. The table is made if there is none yet.
fn summarize(db: &Database) -> Result<Contents, redb::Error> {
    let mut contents = Contents::default();
    let transaction = db.begin_write()?;
    {
        let table = transaction.open_table(ROWS)?;
        for row in table.iter()? {
            let (key, row) = row?;
            contents.rows += 1;
            contents.bytes += size(row.value());
            contents.last = key.value();
        }
    }
    transaction.commit()?;
    Ok(contents)
}

/// Bytes of a row that count against the limit.
fn size((topic, payload, _): (&str, &str, bool)) -> u64 {
    (topic.len() + payload.len() + ROW_OVERHEAD) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(spool: &mut Spool, topics: &[(u64, &str)]) -> u64 {
        let payload = "x".repeat(100);
        let rows = topics
            .iter()
            .map(|(key, topic)| (*key, *topic, payload.as_str(), false));
        spool.insert(rows, |key| key == 1000).unwrap()
    }

    fn topics(spool: &Spool, after: u64) -> Vec<String> {
        let rows = spool.load(after, 100, |_| false).unwrap();
        rows.into_iter().map(|(_, record)| record.topic).collect()
    }

    #[test]
    fn given_a_spool_that_is_opened_again_then_all_is_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        insert(&mut spool, &[(7, "b"), (8, "c")]);
        insert(&mut spool, &[(3, "a")]);
        drop(spool);
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!((spool.rows(), spool.last()), (3, 8));
        assert_eq!(topics(&spool, 0), ["a", "b", "c"]);
        insert(&mut spool, &[(9, "d")]);
        spool.remove_through(7).unwrap();
        spool.remove([8, 55].into_iter()).unwrap();
        assert_eq!((topics(&spool, 0), spool.rows()), (vec!["d".into()], 1));
        let skipped = spool.load(0, 100, |key| key == 9).unwrap();
        assert_eq!(skipped, []);
    }

    #[test]
    fn given_no_room_then_the_oldest_go_first_and_are_counted_except_those_in_flight() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 3 * 133).unwrap();
        let mut dropped = 0;
        for (key, topic) in (1000..).zip(["a", "b", "c", "d", "e"]) {
            dropped += insert(&mut spool, &[(key, topic)]);
        }
        assert_eq!(
            (topics(&spool, 0), dropped, spool.rows()),
            (vec!["a".into(), "d".into(), "e".into()], 2, 3)
        );
    }

    #[test]
    fn given_a_row_that_is_there_already_then_it_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 1 << 20).unwrap();
        insert(&mut spool, &[(1, "a")]);
        insert(&mut spool, &[(1, "a"), (2, "b")]);
        assert_eq!((spool.rows(), spool.contents.bytes), (2, 2 * 133));
    }

    #[test]
    fn given_many_of_a_topic_then_only_the_newest_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&dir.path().join("spool.redb"), 1 << 20).unwrap();
        insert(&mut spool, &[(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")]);
        assert_eq!(
            (spool.keep_latest(0).unwrap(), topics(&spool, 0)),
            (3, vec!["b".into(), "a".into()])
        );
    }
}
