//! Cancellation of the whole process, of one component, or of one of its parts.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Cancellation token for threads and tasks; clones share one state, children follow their parent.
///
/// Tasks await [`Cancel::cancelled`], threads [`Cancel::sleep`]; neither polls.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    /// One for the whole tree: a sleeping thread does not know which of its ancestors is cancelled.
    sleepers: Arc<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    mutex: Mutex<()>,
    woken: Condvar,
}

impl Cancel {
    /// Returns a token that is cancelled with this one, and can be cancelled alone.
    pub fn child(&self) -> Self {
        Cancel {
            token: self.token.child_token(),
            sleepers: self.sleepers.clone(),
        }
    }

    /// Cancels this token and all its children; wakes whoever waits for one of them.
    pub fn cancel(&self) {
        self.token.cancel();
        // With the mutex held, no thread is between its look at the token and its wait: none misses the wake-up.
        let _guard = self.sleepers.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.woken.notify_all();
    }

    /// Returns true once this token or one of its ancestors was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Completes when the token is cancelled.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Sleeps for `duration`, or until the token is cancelled; returns false in the latter case.
    pub fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut guard = self.sleepers.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_cancelled() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let woken = self.sleepers.woken.wait_timeout(guard, left);
            guard = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_child_then_it_ends_alone_or_with_its_parent() {
        let parent = Cancel::default();
        let (first, second) = (parent.child(), parent.child());
        first.cancel();
        assert!(first.is_cancelled() && !second.is_cancelled() && !parent.is_cancelled());
        parent.cancel();
        assert!(second.is_cancelled());
    }

    #[test]
    fn given_a_sleeping_thread_when_an_ancestor_is_cancelled_then_it_wakes() {
        let parent = Cancel::default();
        let child = parent.child().child();
        let sleeper = std::thread::spawn(move || child.sleep(Duration::from_secs(3600)));
        parent.cancel();
        assert!(!sleeper.join().unwrap());
    }

    #[test]
    fn given_nobody_who_cancels_then_a_sleep_ends_by_itself() {
        assert!(Cancel::default().sleep(Duration::from_millis(1)));
    }
}
