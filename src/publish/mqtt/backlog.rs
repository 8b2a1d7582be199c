//! Readings that were accepted and are not delivered: in memory and in the journal at first, on disk once they have waited.
//!
//! ```text
//!   publishers ──▶ journal ──▶ offer ──▶ memory ──── take ────▶ Delivery
//!                                          │ after `sync`, in     ▲   │
//!                                          ▼ batches              │   ▼
//!                                        spool ──── take ─────────┘ settled
//! ```
//!
//! Every reading has a key, given when it was accepted, and ascending keys are the order of publication wherever a reading
//! lies. So each can be stored at any time, and a kill at any moment leaves it in the journal, in the spool, or in both:
//! - `memory` holds what is not in the spool, taken or not; its records in the journal are cut off only after that;
//! - a batch takes all of `memory`, so rows have lower keys than `memory`, unless the spool failed in between;
//! - while the spool fails, readings flow from memory; its rows follow when it works again.

use crate::publish::message::Message;
use crate::publish::mqtt::broker::SpoolConfig;
use crate::publish::mqtt::waiting::{IN_FLIGHT, Waiting};
use crate::status::sink::{LossReason, SinkMetrics};
use crate::store::database::StoreError;
use crate::store::journal::{Found, Journal, Marks};
use crate::store::record::Record;
use crate::store::spool::Spool;
use anyhow::{Context, Result, anyhow};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Readings in memory that are written at once, without waiting for `sync`: a slow broker must not fill the memory.
const MAX_UNSAVED: usize = 1024;
/// Readings in memory while the spool fails, and their text; beyond it the oldest are dropped. A minute of a busy street.
const MAX_MEMORY: usize = 16_384;
const MAX_MEMORY_BYTES: usize = 16 << 20;
/// Delivered rows are removed in lots of this size: every removal is a transaction, which waits for the disk.
const REMOVE: usize = 1000;
/// Longest time for which a delivered row stays.
const REMOVE_AFTER: Duration = Duration::from_secs(1);
/// Pause before a spool that has failed is opened again.
const REOPEN: Duration = Duration::from_secs(5);

/// The readings; its methods block on the disk.
pub(crate) struct Backlog {
    settings: SpoolConfig,
    journal: SharedJournal,
    metrics: Arc<SinkMetrics>,
    /// `None` while it fails.
    spool: Option<Spool>,
    reopen_at: Instant,
    /// Number of rows when it failed.
    rows_before: u64,
    /// Rows up to this key were delivered by an earlier process.
    delivered_before: u64,
    /// What is not in the spool, in the order of the keys.
    memory: VecDeque<Held>,
    memory_bytes: usize,
    /// Highest key taken from `memory`.
    memory_cursor: u64,
    /// Rows up to this key are taken.
    disk_cursor: u64,
    /// False once a look beyond `disk_cursor` has found nothing.
    may_have_rows: bool,
    /// Keys that were taken and are not settled.
    in_flight: BTreeSet<u64>,
    /// Keys that are settled, and whose rows are to be removed.
    removable: BTreeSet<u64>,
    remove_at: Option<Instant>,
    /// Highest key that was offered.
    offered: u64,
    /// Highest key that was taken, by this process or an earlier one.
    taken: u64,
    /// Readings up to this key may have been published by an earlier process.
    taken_before: u64,
    /// Without a journal of that process: its rows, and how many of them may have been published.
    inherited_below: u64,
    inherited: usize,
    has_logged_full: bool,
    has_logged_journal: bool,
}

struct Held {
    key: u64,
    message: Message,
    at: Instant,
}

/// Journal shared by the publishers, which append to it, and the backlog.
#[derive(Clone)]
pub(crate) struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    /// Locks the journal. Appending and queueing happen under one lock, so the queue is in the order of the keys.
    pub fn lock(&self) -> MutexGuard<'_, Journal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    /// Opens the journal and the spool. A disk that fails or is full is not waited for: readings stay in memory, and the
    /// spool is opened again later.
    ///
    /// # Errors
    /// Returns an error that names the file if another process has it open, or if its folder is missing or forbidden.
    pub fn open(settings: SpoolConfig, metrics: Arc<SinkMetrics>, now: Instant) -> Result<Self> {
        let shown = || format!("mqtt.spool: {}", settings.path.display());
        let spool = Spool::open(&settings.path, settings.limit_bytes);
        let (spool, failure) = match spool {
            Ok(spool) => (Some(spool), None),
            Err(StoreError::Io(error)) if is_passing(&error) => (None, Some(StoreError::Io(error))),
            Err(error) => return Err(anyhow!(error)).with_context(shown),
        };
        let (mut journal, found, opened) = Journal::open(&settings.journal);
        if let Err(error) = &opened {
            log_journal(&settings.journal, error);
        }
        let Found { mut readings, marks } = found;
        let beside = settings.journal_beside();
        let has_moved = beside != settings.journal && beside.exists();
        if has_moved {
            // Written before there was a folder in memory.
            readings.extend(Journal::open(&beside).1.readings);
        }
        readings.sort_unstable_by_key(|(key, _)| *key);
        readings.dedup_by_key(|(key, _)| *key);
        let highest = readings.last().map_or(0, |(key, _)| *key);
        let highest = highest.max(marks.delivered).max(marks.saved);
        // Keys of rows that cannot be read now are unknown: seconds since 1970 are higher than any count of readings.
        let beyond = match &spool {
            Some(spool) => spool.last(),
            None => u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0) << 20,
        };
        journal.continue_from(highest.max(beyond) + 1);
        // A journal that was lost with the power tells nothing of the rows that were delivered last.
        let is_journal_new = marks == Marks::default();
        let mut backlog = Backlog {
            inherited_below: journal.next(),
            inherited: if is_journal_new { REMOVE + 2 * IN_FLIGHT } else { 0 },
            taken: marks.taken,
            taken_before: marks.taken,
            journal: SharedJournal(Arc::new(Mutex::new(journal))),
            metrics,
            spool,
            reopen_at: now + REOPEN,
            rows_before: 0,
            delivered_before: marks.delivered,
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_cursor: 0,
            disk_cursor: marks.delivered,
            may_have_rows: true,
            in_flight: BTreeSet::new(),
            removable: BTreeSet::new(),
            remove_at: None,
            offered: highest,
            has_logged_full: false,
            has_logged_journal: opened.is_err(),
            settings,
        };
        if let Some(error) = failure {
            backlog.spool_failed(&error, now);
        }
        backlog.remove_delivered_before(now);
        let readings = readings.into_iter().map(|(key, record)| (key, record.into()));
        backlog.offer(readings.collect(), now);
        backlog.save(now);
        if has_moved && backlog.memory.is_empty() {
            let _ = std::fs::remove_file(&beside);
        }
        Ok(backlog)
    }

    /// Journal to which publishers append what they offer.
    pub fn journal(&self) -> SharedJournal {
        self.journal.clone()
    }

    /// Number of readings that are not settled.
    pub fn len(&self) -> usize {
        let rows = self.spool.as_ref().map_or(0, Spool::rows);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        rows.saturating_sub(self.removable.len()) + self.memory.len()
    }

    /// Returns true if [`Backlog::take`] may return something.
    pub fn has_more(&self) -> bool {
        let is_in_memory = self
            .memory
            .back()
            .is_some_and(|held| held.key > self.memory_cursor);
        is_in_memory || (self.may_have_rows && self.spool.is_some())
    }

    /// Adds readings in the order of their keys.
    pub fn offer(&mut self, batch: Vec<(u64, Message)>, now: Instant) {
        for (key, message) in batch {
            debug_assert!(
                self.memory.back().is_none_or(|held| held.key < key),
                "keys ascend"
            );
            self.offered = self.offered.max(key);
            self.memory_bytes += size(&message);
            self.memory.push_back(Held {
                key,
                message,
                at: now,
            });
        }
        if self.memory.len() >= MAX_UNSAVED {
            self.save(now);
        }
        self.limit_memory();
    }

    /// Takes the oldest readings that were not taken, `count` at most.
    pub fn take(&mut self, count: usize, now: Instant) -> Vec<Waiting> {
        let mut taken = self.take_rows(count, now);
        let first = self.memory.partition_point(|held| held.key <= self.memory_cursor);
        for held in self.memory.range(first..).take(count - taken.len()) {
            self.memory_cursor = held.key;
            taken.push(Waiting {
                message: held.message.clone(),
                key: Some(held.key),
                may_have_arrived: false,
            });
        }
        for waiting in &mut taken {
            let key = waiting.key.unwrap_or_default();
            self.in_flight.insert(key);
            self.taken = self.taken.max(key);
            let is_inherited = key < self.inherited_below && self.inherited > 0;
            self.inherited -= usize::from(is_inherited);
            waiting.may_have_arrived = key <= self.taken_before || is_inherited;
        }
        if !taken.is_empty() {
            // Before they are published.
            self.mark();
        }
        taken
    }

    fn take_rows(&mut self, count: usize, now: Instant) -> Vec<Waiting> {
        let Some(spool) = self.spool.as_ref().filter(|_| self.may_have_rows) else {
            return Vec::new();
        };
        let is_skipped = |key: u64| self.in_flight.contains(&key) || self.removable.contains(&key);
        match spool.load(self.disk_cursor, count, is_skipped) {
            Ok(rows) => {
                self.may_have_rows = rows.len() == count;
                self.disk_cursor = rows.last().map_or(self.disk_cursor, |(key, _)| *key);
                let waiting = |(key, record): (u64, Record)| Waiting {
                    message: record.into(),
                    key: Some(key),
                    may_have_arrived: false,
                };
                rows.into_iter().map(waiting).collect()
            }
            Err(error) => {
                self.spool_failed(&error, now);
                Vec::new()
            }
        }
    }

    /// Removes readings that were taken and are delivered, or refused for ever.
    pub fn settled(&mut self, keys: &[u64], now: Instant) {
        for key in keys {
            self.in_flight.remove(key);
            match self.memory.binary_search_by_key(key, |held| held.key) {
                Ok(place) => {
                    let held = self.memory.remove(place);
                    self.memory_bytes -= held.map_or(0, |held| size(&held.message));
                }
                Err(_) => {
                    self.removable.insert(*key);
                }
            }
        }
        if !self.removable.is_empty() {
            self.remove_at.get_or_insert(now + REMOVE_AFTER);
            let rows = self.spool.as_ref().map_or(0, Spool::rows);
            if self.removable.len() >= REMOVE || self.removable.len() as u64 >= rows {
                self.remove_settled(now);
            }
        }
        self.mark();
    }

    /// Time at which [`Backlog::tick`] has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        if self.spool.is_none() {
            return Some(self.reopen_at);
        }
        let save_at = self.memory.front().map(|held| held.at + self.settings.sync);
        save_at.into_iter().chain(self.remove_at).min()
    }

    /// Does what is due: writes a batch, removes delivered rows, opens a spool that has failed.
    pub fn tick(&mut self, now: Instant) {
        if self.spool.is_none() && now >= self.reopen_at {
            self.reopen(now);
        }
        if self.remove_at.is_some_and(|at| now >= at) {
            self.remove_settled(now);
        }
        let is_old = |held: &Held| now >= held.at + self.settings.sync;
        if self.memory.front().is_some_and(is_old) {
            self.save(now);
        }
    }

    /// Keeps only the newest reading of each topic among those that were not taken.
    pub fn keep_latest(&mut self, now: Instant) {
        self.save(now);
        let after = self.in_flight.last().copied().unwrap_or_default();
        let after = after.max(self.disk_cursor);
        match self.spool.as_mut().map(|spool| spool.keep_latest(after)) {
            Some(Ok(count)) if count > 0 => {
                tracing::info!(count, "Older readings of the backlog dropped (mqtt.backlog)");
            }
            Some(Err(error)) => self.spool_failed(&error, now),
            Some(Ok(_)) | None => {}
        }
        self.mark();
    }

    /// Writes everything to the disk. Returns the number of readings that are left for the next process.
    pub fn close(&mut self, now: Instant) -> u64 {
        self.save(now);
        self.remove_settled(now);
        self.len() as u64
    }

    /// Writes `memory` to the spool in one transaction.
    fn save(&mut self, now: Instant) {
        if self.memory.is_empty() {
            return;
        }
        let Some(spool) = &mut self.spool else {
            return;
        };
        let rows = self.memory.iter().map(|held| {
            let Message { topic, payload, .. } = &held.message;
            (
                held.key,
                topic.as_str(),
                payload.as_str(),
                held.message.is_retained,
            )
        });
        match spool.insert(rows, |key| self.in_flight.contains(&key)) {
            Ok(dropped) => {
                self.may_have_rows |= self
                    .memory
                    .back()
                    .is_some_and(|held| held.key > self.memory_cursor);
                self.memory.clear();
                self.memory_bytes = 0;
                if dropped > 0 && !std::mem::replace(&mut self.has_logged_full, true) {
                    tracing::warn!("Spool full; dropping the oldest readings");
                }
                self.metrics.lost(LossReason::SpoolFull, dropped);
                self.mark();
            }
            Err(error) => self.spool_failed(&error, now),
        }
    }

    fn remove_settled(&mut self, now: Instant) {
        self.remove_at = None;
        if self.removable.is_empty() {
            return;
        }
        match self
            .spool
            .as_mut()
            .map(|spool| spool.remove(self.removable.iter().copied()))
        {
            Some(Ok(())) => self.removable.clear(),
            Some(Err(error)) => self.spool_failed(&error, now),
            // Their rows are skipped until the spool works again.
            None => {}
        }
    }

    fn remove_delivered_before(&mut self, now: Instant) {
        let last = self.delivered_before;
        if let Some(Err(error)) = self.spool.as_mut().map(|spool| spool.remove_through(last)) {
            self.spool_failed(&error, now);
        }
    }

    /// redb refuses everything after one error of the disk: only a new handle is of use.
    fn spool_failed(&mut self, error: &StoreError, now: Instant) {
        self.reopen_at = now + REOPEN;
        // The first error is logged, not those of the attempts that follow.
        let failed = self.spool.take();
        self.rows_before = failed.as_ref().map_or(self.rows_before, Spool::rows);
        if failed.is_some() || !self.metrics.has_store_trouble() {
            tracing::error!(
                file = %self.settings.path.display(),
                error = %error,
                "Spool failed; readings wait in memory until it works again"
            );
        }
        self.metrics.set_store_trouble(Some(format!("spool: {error}")));
    }

    fn reopen(&mut self, now: Instant) {
        match Spool::open(&self.settings.path, self.settings.limit_bytes) {
            Ok(spool) => {
                if spool.was_set_aside() {
                    // What was in flight is still in the hands of the connection.
                    let known = self.removable.len() + self.in_flight.len();
                    let lost = self.rows_before.saturating_sub(known as u64);
                    self.metrics.lost(LossReason::SpoolDamaged, lost);
                }
                self.spool = Some(spool);
                self.may_have_rows = true;
                self.metrics.set_store_trouble(None);
                tracing::info!(file = %self.settings.path.display(), "Spool works again");
                self.remove_delivered_before(now);
                self.remove_settled(now);
                self.save(now);
            }
            Err(error) => self.spool_failed(&error, now),
        }
    }

    /// Drops the oldest readings in memory that are not in flight, as many as are too many.
    fn limit_memory(&mut self) {
        let mut dropped = 0;
        while self.memory.len() > MAX_MEMORY || self.memory_bytes > MAX_MEMORY_BYTES {
            let is_idle = |held: &Held| !self.in_flight.contains(&held.key);
            let Some(place) = self.memory.iter().position(is_idle) else {
                break;
            };
            let held = self.memory.remove(place);
            self.memory_bytes -= held.map_or(0, |held| size(&held.message));
            dropped += 1;
        }
        self.metrics.lost(LossReason::QueueFull, dropped);
    }

    /// Tells the journal what needs no record any more, and a later process what is delivered.
    fn mark(&mut self) {
        let first_in_memory = self.memory.front().map(|held| held.key);
        let first_row = (self.may_have_rows || self.spool.is_none()).then_some(self.disk_cursor + 1);
        let first_in_flight = self.in_flight.first().copied();
        let waiting = [first_in_memory, first_row, first_in_flight];
        let first = waiting.into_iter().flatten().min();
        let before = |key: Option<u64>| key.map_or(self.offered, |key| key - 1);
        let mut journal = self.journal.lock();
        let result = journal.settle(Marks {
            delivered: before(first).max(self.delivered_before),
            saved: before(first_in_memory),
            taken: self.taken,
        });
        drop(journal);
        if let Err(error) = result {
            if !std::mem::replace(&mut self.has_logged_journal, true) {
                log_journal(&self.settings.journal, &error);
            }
        }
    }
}

/// Logs that the journal cannot be written.
pub(crate) fn log_journal(path: &Path, error: &io::Error) {
    tracing::error!(
        file = %path.display(),
        %error,
        "Journal failed; a kill of this process would lose readings under way"
    );
}

/// Returns true for errors of a disk that may recover; the others are mistakes of the configuration.
fn is_passing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::ReadOnlyFilesystem
    )
}

fn size(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

#[cfg(test)]
impl Backlog {
    /// Lets the disk fail for `pause`, as if it were full.
    pub fn fail_disk(&mut self, pause: Duration, now: Instant) {
        self.spool_failed(&StoreError::Io(ErrorKind::StorageFull.into()), now);
        self.reopen_at = now + pause;
    }
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
