//! Faults on demand, for tests of supervision: only in builds with debug assertions.
//!
//! `METERTAP_INJECT=panic:search:roof*2` makes the thread `search:roof` panic at its first two starts;
//! `METERTAP_INJECT=refuse:search:roof*1` makes its creation fail once; `METERTAP_INJECT=hang:search:roof*1` makes it hang, and
//! the watchdog impatient.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Patience of the watchdog with a thread that hangs on purpose: a test waits for it.
const IMPATIENT: Duration = Duration::from_secs(3);

/// One fault, how often it still happens.
#[derive(Debug, Default)]
pub struct Injection {
    kind: String,
    thread: String,
    left: AtomicU32,
}

impl Injection {
    /// Reads `METERTAP_INJECT`; without it, and in release builds, no fault is injected.
    pub fn from_environment() -> Self {
        match std::env::var("METERTAP_INJECT") {
            Ok(text) if cfg!(debug_assertions) => Self::parse(&text).unwrap_or_default(),
            _ => Injection::default(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (thread, times) = rest.rsplit_once('*')?;
        Some(Injection {
            kind: kind.into(),
            thread: thread.into(),
            left: AtomicU32::new(times.parse().ok()?),
        })
    }

    /// Returns true if the creation of the thread is to fail.
    pub fn refuses_thread(&self, thread: &str) -> bool {
        self.take("refuse", thread)
    }

    /// Panics, or never returns, if the thread is to do so.
    pub fn strike(&self, thread: &str) {
        assert!(!self.take("panic", thread), "injected panic");
        if self.take("hang", thread) {
            loop {
                std::thread::park();
            }
        }
    }

    /// Time after which a thread is stuck, if one is to hang.
    pub fn stuck_limit(&self) -> Option<Duration> {
        (self.kind == "hang").then_some(IMPATIENT)
    }

    fn take(&self, kind: &str, thread: &str) -> bool {
        self.kind == kind
            && self.thread == thread
            && self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_fault_then_it_happens_to_its_thread_and_as_often_as_asked() {
        let injection = Injection::parse("refuse:search:roof*2").unwrap();
        assert!(!injection.refuses_thread("search:cellar"));
        assert!(injection.refuses_thread("search:roof") && injection.refuses_thread("search:roof"));
        assert!(!injection.refuses_thread("search:roof"));
        injection.strike("search:roof");
    }
}
