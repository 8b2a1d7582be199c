//! Messages and records of M-Bus meters.

use crate::quantity::{Decimal, serialize_decimal};
use crate::time::MeterTime;
use crate::unit::Unit;
use serde::Serialize;
use std::borrow::Cow;

/// Most extension bytes (DIFE or VIFE) of one field (EN 13757-3, 6.3).
pub(super) const MAX_EXTENSIONS: usize = 10;
/// Most records of one frame, which has 252 bytes of data.
pub(super) const MAX_RECORDS: usize = 256;

/// Answer of a meter: header and records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Identification number: eight digits, or hexadecimal where it has letters.
    pub number: String,
    /// Three letters of the manufacturer; empty if the meter does not send them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// Version of the meter's firmware.
    pub version: u8,
    /// Code of the medium in the header; 0 in fixed structures, which have other codes.
    #[serde(skip)]
    pub device_type: u8,
    /// Medium that is measured, such as `heat`.
    pub medium: &'static str,
    /// Counter of answers.
    pub access_number: u8,
    /// Status byte. Bits 0–1: application busy or error; 2: low power; 3: permanent error; 4: temporary error; others are
    /// specific to the manufacturer.
    pub status: u8,
    /// Records in the order of the meter.
    pub records: Vec<Record>,
    /// Bytes of the records, by frame; none of fixed structures.
    #[serde(skip)]
    pub data: Vec<Vec<u8>>,
    /// True if more records follow in another frame.
    #[serde(skip)]
    pub more_follows: bool,
}

/// Error for data that are not an answer of a meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The header is incomplete.
    #[error("an answer of {0} bytes is too short")]
    Short(usize),
    /// The meter reports an error instead of data.
    #[error("the meter reports: {0}")]
    Error(&'static str),
    /// The CI field announces another kind of data.
    #[error("expected an answer (CI 70, 72 or 73), found CI {0:02X}")]
    Unknown(u8),
    /// The records are encrypted, which is common only by radio.
    #[error("is encrypted (mode {0})")]
    Encrypted(u8),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Function field of a record: which of its values over time is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Instantaneous value.
    #[default]
    Instantaneous,
    /// Maximum.
    Maximum,
    /// Minimum.
    Minimum,
    /// Value during an error state.
    Error,
    /// Data in a format of the manufacturer.
    ManufacturerSpecific,
}

/// Value of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Number in the unit of the record.
    Number(#[serde(serialize_with = "serialize_decimal")] Decimal),
    /// Date, time of day, or both, without an offset from UTC.
    Time(MeterTime),
    /// Text, bytes in hexadecimal, or a number that a [`Decimal`] cannot hold.
    Text(String),
}

/// Record: a value, and what it is the value of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Physical quantity, such as `energy`.
    pub quantity: &'static str,
    /// Value; `None` if the record has no data or says that they are invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Unit without a prefix, or the plain text that the meter sends as its unit.
    #[serde(skip_serializing_if = "Unit::is_none")]
    pub unit: Unit,
    /// Function field.
    pub function: Function,
    /// Storage number: 0 is the current value, others are earlier ones.
    pub storage: u64,
    /// Tariff: 0 is the total.
    pub tariff: u32,
    /// Subunit: part of the meter.
    pub subunit: u32,
    /// Further parts of the name, in order: phase (`l1`), direction (`negative`), `upper_limit`, `date`, or `ff05` for an
    /// extension that only the manufacturer understands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub qualifiers: Vec<Cow<'static, str>>,
    /// Extensions of the value information field that are not understood, in hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<String>,
}

impl Record {
    /// Returns a current value without tariff, subunit or modifiers.
    pub(crate) fn current(quantity: &'static str, value: Option<Value>, unit: Unit) -> Self {
        Record {
            quantity,
            value,
            unit,
            function: Function::Instantaneous,
            storage: 0,
            tariff: 0,
            subunit: 0,
            qualifiers: Vec::new(),
            modifiers: Vec::new(),
        }
    }
}

/// Error for malformed records. Byte positions count from the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The data end within a record.
    #[error("the data end at byte {0}, within a record")]
    Truncated(usize),
    /// A field has more than ten extensions.
    #[error("byte {0}: more than {MAX_EXTENSIONS} extensions")]
    Extensions(usize),
    /// There are more records than a frame can hold.
    #[error("byte {0}: more than {MAX_RECORDS} records")]
    TooMany(usize),
    /// The DIF is reserved.
    #[error("byte {at}: {dif:02X} does not begin a record")]
    Reserved {
        /// Position of the DIF.
        at: usize,
        /// The DIF.
        dif: u8,
    },
    /// The length byte (LVAR) of variable data has a reserved value.
    #[error("byte {at}: {length:02X} is not a length of variable data")]
    Length {
        /// Position of the length byte.
        at: usize,
        /// Value of the length byte.
        length: u8,
    },
}
