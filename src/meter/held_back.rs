//! Which implausible readings are worth a line in the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Meters that are remembered; a wire may deliver any id if its protocol has no check. Further ones are not logged.
const MAX_METERS: usize = 256;
/// Shortest time between two lines of a meter whose readings are plausible and implausible by turns.
const REPEAT: Duration = Duration::from_secs(600);

/// Implausible readings that were logged, by meter: once until one is plausible again, and not too often.
#[derive(Debug, Default)]
pub struct HeldBackLog(BTreeMap<String, Line>);

#[derive(Debug)]
struct Line {
    logged: Instant,
    /// A reading was plausible since.
    is_over: bool,
}

impl HeldBackLog {
    /// Notes a plausible reading.
    pub fn plausible(&mut self, id: &str) {
        if let Some(line) = self.0.get_mut(id) {
            line.is_over = true;
        }
    }

    /// Notes an implausible reading; returns true if it is to be logged.
    pub fn is_due(&mut self, id: &str, now: Instant) -> bool {
        let is_old = |line: &Line| line.is_over && now.saturating_duration_since(line.logged) >= REPEAT;
        if self.0.get(id).is_some_and(|line| !is_old(line)) {
            // It goes on.
            self.0.entry(id.into()).and_modify(|line| line.is_over = false);
            return false;
        }
        if self.0.len() >= MAX_METERS {
            self.0.retain(|_, line| !is_old(line));
        }
        let has_room = self.0.len() < MAX_METERS;
        if has_room {
            let line = Line {
                logged: now,
                is_over: false,
            };
            self.0.insert(id.into(), line);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_implausible_readings_then_they_are_logged_once_until_one_is_plausible() {
        let (mut log, begun) = (HeldBackLog::default(), Instant::now());
        let hour = Duration::from_secs(3600);
        assert!(log.is_due("meter", begun));
        assert!(!log.is_due("meter", begun + hour));
        assert!(log.is_due("other", begun + hour));
        log.plausible("meter");
        assert!(log.is_due("meter", begun + hour));
    }

    #[test]
    fn given_readings_that_are_implausible_by_turns_then_a_line_comes_every_ten_minutes_at_most() {
        let (mut log, begun) = (HeldBackLog::default(), Instant::now());
        let due = (0..1800).filter(|second| {
            let is_due = log.is_due("meter", begun + Duration::from_secs(*second));
            log.plausible("meter");
            is_due
        });
        assert_eq!(due.collect::<Vec<_>>(), [0, 600, 1200]);
    }

    #[test]
    fn given_more_meters_than_are_remembered_then_the_others_are_not_logged_until_there_is_room() {
        let (mut log, begun) = (HeldBackLog::default(), Instant::now());
        for id in 0..MAX_METERS {
            assert!(log.is_due(&id.to_string(), begun));
            log.plausible(&id.to_string());
        }
        assert!(!log.is_due("one more", begun));
        assert!(log.is_due("one more", begun + REPEAT));
    }
}
