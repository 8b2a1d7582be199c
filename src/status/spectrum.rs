//! What a receiver sees, for people: rows of a waterfall and how strong its samples are. Made only while somebody looks.

use crate::status::revision;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rows kept: half a minute.
pub const KEPT: usize = 120;
/// Who has looked so long ago looks no longer.
const ATTENTION: Duration = Duration::from_secs(5);

/// A row of the waterfall.
#[derive(Clone, Debug)]
pub struct SpectrumRow {
    /// Number of the change that it is.
    pub revision: u64,
    /// When its last samples were heard.
    pub at: Timestamp,
    /// Centre of the window, if known.
    pub center_hz: Option<f64>,
    /// Width of the window.
    pub span_hz: f64,
    /// Strongest power of each bin, from the lowest frequency up; full scale is 0 dB.
    pub dbfs: Arc<[f32]>,
    /// Share of samples in each part of the scale.
    pub levels: Arc<[f64]>,
    /// Share of samples at either end of the scale.
    pub clipped: f64,
    /// Power of the samples.
    pub power_dbfs: f64,
    /// Of the noise, as the search knows it.
    pub noise_dbfs: f32,
}

/// What a receiver sees; copies see the same.
#[derive(Clone, Debug, Default)]
pub struct SpectrumBuffer(Arc<Mutex<MeterStatus>>);

#[derive(Debug, Default)]
struct MeterStatus {
    looked: Option<Instant>,
    rows: VecDeque<SpectrumRow>,
}

impl SpectrumBuffer {
    /// Rows newer than number `since`, oldest first; from now on there will be more for a while.
    pub fn look(&self, since: u64) -> Vec<SpectrumRow> {
        let mut seen = self.seen();
        seen.looked = Some(Instant::now());
        let is_new = |row: &&SpectrumRow| row.revision > since;
        seen.rows.iter().filter(is_new).cloned().collect()
    }

    /// The newest row; from now on there will be newer ones for a while.
    pub fn last(&self) -> Option<SpectrumRow> {
        let mut seen = self.seen();
        seen.looked = Some(Instant::now());
        seen.rows.back().cloned()
    }

    pub fn is_looked_at(&self) -> bool {
        let looked = self.seen().looked;
        looked.is_some_and(|looked| looked.elapsed() < ATTENTION)
    }

    pub fn show(&self, mut row: SpectrumRow) {
        let mut seen = self.seen();
        row.revision = revision::next();
        if seen.rows.len() == KEPT {
            seen.rows.pop_front();
        }
        seen.rows.push_back(row);
    }

    fn seen(&self) -> MutexGuard<'_, MeterStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
