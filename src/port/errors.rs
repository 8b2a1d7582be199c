//! Troubles are told once and then counted.

use crate::port::Trouble;
use crate::status::port::PortCounters;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a trouble that goes on is told again.
const AGAIN: Duration = Duration::from_secs(600);

/// Counts, and who was told what when.
#[derive(Debug, Default)]
pub struct ErrorCounters {
    /// So far.
    pub counts: PortCounters,
    told: BTreeMap<&'static str, (Instant, u64)>,
}

impl ErrorCounters {
    /// Counts a trouble of `port`, and tells of it if it is new or goes on for long; true if so.
    pub fn take(&mut self, port: &str, trouble: &Trouble) -> bool {
        let count = self.counts.troubles.entry(trouble.kind).or_default();
        *count += 1;
        match self.told.get(trouble.kind) {
            Some((told, _)) if told.elapsed() < AGAIN => return false,
            Some((_, then)) => {
                tracing::warn!(%port, times = *count - then, "{}", trouble.text);
            }
            None => tracing::warn!(%port, "{}; from now on such are only counted.", trouble.text),
        }
        self.told.insert(trouble.kind, (Instant::now(), *count));
        true
    }
}
