//! Status of receivers, ports, meters and sinks, as the page, the metrics and MQTT show it.

pub mod add_meter;
pub mod board;
pub mod last_telegram;
pub mod log_buffer;
pub mod port;
pub mod receiver;
pub mod revision;
pub mod sink;
pub mod spectrum;
