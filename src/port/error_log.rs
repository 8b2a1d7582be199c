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
    /// Time of the last log line of a kind, and its count then. The kinds are a fixed set of words.
    logged: BTreeMap<&'static str, (Instant, u64)>,
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
        let count = self.counters.errors.entry(error.kind).or_default();
        *count += 1;
        match self.logged.get(error.kind) {
            Some((logged, _)) if now.saturating_duration_since(*logged) < REPEAT => return false,
            Some((_, then)) => tracing::warn!(
                port,
                error = error.text,
                times = *count - then,
                "Decoding still fails"
            ),
            None => tracing::warn!(
                port,
                error = error.text,
                "Decoding failed; further errors of this kind are counted"
            ),
        }
        self.logged.insert(error.kind, (now, *count));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_error_that_goes_on_then_it_is_logged_once_in_ten_minutes_and_counted_always() {
        let mut log = ErrorLog::default();
        let error = DecodeError {
            kind: "wrong_crc",
            severity: Severity::Refused,
            text: "the CRC is wrong".into(),
        };
        let begun = Instant::now();
        let logged =
            (0..25).filter(|minute| log.count("hall", &error, begun + Duration::from_secs(60 * minute)));
        assert_eq!(logged.collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(log.counters.errors["wrong_crc"], 25);
    }
}
