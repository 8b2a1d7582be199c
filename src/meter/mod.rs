//! Message → Reading: what it means here. Which meter, whether it is ours, whether it is new.

pub mod filter;
pub mod find;
pub mod heard;
mod home;
pub mod intervals;
pub mod judge;
pub mod merge;
pub mod pace;
mod reading;
mod registry;
pub mod silence;
mod trust;
pub mod usage;

pub use home::{Factor, Home, Meter};
pub use reading::{Reading, Signal, WireReading};
pub use registry::Registry;
pub use trust::Witness;
