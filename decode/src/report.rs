//! What one wired meter reports: its id, and what it measures, by name.

use super::mbus;
use super::quantity::Quantity;
use super::stamp::Stamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A value of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number and its unit.
    Quantity(Quantity),
    /// With the time at which it was so.
    Demand {
        /// When.
        timestamp: Stamp,
        /// What.
        #[serde(flatten)]
        quantity: Quantity,
    },
    /// A whole number.
    Count(u64),
    /// A time.
    Stamp(Stamp),
    /// Text.
    Text(String),
    /// Failures of the power.
    Failures(Vec<Failure>),
    /// Peaks by month.
    Peaks(Vec<Peak>),
    /// Registers as they were at a time.
    Registers {
        /// When.
        timestamp: Stamp,
        /// In the order of the meter.
        registers: Vec<Quantity>,
    },
}

impl Value {
    /// How much, where it is a quantity.
    pub fn quantity(&self) -> Option<&Quantity> {
        match self {
            Value::Quantity(quantity) | Value::Demand { quantity, .. } => Some(quantity),
            _ => None,
        }
    }
}

/// A failure of the power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When it was over.
    pub end: Stamp,
    /// How long it was.
    pub duration_s: u64,
}

/// The highest quarter of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// When the month ended.
    pub month_end: Stamp,
    /// When it was.
    pub occurred: Stamp,
    /// How high.
    #[serde(flatten)]
    pub quantity: Quantity,
}

/// Fields in the order of the telegram; of two with one name the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(Cow<'static, str>, Value)>);

impl Fields {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field, or changes it.
    pub fn put(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What sort of report it is: the last part of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingType {
    /// The meter that sends a P1 telegram.
    P1,
    /// And those behind it, by what they measure.
    Electricity,
    /// Gas.
    Gas,
    /// Heat.
    Heat,
    /// Cooling.
    Cooling,
    /// Water.
    Water,
    /// Warm water.
    WarmWater,
    /// Any other.
    Other,
    /// A meter that pushes DLMS.
    Dlms,
    /// A meter on a wired M-Bus.
    Mbus,
    /// A Kamstrup meter's optical eye.
    Kmp,
}

impl ReadingType {
    /// All of them.
    pub const ALL: [ReadingType; 11] = [
        ReadingType::P1,
        ReadingType::Electricity,
        ReadingType::Gas,
        ReadingType::Heat,
        ReadingType::Cooling,
        ReadingType::Water,
        ReadingType::WarmWater,
        ReadingType::Other,
        ReadingType::Dlms,
        ReadingType::Mbus,
        ReadingType::Kmp,
    ];

    /// Whether it speaks by itself, every few seconds.
    pub fn pushes(self) -> bool {
        !matches!(self, ReadingType::Mbus | ReadingType::Kmp)
    }

    /// As it stands in topics.
    pub fn topic_name(self) -> &'static str {
        match self {
            ReadingType::P1 => "p1",
            ReadingType::Electricity => "electricity",
            ReadingType::Gas => "gas",
            ReadingType::Heat => "heat",
            ReadingType::Cooling => "cooling",
            ReadingType::Water => "water",
            ReadingType::WarmWater => "warm_water",
            ReadingType::Other => "other",
            ReadingType::Dlms => "dlms",
            ReadingType::Mbus => "mbus",
            ReadingType::Kmp => "kmp",
        }
    }
}

/// What one meter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When, by the meter's clock; nothing where it has none or is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Stamp>,
    /// Of the meter; empty where it does not tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub sort: ReadingType,
    /// Where it is connected; nothing for the meter that sends the telegram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// What it measures.
    pub reading: Fields,
    /// Objects that the table does not know, by code.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub unknown: Fields,
    /// What stood in the answer of an M-Bus meter; not published.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub message: Option<mbus::Message>,
}
