//! Interval between the telegrams of a meter, and the silence after which its port is considered lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Intervals remembered.
const INTERVALS: usize = 8;
/// Assumed interval until one was learned: the slowest P1 meters send every 10 s.
const UNKNOWN: Duration = Duration::from_secs(11);
/// Shortest silence that counts: a network delivers in bursts.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);

/// Estimator of the interval of one meter.
#[derive(Debug)]
pub struct IntervalEstimator {
    configured: Option<Duration>,
    last: Option<Instant>,
    intervals: VecDeque<Duration>,
}

impl IntervalEstimator {
    /// Uses the `configured` interval; without one it is learned.
    pub fn new(configured: Option<Duration>) -> Self {
        IntervalEstimator {
            configured,
            last: None,
            intervals: VecDeque::with_capacity(INTERVALS),
        }
    }

    /// Starts anew after the port was closed for a while: the gap is no interval of the meter.
    pub fn port_opened(&mut self) {
        self.last = None;
    }

    /// Learns from a telegram that was received at `now`.
    pub fn telegram_received(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            if self.intervals.len() == INTERVALS {
                self.intervals.pop_front();
            }
            self.intervals.push_back(now.saturating_duration_since(last));
        }
    }

    /// Returns three intervals: after such a silence the other end is gone, even if it never closed the connection.
    pub fn longest_silence(&self) -> Duration {
        // A single interval may lie between two pieces of one telegram; the longest of several is the meter's.
        let learned = if self.intervals.len() > 2 {
            self.intervals.iter().max()
        } else {
            None
        };
        let interval = self.configured.or(learned.copied()).unwrap_or(UNKNOWN);
        (3 * interval).max(SHORTEST_SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_regular_telegrams_then_three_intervals_are_silence() {
        let mut estimator = IntervalEstimator::new(None);
        assert_eq!(estimator.longest_silence(), 3 * UNKNOWN);
        let begun = Instant::now();
        for beat in 0..4 {
            estimator.telegram_received(begun + beat * Duration::from_secs(10));
        }
        assert_eq!(estimator.longest_silence(), Duration::from_secs(30));
        let configured = IntervalEstimator::new(Some(Duration::from_secs(60)));
        assert_eq!(configured.longest_silence(), Duration::from_secs(180));
    }

    #[test]
    fn given_a_port_that_was_opened_again_then_the_gap_is_no_interval() {
        let mut estimator = IntervalEstimator::new(None);
        let begun = Instant::now();
        for beat in [0, 1, 2, 3, 500, 501] {
            if beat == 500 {
                estimator.port_opened();
            }
            estimator.telegram_received(begun + Duration::from_secs(beat));
        }
        assert_eq!(estimator.longest_silence(), SHORTEST_SILENCE);
    }
}
