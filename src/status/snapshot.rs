//! State of the daemon at one moment, shared with the page, the metrics and the history.

use crate::meter::Meters;
use crate::meter::consumption::Consumption;
use crate::meter::event::ReadingEvent;
use crate::meter::hourly_prices::HourlyPrices;
use crate::meter::price_source::PriceSource;
use crate::meter::tariff::Tariffs;
use crate::status::last_telegram::LastTelegram;
use crate::status::log_buffer::LogBuffer;
use crate::status::meter_map::MeterMap;
use crate::status::meter_status::Publication;
use crate::status::prices::{PriceFeedJson, PriceFeedStatus};
use crate::status::radio::RadioMetrics;
use crate::status::reading_counters::ReadingCounters;
use crate::status::receiver::ReceiverState;
use crate::status::revision::Revision;
use crate::status::sink::{SinkMetrics, SinkStatus};
use crate::status::spectrum::SpectrumBuffer;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// State of the daemon at one moment. A clone copies some pointers; everything below them is copied on write.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Start of the process.
    pub started: Timestamp,
    /// Receivers and ports by name.
    pub receivers: Arc<BTreeMap<String, ReceiverState>>,
    /// Counters of each radio, by name.
    pub radios: Arc<BTreeMap<String, RadioMetrics>>,
    /// Spectrum of each receiver, by name.
    pub spectra: Arc<BTreeMap<String, SpectrumBuffer>>,
    /// Last telegram of each port, by name.
    pub telegrams: Arc<BTreeMap<String, LastTelegram>>,
    /// Last events of the log.
    pub log: LogBuffer,
    /// Consumption of configured and wired meters.
    pub consumption: Arc<Consumption>,
    /// Meters by id and type.
    pub meters: MeterMap,
    /// Last readings, oldest first.
    pub readings: Arc<VecDeque<Arc<ReadingEvent>>>,
    /// Number of readings that were dropped from the front of `readings`.
    pub first_reading: u64,
    /// Last P1 telegram.
    pub p1_telegram: Option<Arc<[u8]>>,
    /// Metrics of all sinks.
    pub sinks: Arc<[Arc<SinkMetrics>]>,
    /// Number of implausible readings by meter and reason.
    pub refused: Arc<BTreeMap<(String, &'static str), u64>>,
    /// Whether each configured or wired meter is received, by id.
    pub online: Arc<BTreeMap<String, bool>>,
    /// Configured meters.
    pub configured: Meters,
    /// Prices of what they count.
    pub tariffs: Tariffs,
    /// Sources of prices that change every hour.
    pub prices: Arc<[PriceFeedStatus]>,
    /// Numbers of readings.
    pub counters: ReadingCounters,
    /// Number of restarts of the components that have failed, by name.
    pub restarts: Arc<BTreeMap<String, u64>>,
    /// Number of panics in threads and tasks.
    pub panics: u64,
}

impl Snapshot {
    /// Returns the state of all sinks.
    pub fn sink_statuses(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(|metrics| metrics.status()).collect()
    }

    /// Returns the state of all sources of prices.
    pub fn price_feeds(&self, now: Timestamp) -> Vec<PriceFeedJson> {
        self.prices.iter().map(|status| status.json(now)).collect()
    }

    /// Returns the prices of exchanges and suppliers, as far as they are known now.
    pub fn known_prices(&self) -> Vec<(PriceSource, Arc<HourlyPrices>)> {
        let known = self.prices.iter();
        known
            .map(|status| (status.source().clone(), status.prices()))
            .collect()
    }

    /// Returns the states of receivers and ports with their counters as they are now: a state is published seldom.
    pub fn receivers_now(&self) -> BTreeMap<String, ReceiverState> {
        let mut receivers = BTreeMap::clone(&self.receivers);
        for (name, state) in &mut receivers {
            if let Some(telegram) = self.telegrams.get(name) {
                state.wire = Some(telegram.counters());
            }
            state.radio = self.radios.get(name).map(RadioMetrics::counters);
        }
        receivers
    }
}

/// Place of the newest snapshot. The lock is held for the exchange of a pointer.
#[derive(Debug)]
pub(super) struct Cell {
    newest: Mutex<Arc<Snapshot>>,
    revision: Revision,
}

impl Cell {
    pub(super) fn new(snapshot: Snapshot, revision: Revision) -> Self {
        Cell {
            newest: Mutex::new(Arc::new(snapshot)),
            revision,
        }
    }

    /// Exchanges the snapshot, and numbers what has changed in it.
    pub(super) fn publish(&self, snapshot: Snapshot, publication: &Publication) {
        let snapshot = Arc::new(snapshot);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = publication.0.set(self.revision.next());
        let old = std::mem::replace(&mut *newest, snapshot);
        drop(newest);
        // Possibly the last owner of much: freed outside the lock.
        drop(old);
    }
}

/// Reader of snapshots; clones read the same status.
#[derive(Clone, Debug)]
pub struct StatusReader(pub(super) Arc<Cell>);

impl StatusReader {
    /// Returns the newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.clone()
    }

    /// Returns the number of the newest change. A snapshot taken afterwards, and the buffers in it, contain all changes up
    /// to it.
    pub fn revision(&self) -> u64 {
        self.0.revision.current()
    }
}
