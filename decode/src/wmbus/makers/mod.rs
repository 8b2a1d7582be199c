//! Payloads that manufacturers define themselves: one file each, all giving ordinary records.
//!
//! None of these payloads has a check of its own, unless its file says so: only the CRCs of the link layer protect them.

mod apator;
mod bfw;
mod bmeters;
pub(super) mod diehl;
mod ei;
mod gwf;
mod hydroclima;
mod kamstrup;
mod payload;
mod qundis;
mod techem;
mod zenner;

pub(super) use payload::{Context, Decoded};

use super::address::Address;
use crate::mbus::{Record, Value};
use crate::quantity;

/// Decodes a payload that has no ordinary records; `None` if no decoder knows it.
pub(super) fn decode(context: &Context) -> Option<Decoded> {
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
        "GWF" => gwf::tail(context, tail),
        "BMP" => hydroclima::tail(context, tail),
        "ZRI" => zenner::tail(context, tail),
        _ => None,
    };
    records.unwrap_or_default()
}

/// Replaces records whose meaning only their manufacturer knows by those that they stand for. `header` and `data` are the bytes of the
/// record.
pub(super) fn replace(
    meter: &Address,
    radio: &Address,
    record: Record,
    header: &[u8],
    data: &[u8],
) -> Vec<Record> {
    match &*meter.letters() {
        "KAM" | "KAW" => vec![kamstrup::replace(record, data)],
        "EIE" => ei::replace(record, data),
        "DME" | "HYD" => vec![diehl::replace(record, header, data)],
        "ITW" => vec![itron(record, header, data)],
        _ if radio.is_of("QDS") || radio.is_of("LSE") => qundis::replace(record, header, data),
        _ => vec![record],
    }
}

/// Itron marks its error flags with extension 18, which elsewhere says that there is no value.
fn itron(record: Record, header: &[u8], data: &[u8]) -> Record {
    if header.ends_with(&[0xFD, 0x97, 0x18]) {
        return Record {
            value: quantity::scaled(payload::unsigned(data), 0).map(Value::Number),
            ..record
        };
    }
    record
}

/// Returns the medium of a meter, some of which have types of their manufacturer's own.
pub(super) fn medium(meter: &Address) -> &'static str {
    techem::medium(meter).unwrap_or_else(|| meter.medium())
}
