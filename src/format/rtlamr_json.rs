//! rtlamr's JSON line, to which metertap adds members at the end.

use crate::meter::{Reading, Signal};
use jiff::Timestamp;
use metertap_decode::ert::Message;
use serde::Serialize;
use std::sync::Arc;

/// rtlamr's `LogMessage`, and the members of `extra`.
#[derive(Serialize)]
pub(super) struct RtlamrLine<'a, E> {
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
    extra: Option<E>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<SignalFields<'a>>,
}

#[derive(Serialize)]
struct SignalFields<'a> {
    #[serde(flatten)]
    signal: Signal,
    /// Receivers of the packet, if there were several; `signal` is that of the best.
    #[serde(skip_serializing_if = "is_single")]
    heard_by: &'a [Arc<str>],
}

fn is_single(receivers: &[Arc<str>]) -> bool {
    receivers.len() < 2
}

impl<'a, E> RtlamrLine<'a, E> {
    /// `with_signal` adds the member `signal` at the end.
    pub fn new(reading: &'a Reading, extra: Option<E>, with_signal: bool) -> Self {
        RtlamrLine {
            time: reading.time,
            offset: reading.offset,
            length: reading.length,
            kind: reading.message.kind().rtlamr_name(),
            message: &reading.message,
            extra,
            signal: with_signal.then_some(SignalFields {
                signal: reading.signal,
                heard_by: &reading.heard_by,
            }),
        }
    }
}

/// Formats rtlamr's line, with a `signal` member if `with_signal`.
pub fn line(reading: &Reading, with_signal: bool) -> String {
    // Numbers, strings and lists of them cannot fail to be serialized.
    serde_json::to_string(&RtlamrLine::new(reading, None::<()>, with_signal)).unwrap_or_default()
}
