//! Interval between the telegrams of a meter, and the silence after which its port is considered lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Intervals remembered: more than a meter sends telegrams in one burst, so that the pause between two bursts is among them.
const INTERVALS: usize = 32;
/// Intervals needed before they are believed: a single one may lie between two pieces of one telegram.
const MIN_INTERVALS: usize = 3;
/// Assumed interval of a meter that nothing was received of: most P1 meters send every 10 s at least.
const UNKNOWN: Duration = Duration::from_secs(11);
/// Assumed interval of a meter that was received but whose interval is not known yet: the slowest send every hour.
const NOT_LEARNED: Duration = Duration::from_secs(3600);
/// Shortest silence that counts: a network delivers in bursts.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);
/// A port that was closed for no longer than this has missed nothing.
const SHORT_GAP: Duration = Duration::from_secs(1);

/// Estimator of the interval of one meter.
#[derive(Debug)]
pub struct IntervalEstimator {
    configured: Option<Duration>,
    last: Option<Instant>,
    closed: Option<Instant>,
    /// A telegram was received at some time.
    was_received: bool,
    intervals: VecDeque<Duration>,
}

impl IntervalEstimator {
    /// Uses the `configured` interval; without one it is learned.
    pub fn new(configured: Option<Duration>) -> Self {
        IntervalEstimator {
            configured,
            last: None,
            closed: None,
            was_received: false,
            intervals: VecDeque::with_capacity(INTERVALS),
        }
    }

    /// Notes that the port was closed.
    pub fn port_closed(&mut self, now: Instant) {
        self.closed.get_or_insert(now);
    }

    /// Notes that the port was opened. If it was closed for a while, the gap is no interval of the meter.
    pub fn port_opened(&mut self, now: Instant) {
        let closed = self.closed.take();
        if closed.is_some_and(|closed| now.saturating_duration_since(closed) > SHORT_GAP) {
            self.last = None;
        }
    }

    /// Learns from a telegram that was received at `now`.
    pub fn telegram_received(&mut self, now: Instant) {
        self.was_received = true;
        if let Some(last) = self.last.replace(now) {
            if self.intervals.len() == INTERVALS {
                self.intervals.pop_front();
            }
            self.intervals.push_back(now.saturating_duration_since(last));
        }
    }

    /// Interval of the meter, if it is configured or learned: the longest of several.
    pub fn interval(&self) -> Option<Duration> {
        let is_learned = self.intervals.len() >= MIN_INTERVALS;
        let learned = self.intervals.iter().max().filter(|_| is_learned);
        self.configured.or(learned.copied())
    }

    /// Returns the silence after which the meter is considered silent: three intervals.
    pub fn longest_silence(&self) -> Duration {
        let interval = self.interval().unwrap_or(match self.was_received {
            true => NOT_LEARNED,
            false => UNKNOWN,
        });
        (3 * interval).max(SHORTEST_SILENCE)
    }

    /// Returns the silence after which the port is opened anew, in case the other end is gone without a word. That takes
    /// long while the interval is unknown, so that a meter that sends rarely is not missed.
    pub fn reopen_after(&self) -> Duration {
        match self.interval() {
            Some(_) => self.longest_silence(),
            None => NOT_LEARNED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn given_regular_telegrams_then_three_intervals_are_silence() {
        let mut estimator = IntervalEstimator::new(None);
        assert_eq!(estimator.longest_silence(), 3 * UNKNOWN);
        let begun = Instant::now();
        for beat in 0..4 {
            estimator.telegram_received(at(begun, beat * 10));
        }
        assert_eq!(estimator.longest_silence(), Duration::from_secs(30));
        assert_eq!(estimator.reopen_after(), Duration::from_secs(30));
        let configured = IntervalEstimator::new(Some(Duration::from_secs(60)));
        assert_eq!(configured.longest_silence(), Duration::from_secs(180));
    }

    #[test]
    fn given_a_meter_that_sends_rarely_then_it_is_neither_silent_nor_closed_before_it_is_learned() {
        for interval_s in [60, 300, 900, 3600] {
            let (mut estimator, begun) = (IntervalEstimator::new(None), Instant::now());
            let interval = Duration::from_secs(interval_s);
            assert!(estimator.reopen_after() >= interval);
            for beat in 0..5 {
                estimator.telegram_received(begun + beat * interval);
                assert!(estimator.longest_silence() > interval && estimator.reopen_after() >= interval);
            }
            assert_eq!(estimator.longest_silence(), 3 * interval);
        }
    }

    #[test]
    fn given_bursts_of_telegrams_then_the_pause_between_them_is_the_interval() {
        let (mut estimator, begun) = (IntervalEstimator::new(None), Instant::now());
        for burst in 0..3 {
            for telegram in 0..20 {
                estimator.telegram_received(at(begun, burst * 900 + telegram));
            }
        }
        assert!(estimator.longest_silence() > Duration::from_secs(2 * 880));
    }

    #[test]
    fn given_a_port_that_was_opened_again_then_a_gap_is_no_interval_unless_it_was_short() {
        let begun = Instant::now();
        for (gap_ms, is_interval) in [(100, true), (5000, false)] {
            let mut estimator = IntervalEstimator::new(None);
            for beat in [0, 1, 2, 3, 500, 501] {
                if beat == 500 {
                    estimator.port_closed(at(begun, 490));
                    estimator.port_opened(at(begun, 490) + Duration::from_millis(gap_ms));
                }
                estimator.telegram_received(at(begun, beat));
            }
            assert_eq!(estimator.longest_silence() > SHORTEST_SILENCE, is_interval);
        }
    }
}
