//! What a telegram says: the meter's own reading, and one of each sub-meter.

use super::telegram::{Object, Telegram};
use super::value::{Quantity, Stamp, Zone, text};
use crate::decode::fields::{Kind, field};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A failure that lasted 2^31 - 1 s is KAIFA's filler.
const FILLER_S: u64 = (1 << 31) - 1;
/// Entries of a log; the standard has 10 failures and 13 months.
const MAX_ENTRIES: usize = 32;

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
pub struct Fields(pub Vec<(String, Value)>);

impl Fields {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    fn put(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
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

/// What a meter measures, by the medium that it tells (EN 13757-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// The meter that sends the telegram.
    P1,
    /// 2
    Electricity,
    /// 3
    Gas,
    /// 4, 12, 13
    Heat,
    /// 10, 11
    Cooling,
    /// 7
    Water,
    /// 6, 21
    WarmWater,
    /// Any other.
    Other,
}

impl Medium {
    fn of_type(device_type: u64) -> Self {
        match device_type {
            2 => Medium::Electricity,
            3 => Medium::Gas,
            4 | 12 | 13 => Medium::Heat,
            6 | 21 => Medium::WarmWater,
            7 => Medium::Water,
            10 | 11 => Medium::Cooling,
            _ => Medium::Other,
        }
    }
}

/// What one meter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct P1Reading {
    /// When, by the meter's clock; nothing where it has none or is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Stamp>,
    /// Of the meter; of the line where it has none.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub medium: Medium,
    /// Where it is connected; nothing for the meter that sends the telegram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// What it measures.
    pub reading: Fields,
    /// Objects that the table does not know, by code.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub unknown: Fields,
}

impl Fields {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All readings of a telegram, that of the meter itself first.
pub fn readings(telegram: &Telegram, zone: &Zone) -> Vec<P1Reading> {
    let mut main = P1Reading {
        time: None,
        id: telegram.identification.to_owned(),
        medium: Medium::P1,
        channel: None,
        reading: Fields::default(),
        unknown: Fields::default(),
    };
    let mut channels: Vec<(u8, Vec<&Object>)> = Vec::new();
    for object in &telegram.objects {
        let obis = object.obis;
        if obis.a == 0 && obis.b != 0 {
            match channels.iter_mut().find(|(channel, _)| *channel == obis.b) {
                Some((_, objects)) => objects.push(object),
                None => channels.push((obis.b, vec![object])),
            }
            continue;
        }
        let known = field(obis);
        let value = known.and_then(|field| value(object, field.kind, field.unit, zone));
        match (known, value) {
            (Some(field), Some(value)) => main.reading.put(field.name, value),
            // A known code without a value, `()`, says that there is none.
            (Some(_), None) => {}
            (None, _) => main
                .unknown
                .put(&obis.to_string(), Value::Text(object.groups.join(")("))),
        }
    }
    if let Some(Value::Stamp(time)) = main.reading.get("timestamp") {
        main.time = Some(time.clone());
    }
    for name in ["equipment_id", "logical_device_name"] {
        if let Some(Value::Text(id)) = main.reading.get(name) {
            if !id.is_empty() {
                main.id.clone_from(id);
                break;
            }
        }
    }
    channels.sort_by_key(|(channel, _)| *channel);
    let subs = channels
        .into_iter()
        .filter_map(|(channel, objects)| sub_meter(channel, &objects, &main.id, zone));
    let subs: Vec<_> = subs.collect();
    std::iter::once(main).chain(subs).collect()
}

/// The groups of an object as a value; nothing where they are empty or of another kind.
fn value(object: &Object, kind: Kind, unit: &str, zone: &Zone) -> Option<Value> {
    let groups = &object.groups[..];
    let first = *groups.first()?;
    match kind {
        Kind::Measured => Quantity::parse(first, unit).map(Value::Quantity),
        Kind::Demand => Some(Value::Demand {
            timestamp: Stamp::parse(first, zone)?,
            quantity: Quantity::parse(groups.get(1)?, unit)?,
        }),
        Kind::Count => first.parse().ok().map(Value::Count),
        Kind::Stamp => Stamp::parse(first, zone).map(Value::Stamp),
        Kind::Text => Some(Value::Text(text(first))),
        Kind::Word => Some(Value::Text(first.to_owned())),
        Kind::Events => Some(Value::Failures(failures(groups, zone))),
        Kind::History => peaks(groups, unit, zone).map(Value::Peaks),
    }
}

/// `(n)(0-0:96.7.19)` and n pairs of end and duration. What cannot be read is left out.
fn failures(groups: &[&str], zone: &Zone) -> Vec<Failure> {
    let pairs = groups.get(2..).unwrap_or_default().chunks_exact(2);
    pairs
        .take(MAX_ENTRIES)
        .filter_map(|pair| {
            let duration_s = pair[1].strip_suffix("*s").unwrap_or(pair[1]).parse().ok()?;
            let end = Stamp::parse(pair[0], zone)?;
            (duration_s != FILLER_S).then_some(Failure { end, duration_s })
        })
        .collect()
}

/// Belgium: `(n)(1-0:1.6.0)(1-0:1.6.0)` and n triples. (Hungary begins with a time, and is something else.)
fn peaks(groups: &[&str], unit: &str, zone: &Zone) -> Option<Vec<Peak>> {
    if groups.first()?.len() > 3 {
        return None;
    }
    let triples = groups.get(3..).unwrap_or_default().chunks_exact(3);
    let peaks = triples.take(MAX_ENTRIES).filter_map(|triple| {
        Some(Peak {
            month_end: Stamp::parse(triple[0], zone)?,
            occurred: Stamp::parse(triple[1], zone)?,
            quantity: Quantity::parse(triple[2], unit)?,
        })
    });
    Some(peaks.collect())
}

/// A sub-meter; nothing for a channel without a counter.
fn sub_meter(channel: u8, objects: &[&Object], main_id: &str, zone: &Zone) -> Option<P1Reading> {
    let group = |c, d| {
        let found = objects
            .iter()
            .find(move |object| (object.obis.c, object.obis.d) == (c, d));
        found.and_then(|object| object.groups.first())
    };
    let medium = group(24, 1)
        .and_then(|device_type| device_type.parse().ok())
        .map_or(Medium::Other, Medium::of_type);
    let counter = objects
        .iter()
        .find(|object| object.obis.c == 24 && matches!(object.obis.d, 2 | 3))?;
    let groups = &counter.groups[..];
    // DSMR 2.2 and 3: time, status, interval, number, code, unit, and the value on the next line.
    let (shown, unit) = match (counter.obis.d, groups) {
        (3, [_, _, _, _, _, unit, value]) => (*value, *unit),
        (2, [_, value, ..]) => (*value, ""),
        _ => return None,
    };
    let quantity = Quantity::parse(shown, unit)?;
    let time = Stamp::parse(groups[0], zone);
    // A meter that was never connected sends zero without a unit, or a time that never was.
    if quantity.unit.is_empty() {
        return None;
    }
    let name = match medium {
        Medium::Gas => "gas",
        Medium::Water => "water",
        Medium::WarmWater => "warm_water",
        Medium::Heat => "heat",
        Medium::Cooling => "cooling",
        Medium::Electricity => "energy_import_total",
        Medium::P1 | Medium::Other => "counter",
    };
    let mut reading = Fields::default();
    reading.put(name, Value::Quantity(quantity));
    if counter.obis.e == 3 {
        reading.put("not_temperature_compensated", Value::Count(1));
    }
    if let Some(valve) = group(24, 4).and_then(|valve| valve.parse().ok()) {
        reading.put("valve", Value::Count(valve));
    }
    let id = group(96, 1).map(|id| text(id)).filter(|id| !id.is_empty());
    Some(P1Reading {
        time,
        id: id.unwrap_or_else(|| format!("{main_id}-{channel}")),
        medium,
        channel: Some(channel),
        reading,
        unknown: Fields::default(),
    })
}
