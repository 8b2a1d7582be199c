//! State of a receiver or port, as published and shown.

use crate::runtime::Clock;
use crate::status::port::PortCounters;
use crate::status::radio::RadioCounters;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shortest time between two reports of losses.
const LOSS_INTERVAL: Duration = Duration::from_secs(60);

/// Time between two updates of the crystal's error.
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);
/// Change of the crystal's error that is published, in ppm: dongles drift by as much with their temperature.
const MEASURE_STEP_PPM: f64 = 5.0;

/// Condition of a receiver or port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It is being opened for the first time.
    Starting,
    /// It delivers.
    Up,
    /// It is open, but delivers nothing usable.
    Stalled,
    /// It cannot be opened, or was closed; it is opened again and again.
    Down,
}

/// State of a receiver or port.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiverState {
    /// Name of the receiver or port.
    pub receiver: String,
    /// Its condition.
    pub state: Condition,
    /// Reason why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the last change of `state` or `reason`.
    pub since: Timestamp,
    /// Device that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Tuner gain in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<String>,
    /// Sample rate that was measured and is followed, if it is another one than the source was set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<f64>,
    /// Error of the dongle's crystal in parts per million, from the chip clocks of the meters received; positive if it is too
    /// fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crystal_ppm: Option<f64>,
    /// Number of chunks of samples lost so far because the machine or the bus was too slow.
    pub dropped: u64,
    /// Number of times it was opened.
    pub opened: u64,
    /// Encryption of the telegrams of each configured meter that it has received: `plain`, `decrypted`, `no_key`, `wrong_key`
    /// and so on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, &'static str>,
    /// Counters of a port.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub wire: Option<PortCounters>,
    /// Counters of a radio.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub radio: Option<RadioCounters>,
    /// Chunks dropped between its threads, which are part of `dropped`.
    #[serde(skip)]
    blocks_dropped: Arc<AtomicU64>,
    #[serde(skip)]
    losses_logged: Option<Instant>,
    #[serde(skip)]
    measured: Option<Instant>,
    #[serde(skip)]
    clock: Clock,
}

impl ReceiverState {
    /// Creates the state of a receiver that is starting. `dropped` counts what is dropped between its threads.
    pub fn new(receiver: &str, dropped: Arc<AtomicU64>, clock: Clock) -> Self {
        ReceiverState {
            receiver: receiver.into(),
            state: Condition::Starting,
            reason: None,
            since: clock.timestamp(),
            device: None,
            gain: None,
            sample_rate: None,
            crystal_ppm: None,
            dropped: 0,
            opened: 0,
            keys: BTreeMap::new(),
            wire: None,
            radio: None,
            blocks_dropped: dropped,
            losses_logged: None,
            measured: None,
            clock,
        }
    }

    /// Changes to `condition`; returns true if that or the reason is another one than before. `lost` is the number of
    /// chunks that the source has lost.
    pub fn change(&mut self, condition: Condition, reason: Option<String>, lost: u64) -> bool {
        self.dropped = lost + self.blocks_dropped.load(Ordering::Relaxed);
        if self.state == condition && self.reason == reason {
            return false;
        }
        self.state = condition;
        self.reason = reason;
        self.since = self.clock.timestamp();
        true
    }

    /// Updates the number of lost chunks. Logs further losses and returns true, at most once per [`LOSS_INTERVAL`].
    pub fn has_dropped(&mut self, lost: u64) -> bool {
        let dropped = lost + self.blocks_dropped.load(Ordering::Relaxed);
        let now = self.clock.now();
        let is_logged = self
            .losses_logged
            .is_some_and(|logged| now.saturating_duration_since(logged) < LOSS_INTERVAL);
        if dropped == self.dropped || is_logged {
            return false;
        }
        tracing::warn!(
            receiver = %self.receiver,
            lost = dropped - self.dropped,
            "Samples lost: the machine or the bus is too slow"
        );
        self.losses_logged = Some(now);
        self.dropped = dropped;
        true
    }

    /// Updates the error of the crystal with that of `error_ppm`, which is asked once per [`MEASURE_INTERVAL`]. Returns true if
    /// it differs from before by [`MEASURE_STEP_PPM`].
    pub fn has_measured(&mut self, error_ppm: impl FnOnce() -> Option<f64>) -> bool {
        let now = self.clock.now();
        let is_due = self
            .measured
            .is_none_or(|measured| now.saturating_duration_since(measured) >= MEASURE_INTERVAL);
        if !is_due {
            return false;
        }
        self.measured = Some(now);
        let error_ppm = error_ppm();
        let differs = match (error_ppm, self.crystal_ppm) {
            (Some(now), Some(before)) => (now - before).abs() >= MEASURE_STEP_PPM,
            (now, before) => now.is_some() != before.is_some(),
        };
        if differs {
            self.crystal_ppm = error_ppm;
        }
        differs
    }

    /// Logs the state.
    pub fn log(&self) {
        let (receiver, state, device) = (&self.receiver, self.state, self.device.as_deref());
        let reason = self.reason.as_deref().unwrap_or_default();
        match state {
            Condition::Starting => tracing::info!(%receiver, ?state, "Source starting"),
            Condition::Up => tracing::info!(%receiver, ?state, device, "Source up"),
            Condition::Stalled => tracing::warn!(%receiver, ?state, %reason, "Source stalled"),
            Condition::Down => tracing::warn!(%receiver, ?state, %reason, "Source down"),
        }
    }
}
