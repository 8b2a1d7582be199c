//! What a meter on an M-Bus answers (EN 13757-3): a header and records.
//!
//! ```text
//!  CI 72: number (4, BCD) │ maker (2) │ version │ medium │ access number │ status │ configuration (2) │ records
//!  CI 73: number (4, BCD) │ access number │ status │ units and medium (2) │ counter (4) │ counter (4)
//!  CI 70: error
//! ```

mod fixed;
mod record;
mod report;
mod value;
mod vif;

pub use record::{Function, NoRecord, Record, Value, records};
pub use report::report;

use serde::Serialize;

/// What a meter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Number of the meter: eight digits, or hexadecimal where it has letters.
    pub number: String,
    /// Three letters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// Of the meter.
    pub version: u8,
    /// What it measures.
    pub medium: &'static str,
    /// Counts answers.
    pub access_number: u8,
    /// Bits: 1 busy or error, 2 low power, 3 permanent error, 4 temporary error, others the maker's.
    pub status: u8,
    /// What it says.
    pub records: Vec<Record>,
    /// There is more in another frame.
    #[serde(skip)]
    pub more_follows: bool,
}

/// Data that are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// Not all of it is there.
    #[error("an answer of {0} bytes is too short")]
    Short(usize),
    /// The meter says that something is wrong.
    #[error("the meter reports: {0}")]
    Error(&'static str),
    /// It is not for us.
    #[error("CI {0:02X} is no answer that is understood")]
    Unknown(u8),
    /// It is encrypted; only meters that speak by radio do that as a rule.
    #[error("is encrypted (mode {0})")]
    Encrypted(u8),
    /// A record is wrong.
    #[error(transparent)]
    Record(#[from] NoRecord),
}

impl Message {
    /// Reads the data of a long frame with this CI.
    ///
    /// # Errors
    /// Where they are no answer, or the meter reports an error.
    pub fn parse(information: u8, data: &[u8]) -> Result<Self, NoMessage> {
        match information {
            0x70 => Err(NoMessage::Error(error(data.first().copied()))),
            0x72 => Self::variable(data),
            0x73 => fixed::parse(data),
            other => Err(NoMessage::Unknown(other)),
        }
    }

    fn variable(data: &[u8]) -> Result<Self, NoMessage> {
        let Some((
            &[
                n1,
                n2,
                n3,
                n4,
                m1,
                m2,
                version,
                medium,
                access_number,
                status,
                _,
                mode,
            ],
            rest,
        )) = data.split_first_chunk()
        else {
            return Err(NoMessage::Short(data.len()));
        };
        let mut records = Vec::new();
        // Old meters have other bits where mode 5 stands: what can be read is not encrypted.
        let more_follows = match self::records(rest, &mut records) {
            Ok(more_follows) => more_follows,
            Err(_) if matches!(mode & 0x1F, 4 | 5 | 7) && records.is_empty() => {
                return Err(NoMessage::Encrypted(mode & 0x1F));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Message {
            number: number([n1, n2, n3, n4]),
            manufacturer: manufacturer(u16::from_le_bytes([m1, m2])),
            version,
            medium: self::medium(medium),
            access_number,
            status,
            records,
            more_follows,
        })
    }
}

/// The number as it is printed on the meter.
fn number([n1, n2, n3, n4]: [u8; 4]) -> String {
    format!("{n4:02X}{n3:02X}{n2:02X}{n1:02X}")
}

/// Three letters of five bits each, A = 1.
fn manufacturer(code: u16) -> String {
    let letters = [code >> 10, code >> 5, code].map(|letter| (letter & 0x1F) as u8 + b'@');
    let is_name = letters.iter().all(u8::is_ascii_uppercase);
    if is_name {
        letters.into_iter().map(char::from).collect()
    } else {
        String::new()
    }
}

/// EN 13757-3, table 6.
fn medium(code: u8) -> &'static str {
    match code {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 => "heat",
        0x05 => "steam",
        0x06 => "warm_water",
        0x07 => "water",
        0x08 => "heat_cost_allocator",
        0x09 => "compressed_air",
        0x0A | 0x0B => "cooling",
        0x0C => "heat",
        0x0D => "heat_and_cooling",
        0x0E => "bus",
        0x14 => "calorific_value",
        0x15 => "hot_water",
        0x16 => "cold_water",
        0x17 => "dual_water",
        0x18 => "pressure",
        0x19 => "converter",
        0x20 => "breaker",
        0x21 => "valve",
        0x28 => "waste_water",
        _ => "unknown",
    }
}

/// EN 13757-3, 6.6.
fn error(code: Option<u8>) -> &'static str {
    match code {
        Some(1) => "unimplemented CI field",
        Some(2) => "buffer too long, truncated",
        Some(3) => "too many records",
        Some(4) => "premature end of record",
        Some(5) => "more than 10 DIFE",
        Some(6) => "more than 10 VIFE",
        Some(8) => "application busy",
        Some(9) => "too many readouts",
        _ => "an unspecified error",
    }
}
