//! Counters and condition of a sink.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What has become of an output's readings; read by others at any time.
#[derive(Debug)]
pub struct SinkMetrics {
    name: String,
    delivered: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    clients: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// The same, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// What the output is called.
    pub name: String,
    /// Readings that it has taken.
    pub delivered: u64,
    /// Readings that it will never get.
    pub lost: u64,
    /// Readings that wait for it.
    pub waiting: u64,
    /// Others that are connected.
    pub clients: u64,
    /// What is wrong with it at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl SinkMetrics {
    /// Of an output.
    pub fn new(name: String) -> Self {
        SinkMetrics {
            name,
            delivered: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            trouble: Mutex::new(None),
        }
    }

    /// Name of the output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As they are.
    pub fn standing(&self) -> SinkStatus {
        SinkStatus {
            name: self.name.clone(),
            delivered: self.delivered.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            clients: self.clients.load(Ordering::Relaxed),
            trouble: self
                .trouble
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// A reading has arrived.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Readings never will; told the first time.
    pub fn lost(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!(
                output = self.name,
                "An output cannot keep up, or is away: readings for it are being lost."
            );
        }
    }

    /// How many wait.
    pub fn waiting(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    /// One more connected, or one less.
    pub fn client(&self, has_come: bool) {
        match has_come {
            true => self.clients.fetch_add(1, Ordering::Relaxed),
            false => self.clients.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// The same, where somebody else tells of it.
    pub fn trouble_untold(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is wrong, or that nothing is any more; told when it changes from well to ill and back.
    pub fn trouble(&self, trouble: Option<String>) {
        let mut now = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*now, &trouble) {
            (None, Some(reason)) => {
                tracing::warn!(
                    output = self.name,
                    reason,
                    "An output is in trouble. Trying again until it is not."
                );
            }
            (Some(_), None) => tracing::info!(output = self.name, "An output works again."),
            _ => {}
        }
        *now = trouble;
    }
}
