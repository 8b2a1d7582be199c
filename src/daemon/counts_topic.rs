//! Publishing of what the daemon counts: when it has changed, and not too often.

use crate::runtime::Clock;
use crate::status::Snapshot;
use crate::status::counts::Counts;
use std::time::{Duration, Instant};

/// Shortest time between two publications: every reading changes a counter.
const INTERVAL: Duration = Duration::from_secs(30);

/// Counts as published last.
pub struct CountsTopic {
    clock: Clock,
    published: Option<String>,
    due: Instant,
}

impl CountsTopic {
    /// Nothing is published yet.
    pub fn new(clock: Clock) -> Self {
        let due = clock.now();
        CountsTopic {
            clock,
            published: None,
            due,
        }
    }

    /// Returns the counts to be published, if it is due and differs from that published last.
    pub fn due(&mut self, snapshot: &Snapshot) -> Option<&str> {
        let now = self.clock.now();
        if now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        self.changed(snapshot)
    }

    /// Returns the counts if it differs from that published last.
    pub fn changed(&mut self, snapshot: &Snapshot) -> Option<&str> {
        let counts = serde_json::to_string(&Counts::new(snapshot)).ok()?;
        if self.published.as_ref() == Some(&counts) {
            return None;
        }
        self.published = Some(counts);
        self.published.as_deref()
    }

    /// Forgets what was published: there is another publisher.
    pub fn forget(&mut self) {
        *self = Self::new(self.clock.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use crate::status::log_buffer::LogBuffer;
    use crate::status::reading_counters::ReadingCounters;
    use jiff::Timestamp;
    use std::collections::BTreeMap;

    #[test]
    fn given_counters_that_change_all_the_time_then_they_are_published_now_and_then_and_only_if_it_differs() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let mut status = Status::new(LogBuffer::default(), clock.clone());
        let mut topic = CountsTopic::new(clock.clone());
        let mut times = Vec::new();
        for second in 0..200 {
            let published = second.min(100);
            let counters = ReadingCounters {
                published,
                ..ReadingCounters::default()
            };
            status.set_counters(counters, BTreeMap::new(), 0);
            status.flush();
            if let Some(counts) = topic.due(&status.reader().snapshot()) {
                assert!(
                    counts.contains(&format!("\"published\":{published},")),
                    "{counts}"
                );
                times.push(second);
            }
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(times, [0, 30, 60, 90, 120]);
        topic.forget();
        assert!(topic.due(&status.reader().snapshot()).is_some());
    }
}
