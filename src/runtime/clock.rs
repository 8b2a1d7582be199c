//! Time as a parameter: the system's clock, or a simulated one that tests advance.

use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time between the two readings of a [`Moment`] that counts as the same moment.
const SAME_MOMENT: Duration = Duration::from_millis(1);
/// Readings of the two clocks that are tried for one [`Moment`]: a thread may lose the processor in between.
const MOMENT_ATTEMPTS: u32 = 4;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time.
    pub instant: Instant,
    /// Wall-clock time.
    pub timestamp: Timestamp,
}

impl Moment {
    /// Returns the wall-clock time of `instant`, which lies before or after this moment, if no clock is set in between.
    pub fn timestamp_of(&self, instant: Instant) -> Timestamp {
        let (past, future) = (
            self.instant - instant.min(self.instant),
            instant - instant.min(self.instant),
        );
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        self.timestamp
            .checked_add(signed(future))
            .and_then(|time| time.checked_sub(signed(past)))
            .unwrap_or(self.timestamp)
    }
}

/// Source of monotonic and wall-clock time; clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Mutex<Simulated>>>);

#[derive(Debug)]
struct Simulated {
    instant: Instant,
    timestamp: Timestamp,
}

impl Clock {
    /// Returns the clock of the system.
    pub fn system() -> Self {
        Clock(None)
    }

    /// Returns a clock that stands at `timestamp` until [`Clock::advance`] moves it.
    pub fn simulated(timestamp: Timestamp) -> Self {
        let instant = Instant::now();
        Clock(Some(Arc::new(Mutex::new(Simulated { instant, timestamp }))))
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(simulated) => simulated.lock().unwrap_or_else(PoisonError::into_inner).instant,
        }
    }

    /// Wall-clock time.
    pub fn timestamp(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(simulated) => simulated.lock().unwrap_or_else(PoisonError::into_inner).timestamp,
        }
    }

    /// Reads both clocks at the same moment, to a millisecond.
    pub fn moment(&self) -> Moment {
        if let Some(simulated) = &self.0 {
            let time = simulated.lock().unwrap_or_else(PoisonError::into_inner);
            return Moment {
                instant: time.instant,
                timestamp: time.timestamp,
            };
        }
        let read = || {
            let instant = Instant::now();
            let timestamp = Timestamp::now();
            (Moment { instant, timestamp }, instant.elapsed() < SAME_MOMENT)
        };
        let (mut moment, mut is_same) = read();
        for _ in 1..MOMENT_ATTEMPTS {
            if is_same {
                break;
            }
            (moment, is_same) = read();
        }
        moment
    }

    /// Sets the wall clock of a simulated clock, whose monotonic time goes on; the system's clock is left alone.
    pub fn set(&self, timestamp: Timestamp) {
        if let Some(simulated) = &self.0 {
            simulated.lock().unwrap_or_else(PoisonError::into_inner).timestamp = timestamp;
        }
    }

    /// Moves a simulated clock forward; the system's clock is left alone.
    pub fn advance(&self, duration: Duration) {
        if let Some(simulated) = &self.0 {
            let mut time = simulated.lock().unwrap_or_else(PoisonError::into_inner);
            time.instant += duration;
            let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
            time.timestamp = time.timestamp.saturating_add(signed).unwrap_or(Timestamp::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_simulated_clock_when_it_is_advanced_then_all_its_clones_move_and_nothing_else_does() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let clone = clock.clone();
        let begun = clone.now();
        clock.advance(Duration::from_secs(90));
        assert_eq!(clone.now() - begun, Duration::from_secs(90));
        assert_eq!(clone.timestamp().as_second(), 90);
    }
}
