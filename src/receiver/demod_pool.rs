//! Demodulator of one receiver: bytes in, packets out, with the locks on worker threads.
//!
//! ```text
//!  ring ─▶ search thread (Scheduler) ──jobs──▶ workers
//!                  ▲                              │
//!                  └────────── finished ──────────┘
//! ```
//!
//! [`Scheduler`] decides what is locked, in which order outcomes count, and what becomes of them; this file only
//! moves jobs to threads and back. The packets are those of [`metertap_dsp::Receiver`], whatever the number and
//! the speed of the workers.
//!
//! Bounds: at most [`MAX_JOBS`] jobs are under way (the scheduler counts what does not fit), with at most
//! [`MAX_SEGMENTS`] copies of samples; when all of them are in use, the search waits for a worker.

use crate::receiver::samples::Samples;
use crate::receiver::spectrum_tap::SpectrumTap;
use crate::runtime::{self, Running};
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use metertap_dsp::{
    Complex32, Config, Detection, LockExecutor, Locker, MAX_JOBS, Outcome, Packet, Scheduler, Segment, Tally,
};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

/// Segments copied for the workers at a time, 1.7 MB each at most: enough to keep two workers
/// busy while the search goes on.
const MAX_SEGMENTS: usize = 8;
/// Worker threads of a receiver at most; more would not help, as a street of 34 packets per second needs less
/// than 0.02 of a processor.
const MAX_WORKERS: usize = 2;
/// Time for a worker to end; a lock takes some milliseconds.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Demodulates the samples of one receiver.
pub struct DemodPool {
    samples: Samples,
    scheduler: Scheduler<Workers>,
    spectrum_tap: SpectrumTap,
}

/// A worker thread panicked: its job is lost, and with it the order of packets. The pool has to be started anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("thread `{thread}` panicked: {message}")]
pub struct WorkerPanicked {
    /// Name of the thread.
    pub thread: String,
    /// Message of the panic.
    pub message: String,
}

impl DemodPool {
    /// Starts the workers of receiver `name`, one per processor but at most [`MAX_WORKERS`]; the samples pass
    /// `spectrum_tap` as well.
    ///
    /// # Errors
    /// Returns an error if the sample rate is out of range, or if a thread cannot be created.
    pub fn start(
        context: &runtime::Context,
        name: &str,
        samples: Samples,
        config: Config,
        spectrum_tap: SpectrumTap,
    ) -> Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = Workers::start(context, name, processors.min(MAX_WORKERS), || {
            let mut locker = Locker::new(config)?;
            Ok(move |segment: &Segment, outcome: &mut Outcome| locker.run(segment, outcome))
        })?;
        Ok(DemodPool {
            samples,
            scheduler: Scheduler::new(config, workers)?,
            spectrum_tap,
        })
    }

    /// Number of the next sample, as [`Packet::start_sample`] counts them.
    pub fn position(&self) -> u64 {
        self.scheduler.position()
    }

    /// Sets center frequency and time of the samples to come, for the spectrum.
    pub fn set_position(&mut self, center_hz: Option<f64>, time: Timestamp) {
        self.spectrum_tap.set_position(center_hz, time);
    }

    /// Takes bytes and hands packets to `out`.
    ///
    /// # Errors
    /// Returns [`WorkerPanicked`] from the first panic of a worker on.
    pub fn push(&mut self, bytes: &[u8], out: impl FnMut(&Packet)) -> Result<(), WorkerPanicked> {
        let samples = self.samples.decode(bytes);
        self.spectrum_tap.add(samples, self.scheduler.noise_dbfs());
        self.scheduler.push(samples, out)
    }

    /// Hands out what is left, and returns how many bytes of an unfinished sample were left over. Bytes may
    /// follow, but as after a gap.
    ///
    /// # Errors
    /// Returns [`WorkerPanicked`] from the first panic of a worker on.
    pub fn flush(&mut self, out: impl FnMut(&Packet)) -> Result<usize, WorkerPanicked> {
        self.scheduler.flush(out)?;
        Ok(self.samples.finish())
    }

    /// Counters since the start.
    pub fn tally(&self) -> Tally {
        self.scheduler.tally()
    }

    /// Noise power of the window in dBFS, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.scheduler.noise_dbfs()
    }
}

/// The worker threads, and the buffers that travel to them and back.
struct Workers {
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
    fn start<L>(
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
            let running = context.thread(&thread, move || run_jobs(notice, &work, lock));
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
fn run_jobs(mut notice: PanicNotice, work: &Receiver<LockJob>, mut lock: impl FnMut(&Segment, &mut Outcome)) {
    for mut job in work {
        let segment = Segment {
            samples: &job.samples,
            detection: job.detection,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};
    use crate::status::spectrum::SpectrumBuffer;
    use metertap_dsp::iq::Format;
    use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
    use metertap_dsp::{Protocol, Trust};

    const RATE_HZ: f64 = 2_359_296.0;
    const CONFIG: Config = Config {
        sample_rate_hz: RATE_HZ,
        trust: Trust::Normal,
        tentative: true,
    };

    /// Frames of `protocol`, with start in seconds, carrier in Hz and SNR in dB, as a dongle's bytes.
    fn bytes(seconds: f64, sent: &[(Protocol, &[u8], f64, f64, f64)], random: &mut Random) -> Vec<u8> {
        let transmissions = sent
            .iter()
            .map(|&(protocol, frame, start_s, offset_hz, snr_db)| Transmission {
                chips: chips(protocol, frame, 0),
                start_s,
                offset_hz,
                phase_rad: 1.0,
                snr_db,
                clock_ppm: 0.0,
                keying: Keying::default(),
            });
        let scene = Scene {
            sample_rate_hz: RATE_HZ,
            samples: (seconds * RATE_HZ) as usize,
            noise: 1.0,
            transmissions: transmissions.collect(),
        };
        let mut samples = scene.render(random);
        samples.iter_mut().for_each(|sample| *sample *= 0.02);
        let mut bytes = Vec::new();
        Format::Cu8.encode(&samples, &mut bytes);
        bytes
    }

    fn street() -> Vec<u8> {
        let mut random = Random::new(1);
        let frames: Vec<(Protocol, Vec<u8>)> = (0..24)
            .map(|i| {
                (
                    Protocol::ALL[i % 4],
                    random_frame(Protocol::ALL[i % 4], &mut random),
                )
            })
            .collect();
        let mut sent = Vec::new();
        for (i, (protocol, frame)) in frames.iter().enumerate() {
            let (start_s, offset_hz) = (random.uniform(0.01, 0.35), random.uniform(-1e6, 1e6));
            let snr_db = [28.0, -8.0, 5.0, 20.0, -11.0][i % 5];
            sent.push((*protocol, &frame[..], start_s, offset_hz, snr_db));
        }
        bytes(0.4, &sent, &mut random)
    }

    /// Packets of a pool whose bytes are cut and whose workers are delayed at random.
    fn pooled(bytes: &[u8], workers: usize, seed: u64) -> (Vec<Packet>, Tally) {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let workers = Workers::start(&runtime.context, "test", workers, || {
            let mut locker = Locker::new(CONFIG)?;
            let mut random = Random::new(seed);
            Ok(move |segment: &Segment, outcome: &mut Outcome| {
                locker.run(segment, outcome);
                for _ in 0..random.bits() % 200 {
                    thread::yield_now();
                }
            })
        });
        let mut pool = DemodPool {
            samples: Samples::new(Format::Cu8),
            scheduler: Scheduler::new(CONFIG, workers.unwrap()).unwrap(),
            spectrum_tap: SpectrumTap::new(RATE_HZ, SpectrumBuffer::default()),
        };
        let mut packets = Vec::new();
        let (mut rest, mut random) = (bytes, Random::new(seed));
        while !rest.is_empty() {
            let (part, more) = rest.split_at((1 + random.bits() as usize % 99_999).min(rest.len()));
            pool.push(part, |packet| packets.push(*packet)).unwrap();
            rest = more;
        }
        assert_eq!(pool.flush(|packet| packets.push(*packet)), Ok(0));
        (packets, pool.tally())
    }

    /// Packets of dsp's own receiver, which has no threads.
    fn synchronous(bytes: &[u8]) -> (Vec<Packet>, Tally) {
        let mut samples = Vec::new();
        Format::Cu8.decode(bytes, &mut samples);
        let mut receiver = metertap_dsp::Receiver::new(CONFIG).unwrap();
        let mut packets = Vec::new();
        receiver.push(&samples, |packet| packets.push(*packet));
        receiver.flush(|packet| packets.push(*packet));
        (packets, receiver.tally())
    }

    #[test]
    fn given_any_number_of_workers_of_any_speed_then_the_packets_are_those_of_one_thread() {
        let bytes = street();
        let expected = synchronous(&bytes);
        assert!(
            expected.0.len() > 15 && expected.1.canceled > 3,
            "{:?}",
            expected.1
        );
        for workers in [1, 2, 4] {
            for seed in 0..3 {
                assert_eq!(pooled(&bytes, workers, seed), expected, "{workers} workers");
            }
        }
    }

    #[test]
    fn given_100_pairs_of_which_one_is_30_db_weaker_then_197_of_200_frames_are_received_as_without_threads() {
        let mut random = Random::new(2);
        let mut received = 0;
        for seed in 0..100 {
            let frames = [0, 1].map(|_| random_frame(Protocol::Scm, &mut random));
            let mut start_s = || 0.012 + random.uniform(0.0, 0.95) * 192.0 / 32_768.0;
            let sent = [
                (Protocol::Scm, &frames[0][..], start_s(), -250e3, 30.0),
                (Protocol::Scm, &frames[1][..], start_s(), 250e3, 0.0),
            ];
            let bytes = bytes(0.04, &sent, &mut random);
            let (packets, tally) = pooled(&bytes, 2, seed);
            assert_eq!((packets.clone(), tally), synchronous(&bytes));
            let is_good = |packet: &&Packet| !CONFIG.is_tentative(packet.signal.error_probability);
            for frame in &frames {
                let copies = packets.iter().filter(|packet| packet.bytes() == &frame[..]);
                received += copies.filter(is_good).count();
            }
        }
        assert!((197..=200).contains(&received), "{received} of 200 frames");
    }

    #[test]
    fn given_a_worker_that_panics_then_the_pool_returns_an_error_that_names_it() {
        for workers in [1, 2] {
            let runtime = Runtime::start(Clock::system()).unwrap();
            let locks = Workers::start(&runtime.context, "roof", workers, || {
                Ok(|_: &Segment, _: &mut Outcome| panic!("bad lock"))
            });
            let mut pool = DemodPool {
                samples: Samples::new(Format::Cu8),
                scheduler: Scheduler::new(CONFIG, locks.unwrap()).unwrap(),
                spectrum_tap: SpectrumTap::new(RATE_HZ, SpectrumBuffer::default()),
            };
            let failed = WorkerPanicked {
                thread: "lock:roof".into(),
                message: "bad lock".into(),
            };
            assert_eq!(pool.push(&street(), |_| ()), Err(failed.clone()));
            assert_eq!(
                pool.push(&street(), |_| ()),
                Err(failed.clone()),
                "and ever after"
            );
            assert_eq!(pool.flush(|_| ()), Err(failed.clone()));
            assert_eq!(failed.to_string(), "thread `lock:roof` panicked: bad lock");
            let failure = runtime.failures.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(failure.thread, "lock:roof");
        }
    }
}
