//! Wireless M-Bus (EN 13757-4): receives meters in the modes T, C and S on every carrier of the window at once, and R2,
//! N, F2 and the downlink of C2 where they lie in the window.
//!
//! ```text
//!  samples ─▶ search ──segment──▶ sync ─▶ timing ─▶ words ─▶ blocks ─▶ Frame
//!             every carrier,       carrier,  chip     phase,   CRCs, list
//!             by energy            deviation, clock   soft     decoding,
//!             (always)             rate       (rare)  words    error probability
//! ```
//!
//! America's water meters that send by 2-FSK are modes of the same receiver, as they differ in the rows of its tables only:
//! Badger Orion, Mueller Hot Rod, Arad and Master Meter Dialog 3G ([`Modes::AMERICA`]).
//!
//! The modes are 2-FSK: a chip is one of two tones. What a mode is beyond that, its chip rate, code and sync word, is a
//! row of a table (`mode.rs`); carriers are found by search, so that an error of tuning costs nothing.
//!
//! The [`Receiver`] works on the calling thread, and allocates nothing after construction. A [`Frame`] holds the bytes
//! of the link layer, whose CRCs have been checked and removed; the meaning of the bytes is left to the caller.

mod blocks;
mod coding;
mod config;
mod dedup;
mod family;
mod fixed;
mod frame;
mod lock;
mod mode;
mod narrow;
mod phase;
mod reader;
mod receiver;
mod refit;
mod search;
mod segment;
mod sync;
#[cfg(feature = "synth")]
pub mod synth;
mod timing;
mod tones;
mod track;

pub use config::{Config, ConfigError};
pub use frame::{Frame, MAX_BYTES, Signal};
pub use mode::{Format, Mode, Modes, UnknownMode};
pub use receiver::Receiver;
