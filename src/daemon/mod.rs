//! The running daemon: the only place that knows every room.

pub mod add_meter;
pub mod event_stream;
pub mod pipeline;
pub mod sinks;
pub mod systemd;
