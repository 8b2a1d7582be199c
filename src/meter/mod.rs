//! Meaning of messages in this home: which meter sent them, whether they are plausible, how often they are published.

pub mod availability;
mod confidence;
pub mod consumption;
pub mod counter;
pub mod dedup;
pub mod event;
pub mod filter;
pub mod find;
mod frame_filter;
pub mod intervals;
mod meters;
pub mod plausibility;
mod reading;
pub mod table;
pub mod throttle;

pub use confidence::ConfidenceFilter;
pub use frame_filter::{FrameFilter, default_kinds};
pub use meters::{Factor, Meter, Meters};
pub use reading::{Reading, Signal, WireReading};
