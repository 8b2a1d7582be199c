//! Foundations of long-running parts: cancellation, heartbeats, back-off, thread priority.

pub mod backoff;
pub mod cancel;
pub mod heartbeat;
pub mod priority;
