//! Foundations of everything that runs for long: components and their supervision, cancellation, time, signals, back-off.

pub mod backoff;
pub mod cancel;
pub mod clock;
pub mod component;
pub mod heartbeat;
mod injection;
pub mod limit;
pub mod log_limit;
pub mod priority;
pub mod signals;

pub use backoff::Backoff;
pub use cancel::Cancel;
pub use clock::{Clock, Moment};
pub use component::{Component, Context, Failure, Running, Runtime, propagate_panic};
pub use heartbeat::{Heartbeat, Watchdog};
pub use limit::Limit;
