//! Numbers of changes: a viewer that has seen all changes up to one number asks for those beyond it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counter of changes, one for all parts of a process's status; clones share it.
///
/// A change takes its number while the lock of the place that keeps it is held. A reader that calls
/// [`Revision::current`] first and takes those locks afterwards therefore finds every change up to that number.
#[derive(Clone, Debug, Default)]
pub struct Revision(Arc<AtomicU64>);

impl Revision {
    /// Returns the number of a change that is being made.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns the number of the newest change.
    pub fn current(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
