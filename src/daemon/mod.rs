//! The running daemon: the only place that knows every room.
//!
//! ```text
//!   Config ──assemble──▶ receivers, ports ──EventStream──▶ Pipeline ──▶ Sinks (MQTT, outputs, page)
//!      ▲                       ▲                              │
//!   reload (diff)           restarts (failures)             Status
//! ```

mod assemble;
mod counts_topic;
pub mod edit_meter;
mod event_loop;
pub mod event_stream;
pub mod mqtt_feed;
pub mod pipeline;
mod price_feeds;
mod reload;
mod restarts;
mod sinks;
mod systemd;

pub use event_loop::run;
