//! Signs of life: who watches over the process asks whether one of its threads is stuck.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Nothing to do, which is no reason to worry.
const AT_REST: u64 = u64::MAX;

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
static ALL: Mutex<Vec<(String, Weak<AtomicU64>)>> = Mutex::new(Vec::new());

/// Of one thread; forgotten when it is dropped.
#[derive(Debug)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Of the thread with this name, which is at work from now on.
    pub fn new(name: String) -> Self {
        let beat = Arc::new(AtomicU64::new(now_ms()));
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, pulse)| pulse.strong_count() > 0);
        all.push((name, Arc::downgrade(&beat)));
        Heartbeat(beat)
    }

    /// It is at work, and not stuck.
    pub fn beat(&self) {
        self.0.store(now_ms(), Ordering::Relaxed);
    }

    /// It waits for something to do.
    pub fn rest(&self) {
        self.0.store(AT_REST, Ordering::Relaxed);
    }
}

/// The name of a thread that has given no sign of life for so long while at work, if there is one.
pub fn stuck(longest: Duration) -> Option<String> {
    let now = now_ms();
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find_map(|(name, pulse)| {
        let beat = pulse.upgrade()?.load(Ordering::Relaxed);
        let is_stuck = beat != AT_REST && u128::from(now.saturating_sub(beat)) > longest.as_millis();
        is_stuck.then(|| name.clone())
    })
}

fn now_ms() -> u64 {
    u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_thread_that_gives_no_sign_then_it_is_named_until_it_does_rests_or_ends() {
        let pulse = Heartbeat::new("search:roof".into());
        let is_named = || stuck(Duration::from_millis(20)).as_deref() == Some("search:roof");
        let wait = || std::thread::sleep(Duration::from_millis(50));
        wait();
        assert!(is_named());
        pulse.beat();
        pulse.rest();
        wait();
        assert!(!is_named());
        pulse.beat();
        wait();
        assert!(is_named());
        drop(pulse);
        assert!(!is_named());
    }
}
