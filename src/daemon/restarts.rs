//! Restarts of components that have failed: when each is due.

use crate::runtime::{Backoff, Clock};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest pause between two restarts of a component that fails again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Components that have failed, by name. There are never more than components in the configuration.
pub struct Restarts {
    clock: Clock,
    components: BTreeMap<String, Restart>,
}

struct Restart {
    backoff: Backoff,
    /// Time of its last start.
    started: Instant,
    /// Time of the next one, while it is down.
    due: Option<Instant>,
    /// Restarts so far.
    count: u64,
}

impl Restarts {
    /// Nothing has failed yet.
    pub fn new(clock: Clock) -> Self {
        Restarts {
            clock,
            components: BTreeMap::new(),
        }
    }

    /// Schedules the restart of a component, unless one is pending; returns the pause until then.
    pub fn schedule(&mut self, component: &str) -> Duration {
        let now = self.clock.now();
        let restart = self
            .components
            .entry(component.to_owned())
            .or_insert_with(|| Restart {
                backoff: Backoff::new(LONGEST_PAUSE),
                started: now,
                due: None,
                count: 0,
            });
        if let Some(due) = restart.due {
            return due.saturating_duration_since(now);
        }
        restart
            .backoff
            .ended_after(now.saturating_duration_since(restart.started));
        let pause = restart.backoff.next_pause();
        restart.due = Some(now + pause);
        pause
    }

    /// Returns true if the component waits for its restart.
    pub fn is_scheduled(&self, component: &str) -> bool {
        self.components
            .get(component)
            .is_some_and(|restart| restart.due.is_some())
    }

    /// Returns true if no component waits for its restart.
    pub fn is_empty(&self) -> bool {
        self.components.values().all(|restart| restart.due.is_none())
    }

    /// Forgets a component that was removed from the configuration or started anew by it.
    pub fn forget(&mut self, component: &str) {
        self.components.remove(component);
    }

    /// Returns the components whose restart is due; they count as started now.
    pub fn take_due(&mut self) -> Vec<String> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for (name, restart) in &mut self.components {
            if restart.due.is_some_and(|due| due <= now) {
                restart.due = None;
                restart.started = now;
                restart.count += 1;
                due.push(name.clone());
            }
        }
        due
    }

    /// Restarts so far of all components that have failed, by name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.components.iter();
        counts
            .map(|(name, restart)| (name.clone(), restart.count))
            .collect()
    }

    /// Restarts of a component so far.
    pub fn count(&self, component: &str) -> u64 {
        self.components.get(component).map_or(0, |restart| restart.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn given_a_component_that_keeps_failing_then_its_restarts_come_ever_later_and_never_end() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let mut restarts = Restarts::new(clock.clone());
        let mut last = Duration::ZERO;
        for failure in 1..=20 {
            let pause = restarts.schedule("radio:roof");
            assert!(pause <= LONGEST_PAUSE.mul_f64(1.25));
            assert!(
                failure > 6 || pause > last.mul_f64(1.1),
                "{failure}: {pause:?} after {last:?}"
            );
            assert_eq!(restarts.schedule("radio:roof"), pause);
            assert!(restarts.is_scheduled("radio:roof") && restarts.take_due().is_empty());
            clock.advance(pause);
            assert_eq!(restarts.take_due(), ["radio:roof"]);
            assert!(restarts.is_empty());
            last = pause;
        }
        assert_eq!(restarts.count("radio:roof"), 20);
        // It has worked for a while: the next failure is a first one again.
        clock.advance(Duration::from_secs(3600));
        assert!(restarts.schedule("radio:roof") < Duration::from_secs(1));
    }
}
