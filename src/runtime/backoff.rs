//! Exponential back-off with jitter between attempts at something that fails.

use std::time::Duration;

/// Pause after the first failure; doubled with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A connection that lasted this long counts as a success: the next failure starts again at [`FIRST_PAUSE`].
pub const STEADY: Duration = Duration::from_secs(60);

/// Growing pauses, up to a limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from [`FIRST_PAUSE`] up to `longest`.
    pub fn new(longest: Duration) -> Self {
        Backoff {
            next: FIRST_PAUSE.min(longest),
            longest,
        }
    }

    /// Returns the next pause, jittered.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (2 * pause).min(self.longest);
        jittered(pause)
    }

    /// Starts again after a success.
    pub fn reset(&mut self) {
        self.next = FIRST_PAUSE.min(self.longest);
    }

    /// Starts again if the attempt that has just ended lasted long enough to be a success.
    pub fn ended_after(&mut self, lasted: Duration) {
        if lasted > STEADY {
            self.reset();
        }
    }
}

/// Three quarters to five quarters of `pause`, so that many clients do not reconnect in lockstep.
pub fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_failures_then_pauses_double_up_to_the_limit_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(3));
        let mut next = || backoff.next_pause().as_secs_f64();
        for expected in [0.5, 1.0, 2.0, 3.0, 3.0] {
            let pause = next();
            assert!((0.75 * expected..=1.25 * expected).contains(&pause), "{pause}");
        }
        backoff.ended_after(Duration::from_secs(10));
        assert!(backoff.next_pause() > Duration::from_secs(2));
        backoff.ended_after(STEADY + Duration::from_secs(1));
        assert!(backoff.next_pause() < Duration::from_secs(1));
    }
}
