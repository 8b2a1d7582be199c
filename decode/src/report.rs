//! Readings of wired meters: the meter's id and its values by name.

use crate::mbus;
use crate::quantity::Quantity;
use crate::time::MeterTime;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// Identification of a meter: the number that is printed on it, or what it sends instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MeterId(String);

impl MeterId {
    /// Returns the id as it stands in topics and JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the meter has not sent its id.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for MeterId {
    fn from(id: String) -> Self {
        MeterId(id)
    }
}

impl From<&str> for MeterId {
    fn from(id: &str) -> Self {
        MeterId(id.into())
    }
}

impl PartialEq<&str> for MeterId {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl Deref for MeterId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Number with a unit.
    Quantity(Quantity),
    /// Number with a unit, and the time at which it was reached.
    Demand {
        /// Time of the demand.
        timestamp: MeterTime,
        /// Average power of the demand period.
        #[serde(flatten)]
        quantity: Quantity,
    },
    /// Whole number without a unit.
    Count(u64),
    /// Time of the meter's clock.
    Time(MeterTime),
    /// Text, or a number that a decimal cannot hold.
    Text(String),
    /// Values as the meter sent them, by its own labels.
    #[serde(serialize_with = "serialize_labels")]
    Labels(Vec<(String, String)>),
    /// Log of power failures, newest first.
    Failures(Vec<Failure>),
    /// Highest demand of each of the last months.
    Peaks(Vec<Peak>),
    /// Registers as they were at one time, usually the end of a month.
    Registers {
        /// Time of the snapshot.
        timestamp: MeterTime,
        /// Registers in the order of the meter.
        registers: Vec<Quantity>,
    },
}

fn serialize_labels<S: Serializer>(labels: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(label, value)| (label, value)))
}

impl Value {
    /// Returns the number and its unit, if the value is one.
    pub fn quantity(&self) -> Option<&Quantity> {
        match self {
            Value::Quantity(quantity) | Value::Demand { quantity, .. } => Some(quantity),
            _ => None,
        }
    }
}

/// Entry of the log of power failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// End of the failure.
    pub end: MeterTime,
    /// Duration in seconds.
    pub duration_s: u64,
}

/// Highest demand (average power of a quarter of an hour) of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// End of the month.
    pub month_end: MeterTime,
    /// Time at which the demand was reached.
    pub occurred: MeterTime,
    /// Average power.
    #[serde(flatten)]
    pub quantity: Quantity,
}

/// Values by name, in the order of the telegram. Each name occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(Cow<'static, str>, Value)>);

impl Fields {
    /// Returns the value of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    /// Returns true if there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a field, or replaces the value of the field of this name.
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

/// Type of a reading: the last part of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingType {
    /// Meter that sends P1 telegrams.
    P1,
    /// Electricity meter behind a P1 meter.
    Electricity,
    /// Gas meter behind a P1 meter.
    Gas,
    /// Heat meter behind a P1 meter.
    Heat,
    /// Cooling meter behind a P1 meter.
    Cooling,
    /// Water meter behind a P1 meter.
    Water,
    /// Warm water meter behind a P1 meter.
    WarmWater,
    /// Meter behind a P1 meter whose medium is unknown.
    Other,
    /// Meter that pushes DLMS messages.
    Dlms,
    /// Meter on a wired M-Bus.
    Mbus,
    /// Meter that sends wireless M-Bus.
    Wmbus,
    /// Kamstrup meter that is read by KMP.
    Kmp,
    /// Meter that sends SML.
    Sml,
    /// Linky, or another French meter, at its TIC port.
    Tic,
    /// Meter that is read by IEC 62056-21.
    Iec,
}

impl ReadingType {
    /// Every type.
    pub const ALL: [ReadingType; 15] = [
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
        ReadingType::Wmbus,
        ReadingType::Kmp,
        ReadingType::Sml,
        ReadingType::Tic,
        ReadingType::Iec,
    ];

    /// Returns true if the meter sends by itself, every few seconds; false if it is polled.
    pub fn pushes(self) -> bool {
        !matches!(self, ReadingType::Mbus | ReadingType::Kmp | ReadingType::Iec)
    }

    /// Returns true if the meter sends by radio, so that those of the neighbours are received as well.
    pub fn is_by_radio(self) -> bool {
        self == ReadingType::Wmbus
    }

    /// Returns the name that stands in topics.
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
            ReadingType::Wmbus => "wmbus",
            ReadingType::Kmp => "kmp",
            ReadingType::Sml => "sml",
            ReadingType::Tic => "tic",
            ReadingType::Iec => "iec",
        }
    }
}

/// Reading of one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Time of the meter's clock; `None` if it has no clock, or sends a time that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<MeterTime>,
    /// Identification of the meter; empty if it has not sent one.
    #[serde(skip_serializing_if = "MeterId::is_empty")]
    pub id: MeterId,
    /// Type of the reading.
    #[serde(rename = "type")]
    pub reading_type: ReadingType,
    /// M-Bus channel of a meter behind a P1 meter; `None` for the meter that sends the telegram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// Values by the names of [`fields`](crate::fields).
    pub reading: Fields,
    /// Values of objects that no table knows, by OBIS code or position.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub unknown: Fields,
    /// Answer of an M-Bus meter, record by record. For display; it is not published.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub message: Option<mbus::Message>,
}

impl Report {
    /// Returns a report without any value.
    pub fn new(reading_type: ReadingType, id: impl Into<MeterId>) -> Self {
        Report {
            time: None,
            id: id.into(),
            reading_type,
            channel: None,
            reading: Fields::default(),
            unknown: Fields::default(),
            message: None,
        }
    }
}
