//! Publishing of the daemon's own state: when it has changed, and not too often.

use crate::runtime::Clock;
use crate::status::Snapshot;
use crate::status::daemon_state::DaemonState;
use std::time::{Duration, Instant};

/// Shortest time between two publications: every reading changes a counter.
const INTERVAL: Duration = Duration::from_secs(30);

/// State as published last.
pub struct StateTopic {
    clock: Clock,
    published: Option<String>,
    due: Instant,
}

impl StateTopic {
    /// Nothing is published yet.
    pub fn new(clock: Clock) -> Self {
        let due = clock.now();
        StateTopic {
            clock,
            published: None,
            due,
        }
    }

    /// Returns the state to be published, if it is due and differs from that published last.
    pub fn due(&mut self, snapshot: &Snapshot) -> Option<&str> {
        let now = self.clock.now();
        if now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        self.changed(snapshot)
    }

    /// Returns the state if it differs from that published last.
    pub fn changed(&mut self, snapshot: &Snapshot) -> Option<&str> {
        let state = serde_json::to_string(&DaemonState::new(snapshot)).ok()?;
        if self.published.as_ref() == Some(&state) {
            return None;
        }
        self.published = Some(state);
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
    fn given_counters_that_change_all_the_time_then_the_state_is_published_now_and_then_and_only_if_it_differs()
     {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let mut status = Status::new(LogBuffer::default(), clock.clone());
        let mut topic = StateTopic::new(clock.clone());
        let mut times = Vec::new();
        for second in 0..200 {
            let published = second.min(100);
            let counters = ReadingCounters {
                published,
                ..ReadingCounters::default()
            };
            status.set_counters(counters, BTreeMap::new(), 0);
            status.flush();
            if let Some(state) = topic.due(&status.reader().snapshot()) {
                assert!(state.contains(&format!("\"published\":{published},")), "{state}");
                times.push(second);
            }
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(times, [0, 30, 60, 90, 120]);
        topic.forget();
        assert!(topic.due(&status.reader().snapshot()).is_some());
    }
}
