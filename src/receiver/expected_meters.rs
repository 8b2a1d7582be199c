//! Meters that one receiver expects, renewed as time passes and messages arrive.

use crate::meter::expectations::{Expectations, RENEWAL};
use jiff::Timestamp;
use metertap_dsp::Expectation;

/// What the receiver was told last.
pub struct ExpectedMeters {
    expectations: Expectations,
    /// Revision and time of what is in force.
    in_force: Option<(u64, Timestamp)>,
}

impl ExpectedMeters {
    pub fn new(expectations: Expectations) -> Self {
        ExpectedMeters {
            expectations,
            in_force: None,
        }
    }

    /// Returns the expectations at `now`, the time of the next sample, if they are not in force yet.
    pub fn changed(&mut self, now: Timestamp) -> Option<Vec<Expectation>> {
        let revision = self.expectations.revision();
        let is_due = self
            .in_force
            .is_none_or(|(known, since)| known != revision || now.duration_since(since).abs() >= RENEWAL);
        is_due.then(|| {
            self.in_force = Some((revision, now));
            self.expectations.at(now)
        })
    }

    /// Forgets what is in force: the demodulators are new, or samples were lost.
    pub fn forget(&mut self) {
        self.in_force = None;
    }
}
