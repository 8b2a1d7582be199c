//! Lists of values (SML_GetList.Res).

use super::data::{Data, absent};
use jiff::Timestamp;

/// Earliest time that a set clock shows, 2010-01-01; clocks that were never set count seconds from 1970 or 2000.
const EARLIEST: i64 = 1_262_304_000;

/// Values of one meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Identification of the meter; empty if it has none.
    pub server_id: Vec<u8>,
    /// Time of the values; `None` if the meter counts seconds of operation instead.
    pub time: Option<Timestamp>,
    /// Values in the order of the meter.
    pub entries: Vec<Entry>,
}

/// Value with its OBIS code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Groups A to F of the code.
    pub code: [u8; 6],
    /// Status word.
    pub status: Option<u64>,
    /// Number of the unit (DLMS Blue Book).
    pub unit: Option<u8>,
    /// Power of ten by which the value is multiplied.
    pub scaler: i8,
    /// Value.
    pub value: Data,
}

impl List {
    /// Interprets the body of a message; `None` if it is no list of values.
    pub(super) fn from_data(body: &Data) -> Option<Self> {
        let [_client, server, _name, sensor_time, values, ..] = body.list()? else {
            return None;
        };
        Some(List {
            server_id: server.octets().unwrap_or_default().to_vec(),
            time: time(sensor_time),
            entries: values.list()?.iter().filter_map(Entry::from_data).collect(),
        })
    }

    /// Returns the body of a message.
    pub(super) fn to_data(&self) -> Data {
        let time = self.time.map_or_else(absent, |time| {
            let seconds = u64::try_from(time.as_second()).unwrap_or_default();
            Data::List(vec![Data::Unsigned(2), Data::Unsigned(seconds)])
        });
        Data::List(vec![
            absent(),
            Data::Octets(self.server_id.clone()),
            Data::Octets(vec![1, 0, 98, 10, 255, 255]),
            time,
            Data::List(self.entries.iter().map(Entry::to_data).collect()),
            absent(),
            absent(),
        ])
    }
}

impl Entry {
    /// Interprets an element of a list; `None` if it has no code or no value.
    fn from_data(data: &Data) -> Option<Self> {
        let [code, status, _time, unit, scaler, value, ..] = data.list()? else {
            return None;
        };
        if *value == absent() {
            return None;
        }
        Some(Entry {
            code: code.octets()?.try_into().ok()?,
            status: status.number().and_then(|status| u64::try_from(status).ok()),
            unit: unit.number().and_then(|unit| u8::try_from(unit).ok()),
            // A scaler beyond eight bits is malformed, and a value without its scaler is wrong.
            scaler: match scaler.number() {
                Some(scaler) => i8::try_from(scaler).ok()?,
                None => 0,
            },
            value: value.clone(),
        })
    }

    fn to_data(&self) -> Data {
        Data::List(vec![
            Data::Octets(self.code.to_vec()),
            self.status.map_or_else(absent, Data::Unsigned),
            absent(),
            self.unit.map_or_else(absent, |unit| Data::Unsigned(unit.into())),
            Data::Integer(self.scaler.into(), 1),
            self.value.clone(),
            absent(),
        ])
    }
}

/// Returns the time of a choice: 2 is a time stamp, 3 a time stamp with the offset of local time; 1 counts seconds of
/// operation.
fn time(choice: &Data) -> Option<Timestamp> {
    let [kind, time] = choice.list()? else {
        return None;
    };
    let seconds = match (kind.number()?, time) {
        (2, seconds) => seconds.number()?,
        (3, local) => local.list()?.first()?.number()?,
        _ => return None,
    };
    let seconds = i64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds >= EARLIEST)?;
    Timestamp::from_second(seconds).ok()
}
