//! P1 telegrams: text becomes objects.

mod telegram;

pub use telegram::{NoTelegram, Object, Telegram, text};
