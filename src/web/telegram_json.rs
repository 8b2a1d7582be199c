//! Objects of the API for telegrams, byte for byte and in their parts.

use crate::meter::event::Origin;
use crate::status::MeterStatus;
use data_encoding::HEXUPPER;
use metertap_decode::wmbus::{Telegram, explain};
use serde::Serialize;

/// Part of a telegram.
#[derive(Debug, Serialize)]
pub struct PartJson {
    /// Layer, such as `link` or `record`.
    pub layer: &'static str,
    /// Bytes in hexadecimal digits, decrypted.
    pub bytes: String,
    /// Meaning.
    pub text: String,
}

/// The last telegram that was received by radio.
#[derive(Serialize)]
pub struct RadioTelegramJson<'a> {
    /// Type of the message.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Bytes as received, in hexadecimal digits.
    bytes: String,
    /// Its layers and records, decrypted, of wireless M-Bus.
    parts: Vec<PartJson>,
}

impl<'a> RadioTelegramJson<'a> {
    /// Creates the object of a meter and type; nothing of a wired one.
    pub fn new(meter: &'a MeterStatus) -> Option<Self> {
        let (bytes, parts) = match &meter.last.origin {
            Origin::Radio(reading) => (&*reading.frame, Vec::new()),
            Origin::Wire(reading) => {
                let frame = reading.frame.as_ref()?;
                (&*frame.bytes, parts_of(&frame.decoded))
            }
            Origin::Interval(_) => return None,
        };
        Some(RadioTelegramJson {
            kind: meter.last.kind,
            bytes: HEXUPPER.encode(bytes),
            parts,
        })
    }
}

/// Layers and records of a telegram of wireless M-Bus.
pub fn parts_of(telegram: &Telegram) -> Vec<PartJson> {
    let parts = explain(telegram).into_iter().map(|part| PartJson {
        layer: part.layer,
        bytes: part.bytes,
        text: part.text,
    });
    parts.collect()
}
