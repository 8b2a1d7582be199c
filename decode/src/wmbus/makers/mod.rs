//! Payloads that manufacturers define themselves: one file each, all giving ordinary records.
//!
//! None of these payloads has a check of its own, unless its file says so: only the CRCs of the link layer protect them.

mod apator;
mod bfw;
mod bmeters;
pub(super) mod diehl;
mod hydroclima;
mod kamstrup;
mod qundis;
mod techem;
#[cfg(test)]
mod tests;
mod zenner;

use super::address::Address;
use super::keys::KeyRing;
use super::layers::Tpl;
use super::security::Security;
use crate::mbus::{Record, Value};
use crate::quantity;
use crate::time::MeterTime;
use crate::unit::Unit;
use jiff::civil::Date;

/// Telegram, as far as a manufacturer's decoder looks at it.
pub(super) struct Context<'a> {
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
pub(super) struct Decoded {
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

/// Decodes a payload that has no ordinary records; `None` if no decoder knows it.
pub(super) fn payload(context: &Context) -> Option<Decoded> {
    let by_letters = match &*context.radio.letters() {
        "APA" | "APT" => apator::payload(context),
        "BFW" => bfw::payload(context).map(Decoded::from),
        "BMT" => bmeters::payload(context),
        "DME" | "EWT" | "HYD" | "SAP" | "SPL" => diehl::prios(context),
        "TCH" => techem::payload(context).map(Decoded::from),
        _ => None,
    };
    by_letters.filter(|decoded| !decoded.records.is_empty() || decoded.security.is_some())
}

/// Returns the records in the manufacturer's bytes behind ordinary records (DIF 0F).
pub(super) fn tail(context: &Context, tail: &[u8]) -> Vec<Record> {
    let records = match &*context.meter.letters() {
        "BMT" => bmeters::tail(context, tail),
        "BMP" => hydroclima::tail(context, tail),
        "ZRI" => zenner::tail(context, tail),
        _ => None,
    };
    records.unwrap_or_default()
}

/// Replaces records whose meaning only their manufacturer knows by those that they stand for.
pub(super) fn replace(meter: &Address, radio: &Address, record: Record, data: &[u8]) -> Vec<Record> {
    match &*meter.letters() {
        "KAM" | "KAW" => vec![kamstrup::replace(record, data)],
        _ if radio.is_of("QDS") || radio.is_of("LSE") => qundis::replace(record, data),
        _ => vec![record],
    }
}

/// Returns the medium of a meter, some of which have types of their manufacturer's own.
pub(super) fn medium(meter: &Address) -> &'static str {
    techem::medium(meter).unwrap_or_else(|| meter.medium())
}

/// Returns an earlier or current value.
fn value(quantity: &'static str, storage: u64, number: i128, exponent: i32, unit: Unit) -> Record {
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
fn date(quantity: &'static str, storage: u64, year: u16, month: u8, day: u8) -> Record {
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
fn flags(quantity: &'static str, bits: u32, names: &[(u32, &str)]) -> Record {
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
fn unsigned(bytes: &[u8]) -> i128 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | i128::from(*byte))
}

/// Returns the number of two decimal digits.
fn two_digits(byte: u8) -> Option<u8> {
    (byte >> 4 <= 9 && byte & 0x0F <= 9).then_some(10 * (byte >> 4) + (byte & 0x0F))
}
