//! Heartbeats of threads and tasks, and the watchdog that finds the one that is stuck.

use crate::runtime::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A thread at work without a heartbeat for this long is stuck. To open a dongle may take a third of it.
pub const STUCK: Duration = Duration::from_secs(45);
/// Value of a heartbeat whose thread waits for work and may do so for any time.
const IDLE: u64 = u64::MAX;

/// Register of all heartbeats of a process.
#[derive(Clone, Debug)]
pub struct Watchdog(Arc<Register>);

#[derive(Debug)]
struct Register {
    clock: Clock,
    /// Heartbeats count milliseconds from here.
    epoch: Instant,
    /// Entries of ended threads are dropped when the next one registers, so the list is as long as there are threads.
    beats: Mutex<Vec<(String, Weak<AtomicU64>)>>,
}

/// Heartbeat of one thread or task; deregistered when it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    beat: Arc<AtomicU64>,
    register: Arc<Register>,
}

impl Watchdog {
    /// Creates an empty register.
    pub fn new(clock: Clock) -> Self {
        let epoch = clock.now();
        Watchdog(Arc::new(Register {
            clock,
            epoch,
            beats: Mutex::default(),
        }))
    }

    /// Registers a thread or task that is at work from now on.
    pub fn register(&self, name: &str) -> Heartbeat {
        let beat = Arc::new(AtomicU64::new(self.0.now_ms()));
        let mut beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|(_, beat)| beat.strong_count() > 0);
        beats.push((name.to_owned(), Arc::downgrade(&beat)));
        Heartbeat {
            beat,
            register: self.0.clone(),
        }
    }

    /// Returns the name of a thread that is at work and has not beaten for longer than `longest`, if there is one.
    pub fn stuck(&self, longest: Duration) -> Option<String> {
        let now = self.0.now_ms();
        let beats = self.0.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().find_map(|(name, beat)| {
            let beat = beat.upgrade()?.load(Ordering::Relaxed);
            let is_stuck = beat != IDLE && u128::from(now.saturating_sub(beat)) > longest.as_millis();
            is_stuck.then(|| name.clone())
        })
    }
}

impl Register {
    fn now_ms(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.epoch);
        u64::try_from(elapsed.as_millis()).unwrap_or(0)
    }
}

impl Heartbeat {
    /// Reports progress.
    pub fn beat(&self) {
        self.beat.store(self.register.now_ms(), Ordering::Relaxed);
    }

    /// Reports that the thread waits for work or for something outside the process.
    pub fn idle(&self) {
        self.beat.store(IDLE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn given_a_thread_without_a_heartbeat_then_it_is_stuck_until_it_beats_idles_or_ends() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let watchdog = Watchdog::new(clock.clone());
        let heartbeat = watchdog.register("search:roof");
        let is_stuck = || watchdog.stuck(Duration::from_secs(45)).as_deref() == Some("search:roof");
        let wait = || clock.advance(Duration::from_secs(46));
        assert!(!is_stuck());
        wait();
        assert!(is_stuck());
        heartbeat.beat();
        assert!(!is_stuck());
        heartbeat.idle();
        wait();
        assert!(!is_stuck());
        heartbeat.beat();
        wait();
        assert!(is_stuck());
        drop(heartbeat);
        assert!(!is_stuck());
    }
}
