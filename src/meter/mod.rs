//! Readings and meters: which meter sent a message, whether it is plausible, how often it is published, what was consumed.
//!
//! Everything here is synchronous, and the current time is a parameter.

pub mod availability;
mod confidence;
pub mod consumption;
pub mod continuity;
pub mod costs;
pub mod counter;
pub mod counter_sample;
pub mod counter_series;
pub mod dedup;
pub mod event;
pub mod expectations;
mod factor;
pub mod filter;
pub mod find;
mod frame_filter;
pub mod held_back;
pub mod hourly_prices;
pub mod intervals;
mod meters;
pub mod plausibility;
pub mod price_list;
pub mod price_source;
mod radio_telegram;
mod reading;
pub mod reception;
pub mod registers;
pub mod table;
pub mod tariff;
mod telegram_log;
pub mod telegrams;
pub mod throttle;
pub mod usual_interval;

pub use confidence::ConfidenceFilter;
pub use factor::Factor;
pub use frame_filter::{FrameFilter, default_kinds};
pub use meters::{Meter, Meters};
pub use radio_telegram::{RadioTelegram, TelegramSignal};
pub use reading::{Reading, Signal, WireReading, WirelessFrame};
