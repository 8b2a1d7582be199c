//! Metrics and condition of a sink.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Metrics of an output or of the MQTT publisher; it writes them, others read them.
#[derive(Debug)]
pub struct SinkMetrics {
    name: String,
    delivered: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    clients: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// Values of [`SinkMetrics`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// Name of the output, or `mqtt`.
    pub name: String,
    /// Number of messages delivered.
    pub delivered: u64,
    /// Number of messages lost for good.
    pub lost: u64,
    /// Number of messages that wait for delivery.
    pub waiting: u64,
    /// Number of connected clients.
    pub clients: u64,
    /// Reason why nothing is delivered at present, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl SinkMetrics {
    /// Creates the metrics of an output.
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

    /// Returns the present values.
    pub fn status(&self) -> SinkStatus {
        SinkStatus {
            name: self.name.clone(),
            delivered: self.delivered.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            clients: self.clients.load(Ordering::Relaxed),
            trouble: self.current_trouble().clone(),
        }
    }

    /// Counts a message that was delivered.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages that are lost for good. The first loss is logged.
    pub fn lost(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!(
                output = self.name,
                "Output too slow or unreachable; readings are lost"
            );
        }
    }

    /// Sets the number of messages that wait for delivery.
    pub fn waiting(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    /// Counts a client that has connected.
    pub fn client_connected(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a client that has disconnected.
    pub fn client_disconnected(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sets the reason why nothing is delivered; nothing if there is none. The first failure after a success, and the first
    /// success after failures, are logged.
    pub fn set_trouble(&self, trouble: Option<String>) {
        let mut current = self.current_trouble();
        match (&*current, &trouble) {
            (None, Some(error)) => tracing::warn!(output = self.name, error, "Output failed; retrying"),
            (Some(_), None) => tracing::info!(output = self.name, "Output works again"),
            _ => {}
        }
        *current = trouble;
    }

    /// Sets the reason as [`SinkMetrics::set_trouble`] does, without logging it: the caller has done so.
    pub fn set_trouble_unlogged(&self, trouble: Option<String>) {
        *self.current_trouble() = trouble;
    }

    fn current_trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
