//! State of the daemon with everything that it counts, as published over MQTT.

use crate::status::receiver::ReceiverState;
use crate::status::sink::SinkStatus;
use crate::status::snapshot::Snapshot;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

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

/// Payload of the topic `counts`.
#[derive(Serialize)]
pub struct DaemonState<'a> {
    version: &'static str,
    started: Timestamp,
    readings: ReadingCounters,
    /// Implausible readings by reason.
    refused: BTreeMap<&'static str, u64>,
    receivers: BTreeMap<String, ReceiverState>,
    sinks: Vec<SinkStatus>,
    /// Components that have failed, with the number of their restarts.
    restarts: &'a BTreeMap<String, u64>,
    panics: u64,
}

impl<'a> DaemonState<'a> {
    /// Sums up `snapshot`. Names no meter, except in reasons.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut refused = BTreeMap::new();
        for ((_, reason), count) in snapshot.refused.iter() {
            *refused.entry(*reason).or_default() += count;
        }
        DaemonState {
            version: env!("CARGO_PKG_VERSION"),
            started: snapshot.started,
            readings: snapshot.counters,
            refused,
            receivers: snapshot.receivers_now(),
            sinks: snapshot.sink_statuses(),
            restarts: &snapshot.restarts,
            panics: snapshot.panics,
        }
    }
}
