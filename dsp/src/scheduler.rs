//! The receiver's composition: what is locked, when an outcome counts, and what becomes of it.
//!
//! ```text
//!  samples ─▶ Searcher ──segments──▶ LockExecutor ──outcomes, any order──▶ in order, DELAY blocks later
//!                ▲                                                                │
//!                │                                                                ▼
//!                └──────────── residual after cancellation ◀── strong ── Deduplicator ─▶ packets
//! ```
//!
//! Invariant: packets depend on the samples alone. A job found in block `n` is evaluated when block `n + DELAY`
//! has been searched, jobs in the order of their submission, whatever the executor does in between; and the
//! history is changed (cancellation) only at these points, so every segment holds what it would hold on one
//! thread.

use crate::dedup::{Deduplicator, Verdict};
use crate::executor::LockExecutor;
use crate::expect::{Expectation, KnownMeters};
use crate::outcome::Outcome;
use crate::packet::Packet;
use crate::search::Searcher;
use crate::segment::{DELAY, MAX_JOBS, Segment};
use crate::{Complex32, Config, ConfigError, Trust};
use std::collections::VecDeque;

/// SNR above which a packet is canceled and the residual searched: its keying reaches the noise 500 kHz away,
/// and 60 kHz away it stands 18 dB above it.
const STRONG_DB: f32 = 15.0;
/// Strong packets waiting for their cancellation; more from one segment are left in.
const MAX_STRONG: usize = 16;
/// Times that a flush searches the residuals of what it found; each finds weaker packets than the one before.
const FLUSH_ROUNDS: u64 = 8;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples taken.
    pub samples: u64,
    /// Segments found by the search and locked.
    pub segments: u64,
    /// Segments that were not locked because too many were under way. Not zero: the band is fuller than the
    /// receiver was made for.
    pub dropped_segments: u64,
    /// Preambles found in segments.
    pub preambles: u64,
    /// Frames whose check could be made to pass, but whose error probability was too great for
    /// [`crate::Trust`]: tentative packets and worse.
    pub low_confidence: u64,
    /// Further copies of a frame, dropped.
    pub duplicates: u64,
    /// Strong packets canceled to search the residual.
    pub canceled: u64,
    /// Packets handed out, tentative ones not counted.
    pub packets: u64,
}

/// Search, cancellation and duplicate filter around the locks of `E`.
///
/// [`crate::Receiver`] is this with [`crate::Inline`]; a program with threads brings an executor of its own.
pub struct Scheduler<E> {
    config: Config,
    search: Searcher,
    jobs: Jobs<E>,
    dedup: Deduplicator,
    known: KnownMeters,
    strong: Vec<Packet>,
    tally: Tally,
}

/// Jobs under way, oldest first.
struct Jobs<E> {
    executor: E,
    pending: VecDeque<Pending>,
    /// Number of the first pending job; the others follow without gaps.
    first: u64,
    dropped: u64,
}

struct Pending {
    /// Block at which the outcome is evaluated.
    due: u64,
    outcome: Option<Outcome>,
}

impl<E: LockExecutor> Scheduler<E> {
    /// Allocates the search. `executor` must lock with the same configuration.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config, executor: E) -> Result<Self, ConfigError> {
        Ok(Scheduler {
            config,
            jobs: Jobs {
                executor,
                pending: VecDeque::with_capacity(MAX_JOBS),
                first: 0,
                dropped: 0,
            },
            search: Searcher::new(config)?,
            dedup: Deduplicator::new(),
            known: KnownMeters::new(config.sample_rate_hz),
            strong: Vec::with_capacity(MAX_STRONG),
            tally: Tally::default(),
        })
    }

    /// Replaces the meters that are expected, from the next segment on. What is expected of them moves on with each of their packets.
    /// Allocates, now and when one of them is received. No effect with [`Trust::Strict`].
    pub fn expect(&mut self, expectations: &[Expectation]) {
        if self.config.trust == Trust::Strict {
            return;
        }
        self.known.replace(expectations, self.search.position());
        self.search.expect(self.known.expected());
    }

    /// Takes the next samples (any number) and hands packets to `out`, confident ones up to about 85 ms after the
    /// end of their frame, tentative ones up to about 0.2 s after it.
    ///
    /// # Errors
    /// Those of the executor, ever after.
    pub fn push(&mut self, mut samples: &[Complex32], mut out: impl FnMut(&Packet)) -> Result<(), E::Error> {
        self.tally.samples += samples.len() as u64;
        while !samples.is_empty() {
            let (jobs, block) = (&mut self.jobs, self.search.blocks());
            let is_complete = self
                .search
                .push(&mut samples, |segment| jobs.submit(segment, block + DELAY));
            // Only at the end of a block: however the samples are cut, outcomes meet the same history.
            if is_complete {
                self.evaluate(block, &mut out)?;
            }
        }
        Ok(())
    }

    /// Ends every burst and hands out what is left, tentative packets included. Samples may follow, but as
    /// after a gap.
    ///
    /// # Errors
    /// Those of the executor, ever after.
    pub fn flush(&mut self, mut out: impl FnMut(&Packet)) -> Result<(), E::Error> {
        for round in 1..=FLUSH_ROUNDS {
            // Jobs of this round are due now, those of its residuals in the next one.
            let (jobs, now) = (&mut self.jobs, self.search.blocks() + round * DELAY);
            self.search.flush(|segment| jobs.submit(segment, now));
            if self.jobs.pending.is_empty() {
                break;
            }
            self.evaluate(now, &mut out)?;
        }
        self.dedup.release(u64::MAX, &mut out);
        Ok(())
    }

    /// Counters so far.
    pub fn tally(&self) -> Tally {
        Tally {
            dropped_segments: self.jobs.dropped + self.search.dropped(),
            duplicates: self.dedup.duplicates(),
            ..self.tally
        }
    }

    /// Noise power of the window in dBFS, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.search.noise_dbfs()
    }

    /// Number of the next sample to be pushed, as [`Packet::start_sample`] counts them.
    pub fn position(&self) -> u64 {
        self.search.position()
    }

    /// Takes up the outcomes that are due at block `now`, and releases tentative packets.
    fn evaluate(&mut self, now: u64, out: &mut impl FnMut(&Packet)) -> Result<(), E::Error> {
        while let Some(outcome) = self.jobs.next_due(now)? {
            self.tally.segments += 1;
            self.tally.preambles += outcome.preambles;
            self.tally.low_confidence += outcome.low_confidence;
            for packet in outcome.packets() {
                self.accept(packet, now, out);
            }
            for evidence in &outcome.evidence {
                if let Some(packet) = self.known.add_up(evidence) {
                    self.accept(&packet, now, out);
                }
            }
            self.jobs.executor.recycle(outcome);
            while let Some(strong) = self.strong.pop() {
                self.tally.canceled += 1;
                let jobs = &mut self.jobs;
                self.search
                    .search_residual(&strong, |segment| jobs.submit(segment, now + DELAY));
            }
        }
        self.dedup.release(now, out);
        Ok(())
    }

    fn accept(&mut self, packet: &Packet, now: u64, out: &mut impl FnMut(&Packet)) {
        if self.config.is_tentative(packet.signal.error_probability) {
            self.dedup.offer_tentative(packet, now, out);
        } else if self.dedup.offer(packet, out) == Verdict::Passed {
            self.tally.packets += 1;
            if self.known.learn(packet) {
                self.search.expect(self.known.expected());
            }
            if packet.signal.snr_db > STRONG_DB && self.strong.len() < MAX_STRONG {
                self.strong.push(*packet);
            }
        }
    }
}

impl<E: LockExecutor> Jobs<E> {
    fn submit(&mut self, segment: &Segment, due: u64) {
        if self.pending.len() == MAX_JOBS {
            // The search hands out the strongest first, so these are the weakest of their block.
            self.dropped += 1;
            return;
        }
        self.executor
            .submit(self.first + self.pending.len() as u64, segment);
        self.pending.push_back(Pending { due, outcome: None });
    }

    /// The oldest outcome, if it is due at block `now`; waits for it.
    ///
    /// Terminates: each round takes one finished job from the executor, which has at most [`MAX_JOBS`] of
    /// them, or returns its error.
    fn next_due(&mut self, now: u64) -> Result<Option<Outcome>, E::Error> {
        loop {
            let Some(oldest) = self.pending.front_mut().filter(|oldest| oldest.due <= now) else {
                return Ok(None);
            };
            if let Some(outcome) = oldest.outcome.take() {
                self.pending.pop_front();
                self.first += 1;
                return Ok(Some(outcome));
            }
            let Some(outcome) = self.executor.wait()? else {
                return Ok(None);
            };
            let place = outcome.job.checked_sub(self.first);
            match place.and_then(|place| self.pending.get_mut(place as usize)) {
                Some(pending) => pending.outcome = Some(outcome),
                None => self.executor.recycle(outcome),
            }
        }
    }
}
