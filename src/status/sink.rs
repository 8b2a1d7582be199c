//! Metrics and condition of a sink.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reason why a message was lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// The queue in memory was full: the output is slower than the readings, or unreachable.
    QueueFull,
    /// The spool reached its limit, and the oldest readings were dropped.
    SpoolFull,
    /// The spool file was damaged and set aside.
    SpoolDamaged,
    /// The receiver will never accept the message.
    Refused,
    /// All attempts have failed.
    GivenUp,
    /// A client did not keep up and was disconnected.
    ClientTooSlow,
    /// The reader of standard output is gone.
    ReaderGone,
    /// The process, or the output, was stopped before delivery.
    Stopped,
}

impl LossReason {
    /// All reasons, in the order of [`SinkMetrics`].
    const ALL: [(LossReason, &str); 8] = [
        (LossReason::QueueFull, "queue_full"),
        (LossReason::SpoolFull, "spool_full"),
        (LossReason::SpoolDamaged, "spool_damaged"),
        (LossReason::Refused, "refused"),
        (LossReason::GivenUp, "given_up"),
        (LossReason::ClientTooSlow, "client_too_slow"),
        (LossReason::ReaderGone, "reader_gone"),
        (LossReason::Stopped, "stopped"),
    ];

    /// Name in metrics, the API and logs.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(reason, _)| *reason == self);
        found.map_or("unknown", |(_, name)| name)
    }
}

/// Metrics of an output or of the MQTT publisher; it writes them, others read them.
#[derive(Debug)]
pub struct SinkMetrics {
    name: String,
    delivered: AtomicU64,
    /// By reason, in the order of [`LossReason::ALL`].
    lost: [AtomicU64; LossReason::ALL.len()],
    waiting: AtomicU64,
    clients: AtomicU64,
    trouble: Mutex<Option<String>>,
    /// Trouble of the store behind the sink, which does not end with the next delivery.
    store_trouble: Mutex<Option<String>>,
    hint: Mutex<Option<String>>,
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
    /// The same by reason; reasons without a loss are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_by_reason: BTreeMap<&'static str, u64>,
    /// Number of messages that wait for delivery.
    pub waiting: u64,
    /// Number of connected clients.
    pub clients: u64,
    /// Reason why nothing is delivered at present, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the user is to do next, if the configuration is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl SinkMetrics {
    /// Creates the metrics of an output.
    pub fn new(name: String) -> Self {
        SinkMetrics {
            name,
            delivered: AtomicU64::new(0),
            lost: Default::default(),
            waiting: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            trouble: Mutex::new(None),
            store_trouble: Mutex::new(None),
            hint: Mutex::new(None),
        }
    }

    /// Name of the output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the present values.
    pub fn status(&self) -> SinkStatus {
        let counts = LossReason::ALL.iter().zip(&self.lost);
        let counts = counts.map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        let lost_by_reason: BTreeMap<_, _> = counts.filter(|(_, count)| *count > 0).collect();
        let store_trouble = || lock(&self.store_trouble).clone();
        SinkStatus {
            name: self.name.clone(),
            delivered: self.delivered.load(Ordering::Relaxed),
            lost: lost_by_reason.values().sum(),
            lost_by_reason,
            waiting: self.waiting.load(Ordering::Relaxed),
            clients: self.clients.load(Ordering::Relaxed),
            trouble: lock(&self.trouble).clone().or_else(store_trouble),
            hint: lock(&self.hint).clone(),
        }
    }

    /// Counts a message that was delivered.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages that are lost for good. The first loss of each reason is logged, except refusals, which are logged
    /// with their topic, and what is left at the end, which is logged with the other figures.
    pub fn lost(&self, reason: LossReason, count: u64) {
        let place = LossReason::ALL.iter().position(|(other, _)| *other == reason);
        let Some(counter) = place.map(|place| &self.lost[place]).filter(|_| count > 0) else {
            return;
        };
        let is_logged_elsewhere = matches!(reason, LossReason::Refused | LossReason::Stopped);
        if counter.fetch_add(count, Ordering::Relaxed) == 0 && !is_logged_elsewhere {
            tracing::warn!(
                output = self.name,
                reason = reason.name(),
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
        let mut current = lock(&self.trouble);
        match (&*current, &trouble) {
            (None, Some(error)) => tracing::warn!(output = self.name, error, "Output failed; retrying"),
            (Some(_), None) => tracing::info!(output = self.name, "Output works again"),
            _ => {}
        }
        *current = trouble;
    }

    /// Sets the reason as [`SinkMetrics::set_trouble`] does, without logging it: the caller has done so.
    pub fn set_trouble_unlogged(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Sets what the user is to do next; nothing if the configuration is complete.
    pub fn set_hint(&self, hint: Option<String>) {
        *lock(&self.hint) = hint;
    }

    /// Returns true if the store behind the sink is in trouble.
    pub fn has_store_trouble(&self) -> bool {
        lock(&self.store_trouble).is_some()
    }

    /// Sets the trouble of the store behind the sink; nothing if there is none. Not logged.
    pub fn set_store_trouble(&self, trouble: Option<String>) {
        *lock(&self.store_trouble) = trouble;
    }
}

impl SinkStatus {
    /// Losses by reason for logs: `refused=3 spool_full=12`, or `none`.
    pub fn losses(&self) -> String {
        let losses = self.lost_by_reason.iter();
        let losses: Vec<String> = losses
            .map(|(reason, count)| format!("{reason}={count}"))
            .collect();
        if losses.is_empty() {
            "none".into()
        } else {
            losses.join(" ")
        }
    }
}

fn lock(text: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_losses_then_they_are_counted_by_reason_and_together() {
        let metrics = SinkMetrics::new("mqtt".into());
        assert_eq!(metrics.status().losses(), "none");
        for (reason, _) in LossReason::ALL {
            metrics.lost(reason, 2);
        }
        metrics.lost(LossReason::Refused, 0);
        let status = metrics.status();
        assert_eq!((status.lost, status.lost_by_reason.len()), (16, 8));
        assert!(status.losses().starts_with("client_too_slow=2 given_up=2"));
    }

    #[test]
    fn given_trouble_of_the_store_then_it_outlives_a_delivery() {
        let metrics = SinkMetrics::new("mqtt".into());
        metrics.set_store_trouble(Some("disk full".into()));
        metrics.set_trouble_unlogged(Some("no broker".into()));
        assert_eq!(metrics.status().trouble.as_deref(), Some("no broker"));
        metrics.set_trouble_unlogged(None);
        assert_eq!(metrics.status().trouble.as_deref(), Some("disk full"));
    }
}
