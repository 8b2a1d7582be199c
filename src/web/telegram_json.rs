//! Objects of the API for telegrams, byte for byte and in their parts.

use crate::meter::event::Origin;
use crate::status::MeterStatus;
use data_encoding::HEXUPPER;
use metertap_decode::mbus::{Part, explain_records};
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

impl From<Part> for PartJson {
    fn from(part: Part) -> Self {
        PartJson {
            layer: part.layer,
            bytes: part.bytes,
            text: part.text,
        }
    }
}

/// The last telegram.
#[derive(Serialize)]
pub struct LastTelegramJson<'a> {
    /// Type of the message.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Bytes as received by radio, in hexadecimal digits; empty of a wire, whose bytes stand with its port.
    bytes: String,
    /// Its layers and records, decrypted: of wireless M-Bus, and the records of M-Bus.
    parts: Vec<PartJson>,
}

impl<'a> LastTelegramJson<'a> {
    /// Creates the object of a meter and type; nothing of a wired one without records.
    pub fn new(meter: &'a MeterStatus) -> Option<Self> {
        let (bytes, parts) = match &meter.last.origin {
            Origin::Radio(reading) => (&*reading.frame, Vec::new()),
            Origin::Wire(reading) => match &reading.frame {
                Some(frame) => (&*frame.bytes, parts_of(&frame.decoded)),
                None if reading.records.is_empty() => return None,
                None => {
                    let of_frame = |data: &Vec<u8>| explain_records(data).0;
                    let parts = reading.records.iter().flat_map(of_frame).map(PartJson::from);
                    (&[][..], parts.collect())
                }
            },
            Origin::Interval(_) => return None,
        };
        Some(LastTelegramJson {
            kind: meter.last.kind,
            bytes: HEXUPPER.encode(bytes),
            parts,
        })
    }
}

/// Layers and records of a telegram of wireless M-Bus.
pub fn parts_of(telegram: &Telegram) -> Vec<PartJson> {
    explain(telegram).into_iter().map(PartJson::from).collect()
}
