//! Time as a parameter: the system's clock, or a simulated one that tests advance.

use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
