//! Counters of a radio.

use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Packets of a radio since its start, and what was lost of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RadioCounters {
    /// Packets received.
    pub packets: u64,
    /// Further copies of packets, dropped.
    pub duplicates: u64,
    /// Bursts that were not looked at because too many came at a time.
    pub dropped_bursts: u64,
    /// Frames with a good check that are no message.
    pub refused_frames: u64,
}

/// Place of the counters of a radio; clones share it. The search thread writes, others read.
#[derive(Clone, Debug, Default)]
pub struct RadioMetrics(Arc<Mutex<RadioCounters>>);

impl RadioMetrics {
    /// Returns the present values.
    pub fn counters(&self) -> RadioCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the values.
    pub fn set(&self, counters: RadioCounters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}
