//! P1 telegrams: text becomes objects, objects become readings.

mod reading;
mod telegram;
mod value;

pub use reading::{Failure, Fields, Medium, P1Reading, Peak, Value, readings};
pub use telegram::{NoTelegram, Object, Telegram, text};
pub use value::{Decimal, Quantity, Stamp, Zone};
