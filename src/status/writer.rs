//! Status of the daemon, as its main thread writes it and others read it.

use crate::meter::Meters;
use crate::meter::consumption::{Consumption, DayRecord};
use crate::meter::counter::{counter_values, register_values};
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::reception::Reception;
use crate::meter::tariff::Tariffs;
use crate::meter::usual_interval::UsualInterval;
use crate::runtime::Clock;
use crate::status::last_telegram::LastTelegram;
use crate::status::log_buffer::LogBuffer;
use crate::status::meter_map::MeterMap;
use crate::status::meter_status::{MeterStatus, Publication};
use crate::status::prices::PriceFeedStatus;
use crate::status::radio::RadioMetrics;
use crate::status::reading_counters::ReadingCounters;
use crate::status::receiver::ReceiverState;
use crate::status::revision::Revision;
use crate::status::sink::SinkMetrics;
use crate::status::snapshot::{Cell, Snapshot, StatusReader};
use crate::status::spectrum::SpectrumBuffer;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Limit of meters, so that ids from the air cannot fill the memory; a street has some hundreds. Further ones are not
/// shown.
const MAX_METERS: usize = 10_000;
/// Readings kept for clients that ask for them page by page; the oldest are dropped.
const MAX_READINGS: usize = 2000;
/// Shortest time between two snapshots, which bounds the cost of copying on write. The page polls less often.
const INTERVAL: Duration = Duration::from_millis(100);

/// Writer of the status: one per daemon, owned by the main thread.
///
/// Changes collect in a working copy and are published together, at most once per [`INTERVAL`]. Readers keep their
/// snapshot for as long as they need it, and nobody waits for them.
#[derive(Debug)]
pub struct Status {
    working: Snapshot,
    cell: Arc<Cell>,
    revision: Revision,
    clock: Clock,
    /// Somebody may read: without, nothing is kept of meters.
    is_enabled: bool,
    /// Shared by everything that has changed since the last snapshot.
    publication: Publication,
    has_changed: bool,
    published: Instant,
}

impl Status {
    /// Creates the status of a daemon that starts now. Changes are counted together with those of `log`.
    pub fn new(log: LogBuffer, clock: Clock) -> Self {
        let revision = log.revision().clone();
        let working = Snapshot {
            started: clock.timestamp(),
            receivers: Arc::default(),
            radios: Arc::default(),
            spectra: Arc::default(),
            telegrams: Arc::default(),
            log,
            consumption: Arc::default(),
            meters: MeterMap::default(),
            readings: Arc::default(),
            first_reading: 0,
            p1_telegram: None,
            sinks: Arc::new([]),
            refused: Arc::default(),
            online: Arc::default(),
            configured: Meters::default(),
            tariffs: Tariffs::default(),
            prices: Arc::new([]),
            counters: ReadingCounters::default(),
            restarts: Arc::default(),
            panics: 0,
        };
        Status {
            cell: Arc::new(Cell::new(working.clone(), revision.clone())),
            working,
            revision,
            published: clock.now(),
            clock,
            is_enabled: false,
            publication: Publication::default(),
            has_changed: false,
        }
    }

    /// Returns a reader for another thread.
    pub fn reader(&self) -> StatusReader {
        StatusReader(self.cell.clone())
    }

    /// Everything as it is now, published or not.
    pub fn current(&self) -> &Snapshot {
        &self.working
    }

    /// Counter of changes, for the buffers that other threads write.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// States of receivers and ports by name.
    pub fn receivers(&self) -> &BTreeMap<String, ReceiverState> {
        &self.working.receivers
    }

    /// Says whether there is a page to show meters on. Without one, what is known of meters is dropped.
    pub fn set_enabled(&mut self, is_enabled: bool) {
        self.is_enabled = is_enabled;
        if !is_enabled {
            self.working.consumption = Arc::new(Consumption::default());
            self.working.meters = MeterMap::default();
            self.working.first_reading += self.working.readings.len() as u64;
            self.working.readings = Arc::new(VecDeque::new());
            self.working.p1_telegram = None;
            self.working.refused = Arc::default();
        }
        self.has_changed = true;
    }

    /// Records a published reading, or that of a neighbor's meter. Intervals are part of other readings and left out.
    pub fn add_reading(&mut self, event: &Arc<ReadingEvent>) {
        if !self.is_enabled || matches!(event.origin, Origin::Interval(_)) {
            return;
        }
        self.has_changed = true;
        if let Some(telegram) = event.telegram() {
            self.working.p1_telegram = Some(telegram.clone());
        }
        let readings = Arc::make_mut(&mut self.working.readings);
        if readings.len() >= MAX_READINGS {
            readings.pop_front();
            self.working.first_reading += 1;
        }
        readings.push_back(event.clone());
        self.update_meter(event);
    }

    fn update_meter(&mut self, event: &Arc<ReadingEvent>) {
        let before = self.working.meters.get(event);
        if before.is_none() && self.working.meters.len() >= MAX_METERS {
            return;
        }
        let counts = counter_values(event);
        let received = reception(before, event);
        if event.is_own_meter() && !counts.is_empty() {
            let consumption = Arc::make_mut(&mut self.working.consumption);
            // Without prices of their own, nobody asks for registers by themselves.
            let registers = match self.working.tariffs.has_registers(&event.id) {
                true => register_values(event),
                false => Vec::new(),
            };
            counts
                .iter()
                .chain(&registers)
                .for_each(|count| consumption.record(event.received_at(), count));
        }
        let count = counts.into_iter().next();
        // The change since the first reading starts over with another unit.
        let first = before
            .filter(|before| before.count.as_ref().map(|c| &c.unit) == count.as_ref().map(|c| &c.unit))
            .map(|before| before.first)
            .or(count.as_ref().map(|count| count.value));
        let meter = MeterStatus {
            publication: self.publication.clone(),
            last: event.clone(),
            first: first.unwrap_or_default(),
            count,
            at: received.at,
            times: received.times,
            interval: received.interval,
            reception: received.hours,
            withheld_at: None,
        };
        self.working.meters.insert(meter);
    }

    /// Records that a meter was received whose reading its rate keeps from being published.
    pub fn add_withheld(&mut self, event: &ReadingEvent) {
        let Some(before) = self.working.meters.get(event).cloned() else {
            return;
        };
        let received = reception(Some(&before), event);
        self.working.meters.insert(MeterStatus {
            publication: self.publication.clone(),
            at: received.at,
            times: received.times,
            interval: received.interval,
            reception: received.hours,
            withheld_at: Some(received.at),
            ..MeterStatus::clone(&before)
        });
        self.has_changed = true;
    }

    /// Replaces the configured meters. The last readings of those that differ are shown as configured now.
    pub fn set_meters(&mut self, meters: &Meters) {
        let before = std::mem::replace(&mut self.working.configured, meters.clone());
        self.has_changed = true;
        let ids = before.iter().chain(meters.iter()).map(|(id, _)| id);
        let changed = ids.filter(|id| before.get(id) != meters.get(id));
        let changed: BTreeSet<&str> = changed.collect();
        for id in changed {
            let known: Vec<_> = self.working.meters.with_id(id).cloned().collect();
            for known in known {
                let last = Arc::new(known.last.configured_as(meters.get(id).cloned()));
                let count = counter_values(&last).into_iter().next();
                self.working.meters.insert(MeterStatus {
                    publication: self.publication.clone(),
                    first: count.as_ref().map_or(0.0, |count| count.value),
                    last,
                    count,
                    ..MeterStatus::clone(&known)
                });
            }
        }
    }

    /// Replaces the prices.
    pub fn set_tariffs(&mut self, tariffs: &Tariffs) {
        self.working.tariffs = tariffs.clone();
        self.has_changed = true;
    }

    /// Replaces the sources of prices that change every hour.
    pub fn set_prices(&mut self, prices: impl Iterator<Item = PriceFeedStatus>) {
        self.working.prices = prices.collect();
        self.has_changed = true;
    }

    /// Replaces the numbers of implausible readings.
    pub fn set_refused(&mut self, refused: &BTreeMap<(String, &'static str), u64>) {
        // Called after each event: compared only when a snapshot may be published.
        if self.is_enabled && self.is_due() && *self.working.refused != *refused {
            self.working.refused = Arc::new(refused.clone());
            self.has_changed = true;
        }
    }

    /// Records that a meter is received, or no longer.
    pub fn set_online(&mut self, id: &str, is_online: bool) {
        Arc::make_mut(&mut self.working.online).insert(id.to_owned(), is_online);
        self.has_changed = true;
    }

    /// Forgets whether a meter is received that has left the configuration.
    pub fn forget_online(&mut self, id: &str) {
        Arc::make_mut(&mut self.working.online).remove(id);
        self.has_changed = true;
    }

    /// Replaces the numbers of readings, of restarts by component, and of panics.
    pub fn set_counters(&mut self, counters: ReadingCounters, restarts: BTreeMap<String, u64>, panics: u64) {
        let working = &mut self.working;
        let is_same =
            (working.counters, working.panics) == (counters, panics) && *working.restarts == restarts;
        if !is_same {
            (working.counters, working.panics) = (counters, panics);
            working.restarts = Arc::new(restarts);
            self.has_changed = true;
        }
    }

    /// Replaces the state of a receiver or port.
    pub fn set_receiver(&mut self, state: &ReceiverState) {
        Arc::make_mut(&mut self.working.receivers).insert(state.receiver.clone(), state.clone());
        self.has_changed = true;
        // Rare, and health checks depend on it.
        self.flush();
    }

    /// Adds the spectrum and the counters of a radio.
    pub fn add_radio(&mut self, radio: &str, spectrum: SpectrumBuffer, metrics: RadioMetrics) {
        Arc::make_mut(&mut self.working.spectra).insert(radio.into(), spectrum);
        Arc::make_mut(&mut self.working.radios).insert(radio.into(), metrics);
        self.has_changed = true;
    }

    /// Adds the last telegram of a port.
    pub fn add_telegram(&mut self, port: &str, telegram: LastTelegram) {
        Arc::make_mut(&mut self.working.telegrams).insert(port.into(), telegram);
        self.has_changed = true;
    }

    /// Removes a receiver or port.
    pub fn remove_receiver(&mut self, name: &str) {
        Arc::make_mut(&mut self.working.receivers).remove(name);
        Arc::make_mut(&mut self.working.spectra).remove(name);
        Arc::make_mut(&mut self.working.radios).remove(name);
        Arc::make_mut(&mut self.working.telegrams).remove(name);
        self.has_changed = true;
    }

    /// Replaces the metrics of the sinks.
    pub fn set_sinks(&mut self, sinks: impl Iterator<Item = Arc<SinkMetrics>>) {
        self.working.sinks = sinks.collect();
        self.has_changed = true;
    }

    /// Adds consumption of earlier runs; what was counted since the start stays.
    pub fn restore_consumption(&mut self, days: Vec<DayRecord>) {
        let consumption = Arc::make_mut(&mut self.working.consumption);
        days.into_iter().for_each(|day| consumption.restore(day));
        self.has_changed = true;
    }

    /// Publishes a snapshot if something has changed and the last one is old enough. To be called after each event, and at
    /// least ten times a second.
    pub fn tick(&mut self) {
        if self.is_due() {
            self.flush();
        }
    }

    /// Publishes a snapshot if something has changed.
    pub fn flush(&mut self) {
        if self.has_changed {
            let publication = std::mem::take(&mut self.publication);
            self.cell.publish(self.working.clone(), &publication);
            self.has_changed = false;
            self.published = self.clock.now();
        }
    }

    /// Returns true if the last snapshot is old enough for another one.
    pub fn is_due(&self) -> bool {
        self.clock.now().saturating_duration_since(self.published) >= INTERVAL
    }
}

/// Receptions of a meter with one more, `event`. One that was withheld and is published later is the same.
fn reception(before: Option<&Arc<MeterStatus>>, event: &ReadingEvent) -> Receptions {
    let at = event.received_at();
    let mut all = before.map(|before| Receptions {
        at: before.at,
        times: before.times,
        interval: before.interval,
        hours: before.reception.clone(),
    });
    let is_same = before.is_some_and(|before| before.withheld_at.is_some_and(|withheld| at <= withheld));
    if let Some(all) = all.take_if(|_| is_same) {
        return all;
    }
    let mut all = all.unwrap_or_else(|| Receptions {
        at,
        times: 0,
        interval: UsualInterval::default(),
        hours: Arc::default(),
    });
    all.interval.learn(all.at, at);
    (all.at, all.times) = (at, all.times + 1);
    if event.is_own_meter() {
        let snr_db = match &event.origin {
            Origin::Radio(reading) => Some(reading.signal.snr_db),
            Origin::Wire(reading) => reading.signal.as_ref().map(|signal| signal.signal.snr_db),
            Origin::Interval(_) => None,
        };
        Arc::make_mut(&mut all.hours).add(at, snr_db);
    }
    all
}

/// Receptions of a meter so far.
struct Receptions {
    /// Time of the last one.
    at: Timestamp,
    /// Number of them.
    times: u64,
    interval: UsualInterval,
    hours: Arc<Reception>,
}

#[cfg(test)]
mod tests;
