//! Result of a publisher's life.

use std::ops::Add;
use std::time::Duration;

/// Time in which an interrupted process delivers what it can; all of its sinks must be done within 2 s.
pub const HURRIED: Duration = Duration::from_millis(1500);

/// Messages of a connection that has ended, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Lost: not acknowledged when time was up and not spooled, dropped from the spool, or refused by the broker.
    pub undelivered: u64,
    /// Not acknowledged when time was up; in the spool for the next start.
    pub kept: u64,
}

impl Add for Outcome {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Outcome {
            delivered: self.delivered + other.delivered,
            undelivered: self.undelivered + other.undelivered,
            kept: self.kept + other.kept,
        }
    }
}
