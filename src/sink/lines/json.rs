//! rtlamr's JSON line, with what is ours behind it.

use crate::decode::ert::Message;
use crate::meter::{Reading, Signal};
use jiff::Timestamp;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<Heard<'a>>,
}

#[derive(Serialize)]
struct Heard<'a> {
    #[serde(flatten)]
    signal: Signal,
    /// Where several receivers heard it; the figures are those of the best.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heard_by: Vec<&'a str>,
}

pub fn line(reading: &Reading, signal: bool) -> String {
    let heard_by = match &reading.heard_by[..] {
        [] | [_] => Vec::new(),
        several => several.iter().map(|name| &**name).collect(),
    };
    let signal = signal.then_some(Heard {
        signal: reading.signal,
        heard_by,
    });
    let line = Line {
        time: reading.time,
        offset: reading.offset,
        length: reading.length,
        kind: reading.message.kind().rtlamr_name(),
        message: &reading.message,
        signal,
    };
    // Numbers, strings and arrays of numbers cannot fail to be written.
    serde_json::to_string(&line).unwrap_or_default()
}
