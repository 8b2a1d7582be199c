//! State of a receiver or port, as published and shown.

use crate::status::port::PortCounters;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Losses are told this often at most.
const LOSSES: Duration = Duration::from_secs(60);

/// How a live source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Being opened.
    Starting,
    /// Delivering samples.
    Up,
    /// Open, but delivers nothing of use.
    Stalled,
    /// Not there; tried again and again.
    Down,
}

/// Its condition, and why.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiverState {
    /// Name of the receiver.
    pub receiver: String,
    /// How it is.
    pub state: Condition,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// What was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How much its tuner amplifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<String>,
    /// Pieces of samples lost so far, because we or the bus were too slow.
    pub dropped: u64,
    /// How often it was opened.
    pub opened: u64,
    /// What a wire has said.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub wire: Option<PortCounters>,
    #[serde(skip)]
    blocks_dropped: Arc<AtomicU64>,
    #[serde(skip)]
    losses_told: Option<Instant>,
}

impl ReceiverState {
    /// Before anything has happened. `dropped` counts what the ring drops.
    pub fn new(receiver: &str, dropped: Arc<AtomicU64>) -> Self {
        ReceiverState {
            receiver: receiver.into(),
            state: Condition::Starting,
            reason: None,
            since: Timestamp::now(),
            device: None,
            gain: None,
            dropped: 0,
            opened: 0,
            wire: None,
            blocks_dropped: dropped,
            losses_told: None,
        }
    }

    /// Changes to `condition`; true if that is news.
    pub fn change(&mut self, condition: Condition, reason: Option<String>, lost: u64) -> bool {
        self.dropped = lost + self.blocks_dropped.load(Ordering::Relaxed);
        if self.state == condition && self.reason == reason {
            return false;
        }
        self.state = condition;
        self.reason = reason;
        self.since = Timestamp::now();
        true
    }

    /// Whether more was lost since this was last said, at most once in [`LOSSES`].
    pub fn has_dropped(&mut self, lost: u64) -> bool {
        let dropped = lost + self.blocks_dropped.load(Ordering::Relaxed);
        if dropped == self.dropped || self.losses_told.is_some_and(|told| told.elapsed() < LOSSES) {
            return false;
        }
        tracing::warn!(receiver = %self.receiver, lost = dropped - self.dropped, "Samples were lost: the machine or the bus is too slow.");
        self.losses_told = Some(Instant::now());
        self.dropped = dropped;
        true
    }

    /// Each change is logged once.
    pub fn log(&self) {
        let (receiver, state) = (&self.receiver, self.state);
        match (state, &self.reason) {
            (Condition::Stalled | Condition::Down, Some(reason)) => {
                tracing::warn!(%receiver, ?state, "{reason}");
            }
            _ => tracing::info!(%receiver, ?state, device = self.device.as_deref().unwrap_or_default()),
        }
    }
}
