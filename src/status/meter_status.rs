//! Status of one meter, and the revision with which it becomes visible.

use crate::meter::counter::CounterValue;
use crate::meter::event::ReadingEvent;
use crate::meter::reception::Reception;
use crate::meter::usual_interval::UsualInterval;
use jiff::Timestamp;
use std::sync::{Arc, OnceLock};

/// Usual intervals without a reading after which a meter is shown as silent: a run of lost packets is shorter.
const MISSED_INTERVALS: f64 = 20.0;
/// Shortest silence that is shown.
const SHORTEST_SILENCE_S: f64 = 60.0;

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
    /// Time of the last reading, also of one that its rate kept from being published.
    pub at: Timestamp,
    /// Number of readings, with those.
    pub times: u64,
    /// Reception over the last two days, of a configured or wired meter.
    pub reception: Arc<Reception>,
    /// Usual interval between readings.
    pub interval: UsualInterval,
    /// Time of the last reading, if it was withheld.
    pub(super) withheld_at: Option<Timestamp>,
}

impl MeterStatus {
    /// Silence in seconds after which something is wrong: the configured one, or else learned; `None` while neither is known.
    pub fn silence_limit_s(&self) -> Option<f64> {
        let configured = self.last.meter.as_ref().and_then(|meter| meter.expire);
        configured.map(|expire| expire.as_secs_f64()).or_else(|| {
            let usual = self.interval.seconds()?;
            Some((MISSED_INTERVALS * usual).max(SHORTEST_SILENCE_S))
        })
    }

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
