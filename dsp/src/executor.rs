//! Execution of locks: on the calling thread ([`Inline`]) or on threads of the program (its own [`LockExecutor`]).

use crate::lock::Locker;
use crate::outcome::Outcome;
use crate::segment::{MAX_JOBS, Segment};
use std::collections::VecDeque;
use std::convert::Infallible;

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
