//! Two clients with one client id: the broker closes the connection of one whenever the other connects. With MQTT 3.1.1 it does
//! not say why, so the pattern must tell.

use crate::runtime::backoff::STEADY;
use std::time::Duration;

/// A connection that ended sooner was perhaps taken over: the other client tries again after seconds.
const SOON: Duration = Duration::from_secs(15);
/// Such connections in a row that make it likely.
const SUSPICIOUS: u32 = 3;

/// Number of connections in a row that were closed soon, for no reason of ours.
#[derive(Debug, Default)]
pub(crate) struct Takeovers {
    closed_soon: u32,
}

impl Takeovers {
    /// Records the end of a connection that the broker had accepted; `is_idle`: no message was in flight that the broker
    /// may have closed it for.
    pub fn ended(&mut self, lasted: Duration, is_idle: bool) {
        if lasted > STEADY {
            self.closed_soon = 0;
        } else if lasted < SOON && is_idle {
            self.closed_soon += 1;
        }
    }

    /// Records an attempt that failed: the broker is away or refuses, which is another story.
    pub fn failed(&mut self) {
        self.closed_soon = 0;
    }

    /// Returns true if another client probably has the same id.
    pub fn are_likely(&self) -> bool {
        self.closed_soon >= SUSPICIOUS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_connections_that_are_closed_soon_while_idle_then_a_takeover_is_likely_until_one_lasts() {
        let mut takeovers = Takeovers::default();
        let second = Duration::from_secs(1);
        for is_idle in [true, false, true, false] {
            takeovers.ended(second, is_idle);
            assert!(!takeovers.are_likely());
        }
        takeovers.ended(second, true);
        assert!(takeovers.are_likely());
        takeovers.ended(20 * second, true);
        assert!(takeovers.are_likely());
        takeovers.ended(2 * STEADY, true);
        assert!(!takeovers.are_likely());
        for _ in 0..5 {
            takeovers.ended(second, true);
            takeovers.failed();
        }
        assert!(
            !takeovers.are_likely(),
            "a broker that is restarted again and again"
        );
    }
}
