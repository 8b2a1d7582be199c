//! Log of decoding errors: each kind is logged when it is new, then counted, and repeated at long intervals.

use crate::port::{DecodeError, Severity};
use crate::status::port::PortCounters;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Interval at which an error that goes on is logged again, with its count.
const REPEAT: Duration = Duration::from_secs(600);

/// Counters of a port, and when each kind of error was last logged.
#[derive(Debug, Default)]
pub struct ErrorLog {
    /// Reports and errors so far.
    pub counters: PortCounters,
    /// Time of the last log line of a kind of error of a meter, and how often it has come. The kinds are a fixed set of words, the
    /// meters those of the configuration.
    logged: BTreeMap<(&'static str, Option<Box<str>>), Logged>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    /// Errors since then.
    since: u64,
}

impl ErrorLog {
    /// Counts an error of `port` at `now`; logs it, and returns true, if it is new or was last logged long ago.
    pub fn count(&mut self, port: &str, error: &DecodeError, now: Instant) -> bool {
        // The decoder says so once.
        if error.severity == Severity::Notice {
            tracing::warn!(
                port,
                notice = error.text,
                "Values of the meter need your attention"
            );
            return false;
        }
        *self.counters.errors.entry(error.kind).or_default() += 1;
        if error.severity == Severity::Counted {
            return false;
        }
        let key = (error.kind, error.about.clone());
        let logged = self.logged.get_mut(&key).map(|logged| {
            logged.since += 1;
            (logged.since, now.saturating_duration_since(logged.at) < REPEAT)
        });
        match logged {
            Some((_, true)) => return false,
            Some((times, false)) => tracing::warn!(port, error = error.text, times, "Decoding still fails"),
            None => tracing::warn!(
                port,
                error = error.text,
                "Decoding failed; further errors of this kind are counted"
            ),
        }
        self.logged.insert(key, Logged { at: now, since: 0 });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(about: Option<&str>) -> DecodeError {
        DecodeError {
            kind: "wrong_crc",
            severity: Severity::Refused,
            about: about.map(Into::into),
            text: "the CRC is wrong".into(),
        }
    }

    #[test]
    fn given_two_meters_of_a_bus_then_the_first_error_of_each_is_logged() {
        let (mut log, now) = (ErrorLog::default(), Instant::now());
        let logged = ["p5", "p9", "p5", "p9"].map(|meter| log.count("cellar", &error(Some(meter)), now));
        assert_eq!(logged, [true, true, false, false]);
        assert_eq!(log.counters.errors["wrong_crc"], 4);
    }

    #[test]
    fn given_an_error_that_goes_on_then_it_is_logged_once_in_ten_minutes_and_counted_always() {
        let mut log = ErrorLog::default();
        let error = error(None);
        let begun = Instant::now();
        let logged =
            (0..25).filter(|minute| log.count("hall", &error, begun + Duration::from_secs(60 * minute)));
        assert_eq!(logged.collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(log.counters.errors["wrong_crc"], 25);
    }
}
