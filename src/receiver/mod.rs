//! A radio at work: the threads between a source of samples and readings.

mod demod_pool;
pub mod event;
mod hop;
mod probe;
mod radio;
mod reading_builder;
mod ring;
mod samples;
mod spectrum_tap;
mod supervisor;

pub use event::{End, ReceiverEvent};
pub use probe::Probe;
pub use radio::{Radio, RadioOptions};
