//! Result of the lock of one segment.

use crate::expect::{Evidence, MAX_EVIDENCE};
use crate::packet::Packet;
use crate::sync::MAX_CANDIDATES;

/// Result of a [`crate::Locker`] for one segment. The buffer is reused from job to job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Number of the job, as given to [`crate::LockExecutor::submit`].
    pub job: u64,
    /// Packets in the order in which they were found; at most one per candidate.
    pub(crate) packets: Vec<Packet>,
    /// What frames of expected meters say that could not be accepted alone.
    pub(crate) evidence: Vec<Evidence>,
    /// Preambles tried.
    pub(crate) preambles: u64,
    /// Frames whose check could be made to pass, but only as a tentative packet or worse.
    pub(crate) low_confidence: u64,
}

impl Outcome {
    /// Allocates room for the packets of one segment.
    pub fn new() -> Self {
        Outcome {
            job: 0,
            packets: Vec::with_capacity(MAX_CANDIDATES),
            evidence: Vec::with_capacity(MAX_EVIDENCE),
            preambles: 0,
            low_confidence: 0,
        }
    }

    /// Packets found, tentative ones included.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.evidence.clear();
        (self.preambles, self.low_confidence) = (0, 0);
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome::new()
    }
}
