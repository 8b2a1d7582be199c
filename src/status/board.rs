//! What others may look at at any time: receivers, meters, sinks, as they are now, and what was used.

use crate::meter::consumption::{Consumption, CounterValue};
use crate::meter::counter::counter_values;
use crate::meter::event::{Origin, ReadingEvent};
use crate::status::last_telegram::LastTelegram;
use crate::status::log_buffer::LogBuffer;
use crate::status::receiver::ReceiverState;
use crate::status::revision;
use crate::status::sink::{SinkMetrics, SinkStatus};
use crate::status::spectrum::SpectrumBuffer;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Meters shown; a street has some hundreds.
const MAX_METERS: usize = 10_000;
/// Readings that are kept for those who ask a little later.
const MAX_READINGS: usize = 2000;

/// The board; copies show the same.
#[derive(Clone, Debug)]
pub struct StatusBoard(Arc<Mutex<Inner>>);

/// What stands on it.
#[derive(Debug)]
pub struct Inner {
    /// Whether anybody may look: without, nothing is kept of meters.
    pub is_shown: bool,
    /// When we started.
    pub started: Timestamp,
    /// Receivers and ports by name.
    pub receivers: BTreeMap<String, ReceiverState>,
    /// What each receiver of the radio sees.
    pub views: BTreeMap<String, SpectrumBuffer>,
    /// What came from each port last.
    pub tails: BTreeMap<String, LastTelegram>,
    /// The last events.
    pub journal: LogBuffer,
    /// What our meters count.
    pub usage: Consumption,
    /// Meters by id and type.
    pub meters: BTreeMap<(String, &'static str), MeterStatus>,
    /// The last readings, oldest first, and how many there were before them.
    pub readings: VecDeque<Arc<ReadingEvent>>,
    /// Number of the first of them.
    pub first_reading: u64,
    /// The last P1 telegram.
    pub telegram: Option<Arc<[u8]>>,
    /// Where readings go.
    pub sinks: Vec<Arc<SinkMetrics>>,
    /// Readings that were not plausible, by meter and reason.
    pub refused: BTreeMap<(String, &'static str), u64>,
}

/// A meter as it was heard last.
#[derive(Clone, Debug)]
pub struct MeterStatus {
    /// Number of the change that its last reading is.
    pub revision: u64,
    /// Its last reading.
    pub last: Arc<ReadingEvent>,
    /// The counter that people mean first.
    pub count: Option<CounterValue>,
    /// What that said first.
    pub first: f64,
    /// When its last reading was heard.
    pub at: Timestamp,
    /// How often it was passed on.
    pub times: u64,
}

impl Default for StatusBoard {
    fn default() -> Self {
        StatusBoard(Arc::new(Mutex::new(Inner {
            is_shown: false,
            started: Timestamp::now(),
            receivers: BTreeMap::new(),
            views: BTreeMap::new(),
            tails: BTreeMap::new(),
            journal: LogBuffer::default(),
            usage: Consumption::default(),
            meters: BTreeMap::new(),
            readings: VecDeque::new(),
            first_reading: 0,
            telegram: None,
            sinks: Vec::new(),
            refused: BTreeMap::new(),
        })))
    }
}

impl StatusBoard {
    /// What stands on it; held for as short as possible.
    pub fn look(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reading was passed on.
    pub fn told(&self, told: &Arc<ReadingEvent>) {
        if matches!(told.origin, Origin::Interval(_)) {
            return;
        }
        let mut inner = self.look();
        if !inner.is_shown {
            return;
        }
        if let Some(telegram) = told.telegram() {
            inner.telegram = Some(telegram.clone());
        }
        if inner.readings.len() >= MAX_READINGS {
            inner.readings.pop_front();
            inner.first_reading += 1;
        }
        inner.readings.push_back(told.clone());
        let key = (told.id.clone(), told.kind);
        let before = inner.meters.remove(&key);
        if before.is_none() && inner.meters.len() >= MAX_METERS {
            return;
        }
        let (at, counts) = (told.received_at(), counter_values(told));
        if told.is_own_meter() {
            counts.iter().for_each(|count| inner.usage.record(at, count));
        }
        let count = counts.into_iter().next();
        let unit = |count: &Option<CounterValue>| count.as_ref().map(|count| count.unit.clone());
        // In another unit it begins anew.
        let first = before
            .as_ref()
            .filter(|before| unit(&before.count) == unit(&count))
            .map(|before| before.first);
        let seen = MeterStatus {
            revision: revision::next(),
            last: told.clone(),
            first: first
                .or(count.as_ref().map(|count| count.value))
                .unwrap_or_default(),
            count,
            at,
            times: before.map_or(0, |before| before.times) + 1,
        };
        inner.meters.insert(key, seen);
    }

    /// So many readings were not plausible.
    pub fn refused(&self, refused: &BTreeMap<(String, &'static str), u64>) {
        let mut inner = self.look();
        if inner.is_shown && inner.refused != *refused {
            inner.refused.clone_from(refused);
        }
    }

    /// A receiver or port is gone.
    pub fn forget(&self, receiver: &str) {
        let mut inner = self.look();
        inner.receivers.remove(receiver);
        inner.views.remove(receiver);
        inner.tails.remove(receiver);
    }

    /// A receiver has changed its state.
    pub fn state(&self, state: &ReceiverState) {
        self.look()
            .receivers
            .insert(state.receiver.clone(), state.clone());
    }
}

impl Inner {
    /// How the sinks are.
    pub fn standings(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(|counts| counts.standing()).collect()
    }
}
