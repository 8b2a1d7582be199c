//! P1 telegrams: text becomes objects, objects become reports.

mod reading;
mod telegram;
mod text;

pub use reading::readings;
pub use telegram::{NoTelegram, Object, Telegram, text};
