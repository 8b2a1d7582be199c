//! Worker threads of a [`DemodPool`](crate::receiver::demod_pool::DemodPool): copies of segments travel to them, and
//! outcomes back.
//!
//! Bounds: at most [`MAX_JOBS`] jobs are under way (the scheduler counts what does not fit), with at most
//! [`MAX_SEGMENTS`] copies of samples; when all of them are in use, the search waits for a worker.

use crate::runtime::{self, Heartbeat, Running};
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use metertap_dsp::{Complex32, Detection, Expected, LockExecutor, MAX_JOBS, Outcome, Segment};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Segments copied for the workers at a time, 1.7 MB each at most: enough to keep two workers
/// busy while the search goes on.
const MAX_SEGMENTS: usize = 8;
/// Time for a worker to end: a lock takes some milliseconds, the backtrace of one that panics takes seconds.
const END_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("thread `{thread}` panicked: {message}")]
pub struct WorkerPanicked {
    /// Name of the thread.
    pub thread: String,
    /// Message of the panic.
    pub message: String,
}

/// The worker threads, and the buffers that travel to them and back.
pub(crate) struct Workers {
    /// `None` only while the pool is being dropped.
    jobs: Option<Sender<LockJob>>,
    finished: Receiver<Finished>,
    /// Jobs submitted and not yet received back.
    under_way: usize,
    /// Outcomes received while a buffer was waited for.
    ready: VecDeque<Outcome>,
    /// Outcomes and sample buffers to be used again.
    outcomes: Vec<Outcome>,
    buffers: Vec<Vec<Complex32>>,
    /// Sample buffers in all, at most [`MAX_SEGMENTS`].
    allocated: usize,
    failed: Option<WorkerPanicked>,
    threads: Vec<Running>,
}

/// A segment on its way to a worker, and back with the outcome.
struct LockJob {
    samples: Vec<Complex32>,
    detection: Detection,
    expected: Option<Arc<Expected>>,
    outcome: Outcome,
}

/// Message from a worker.
enum Finished {
    Job(LockJob),
    /// The last message of a worker that will never send another one.
    Panicked(WorkerPanicked),
}

impl Workers {
    /// Starts `count` threads, each with a lock made by `make`.
    pub(crate) fn start<L>(
        context: &runtime::Context,
        name: &str,
        count: usize,
        make: impl Fn() -> Result<L>,
    ) -> Result<Self>
    where
        L: FnMut(&Segment, &mut Outcome) + Send + 'static,
    {
        // Neither end ever waits for room: there are at most MAX_JOBS jobs, and each worker panics at most once.
        let (jobs, work) = bounded::<LockJob>(MAX_JOBS);
        let (to_search, finished) = bounded(MAX_JOBS + count);
        let mut workers = Workers {
            jobs: Some(jobs),
            finished,
            under_way: 0,
            ready: VecDeque::with_capacity(MAX_JOBS),
            outcomes: Vec::with_capacity(MAX_JOBS),
            buffers: Vec::with_capacity(MAX_SEGMENTS),
            allocated: 0,
            failed: None,
            threads: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let (work, lock) = (work.clone(), make()?);
            let thread = format!("lock:{name}");
            let notice = PanicNotice {
                thread: thread.clone(),
                message: None,
                to_search: to_search.clone(),
            };
            let running = context.thread(&thread, move |heartbeat| {
                run_jobs(notice, &work, &heartbeat, lock);
            });
            workers
                .threads
                .push(running.with_context(|| format!("cannot create the thread {thread}"))?);
        }
        Ok(workers)
    }

    /// Waits for a job to come back.
    ///
    /// Does not wait for ever while a job is under way: the job is in a queue or with a worker, which sends back
    /// either the job or, if the lock panics, [`Finished::Panicked`]; and if all workers have ended, the channel is
    /// closed. (A lock always ends: its loops are bounded by the length of the segment.)
    ///
    /// # Errors
    /// Returns [`WorkerPanicked`] from the first panic on: the lost job would leave a hole in the order of outcomes.
    fn receive(&mut self) -> Result<(), WorkerPanicked> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let failed = match self.finished.recv() {
            Ok(Finished::Job(job)) => {
                self.under_way -= 1;
                self.buffers.push(job.samples);
                self.ready.push_back(job.outcome);
                return Ok(());
            }
            Ok(Finished::Panicked(failed)) => failed,
            Err(_) => WorkerPanicked {
                thread: "lock".into(),
                message: "all workers have ended".into(),
            },
        };
        self.failed = Some(failed.clone());
        Err(failed)
    }

    /// Returns a buffer for samples; waits for one if all are in use.
    fn buffer(&mut self) -> Result<Vec<Complex32>, WorkerPanicked> {
        // All buffers in use means that as many jobs are under way, so there is something to wait for.
        while self.buffers.is_empty() && self.allocated == MAX_SEGMENTS {
            self.receive()?;
        }
        Ok(self.buffers.pop().unwrap_or_else(|| {
            self.allocated += 1;
            Vec::new()
        }))
    }
}

impl LockExecutor for Workers {
    type Error = WorkerPanicked;

    fn submit(&mut self, job: u64, segment: &Segment) {
        // A failure here is kept in `self.failed` and returned by `wait`.
        let Ok(mut samples) = self.buffer() else {
            return;
        };
        samples.clear();
        samples.extend_from_slice(segment.samples);
        let mut outcome = self.outcomes.pop().unwrap_or_default();
        outcome.job = job;
        let job = LockJob {
            samples,
            detection: segment.detection,
            expected: segment.expected.cloned(),
            outcome,
        };
        self.under_way += 1;
        if let Some(jobs) = &self.jobs {
            // Fails only when all workers have ended, which `receive` will report.
            let _ = jobs.send(job);
        }
    }

    fn wait(&mut self) -> Result<Option<Outcome>, WorkerPanicked> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if self.ready.is_empty() && self.under_way > 0 {
            self.receive()?;
        }
        Ok(self.ready.pop_front())
    }

    fn recycle(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }
}

impl Drop for Workers {
    /// Ends the threads, each after the jobs that are left, some milliseconds at most.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            thread.join(END_TIMEOUT);
        }
    }
}

/// Sender of a worker. If the worker panics, wherever it does, its last message tells the search.
struct PanicNotice {
    thread: String,
    /// Message of the panic, if it was caught.
    message: Option<String>,
    to_search: Sender<Finished>,
}

impl Drop for PanicNotice {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = self.message.take();
            let _ = self.to_search.send(Finished::Panicked(WorkerPanicked {
                thread: std::mem::take(&mut self.thread),
                message: message.unwrap_or_else(|| "before its first job".into()),
            }));
        }
    }
}

/// Runs a worker: locks until there are no more jobs, nobody wants them, or a lock panics.
fn run_jobs(
    mut notice: PanicNotice,
    work: &Receiver<LockJob>,
    heartbeat: &Heartbeat,
    mut lock: impl FnMut(&Segment, &mut Outcome),
) {
    while let Ok(mut job) = heartbeat.idle_during(|| work.recv()) {
        let segment = Segment {
            samples: &job.samples,
            detection: job.detection,
            expected: job.expected.as_ref(),
        };
        // After a panic neither `lock` nor the outcome is used again, so their state does not matter.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| lock(&segment, &mut job.outcome))) {
            notice.message = Some(message_of(payload.as_ref()));
            // The runtime counts and reports the panic, too.
            resume_unwind(payload);
        }
        if notice.to_search.send(Finished::Job(job)).is_err() {
            break;
        }
    }
}

/// The text given to `panic!`, if it was text.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").into()
}
