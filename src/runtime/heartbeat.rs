//! Heartbeats of threads and tasks, and the watchdog that finds the one that is stuck.
//!
//! | at work | heartbeat |
//! | --- | --- |
//! | a thread of [`Context::thread`](crate::runtime::Context::thread) | its own, at work from the start; it idles while it waits |
//! | a task of [`Context::task`](crate::runtime::Context::task) | at work during each poll, idle while it awaits |
//! | the I/O runtime | the task `io`, once a second: whatever blocks its thread stops that |
//!
//! What is outside the process is no work: a thread idles while it waits for a name to be resolved, a device to open, a server
//! to answer or a disk to write. None of these is mended by a restart, which would cost what waits in memory.

use crate::runtime::clock::Clock;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A thread at work without a heartbeat for this long is stuck: longer than anything that a thread does at a stretch.
pub const STUCK: Duration = Duration::from_secs(45);
/// Time that counts between two ticks at most: a process that was stopped, or starved of its processor, was not stuck.
const LONGEST_TICK: Duration = Duration::from_secs(2);
/// Value of a heartbeat whose thread waits for work and may do so for any time.
const IDLE: u64 = u64::MAX;

/// Register of all heartbeats of a process.
#[derive(Clone, Debug)]
pub struct Watchdog(Arc<Register>);

#[derive(Debug)]
struct Register {
    clock: Clock,
    /// Time without a heartbeat after which a thread is stuck.
    limit: Duration,
    /// Milliseconds for which this process has been running, as counted by [`Watchdog::tick`].
    running_ms: AtomicU64,
    ticked: Mutex<Instant>,
    /// Entries of ended threads are dropped when the next one registers, so the list is as long as there are threads.
    beats: Mutex<Vec<(String, Weak<AtomicU64>)>>,
}

/// Heartbeat of one thread or task; clones share it, and it is deregistered when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    beat: Arc<AtomicU64>,
    register: Arc<Register>,
}

impl Watchdog {
    /// Creates an empty register. A thread is stuck that is at work without a heartbeat for longer than `limit`, usually [`STUCK`].
    pub fn new(clock: Clock, limit: Duration) -> Self {
        let ticked = Mutex::new(clock.now());
        Watchdog(Arc::new(Register {
            clock,
            limit,
            running_ms: AtomicU64::new(0),
            ticked,
            beats: Mutex::default(),
        }))
    }

    /// Registers a thread or task that is at work from now on.
    pub fn register(&self, name: &str) -> Heartbeat {
        let beat = Arc::new(AtomicU64::new(self.0.running_ms()));
        let mut beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|(_, beat)| beat.strong_count() > 0);
        beats.push((name.to_owned(), Arc::downgrade(&beat)));
        Heartbeat {
            beat,
            register: self.0.clone(),
        }
    }

    /// Counts the time since the previous call. To be called every second or oftener: without, no thread is ever stuck.
    pub fn tick(&self) {
        let now = self.0.clock.now();
        let mut ticked = self.0.ticked.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(*ticked).min(LONGEST_TICK);
        *ticked = now;
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(0);
        self.0.running_ms.fetch_add(elapsed_ms, Ordering::Relaxed);
    }

    /// Returns the names of threads and tasks that are at work and have not beaten for too long. A task that blocks stops the
    /// I/O runtime as well.
    pub fn stuck(&self) -> BTreeSet<String> {
        let now = self.0.running_ms();
        let beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = beats.iter().filter(|(_, beat)| {
            let beat = beat.upgrade().map_or(IDLE, |beat| beat.load(Ordering::Relaxed));
            beat != IDLE && u128::from(now.saturating_sub(beat)) > self.0.limit.as_millis()
        });
        stuck.map(|(name, _)| name.clone()).collect()
    }
}

impl Register {
    fn running_ms(&self) -> u64 {
        self.running_ms.load(Ordering::Relaxed)
    }
}

impl Heartbeat {
    /// Reports progress; the thread is at work.
    pub fn beat(&self) {
        self.beat.store(self.register.running_ms(), Ordering::Relaxed);
    }

    /// Reports that the thread waits for work or for something outside the process.
    pub fn idle(&self) {
        self.beat.store(IDLE, Ordering::Relaxed);
    }

    /// Runs `wait`, in which the thread waits for something outside the process, and is at work again after it.
    pub fn idle_during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.idle();
        let result = wait();
        self.beat();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn watchdog() -> (Watchdog, Clock) {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        (Watchdog::new(clock.clone(), STUCK), clock)
    }

    #[test]
    fn given_a_thread_without_a_heartbeat_then_it_is_stuck_until_it_beats_idles_or_ends() {
        let (watchdog, clock) = watchdog();
        let heartbeat = watchdog.register("search:roof");
        let is_stuck = || watchdog.stuck().contains("search:roof");
        let wait = || {
            for _ in 0..46 {
                clock.advance(Duration::from_secs(1));
                watchdog.tick();
            }
        };
        assert!(!is_stuck());
        wait();
        assert!(is_stuck());
        heartbeat.beat();
        assert!(!is_stuck());
        heartbeat.idle_during(wait);
        assert!(!is_stuck());
        wait();
        assert!(is_stuck());
        heartbeat.idle();
        assert!(!is_stuck());
        heartbeat.beat();
        wait();
        let clone = heartbeat.clone();
        drop(heartbeat);
        assert!(is_stuck());
        drop(clone);
        assert!(!is_stuck());
    }

    #[test]
    fn given_a_process_that_was_stopped_for_an_hour_then_none_of_its_threads_was_stuck() {
        let (watchdog, clock) = watchdog();
        let _heartbeat = watchdog.register("search:roof");
        watchdog.tick();
        clock.advance(Duration::from_secs(3600));
        watchdog.tick();
        assert_eq!(watchdog.stuck(), BTreeSet::new());
    }
}
