//! `POST /api/decode`: explains a telegram that somebody pastes.

use crate::port::{DecodeEvent, Dlms, DlmsOptions, Iec, Kmp, Listener, Mbus, P1, P1Options, Sml, Tic};
use crate::source::wire::from_hex;
use crate::web::AppState;
use crate::web::api::{blocking, json};
use crate::web::error::ApiError;
use crate::web::telegram_json::{PartJson, parts_of};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use metertap_decode::cipher::{Key, Keys};
use metertap_decode::report::Report;
use metertap_decode::time::Zone;
use metertap_decode::wmbus::{self, Decoder, KeyRing, line};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Limit of a request's body: the longest telegrams are some kilobytes, twice that in hexadecimal digits.
pub const MAX_BODY: usize = 32 << 10;

/// Telegram to explain.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeRequest {
    /// The telegram: text, or hexadecimal digits, or a line of a receiver of wireless M-Bus.
    telegram: String,
    /// Key of 32 hexadecimal digits, if it is encrypted.
    #[serde(default)]
    key: String,
}

/// Explanation of a telegram.
#[derive(Debug, Serialize)]
pub struct DecodedJson {
    /// Protocol: `p1`, `dlms`, `sml`, `tic`, `iec`, `mbus`, `kmp` or `wmbus`.
    pub protocol: &'static str,
    /// Its readings.
    pub readings: Vec<Box<RawValue>>,
    /// Its parts in the order of its bytes, of wireless M-Bus.
    pub parts: Vec<PartJson>,
    /// What should be known besides: missing keys, wrong checksums.
    pub notes: Vec<String>,
}

/// `POST /api/decode`: explains a telegram; nothing changes.
pub async fn decode(
    State(app): State<AppState>,
    request: Result<Json<DecodeRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request?;
    let decoded = blocking(move || explained(&request).map_err(ApiError::bad_request)).await?;
    json(&app, &decoded)
}

fn explained(request: &DecodeRequest) -> Result<DecodedJson, String> {
    let key = match request.key.trim() {
        "" => None,
        key => Some(key.parse::<Key>().map_err(|error| format!("key: {error}"))?),
    };
    let text = request.telegram.trim();
    let bytes = from_hex(text.as_bytes());
    let is_hex = bytes.is_some();
    let bytes = bytes.unwrap_or_else(|| lines_of(text));
    let mut notes = Vec::new();
    for (protocol, mut listener) in candidates(&bytes, key.as_ref()) {
        let (readings, wrong) = listened(&mut *listener, &bytes);
        if !readings.is_empty() {
            return Ok(DecodedJson {
                protocol,
                readings,
                parts: Vec::new(),
                notes: wrong,
            });
        }
        let is_refused = !wrong.is_empty();
        notes.extend(wrong.into_iter().map(|wrong| format!("{protocol}: {wrong}")));
        // IEC 62056-21 would read it without its checksum.
        if protocol == "p1" && is_refused && bytes.starts_with(b"/") {
            return Err(notes.join("; "));
        }
    }
    // Its lines may have more than digits.
    match (is_hex && !notes.is_empty(), wireless(text, key)) {
        (_, Ok(Some(decoded))) => Ok(decoded),
        (false, Err(error)) => Err(error),
        _ if notes.is_empty() => Err(
            "not understood: expected a telegram of P1, DLMS, SML, TIC, IEC 62056-21, M-Bus, KMP or wireless M-Bus, as text or in hexadecimal digits"
                .into(),
        ),
        _ => Err(notes.join("; ")),
    }
}

/// Text with the line ends of telegrams.
fn lines_of(text: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    (lines.join("\r\n") + "\r\n").into_bytes()
}

/// Decoders of telegrams that begin so.
fn candidates(bytes: &[u8], key: Option<&Key>) -> Vec<(&'static str, Box<dyn Listener>)> {
    let keys = || {
        key.map(|key| Keys {
            encryption: key.clone(),
            authentication: None,
        })
    };
    let p1 = || -> (&'static str, Box<dyn Listener>) {
        let options = P1Options {
            keys: keys(),
            ..P1Options::default()
        };
        ("p1", Box::new(P1::new(options)))
    };
    let dlms = || -> (&'static str, Box<dyn Listener>) {
        let options = DlmsOptions {
            keys: keys(),
            ..DlmsOptions::default()
        };
        ("dlms", Box::new(Dlms::new(options)))
    };
    let tic = || -> (&'static str, Box<dyn Listener>) { ("tic", Box::new(Tic::new(Zone::default()))) };
    match bytes {
        [b'/', ..] => vec![p1(), ("iec", Box::new(Iec::new(Zone::default())))],
        [0x1B, 0x1B, ..] => vec![("sml", Box::new(Sml::default()))],
        [0x68, _, _, 0x68, ..] => vec![("mbus", Box::new(Mbus::default())), dlms()],
        [0xDB, ..] => vec![p1(), dlms()],
        [0x7E | 0x0F, ..] => vec![dlms()],
        [0x40, ..] => vec![("kmp", Box::new(Kmp::default()))],
        [0x02, ..] | [b'A', b'D', ..] => vec![tic()],
        _ => Vec::new(),
    }
}

/// Readings in `bytes`, and what is wrong with them.
fn listened(listener: &mut dyn Listener, bytes: &[u8]) -> (Vec<Box<RawValue>>, Vec<String>) {
    let (mut reports, mut wrong) = (Vec::new(), Vec::new());
    let mut collect = |event: DecodeEvent| match event.result {
        Ok(report) => reports.push(report),
        Err(error) => wrong.push(error.text),
    };
    listener.push(bytes, &mut collect);
    listener.finish(&mut collect);
    (reports.iter().filter_map(raw).collect(), wrong)
}

fn raw(report: &Report) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(report).ok()
}

/// Explains lines of wireless M-Bus: the last of them; those before it teach the format of compact frames.
fn wireless(text: &str, key: Option<Key>) -> Result<Option<DecodedJson>, String> {
    let mut keys = KeyRing::default();
    if let Some(key) = key {
        keys.set_any(key);
    }
    let (mut decoder, mut last) = (Decoder::default(), None);
    for text in text.lines() {
        if let Some(bytes) = line::telegram(text).map_err(|error| error.to_string())? {
            last = Some(decoder.decode(&bytes, &keys).map_err(|error| error.to_string())?);
        }
    }
    let Some(telegram) = last else {
        return Ok(None);
    };
    let is_readable = telegram.security.is_readable();
    let report = is_readable.then(|| wmbus::report(&telegram));
    let problem = telegram.problem.as_ref().map(ToString::to_string);
    let secret = (!is_readable).then(|| telegram.security.to_string());
    Ok(Some(DecodedJson {
        protocol: "wmbus",
        readings: report.iter().filter_map(raw).collect(),
        parts: parts_of(&telegram),
        notes: secret.into_iter().chain(problem).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER;
    use metertap_decode::framing::p1::seal;
    use metertap_decode::wmbus::Address;
    use metertap_decode::wmbus::encode::{Protection, Sender};
    use proptest::prelude::*;

    fn decoded(telegram: &str, key: &str) -> Result<DecodedJson, String> {
        explained(&DecodeRequest {
            telegram: telegram.into(),
            key: key.into(),
        })
    }

    const KEY: &str = "000102030405060708090A0B0C0D0E0F";

    /// A telegram of a water meter with 12.345 m³.
    fn water(protection: Protection) -> String {
        let address = Address {
            manufacturer: 0x1111,
            identification: [0x78, 0x56, 0x34, 0x12],
            version: 1,
            device_type: 7,
        };
        let sender = Sender {
            radio: address,
            meter: None,
            access_number: 1,
            status: 0,
            protection,
        };
        HEXUPPER.encode(&sender.telegram(&[0x0C, 0x13, 0x45, 0x23, 0x01, 0x00]).unwrap())
    }

    #[test]
    fn given_text_or_hexadecimal_digits_of_p1_then_its_values_are_told_and_a_wrong_sum_is_named() {
        let telegram = seal("/MTP5x\n\n0-0:96.1.1(4D31)\n1-0:1.8.0(000001.500*kWh)\n", true);
        let text = String::from_utf8(telegram.clone()).unwrap();
        for pasted in [text.replace("\r\n", "\n"), HEXUPPER.encode(&telegram)] {
            let decoded = decoded(&pasted, "").unwrap();
            assert_eq!((decoded.protocol, decoded.readings.len()), ("p1", 1), "{pasted}");
            assert!(decoded.readings[0].get().contains("1.500"), "{decoded:?}");
        }
        let error = decoded(&text.replace("1.500", "2.500"), "").unwrap_err();
        assert!(error.contains("p1: ") && error.contains("CRC"), "{error}");
    }

    #[test]
    fn given_wireless_m_bus_then_it_is_told_layer_by_layer_and_without_its_key_that_it_is_encrypted() {
        let plain = decoded(&water(Protection::None), "").unwrap();
        assert_eq!(plain.protocol, "wmbus");
        assert!(plain.readings[0].get().contains("12.345"), "{plain:?}");
        assert!(plain.parts.iter().any(|part| part.layer == "record"), "{plain:?}");
        let key = KEY.parse::<Key>().unwrap();
        let sealed = water(Protection::Mode5 { key });
        let unread = decoded(&sealed, "").unwrap();
        assert!(
            unread.readings.is_empty() && !unread.notes.is_empty(),
            "{unread:?}"
        );
        let read = decoded(&sealed, KEY).unwrap();
        assert!(read.readings[0].get().contains("12.345"), "{read:?}");
    }

    #[test]
    fn given_what_is_no_telegram_then_the_error_says_what_is_expected() {
        for (text, key, part) in [
            ("", "", "expected a telegram"),
            ("hello", "", ""),
            ("00", "12", "key: "),
        ] {
            let error = decoded(text, key).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_pasted_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in any::<String>()) {
            let _ = decoded(&HEXUPPER.encode(&bytes), KEY);
            let _ = decoded(&text, "");
        }
    }
}
