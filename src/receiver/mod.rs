//! A radio at work: the threads between a source of samples and readings.
//!
//! ```text
//!  Source ─▶ radio:NAME ─▶ ring ─▶ search:NAME ─▶ ReceiverEvent ─▶ daemon
//!            supervisor              │      ▲
//!                                    ▼      │
//!                                   lock:NAME
//! ```

mod chip_clocks;
mod demod_pool;
mod demodulator;
pub mod event;
mod expected_meters;
mod hop;
mod lock_workers;
mod probe;
mod radio;
mod rate_monitor;
mod reading_builder;
mod ring;
mod sample_clock;
mod samples;
mod search;
mod spectrum_tap;
mod supervisor;
mod tuning_error;
mod wmbus;

pub use chip_clocks::{ChipClocks, CrystalError};
pub use demodulator::Received;
pub use event::{End, ReceiverEvent};
pub use probe::Probe;
pub use radio::{Radio, RadioOptions};
pub use rate_monitor::CUSTOMARY_HZ;
pub use tuning_error::TuningError;
