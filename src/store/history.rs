//! Consumption on disk, kept for years: one row per counter and day.

use crate::meter::consumption::DayRecord;
use crate::meter::counter::CounterKey;
use crate::meter::counter_series::{HourlyUse, TimedValue};
use crate::store::database;
use anyhow::{Context, Result};
use jiff::Timestamp;
use redb::{Database, ReadableTable, TableDefinition};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Counter and day since 1970 → consumption of its 24 hours as little-endian `f32`, NaN where unknown, and one bit per hour that
/// is measured, in three bytes, little-endian. Seven digits are enough for an hour. Rows of early versions end before those
/// bits: their hours are taken for measured.
const DAYS: TableDefinition<(&str, i32), &[u8]> = TableDefinition::new("days");
/// Counter → unit, time of the last reading in microseconds since 1970, and its value.
const COUNTERS: TableDefinition<&str, (&str, i64, f64)> = TableDefinition::new("counters");
/// Memory for pages of the file.
const CACHE_BYTES: usize = 4 << 20;
/// Bytes of the 24 hours of a row.
const HOURS_BYTES: usize = 24 * 4;
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
    /// Opens the file, or creates it; a damaged one is set aside.
    ///
    /// # Errors
    /// Returns an error that names the path if the file cannot be created or read, or is locked by another process.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = || format!("web.history: {}", path.display());
        let (opened, ()) = database::open(path, CACHE_BYTES, |db| {
            let transaction = db.begin_write()?;
            transaction.open_table(DAYS)?;
            transaction.open_table(COUNTERS)?;
            Ok(transaction.commit()?)
        })
        .with_context(shown)?;
        Ok(HistoryStore(Arc::new(opened.db)))
    }

    /// Writes rows in one transaction, over earlier ones of the same counter and day.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; it holds what it held before.
    pub fn put(&self, rows: &[DayRecord]) -> Result<()> {
        let transaction = self.0.begin_write()?;
        {
            let mut days = transaction.open_table(DAYS)?;
            let mut counters = transaction.open_table(COUNTERS)?;
            for row in rows {
                let name = name_of(&row.key);
                let amounts = row.hours.used.iter();
                let mut hours: Vec<u8> = amounts.flat_map(|used| (*used as f32).to_le_bytes()).collect();
                hours.extend(&row.hours.measured.to_le_bytes()[..3]);
                days.insert((name.as_str(), row.day), hours.as_slice())?;
                let TimedValue { at, value } = row.last;
                counters.insert(name.as_str(), (row.unit.as_str(), at.as_microsecond(), value))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Returns the newest `days` days of every counter, oldest first.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn newest(&self, days: i32) -> Result<Vec<DayRecord>> {
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
                rows.push(DayRecord {
                    key: key.clone(),
                    unit: unit.to_owned(),
                    day: day.value().1,
                    hours: day_of(hours.value()),
                    last: TimedValue { at, value: count },
                });
            }
        }
        Ok(rows)
    }

    /// Returns the days of a counter in a range, oldest first.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn days(&self, key: &CounterKey, days: Range<i32>) -> Result<Vec<(i32, HourlyUse)>> {
        if days.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.0.begin_read()?;
        let name = name_of(key);
        let table = transaction.open_table(DAYS)?;
        let rows = table.range((name.as_str(), days.start)..(name.as_str(), days.end))?;
        rows.map(|row| {
            let (day, hours) = row?;
            Ok((day.value().1, day_of(hours.value())))
        })
        .collect()
    }
}

fn name_of(CounterKey { meter, kind, field }: &CounterKey) -> String {
    format!("{meter}{SEPARATOR}{kind}{SEPARATOR}{field}")
}

fn key_of(name: &str) -> Option<CounterKey> {
    let mut parts = name.split(SEPARATOR).map(str::to_owned);
    Some(CounterKey {
        meter: parts.next()?,
        kind: parts.next()?,
        field: parts.next()?,
    })
}

/// Decodes the hours of a row; those that a damaged row lacks are unknown.
fn day_of(bytes: &[u8]) -> HourlyUse {
    let mut hours = HourlyUse::measured(HourlyUse::UNKNOWN.used);
    for (hour, bytes) in hours.used.iter_mut().zip(bytes.chunks_exact(4)) {
        *hour = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into();
    }
    if let Some(measured) = bytes.get(HOURS_BYTES..HOURS_BYTES + 3) {
        hours.measured = u32::from_le_bytes([measured[0], measured[1], measured[2], 0]);
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: i32, used: f64) -> DayRecord {
        DayRecord {
            key: CounterKey::new("1", "scm", "total"),
            unit: "kWh".into(),
            day,
            hours: HourlyUse::measured([used; 24]),
            last: TimedValue {
                at: Timestamp::from_second(i64::from(day) * 86_400).unwrap(),
                value: 5.5,
            },
        }
    }

    #[test]
    fn given_years_then_they_come_back_and_take_a_few_megabytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let store = HistoryStore::open(&path).unwrap();
        // Ten counters, five years: a home with four takes 700 kB a year.
        for counter in 0..10 {
            let rows: Vec<DayRecord> = (0..5 * 365)
                .map(|day| DayRecord {
                    key: CounterKey::new(counter.to_string(), "scm", "total"),
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
            DayRecord {
                key: CounterKey::new("0", "scm", "total"),
                ..row(1824, 1824.0)
            }
        );
        let older = store
            .days(&CounterKey::new("3", "scm", "total"), i32::MIN..1800)
            .unwrap();
        assert_eq!(
            (older.len(), older[1799]),
            (1800, (1799, HourlyUse::measured([1799.0; 24])))
        );
    }

    #[test]
    fn given_estimated_hours_then_they_come_back_as_such_and_a_row_of_an_early_version_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let store = HistoryStore::open(&dir.path().join("history")).unwrap();
        let hours = HourlyUse {
            measured: 0b1010,
            ..row(1, 2.0).hours
        };
        store.put(&[DayRecord { hours, ..row(1, 2.0) }]).unwrap();
        let key = row(1, 2.0).key;
        assert_eq!(store.days(&key, 0..2).unwrap(), [(1, hours)]);
        assert_eq!(store.days(&key, 2..9).unwrap(), []);
        assert_eq!(store.days(&key, Range { start: 9, end: 2 }).unwrap(), []);
        assert_eq!(
            day_of(&2f32.to_le_bytes().repeat(24)),
            HourlyUse::measured([2.0; 24])
        );
    }

    #[test]
    fn given_a_file_that_is_not_a_history_then_it_is_set_aside_and_a_fresh_one_begun() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        std::fs::write(&path, "not a history").unwrap();
        let store = HistoryStore::open(&path).unwrap();
        assert_eq!(store.newest(1).unwrap(), []);
        let names = std::fs::read_dir(dir.path()).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.any(|name| name.starts_with("history.damaged-")));
    }

    #[test]
    fn given_a_folder_that_is_missing_then_the_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = HistoryStore::open(&dir.path().join("missing/history")).unwrap_err();
        assert!(format!("{error:#}").starts_with("web.history: "));
    }
}
