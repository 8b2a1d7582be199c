//! Consumption on disk, kept for years: one row per counter and day.

use crate::meter::consumption::{Day, Key, Row};
use anyhow::{Context, Result};
use jiff::Timestamp;
use redb::{Database, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::Arc;

/// Counter and day since 1970 → consumption of its 24 hours as little-endian `f32`, NaN where unknown. Seven digits are
/// enough for an hour.
const DAYS: TableDefinition<(&str, i32), &[u8]> = TableDefinition::new("days");
/// Counter → unit, time of the last reading in microseconds since 1970, and its value.
const COUNTERS: TableDefinition<&str, (&str, i64, f64)> = TableDefinition::new("counters");
/// Separator of the parts of a counter's name: a control character that no id contains.
const SEPARATOR: char = '\u{1f}';

/// The history file; clones share it.
#[derive(Clone)]
pub struct HistoryStore(Arc<Database>);

impl std::fmt::Debug for HistoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HistoryStore")
    }
}

impl HistoryStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// Returns an error that names the path if the file cannot be created or read, is locked by another process, or is
    /// not a redb database.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = || format!("web.history: {}", path.display());
        let db = Database::create(path).with_context(shown)?;
        let transaction = db.begin_write().with_context(shown)?;
        transaction.open_table(DAYS).with_context(shown)?;
        transaction.open_table(COUNTERS).with_context(shown)?;
        transaction.commit().with_context(shown)?;
        Ok(HistoryStore(Arc::new(db)))
    }

    /// Writes rows in one transaction, over earlier ones of the same counter and day.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; it holds what it held before.
    pub fn put(&self, rows: &[Row]) -> Result<()> {
        let transaction = self.0.begin_write()?;
        {
            let mut days = transaction.open_table(DAYS)?;
            let mut counters = transaction.open_table(COUNTERS)?;
            for row in rows {
                let name = name_of(&row.key);
                let hours: Vec<u8> = row
                    .hours
                    .iter()
                    .flat_map(|used| (*used as f32).to_le_bytes())
                    .collect();
                days.insert((name.as_str(), row.day), hours.as_slice())?;
                let (at, value) = row.last;
                counters.insert(name.as_str(), (row.unit.as_str(), at.as_microsecond(), value))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Returns the newest `days` days of every counter, oldest first.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn newest(&self, days: i32) -> Result<Vec<Row>> {
        let transaction = self.0.begin_read()?;
        let table = transaction.open_table(DAYS)?;
        let mut rows = Vec::new();
        for counter in transaction.open_table(COUNTERS)?.iter()? {
            let (name, value) = counter?;
            let name = name.value();
            let (unit, at, count) = value.value();
            let (Some(key), Ok(at)) = (key_of(name), Timestamp::from_microsecond(at)) else {
                continue;
            };
            let last_day = i32::try_from(at.as_second().div_euclid(86_400)).unwrap_or(i32::MAX);
            for row in table.range((name, last_day.saturating_sub(days))..=(name, i32::MAX))? {
                let (day, hours) = row?;
                rows.push(Row {
                    key: key.clone(),
                    unit: unit.to_owned(),
                    day: day.value().1,
                    hours: day_of(hours.value()),
                    last: (at, count),
                });
            }
        }
        Ok(rows)
    }

    /// Returns the days of a counter before the day `before`, oldest first.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn before(&self, key: &Key, before: i32) -> Result<Vec<(i32, Day)>> {
        let transaction = self.0.begin_read()?;
        let name = name_of(key);
        let table = transaction.open_table(DAYS)?;
        let rows = table.range((name.as_str(), i32::MIN)..(name.as_str(), before))?;
        rows.map(|row| {
            let (day, hours) = row?;
            Ok((day.value().1, day_of(hours.value())))
        })
        .collect()
    }
}

fn name_of((id, kind, field): &Key) -> String {
    format!("{id}{SEPARATOR}{kind}{SEPARATOR}{field}")
}

fn key_of(name: &str) -> Option<Key> {
    let mut parts = name.split(SEPARATOR).map(str::to_owned);
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// Decodes the hours of a row; those that a damaged row lacks are unknown.
fn day_of(bytes: &[u8]) -> Day {
    let mut hours = [f64::NAN; 24];
    for (hour, bytes) in hours.iter_mut().zip(bytes.chunks_exact(4)) {
        *hour = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into();
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: i32, used: f64) -> Row {
        Row {
            key: ("1".into(), "scm".into(), "total".into()),
            unit: "kWh".into(),
            day,
            hours: [used; 24],
            last: (Timestamp::from_second(i64::from(day) * 86_400).unwrap(), 5.5),
        }
    }

    #[test]
    fn given_years_then_they_come_back_and_take_a_few_megabytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let store = HistoryStore::open(&path).unwrap();
        // Ten counters, five years: a home with four takes 700 kB a year.
        for counter in 0..10 {
            let rows: Vec<Row> = (0..5 * 365)
                .map(|day| Row {
                    key: (counter.to_string(), "scm".into(), "total".into()),
                    ..row(day, day.into())
                })
                .collect();
            store.put(&rows).unwrap();
        }
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 10 << 20, "{size}");
        drop(store);
        let store = HistoryStore::open(&path).unwrap();
        let newest = store.newest(2).unwrap();
        assert_eq!(newest.len(), 30);
        assert_eq!(
            newest[2],
            Row {
                key: ("0".into(), "scm".into(), "total".into()),
                ..row(1824, 1824.0)
            }
        );
        let older = store
            .before(&("3".into(), "scm".into(), "total".into()), 1800)
            .unwrap();
        assert_eq!((older.len(), older[1799]), (1800, (1799, [1799.0; 24])));
    }

    #[test]
    fn given_a_file_that_is_not_a_history_then_the_error_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        std::fs::write(&path, "not a history").unwrap();
        let error = format!("{:#}", HistoryStore::open(&path).unwrap_err());
        assert!(
            error.starts_with("web.history: ") && error.contains("history: "),
            "{error}"
        );
    }
}
