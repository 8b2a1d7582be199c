//! Everything that the daemon counts, with the states of its parts, as published over MQTT.

use crate::status::reading_counters::ReadingCounters;
use crate::status::receiver::ReceiverState;
use crate::status::sink::SinkStatus;
use crate::status::snapshot::Snapshot;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Payload of the topic `counts`.
#[derive(Serialize)]
pub struct Counts<'a> {
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

impl<'a> Counts<'a> {
    /// Sums up `snapshot`. Names no meter, except in reasons.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut refused = BTreeMap::new();
        for ((_, reason), count) in snapshot.refused.iter() {
            *refused.entry(*reason).or_default() += count;
        }
        Counts {
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
