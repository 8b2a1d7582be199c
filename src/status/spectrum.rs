//! Spectrum of a receiver for the page and the terminal: rows of a waterfall, computed only while somebody watches.

use crate::runtime::Clock;
use crate::status::revision::Revision;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rows kept: half a minute.
pub const MAX_ROWS: usize = 120;
/// A viewer that has not polled for this long is considered gone.
const VIEWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A row of the waterfall.
#[derive(Clone, Debug)]
pub struct SpectrumRow {
    /// Number of the change.
    pub revision: u64,
    /// Time of its last samples.
    pub at: Timestamp,
    /// Center of the window in hertz, if known.
    pub center_hz: Option<f64>,
    /// Width of the window in hertz.
    pub span_hz: f64,
    /// Peak power of each bin, from the lowest frequency up; full scale is 0 dB.
    pub dbfs: Arc<[f32]>,
    /// Histogram of the samples over the scale of the converter; the sum is 1.
    pub levels: Arc<[f64]>,
    /// Share of samples at either end of the scale, 0 to 1.
    pub clipped: f64,
    /// Mean power of the samples.
    pub power_dbfs: f64,
    /// Noise power, as estimated by the search.
    pub noise_dbfs: f32,
}

/// Rows of a receiver; clones share them. The search thread writes, viewers read.
#[derive(Clone, Debug, Default)]
pub struct SpectrumBuffer {
    state: Arc<Mutex<State>>,
    revision: Revision,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    polled: Option<Instant>,
    rows: VecDeque<SpectrumRow>,
}

impl SpectrumBuffer {
    /// Creates an empty buffer whose rows are numbered by `revision`.
    pub fn new(revision: Revision, clock: Clock) -> Self {
        SpectrumBuffer {
            state: Arc::default(),
            revision,
            clock,
        }
    }

    /// Returns the rows after change number `since`, oldest first, and counts as a viewer for a while.
    pub fn since(&self, since: u64) -> Vec<SpectrumRow> {
        let is_new = |row: &&SpectrumRow| row.revision > since;
        self.poll().rows.iter().filter(is_new).cloned().collect()
    }

    /// Returns the newest row, and counts as a viewer for a while.
    pub fn last(&self) -> Option<SpectrumRow> {
        self.poll().rows.back().cloned()
    }

    /// Returns true if there is a viewer, so that rows are worth computing.
    pub fn is_watched(&self) -> bool {
        let polled = self.state().polled;
        polled.is_some_and(|polled| self.clock.now().saturating_duration_since(polled) < VIEWER_TIMEOUT)
    }

    /// Appends a row, and numbers it.
    pub fn push(&self, mut row: SpectrumRow) {
        let mut state = self.state();
        row.revision = self.revision.next();
        if state.rows.len() == MAX_ROWS {
            state.rows.pop_front();
        }
        state.rows.push_back(row);
    }

    fn poll(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.polled = Some(self.clock.now());
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
