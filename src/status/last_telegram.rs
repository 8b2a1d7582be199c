//! The last telegram of a port as it came, and its counters as they are, for people to look at.

use crate::status::port::PortCounters;
use crate::status::revision;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes kept; of a longer telegram its end.
const KEPT: usize = 8 << 10;

/// What came from a port up to its last report.
#[derive(Clone, Debug)]
pub struct Telegram {
    /// Number of the change that it is.
    pub revision: u64,
    /// When it was understood.
    pub at: Timestamp,
    /// As it came, perhaps encrypted, with what stood before it.
    pub bytes: Arc<[u8]>,
}

/// The end of what came from a port; copies are the same.
#[derive(Clone, Debug, Default)]
pub struct LastTelegram(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    coming: VecDeque<u8>,
    last: Option<Telegram>,
    counts: PortCounters,
}

impl LastTelegram {
    /// The last telegram, if there was one.
    pub fn last(&self) -> Option<Telegram> {
        self.kept().last.clone()
    }

    /// What was understood and what was not, so far.
    pub fn counts(&self) -> PortCounters {
        self.kept().counts.clone()
    }

    /// So much is it now.
    pub fn count(&self, counts: &PortCounters) {
        self.kept().counts.clone_from(counts);
    }

    pub fn add(&self, bytes: &[u8]) {
        let coming = &mut self.kept().coming;
        coming.extend(bytes);
        let surplus = coming.len().saturating_sub(KEPT);
        coming.drain(..surplus);
    }

    /// What has come so far was understood.
    pub fn cut(&self) {
        let mut kept = self.kept();
        if kept.coming.is_empty() {
            return;
        }
        let bytes: Vec<u8> = kept.coming.drain(..).collect();
        kept.last = Some(Telegram {
            revision: revision::next(),
            at: Timestamp::now(),
            bytes: bytes.into(),
        });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
