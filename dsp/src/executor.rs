//! Execution of locks: on the calling thread ([`Inline`]) or on threads of the program (its own [`LockExecutor`]).

use crate::lock::Locker;
use crate::packet::Packet;
use crate::scheduler::MAX_JOBS;
use crate::segment::Segment;
use crate::sync::MAX_CANDIDATES;
use std::collections::VecDeque;
use std::convert::Infallible;

/// Result of a [`Locker`] for one segment. The buffer is reused from job to job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Number of the job, as given to [`LockExecutor::submit`].
    pub job: u64,
    /// Packets in the order in which they were found; at most one per candidate.
    pub(crate) packets: Vec<Packet>,
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
        (self.preambles, self.low_confidence) = (0, 0);
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome::new()
    }
}

/// Runs the locks of a [`crate::Scheduler`].
///
/// The scheduler decides what is locked and when an outcome counts; the executor only decides which processor
/// does it. It may finish jobs in any order and at any speed: the packets are the same.
pub trait LockExecutor {
    /// Reason why outcomes can no longer be had.
    type Error;

    /// Starts job number `job`. The samples of `segment` are only borrowed: copy them if the job outlives the
    /// call. At most [`MAX_JOBS`] jobs are under way at any time.
    ///
    /// A failure is reported by the next [`LockExecutor::wait`].
    fn submit(&mut self, job: u64, segment: &Segment);

    /// Returns a finished job, in any order, waiting for one if need be; `None` if no job is under way.
    ///
    /// # Errors
    /// If a job under way will never finish. The same error must then be returned ever after.
    fn wait(&mut self) -> Result<Option<Outcome>, Self::Error>;

    /// Takes back an outcome that was evaluated, so that its buffer can be reused.
    fn recycle(&mut self, outcome: Outcome);
}

/// Locks on the calling thread, within [`LockExecutor::submit`].
pub struct Inline {
    locker: Locker,
    finished: VecDeque<Outcome>,
    free: Vec<Outcome>,
}

impl Inline {
    /// Allocates the outcomes of [`MAX_JOBS`] jobs.
    pub fn new(locker: Locker) -> Self {
        Inline {
            locker,
            finished: VecDeque::with_capacity(MAX_JOBS),
            free: (0..MAX_JOBS).map(|_| Outcome::new()).collect(),
        }
    }
}

impl LockExecutor for Inline {
    type Error = Infallible;

    fn submit(&mut self, job: u64, segment: &Segment) {
        let mut outcome = self.free.pop().unwrap_or_default();
        outcome.job = job;
        self.locker.run(segment, &mut outcome);
        self.finished.push_back(outcome);
    }

    fn wait(&mut self) -> Result<Option<Outcome>, Infallible> {
        Ok(self.finished.pop_front())
    }

    fn recycle(&mut self, outcome: Outcome) {
        self.free.push(outcome);
    }
}
