//! Last telegram of a port, byte for byte, and its counters; written by the port's task, read by the page.

use crate::runtime::Clock;
use crate::status::port::PortCounters;
use crate::status::revision::Revision;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Limit of bytes kept, to bound memory; of a longer telegram the end is kept.
const MAX_BYTES: usize = 8 << 10;

/// Bytes that came from a port up to its last report.
#[derive(Clone, Debug)]
pub struct Telegram {
    /// Number of the change.
    pub revision: u64,
    /// Time at which it was decoded.
    pub at: Timestamp,
    /// Bytes as received: possibly encrypted, and with what preceded them.
    pub bytes: Arc<[u8]>,
}

/// Buffer of a port's incoming bytes; clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastTelegram {
    state: Arc<Mutex<State>>,
    revision: Revision,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    incoming: VecDeque<u8>,
    last: Option<Telegram>,
    counters: PortCounters,
}

impl LastTelegram {
    /// Creates an empty buffer whose changes are counted by `revision`.
    pub fn new(revision: Revision, clock: Clock) -> Self {
        LastTelegram {
            state: Arc::default(),
            revision,
            clock,
        }
    }

    /// Returns the last telegram, if there was one.
    pub fn last(&self) -> Option<Telegram> {
        self.state().last.clone()
    }

    /// Returns the counters of the port.
    pub fn counters(&self) -> PortCounters {
        self.state().counters.clone()
    }

    /// Replaces the counters of the port.
    pub fn set_counters(&self, counters: &PortCounters) {
        self.state().counters.clone_from(counters);
    }

    /// Appends bytes that were received.
    pub fn add(&self, bytes: &[u8]) {
        let incoming = &mut self.state().incoming;
        incoming.extend(bytes);
        let surplus = incoming.len().saturating_sub(MAX_BYTES);
        incoming.drain(..surplus);
    }

    /// Makes the bytes received so far the last telegram: they were decoded.
    pub fn commit(&self) {
        let mut state = self.state();
        if state.incoming.is_empty() {
            return;
        }
        let bytes: Vec<u8> = state.incoming.drain(..).collect();
        state.last = Some(Telegram {
            revision: self.revision.next(),
            at: self.clock.timestamp(),
            bytes: bytes.into(),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_bytes_then_those_up_to_a_report_are_the_last_telegram_and_of_many_the_end_is_kept() {
        let telegram = LastTelegram::default();
        telegram.add(b"/a");
        telegram.add(b"!\r\n");
        assert!(telegram.last().is_none());
        telegram.commit();
        assert_eq!(&*telegram.last().unwrap().bytes, b"/a!\r\n");
        // Two reports of one telegram: the second brings no bytes.
        telegram.commit();
        assert_eq!(&*telegram.last().unwrap().bytes, b"/a!\r\n");
        telegram.add(&[b'x'; MAX_BYTES]);
        telegram.add(b"yz");
        telegram.commit();
        let bytes = telegram.last().unwrap().bytes;
        assert!(bytes.len() == MAX_BYTES && bytes.ends_with(b"xyz"));
    }
}
