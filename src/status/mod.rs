//! Status of receivers, ports, meters and sinks, as the page, the metrics and MQTT show it.
//!
//! ```text
//!   pipeline (main thread) ──▶ Status ──publishes──▶ Arc<Snapshot> ◀── StatusReader (page, metrics, history)
//!   receiver threads ────────▶ SpectrumBuffer ─────────▲
//!   search threads ──────────▶ RadioMetrics ───────────┤
//!   port tasks ──────────────▶ LastTelegram ───────────┤ handles in the snapshot, each with a lock of its own
//!   every thread ────────────▶ LogBuffer, SinkMetrics ─┘
//! ```

pub mod counts;
pub mod edit_meter;
pub mod last_telegram;
pub mod log_buffer;
pub mod meter_map;
mod meter_status;
pub mod port;
pub mod prices;
pub mod radio;
pub mod reading_counters;
pub mod receiver;
pub mod revision;
pub mod sink;
pub mod snapshot;
pub mod spectrum;
mod writer;

pub use meter_status::MeterStatus;
pub use revision::Revision;
pub use snapshot::{Snapshot, StatusReader};
pub use writer::Status;
