//! What others may look at at any time: receivers, meters, sinks, as they are now.

use crate::engine::State;
use crate::sink::outlet::{Counts, Standing};
use crate::sink::told::{Told, What};
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Meters shown; a street has some hundreds.
const MAX_METERS: usize = 10_000;
/// Readings that are kept for those who ask a little later.
const MAX_READINGS: usize = 2000;

/// The board; copies show the same.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Inner>>);

/// What stands on it.
#[derive(Debug)]
pub struct Inner {
    /// Whether anybody may look: without, nothing is kept of meters.
    pub is_shown: bool,
    /// When we started.
    pub started: Timestamp,
    /// Receivers and ports by name.
    pub receivers: BTreeMap<String, State>,
    /// Meters by id and type.
    pub meters: BTreeMap<(String, &'static str), Seen>,
    /// The last readings, oldest first, and how many there were before them.
    pub readings: VecDeque<Arc<Told>>,
    /// Number of the first of them.
    pub first_reading: u64,
    /// The last P1 telegram.
    pub telegram: Option<Arc<[u8]>>,
    /// Where readings go.
    pub sinks: Vec<Arc<Counts>>,
    /// Readings that were not plausible, by meter and reason.
    pub refused: BTreeMap<(String, &'static str), u64>,
}

/// A meter as it was heard last.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its last reading.
    pub last: Arc<Told>,
    /// When that was.
    pub at: Timestamp,
    /// How often it was passed on.
    pub times: u64,
}

impl Default for Board {
    fn default() -> Self {
        Board(Arc::new(Mutex::new(Inner {
            is_shown: false,
            started: Timestamp::now(),
            receivers: BTreeMap::new(),
            meters: BTreeMap::new(),
            readings: VecDeque::new(),
            first_reading: 0,
            telegram: None,
            sinks: Vec::new(),
            refused: BTreeMap::new(),
        })))
    }
}

impl Board {
    /// What stands on it; held for as short as possible.
    pub fn look(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reading was passed on.
    pub fn told(&self, told: &Arc<Told>) {
        if matches!(told.what, What::Interval(_)) {
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
        let times = inner.meters.get(&key).map_or(0, |seen| seen.times);
        if times == 0 && inner.meters.len() >= MAX_METERS {
            return;
        }
        let seen = Seen {
            last: told.clone(),
            at: told.heard_at(),
            times: times + 1,
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

    /// A receiver has changed its state.
    pub fn state(&self, state: &State) {
        self.look()
            .receivers
            .insert(state.receiver.clone(), state.clone());
    }
}

impl Inner {
    /// How the sinks are.
    pub fn standings(&self) -> Vec<Standing> {
        self.sinks.iter().map(|counts| counts.standing()).collect()
    }
}
