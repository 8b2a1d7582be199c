//! Numbers of readings.

use serde::Serialize;

/// Readings since the start, and what became of those that were not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadingCounters {
    /// Readings published.
    pub published: u64,
    /// Readings that were not published because of the rate of their meter.
    pub throttled: u64,
    /// Readings that were not plausible.
    pub implausible: u64,
    /// Further copies of a reading, from other receivers, that became part of it.
    pub merged: u64,
}
