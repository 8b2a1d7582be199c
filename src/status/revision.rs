//! Numbers for what changes: whoever has seen all up to a number asks for what is beyond it.
//!
//! A change takes its number while it holds the lock of the place where it is kept. So who reads [`current`] first and
//! looks afterwards sees all changes up to that number, and perhaps some newer ones a second time.

use std::sync::atomic::{AtomicU64, Ordering};

static CURRENT: AtomicU64 = AtomicU64::new(0);

/// The number of a change that is being made.
pub fn next() -> u64 {
    CURRENT.fetch_add(1, Ordering::SeqCst) + 1
}

/// The number of the newest change.
pub fn current() -> u64 {
    CURRENT.load(Ordering::SeqCst)
}
