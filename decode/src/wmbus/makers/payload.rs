//! Payload of a telegram as manufacturers' decoders see it, and the records that they make of it.

use crate::mbus::{Record, Value};
use crate::quantity;
use crate::time::MeterTime;
use crate::unit::Unit;
use crate::wmbus::address::Address;
use crate::wmbus::keys::KeyRing;
use crate::wmbus::layers::Tpl;
use crate::wmbus::security::Security;
use jiff::civil::Date;

/// Telegram, as far as a manufacturer's decoder looks at it.
pub struct Context<'a> {
    /// Address of the radio.
    pub radio: &'a Address,
    /// Address of the meter.
    pub meter: &'a Address,
    /// Transport layer.
    pub tpl: &'a Tpl,
    /// The whole telegram without CRCs, as it was received.
    pub telegram: &'a [u8],
    /// Everything behind the header of the transport layer, decrypted.
    pub payload: &'a [u8],
    /// Keys, for payloads that are encrypted in their own way.
    pub keys: &'a KeyRing,
}

/// Payload that a manufacturer's decoder has read.
#[derive(Default)]
pub struct Decoded {
    pub records: Vec<Record>,
    /// Encryption of the payload itself.
    pub security: Option<Security>,
}

impl From<Vec<Record>> for Decoded {
    fn from(records: Vec<Record>) -> Self {
        Decoded {
            records,
            security: None,
        }
    }
}

/// Returns an earlier or current value.
pub(super) fn value(quantity: &'static str, storage: u64, number: i128, exponent: i32, unit: Unit) -> Record {
    Record {
        storage,
        ..Record::current(
            quantity,
            quantity::scaled(number, exponent).map(Value::Number),
            unit,
        )
    }
}

/// Returns a date; without a value if it does not exist.
pub(super) fn date(quantity: &'static str, storage: u64, year: u16, month: u8, day: u8) -> Record {
    let date = i16::try_from(year)
        .ok()
        .and_then(|year| Date::new(year, month as i8, day as i8).ok());
    Record {
        storage,
        ..Record::current(
            quantity,
            date.map(|date| Value::Time(MeterTime::Date(date))),
            Unit::None,
        )
    }
}

/// Returns the names of the bits that are set, or `ok`.
pub(super) fn flags(quantity: &'static str, bits: u32, names: &[(u32, &str)]) -> Record {
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    let text = if set.is_empty() {
        "ok".into()
    } else {
        set.join(" ")
    };
    Record::current(quantity, Some(Value::Text(text)), Unit::None)
}

/// Returns an unsigned number of at most eight bytes, lowest first.
pub(super) fn unsigned(bytes: &[u8]) -> i128 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | i128::from(*byte))
}

/// Returns the number of two decimal digits.
pub(super) fn two_digits(byte: u8) -> Option<u8> {
    (byte >> 4 <= 9 && byte & 0x0F <= 9).then_some(10 * (byte >> 4) + (byte & 0x0F))
}
