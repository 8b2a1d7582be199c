//! From blocks of samples to packets: one thread searches, others lock.
//!
//! ```text
//!  ring ─▶ search thread ──jobs──▶ lock threads
//!               ▲                      │
//!               └──────── outcomes ────┘   strong packets are peeled off there, the others told
//! ```
//!
//! What a job found is taken up a fixed number of blocks later and in the order of the jobs, however many
//! threads lock and however fast they are: the same samples always give the same packets.

use super::view::Scope;
use crate::link::ert::Samples;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use metertap_dsp::{Complex32, Config, Bandwidth, Locker, Packet, Searcher, Deduplicator, Segment, Tally};
use std::collections::VecDeque;
use std::thread;

/// Blocks of the search (1.75 ms) between a job and its outcome.
const DELAY: u64 = 4;
/// Outcomes waiting to be taken up; more bursts at once are lost, the weakest first.
const MAX_JOBS: usize = 64;
/// Stretches handed to lock threads at once, 1.7 MB each at most; then the search waits.
const MAX_SEGMENTS: usize = 8;
/// Lock threads of a receiver at most.
const MAX_LOCKERS: usize = 2;
/// Packets of one segment; a segment of 91 ms has room for 15 SCM.
const MAX_PACKETS: usize = 32;

/// The two stages, with threads for the second.
pub struct Hearing {
    samples: Samples,
    search: Searcher,
    dedup: Deduplicator,
    crew: Crew,
    /// Who looks at the samples.
    scope: Scope,
}

/// The lock threads and what they are working on.
struct Crew {
    jobs: Sender<Job>,
    done: Receiver<Job>,
    /// Lists for what will be found.
    lists: Vec<Vec<Packet>>,
    /// Buffers for samples, and how many there are in all.
    buffers: Vec<Vec<Complex32>>,
    made: usize,
    /// Those under way, in order; the outcome beside it once it is there.
    pending: VecDeque<(u64, Option<Job>)>,
    /// Number of the first pending job.
    first: u64,
}

/// A segment to look at, and what was found in it. Its buffers are used again.
struct Job {
    number: u64,
    samples: Vec<Complex32>,
    first_sample: u64,
    frequency: f64,
    bandwidth: Bandwidth,
    noise: f32,
    window_noise: f32,
    packets: Vec<Packet>,
    preambles: u64,
    low_confidence: u64,
}

impl Hearing {
    /// Starts the lock threads of receiver `name`; `scope` sees its samples.
    ///
    /// # Errors
    /// Where the receiver cannot work at this rate, or no thread can be had.
    pub fn start(name: &str, samples: Samples, config: Config, scope: Scope) -> Result<Self> {
        let search = Searcher::new(config)?;
        let (jobs, work) = bounded::<Job>(MAX_JOBS);
        let (outcome, done) = bounded::<Job>(MAX_JOBS);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(MAX_LOCKERS) {
            let (work, outcome, capacity) = (work.clone(), outcome.clone(), search.max_segment_len());
            thread::Builder::new()
                .name(format!("lock:{name}"))
                .spawn(move || lock(&work, &outcome, Locker::new(config, capacity)))
                .context("cannot start a thread")?;
        }
        let crew = Crew {
            jobs,
            done,
            lists: Vec::with_capacity(MAX_JOBS),
            buffers: Vec::with_capacity(MAX_SEGMENTS),
            made: 0,
            pending: VecDeque::with_capacity(MAX_JOBS),
            first: 0,
        };
        Ok(Hearing {
            samples,
            dedup: Deduplicator::new(config),
            search,
            crew,
            scope,
        })
    }

    /// Number of the next sample.
    pub fn position(&self) -> u64 {
        self.search.position()
    }

    /// Where and when what comes next was heard, for who looks at it.
    pub fn at(&mut self, center_hz: Option<f64>, time: Timestamp) {
        self.scope.at(center_hz, time);
    }

    /// Takes bytes and hands packets to `out`.
    pub fn push(&mut self, bytes: &[u8], mut out: impl FnMut(&Packet)) {
        let mut samples = self.samples.decode(bytes);
        self.dedup.tally.samples += samples.len() as u64;
        self.scope.look(samples, self.search.noise_dbfs());
        while !samples.is_empty() {
            let (crew, now) = (&mut self.crew, self.search.blocks());
            self.search
                .push(&mut samples, |segment| crew.submit(segment, now + DELAY));
            take_up(&mut self.search, &mut self.dedup, crew, now, &mut out);
        }
    }

    /// Finds what is left, and tells how many bytes of an unfinished sample were left over.
    pub fn flush(&mut self, mut out: impl FnMut(&Packet)) -> usize {
        let crew = &mut self.crew;
        self.search.flush(|segment| crew.submit(segment, 0));
        take_up(&mut self.search, &mut self.dedup, crew, u64::MAX, &mut out);
        self.samples.finish()
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        self.dedup.tally
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.search.noise_dbfs()
    }
}

/// Takes up the outcomes that are due at block `now`.
fn take_up(
    search: &mut Searcher,
    dedup: &mut Deduplicator,
    crew: &mut Crew,
    now: u64,
    out: &mut impl FnMut(&Packet),
) {
    while let Some(mut job) = crew.next_due(now) {
        dedup.tally.segments += 1;
        dedup.tally.preambles += job.preambles;
        dedup.tally.low_confidence += job.low_confidence;
        for packet in job.packets.drain(..) {
            dedup.pass(&packet, &mut *out);
        }
        crew.lists.push(job.packets);
        while let Some(strong) = dedup.next_strong() {
            let due = now.saturating_add(DELAY);
            search.search_residual(&strong, |segment| crew.submit(segment, due));
        }
    }
}

impl Crew {
    /// Gives `segment` to a lock thread; its outcome is due at block `due`.
    fn submit(&mut self, segment: &Segment, due: u64) {
        if self.pending.len() == MAX_JOBS {
            tracing::debug!("Too many bursts at once: one is not looked at.");
            return;
        }
        let mut samples = self.buffer();
        samples.clear();
        samples.extend_from_slice(segment.samples);
        let packets = self.lists.pop();
        let job = Job {
            number: self.first + self.pending.len() as u64,
            samples,
            first_sample: segment.first_sample,
            frequency: segment.frequency,
            bandwidth: segment.bandwidth,
            noise: segment.noise,
            window_noise: segment.window_noise,
            packets: packets.unwrap_or_else(|| Vec::with_capacity(MAX_PACKETS)),
            preambles: 0,
            low_confidence: 0,
        };
        self.pending.push_back((due, None));
        // There is room for as many jobs as there are.
        let _ = self.jobs.send(job);
    }

    /// The next outcome in order, if it is due; waits for it.
    fn next_due(&mut self, now: u64) -> Option<Job> {
        loop {
            let (due, outcome) = self.pending.front_mut()?;
            if *due > now {
                return None;
            }
            if let Some(job) = outcome.take() {
                self.pending.pop_front();
                self.first += 1;
                return Some(job);
            }
            self.receive()?;
        }
    }

    /// Waits for an outcome; nothing if the lock threads are gone.
    fn receive(&mut self) -> Option<()> {
        let mut job = self.done.recv().ok()?;
        self.buffers.push(std::mem::take(&mut job.samples));
        let place = (job.number - self.first) as usize;
        if let Some((_, outcome)) = self.pending.get_mut(place) {
            *outcome = Some(job);
        }
        Some(())
    }

    /// A buffer for samples; waits for one if all are in use.
    fn buffer(&mut self) -> Vec<Complex32> {
        while self.buffers.is_empty() && self.made == MAX_SEGMENTS {
            if self.receive().is_none() {
                break;
            }
        }
        self.buffers.pop().unwrap_or_else(|| {
            self.made += 1;
            Vec::new()
        })
    }
}

/// A lock thread, until the search is gone.
fn lock(work: &Receiver<Job>, outcome: &Sender<Job>, mut locker: Locker) {
    for mut job in work {
        let segment = Segment {
            samples: &job.samples,
            first_sample: job.first_sample,
            frequency: job.frequency,
            bandwidth: job.bandwidth,
            noise: job.noise,
            window_noise: job.window_noise,
        };
        let packets = &mut job.packets;
        let before = (locker.preambles(), locker.low_confidence());
        locker.run(&segment, |packet| {
            if packets.len() < MAX_PACKETS {
                packets.push(*packet);
            }
        });
        job.preambles = locker.preambles() - before.0;
        job.low_confidence = locker.low_confidence() - before.1;
        if outcome.send(job).is_err() {
            break;
        }
    }
}
