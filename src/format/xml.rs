//! rtlamr's XML: short messages as attributes, interval messages as child elements.
//!
//! All values are numbers or base64, which need no escaping. (rtlamr writes raw bytes instead of base64, so that its lines
//! are not well-formed.)

use crate::meter::Reading;
use metertap_decode::ert::Message;
use serde_json::Value;
use std::fmt::Write;

/// Formats a reading as rtlamr's XML element. Names and order of the fields are those of JSON, apart from the check.
pub fn line(reading: &Reading) -> String {
    let mut line = format!(
        r#"<LogMessage Time="{}" Offset="{}" Length="{}" Type="{}"><Message"#,
        reading.time,
        reading.offset,
        reading.length,
        reading.message.kind().rtlamr_name()
    );
    let as_children = matches!(reading.message, Message::Idm(_) | Message::NetIdm(_));
    if as_children {
        line.push('>');
    }
    let fields = serde_json::to_value(&reading.message).unwrap_or_default();
    for (key, value) in fields.as_object().into_iter().flatten() {
        let name = match key.as_str() {
            "ChecksumVal" => "Checksum",
            "PacketCRC" if !as_children => "Checksum",
            other => other,
        };
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Writing to a string cannot fail.
            let _ = if as_children {
                write!(line, "<{name}>{text}</{name}>")
            } else {
                write!(line, r#" {name}="{text}""#)
            };
        }
    }
    if !as_children {
        line.push('>');
    }
    line + "</Message></LogMessage>"
}
