//! Thread that writes usage to disk, once an hour and at the end.

use crate::meter::counter_series::DAYS;
use crate::runtime::{Cancel, Context, Heartbeat, Running};
use crate::status::{Status, StatusReader};
use crate::store::history::HistoryStore;
use anyhow::{Context as _, Result};
use std::time::Duration;

/// Interval between two writes: long, because memory cards wear out.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Reads what earlier runs have kept into `status`, and starts the thread. It ends when `closing` is cancelled.
///
/// # Errors
/// Returns an error if the file cannot be read or the thread cannot be created.
pub fn start(
    store: HistoryStore,
    status: &mut Status,
    closing: Cancel,
    context: &Context,
) -> Result<Running> {
    let rows = store.newest(DAYS).context("web.history")?;
    status.restore_consumption(rows);
    let reader = status.reader();
    let run = move |heartbeat: Heartbeat| {
        let mut writer = Writer {
            store,
            reader,
            written: 0,
            heartbeat,
        };
        while writer.heartbeat.idle_during(|| closing.sleep(INTERVAL)) {
            writer.write();
        }
        writer.write();
    };
    context.thread("history", run).context("cannot start a thread")
}

struct Writer {
    store: HistoryStore,
    reader: StatusReader,
    /// Number of the newest change that is on disk.
    written: u64,
    heartbeat: Heartbeat,
}

impl Writer {
    /// Writes the days that have changed; after an error they are written the next time.
    fn write(&mut self) {
        let consumption = self.reader.snapshot().consumption.clone();
        let rows = consumption.changed_since(self.written);
        if rows.is_empty() {
            return;
        }
        match self.heartbeat.idle_during(|| self.store.put(&rows)) {
            Ok(()) => self.written = consumption.changes(),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "Usage not written; trying again in an hour");
            }
        }
    }
}
