//! P1/DSMR telegrams: lines become objects, objects become reports.
//!
//! Telegrams are found in a byte stream by [`framing::p1`](crate::framing::p1). The layout is described in
//! `docs/protocols/p1.md`; it follows DSMR 5.0.2 P1 and its Belgian, Luxembourgish, Swedish, Hungarian and Austrian
//! relatives.

mod hex_text;
mod reading;
mod sub_meter;
mod telegram;

pub use reading::{readings, readings_of};
pub use telegram::{Object, Telegram, TelegramError, text};
