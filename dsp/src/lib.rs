//! Hears utility meters in complex samples: slices in, packets out.
//!
//! ```text
//!  samples ─▶ bank ─▶ track ─▶ Burst ─▶ baseband ─▶ sync ─▶ demod ─▶ fec ─▶ Packet
//!            carriers found by energy │  one carrier: time, phase, soft bits, check
//!            (search: cheap, always)  │  (lock: dear, rare)
//! ```
//!
//! The crate knows nothing of files, clocks, threads or logs. [`Receiver`] is the one type a caller holds;
//! everything that it needs is allocated in [`Receiver::new`]. A program with threads of its own puts
//! [`Searcher`], [`Locker`] and [`Deduplicator`] together itself.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bank;
mod baseband;
mod cancel;
mod config;
mod dedup;
mod demod;
mod executor;
pub mod fec;
mod floor;
mod frame;
pub mod iq;
mod lock;
mod packet;
mod phase;
mod protocol;
mod receiver;
mod scheduler;
mod search;
mod segment;
mod spectrum;
mod sync;
#[cfg(feature = "synth")]
pub mod synth;
mod track;

pub use bank::Bandwidth;
pub use config::{Config, ConfigError, Trust, UnknownTrust};
pub use executor::{Inline, LockExecutor, Outcome};
pub use lock::Locker;
pub use packet::{Packet, Signal};
pub use protocol::{CHIP_RATE_HZ, Protocol};
pub use receiver::Receiver;
pub use scheduler::{MAX_JOBS, Scheduler, Tally};
pub use search::Searcher;
pub use segment::{Detection, Segment};
pub use spectrum::Spectrum;

/// A sample: in-phase and quadrature, full scale ±1.
pub type Complex32 = num_complex::Complex<f32>;
