//! rtlamr's JSON line, with what is ours behind it.

use crate::meter::{Meter, Reading, Signal};
use jiff::Timestamp;
use metertap_decode::ert::{Commodity, Message};
use metertap_decode::quantity::{Decimal, Quantity, serialize_decimal};
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "Time")]
    time: Timestamp,
    #[serde(rename = "Offset")]
    offset: u64,
    #[serde(rename = "Length")]
    length: u64,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Message")]
    message: &'a Message,
    #[serde(flatten)]
    home: Option<AtHome<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<SignalJson<'a>>,
}

/// What it means in this home.
#[derive(Serialize)]
struct AtHome<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_unknown")]
    commodity: Commodity,
    reading: Counter,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_unknown(commodity: &Commodity) -> bool {
    *commodity == Commodity::Unknown
}

/// With a unit it is a total, without one only a count.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Counter {
    Total(Quantity),
    Count {
        #[serde(serialize_with = "serialize_decimal")]
        value: Decimal,
    },
}

#[derive(Serialize)]
struct SignalJson<'a> {
    #[serde(flatten)]
    signal: Signal,
    /// Where several receivers heard it; the figures are those of the best.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heard_by: Vec<&'a str>,
}

/// rtlamr's line, with a `signal` object if that is wanted.
pub fn line(reading: &Reading, signal: bool) -> String {
    write(reading, None, signal)
}

/// rtlamr's line, and beside it what it means in this home and how it was heard.
pub fn payload(reading: &Reading, meter: &Meter) -> String {
    let message = &reading.message;
    let total = meter.total(message);
    let home = AtHome {
        id: message.id().to_string(),
        name: meter.name.as_deref(),
        commodity: meter.commodity(message),
        reading: match &meter.unit {
            Some(_) => Counter::Total(total),
            None => Counter::Count { value: total.value },
        },
    };
    write(reading, Some(home), true)
}

fn write(reading: &Reading, home: Option<AtHome>, signal: bool) -> String {
    let heard_by = match &reading.heard_by[..] {
        [] | [_] => Vec::new(),
        several => several.iter().map(|name| &**name).collect(),
    };
    let signal = signal.then_some(SignalJson {
        signal: reading.signal,
        heard_by,
    });
    let line = Line {
        time: reading.time,
        offset: reading.offset,
        length: reading.length,
        kind: reading.message.kind().rtlamr_name(),
        message: &reading.message,
        home,
        signal,
    };
    // Numbers, strings and arrays of numbers cannot fail to be written.
    serde_json::to_string(&line).unwrap_or_default()
}
