//! Lines of telegrams of wireless M-Bus: rtlamr's JSON with a message of its own, and the lines of rtl_wmbus.

use crate::format::LineFormat;
use crate::meter::{RadioTelegram, TelegramSignal};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use metertap_decode::report::Fields;
use metertap_decode::wmbus::{Decoder, KeyRing, Telegram, report};
use serde::Serialize;

/// Type of the lines, as of the topic.
const KIND: &str = "wmbus";

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "Time")]
    time: Timestamp,
    #[serde(rename = "Offset")]
    offset: u64,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Message")]
    message: MessageFields,
    /// Values, if they can be read without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<TelegramSignal>,
}

#[derive(Serialize)]
struct MessageFields {
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// Bytes without link CRCs, in hexadecimal digits.
    telegram: String,
    #[serde(flatten)]
    sender: Option<SenderFields>,
}

/// What a telegram says of its meter without a key.
#[derive(Serialize)]
struct SenderFields {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    radio_id: Option<String>,
    manufacturer: String,
    version: u8,
    medium: &'static str,
    /// State of the encryption without a key: `plain`, `no_key` and so on.
    security: &'static str,
}

impl SenderFields {
    fn new(telegram: &Telegram) -> Self {
        SenderFields {
            id: telegram.meter.number(),
            radio_id: telegram.radio_number(),
            manufacturer: telegram.meter.letters(),
            version: telegram.meter.version,
            medium: telegram.medium,
            security: telegram.security.name(),
        }
    }
}

/// Formats a telegram as one line, without its end. `with_signal` adds a `signal` object to JSON. There is no form in XML: JSON takes its place.
pub fn telegram_line(format: LineFormat, telegram: &RadioTelegram, with_signal: bool) -> String {
    let decoded = Decoder::default()
        .decode(&telegram.bytes, &KeyRing::default())
        .ok();
    match format {
        LineFormat::Csv => rtl_wmbus(telegram, decoded.as_ref()),
        LineFormat::Plain => plain(telegram, decoded.as_ref()),
        LineFormat::Json | LineFormat::Xml => json(telegram, decoded.as_ref(), with_signal),
    }
}

fn json(telegram: &RadioTelegram, decoded: Option<&Telegram>, with_signal: bool) -> String {
    let readable = decoded.filter(|decoded| decoded.security.is_readable() && !decoded.records.is_empty());
    let line = Line {
        time: telegram.time,
        offset: telegram.offset,
        kind: KIND,
        message: MessageFields {
            mode: telegram.mode.to_string(),
            format: telegram.format.map(|format| format.to_string()),
            telegram: HEXLOWER.encode(&telegram.bytes),
            sender: decoded.map(SenderFields::new),
        },
        reading: readable.map(|decoded| report(decoded).reading),
        signal: with_signal.then_some(telegram.signal),
    };
    // Numbers, strings and lists of them cannot fail to be serialized.
    serde_json::to_string(&line).unwrap_or_default()
}

fn plain(telegram: &RadioTelegram, decoded: Option<&Telegram>) -> String {
    let sender = decoded.map_or_else(String::new, |decoded| {
        format!(
            " Id:{} Manufacturer:{} Medium:{} Security:{}",
            decoded.meter.number(),
            decoded.meter.letters(),
            decoded.medium,
            decoded.security.name()
        )
    });
    format!(
        "{{Time:{:.3} wmbus:{{Mode:{}{sender} Telegram:{}}}}}",
        telegram.time,
        telegram.mode,
        HEXLOWER.encode(&telegram.bytes)
    )
}

/// Formats a line as rtl_wmbus prints it, so that its other readers understand it: mode, CRC and coding without errors, time, level of the
/// packet and of the noise in dBFS, address, telegram.
fn rtl_wmbus(telegram: &RadioTelegram, decoded: Option<&Telegram>) -> String {
    let signal = &telegram.signal;
    let address = decoded.map_or_else(String::new, |decoded| decoded.link.address.number());
    format!(
        "{};1;1;{};{:.0};{:.0};{address};0x{}",
        telegram.mode,
        telegram.time.strftime("%Y-%m-%d %H:%M:%S%.3f"),
        signal.level_dbfs,
        signal.level_dbfs - signal.snr_db,
        HEXLOWER.encode(&telegram.bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_dsp::wmbus::{Format, Mode};

    fn telegram() -> RadioTelegram {
        let hex = "144443047856341201077a2a00000004 13d2040000".replace(' ', "");
        RadioTelegram {
            time: "2026-01-15T12:00:00.25Z".parse().unwrap(),
            offset: 1024,
            receiver: "roof".into(),
            frequency_hz: Some(868.94e6),
            mode: Mode::T1,
            format: Some(Format::A),
            bytes: HEXLOWER.decode(hex.as_bytes()).unwrap(),
            signal: TelegramSignal {
                offset_hz: 315_000,
                channel_offset_hz: -10_000,
                snr_db: 12.5,
                level_dbfs: -20.1,
                corrected: 0,
                deviation_hz: 50_000,
                chip_rate_hz: 99_840,
            },
        }
    }

    #[test]
    fn a_plain_telegram_is_a_line_with_its_meter_and_its_values() {
        assert_eq!(
            telegram_line(LineFormat::Json, &telegram(), true),
            concat!(
                r#"{"Time":"2026-01-15T12:00:00.25Z","Offset":1024,"Type":"wmbus","Message":{"mode":"T1","format":"A","#,
                r#""telegram":"144443047856341201077a2a0000000413d2040000","id":"12345678","manufacturer":"ABC","version":1,"#,
                r#""medium":"water","security":"plain"},"reading":{"manufacturer":"ABC","medium":"water","#,
                r#""volume":{"value":1.234,"unit":"m3"},"status":"ok"},"signal":{"offset_hz":315000,"#,
                r#""channel_offset_hz":-10000,"snr_db":12.5,"level_dbfs":-20.1,"corrected":0,"deviation_hz":50000,"#,
                r#""chip_rate_hz":99840}}"#
            )
        );
        assert_eq!(
            telegram_line(LineFormat::Plain, &telegram(), true),
            "{Time:2026-01-15T12:00:00.250Z wmbus:{Mode:T1 Id:12345678 Manufacturer:ABC Medium:water Security:plain \
             Telegram:144443047856341201077a2a0000000413d2040000}}"
        );
    }

    #[test]
    fn readers_of_rtl_wmbus_understand_the_line() {
        let line = telegram_line(LineFormat::Csv, &telegram(), false);
        assert_eq!(
            line,
            "T1;1;1;2026-01-15 12:00:00.250;-20;-33;12345678;0x144443047856341201077a2a0000000413d2040000"
        );
        let read = metertap_decode::wmbus::line::telegram(&line);
        assert_eq!(read, Ok(Some(telegram().bytes)));
    }
}
