//! Status of one meter, and the revision with which it becomes visible.

use crate::meter::counter::CounterValue;
use crate::meter::event::ReadingEvent;
use jiff::Timestamp;
use std::sync::{Arc, OnceLock};

/// Last reading of a meter and type.
#[derive(Clone, Debug)]
pub struct MeterStatus {
    pub(super) publication: Publication,
    /// Its last reading.
    pub last: Arc<ReadingEvent>,
    /// Its primary counter.
    pub count: Option<CounterValue>,
    /// Value of that counter when the meter was first received.
    pub first: f64,
    /// Time of the last reading.
    pub at: Timestamp,
    /// Number of readings.
    pub times: u64,
}

impl MeterStatus {
    /// Number of the change with which the last reading became visible.
    pub fn revision(&self) -> u64 {
        self.publication.revision()
    }
}

/// Revision of one publication, shared by everything that changes with it.
///
/// It is set under the lock of the cell, at the moment of publication. Had each change its number before, a reader could
/// be past that number while the snapshot with the change was still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Publication(pub(super) Arc<OnceLock<u64>>);

impl Publication {
    fn revision(&self) -> u64 {
        // Unset only before publication, where no reader is.
        self.0.get().copied().unwrap_or(u64::MAX)
    }
}
