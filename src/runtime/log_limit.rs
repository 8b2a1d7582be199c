//! Limit of log lines that strangers can cause: whoever reaches a port must not fill the disk.

use std::time::{Duration, Instant};

/// Shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(600);

/// Limiter of one kind of line.
#[derive(Debug, Default)]
pub struct LogLimit {
    logged: Option<Instant>,
    /// Events since the last line.
    left_out: u64,
}

impl LogLimit {
    /// Creates a limiter whose first event is logged.
    pub const fn new() -> Self {
        LogLimit {
            logged: None,
            left_out: 0,
        }
    }

    /// Counts an event. Returns the number of events since the last line, this one included, if a line is due.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.left_out += 1;
        let is_recent = |logged: Instant| now.saturating_duration_since(logged) < INTERVAL;
        if self.logged.is_some_and(is_recent) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_events_every_second_then_there_is_a_line_now_and_then_that_counts_them() {
        let (mut limit, begun) = (LogLimit::default(), Instant::now());
        let events = (0..1300).map(|second| begun + Duration::from_secs(second));
        let counts: Vec<u64> = events.filter_map(|now| limit.count(now)).collect();
        assert_eq!(counts, [1, 600, 600]);
    }
}
