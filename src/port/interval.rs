//! How often a meter speaks, and after which silence something is wrong.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Intervals remembered.
const INTERVALS: usize = 8;
/// Until anything was heard: the slowest P1 meters speak every 10 s.
const UNKNOWN: Duration = Duration::from_secs(11);
/// A network delivers in gusts.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);

/// The rhythm of one meter.
#[derive(Debug)]
pub struct IntervalEstimator {
    fixed: Option<Duration>,
    last: Option<Instant>,
    intervals: VecDeque<Duration>,
}

impl IntervalEstimator {
    /// `fixed`: what the user says; otherwise it is learned.
    pub fn new(fixed: Option<Duration>) -> Self {
        IntervalEstimator {
            fixed,
            last: None,
            intervals: VecDeque::with_capacity(INTERVALS),
        }
    }

    /// The port was opened: the time before that says nothing about the meter.
    pub fn begin(&mut self) {
        self.last = None;
    }

    /// The meter has spoken now.
    pub fn beat(&mut self) {
        self.beat_at(Instant::now());
    }

    fn beat_at(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            if self.intervals.len() == INTERVALS {
                self.intervals.pop_front();
            }
            self.intervals.push_back(now - last);
        }
    }

    /// Three periods without a byte: the other end is gone, even if it never said so.
    pub fn silence(&self) -> Duration {
        // One interval may be the pieces of one telegram; the longest of several is a period.
        let learned = if self.intervals.len() > 2 {
            self.intervals.iter().max()
        } else {
            None
        };
        let period = self.fixed.or(learned.copied()).unwrap_or(UNKNOWN);
        (3 * period).max(SHORTEST_SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_rhythm_then_three_periods_are_silence() {
        let mut cadence = IntervalEstimator::new(None);
        assert_eq!(cadence.silence(), 3 * UNKNOWN);
        let begun = Instant::now();
        for beat in 0..4 {
            cadence.beat_at(begun + beat * Duration::from_secs(10));
        }
        assert_eq!(cadence.silence(), Duration::from_secs(30));
        let told = IntervalEstimator::new(Some(Duration::from_secs(60)));
        assert_eq!(told.silence(), Duration::from_secs(180));
    }

    #[test]
    fn given_a_port_that_was_opened_again_then_the_gap_is_no_period() {
        let mut cadence = IntervalEstimator::new(None);
        let begun = Instant::now();
        for beat in [0, 1, 2, 3, 500, 501] {
            if beat == 500 {
                cadence.begin();
            }
            cadence.beat_at(begun + Duration::from_secs(beat));
        }
        assert_eq!(cadence.silence(), SHORTEST_SILENCE);
    }
}
