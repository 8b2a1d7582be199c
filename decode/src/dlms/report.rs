//! A notification as a report: names, units and times.

use super::Notification;
use super::clock::clock;
use super::data::Data;
use super::dialect::{List, Scales};
use super::objects::{Object, Objects};
use super::unit::unit;
use crate::fields::{Kind, field};
use crate::hex::Hex;
use crate::obis::Obis;
use crate::quantity::{Decimal, Quantity};
use crate::report::{Fields, ReadingType, Report, Value};
use crate::stamp::Zone;
use std::borrow::Cow;

/// What is said of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Where it stands.
    pub zone: Zone,
    /// Lists without codes that a user describes.
    pub lists: Vec<List>,
    /// Powers of ten that a user tells.
    pub scales: Option<Scales>,
    /// Names that a user gives to codes.
    pub names: Vec<(Obis, String)>,
}

/// What a notification says; `title`: who encrypted it.
pub fn report(notification: &Notification, title: Option<[u8; 8]>, settings: &Settings) -> Report {
    let objects = Objects::of(&notification.data);
    let mut writer = Writer {
        settings,
        scales: settings
            .scales
            .unwrap_or_else(|| Scales::of(version(&objects).as_deref(), voltage(&objects))),
        reading: Fields::default(),
        unknown: Fields::default(),
    };
    for object in &objects.coded {
        writer.put(object);
    }
    let mut last_text = None;
    match List::of(&objects.bare, &settings.lists) {
        Some(list) if objects.coded.is_empty() => {
            for ((place, value), slot) in objects.bare.iter().enumerate().zip(list.slots()) {
                match slot {
                    Some((obis, exponent)) => writer.listed(obis, value, exponent),
                    None => writer.keep(place.to_string(), value),
                }
            }
        }
        _ => {
            for (place, value) in objects.bare.iter().enumerate() {
                match text_of(value) {
                    // Beside codes these are the list's version, the clock once more, and the meter's number.
                    Some(text) if !objects.coded.is_empty() => last_text = Some(text),
                    _ if objects.coded.is_empty() => writer.keep(place.to_string(), value),
                    _ => {}
                }
            }
        }
    }
    let Writer { reading, unknown, .. } = writer;
    let time = match reading.get("timestamp") {
        Some(Value::Stamp(time)) => Some(time.clone()),
        _ => clock(&notification.clock, &settings.zone),
    };
    let told = ["equipment_id", "logical_device_name"]
        .iter()
        .find_map(|name| match reading.get(name) {
            Some(Value::Text(id)) if !id.is_empty() => Some(id.clone()),
            _ => None,
        });
    let number =
        last_text.filter(|text| text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains('_'));
    Report {
        time,
        id: told.or(number).or(title.map(title_of)).unwrap_or_default(),
        sort: ReadingType::Dlms,
        channel: None,
        reading,
        unknown,
        message: None,
    }
}

/// What the meter says of its list: a text that stands alone, or a coded one.
fn version(objects: &Objects) -> Option<String> {
    let coded = objects
        .coded
        .iter()
        .find(|object| (object.obis.a, object.obis.c, object.obis.d) == (1, 0, 2));
    let text = coded.map(|object| object.value).or(objects.bare.first().copied());
    text.and_then(text_of)
}

/// The highest voltage without a power of ten, as it stands.
fn voltage(objects: &Objects) -> i128 {
    let voltages = objects.coded.iter().filter(|object| {
        object.scale.is_none() && object.obis.a == 1 && object.obis.c % 20 == 12 && object.obis.d == 7
    });
    let raw = voltages.map(|object| match object.value {
        Data::Whole(number, _) => *number,
        _ => 0,
    });
    raw.max().unwrap_or_default()
}

/// `KFM` and the number as hex: what is printed on no meter, but is the same for ever.
fn title_of(title: [u8; 8]) -> String {
    let (maker, number) = title.split_at(3);
    let maker = String::from_utf8_lossy(maker);
    format!("{maker}{}", Hex(number))
}

/// Readable octets, without what fills them up.
fn text_of(data: &Data) -> Option<String> {
    let (Data::Octets(octets) | Data::Text(octets)) = data else {
        return None;
    };
    let end = octets
        .iter()
        .rposition(|octet| !matches!(octet, 0 | b' '))
        .map_or(0, |last| last + 1);
    let is_text = end > 0 && octets[..end].iter().all(|octet| (0x20..0x7F).contains(octet));
    is_text.then(|| String::from_utf8_lossy(&octets[..end]).trim_start().to_owned())
}

struct Writer<'a> {
    settings: &'a Settings,
    scales: Scales,
    reading: Fields,
    unknown: Fields,
}

impl Writer<'_> {
    fn put(&mut self, object: &Object) {
        let obis = object.obis;
        let (exponent, unit) = match object.scale {
            Some((exponent, number)) => (exponent, unit(number)),
            None => self.scales.scale(obis).unwrap_or((0, "")),
        };
        self.value(obis, object.value, exponent, unit);
    }

    /// A value of a list, which tells the power of ten.
    fn listed(&mut self, obis: Obis, value: &Data, exponent: i8) {
        // Iskraemeco writes `ISK` in front of its number in one list and not in the other.
        if let (Some("equipment_id"), Data::Octets(octets)) = (field(obis).map(|field| field.name), value) {
            if let Some(number) = octets.strip_prefix(b"ISK") {
                return self.value(obis, &Data::Octets(number.to_vec()), 0, "");
            }
        }
        let unit = Scales::default().scale(obis).map_or("", |(_, unit)| unit);
        self.value(obis, value, exponent, unit);
    }

    fn value(&mut self, obis: Obis, data: &Data, exponent: i8, unit: &'static str) {
        // The clock may belong to any channel.
        let looked_up = if (obis.a, obis.c, obis.d, obis.e) == (0, 1, 0, 0) {
            Obis { b: 0, ..obis }
        } else {
            obis
        };
        let known = field(looked_up);
        let given = self
            .settings
            .names
            .iter()
            .find(|(code, _)| *code == obis)
            .map(|(_, name)| name.clone());
        let name = given
            .map(Cow::Owned)
            .or(known.map(|field| Cow::Borrowed(field.name)));
        let kind = known.map(|field| field.kind);
        let value = match (data, kind) {
            (Data::Octets(octets) | Data::Clock(octets), Some(Kind::Stamp)) => {
                clock(octets, &self.settings.zone).map(Value::Stamp)
            }
            (Data::Whole(number, _), Some(Kind::Text | Kind::Word)) => Some(Value::Text(number.to_string())),
            (Data::Whole(number, _), Some(Kind::Count)) => u64::try_from(*number).ok().map(Value::Count),
            (Data::Enum(number), _) => Some(Value::Count((*number).into())),
            (Data::Bool(is_so), _) => Some(Value::Count((*is_so).into())),
            (Data::Whole(number, _), _) => {
                let unit = if unit.is_empty() {
                    known.map_or("", |field| base(field.unit))
                } else {
                    unit
                };
                Some(Value::Quantity(Quantity::new(
                    Decimal::scaled(*number, exponent),
                    unit,
                )))
            }
            (Data::Float(number), _) => {
                let decimal = Decimal::parse(&format!("{number}"));
                decimal.map(|decimal| Value::Quantity(Quantity::new(decimal, unit)))
            }
            _ => text_of(data).map(Value::Text),
        };
        match (name, value) {
            // Of several numbers of a meter the first one counts.
            (Some(name), Some(value)) if name == "equipment_id" && self.reading.get(&name).is_some() => {
                self.unknown.put(obis.to_string(), value);
            }
            (Some(name), Some(value)) => self.reading.put(name, value),
            // Nothing, or an empty text: there is none.
            (Some(_), None) if matches!(data, Data::Null) || *data == Data::Octets(Vec::new()) => {}
            (None, Some(value)) => self.unknown.put(obis.to_string(), value),
            _ => self.keep(obis.to_string(), data),
        }
    }

    /// As it stands.
    fn keep(&mut self, name: String, data: &Data) {
        let value = match data {
            Data::Whole(number, _) => Value::Quantity(Quantity::new(Decimal::scaled(*number, 0), "")),
            Data::Octets(octets) | Data::Text(octets) | Data::Bits(octets) | Data::Clock(octets) => {
                let hex = Hex(octets).to_string();
                Value::Text(text_of(data).unwrap_or(hex))
            }
            Data::Enum(number) => Value::Count((*number).into()),
            Data::Bool(is_so) => Value::Count((*is_so).into()),
            Data::Float(number) => Value::Text(number.to_string()),
            Data::Null | Data::Array(_) | Data::Structure(_) | Data::Descriptor(..) => return,
        };
        self.unknown.put(name, value);
    }
}

/// The table's unit is the thousandfold of what meters count in.
fn base(unit: &'static str) -> &'static str {
    match unit {
        "kWh" => "Wh",
        "kW" => "W",
        "kvarh" => "varh",
        "kvar" => "var",
        "kVAh" => "VAh",
        "kVA" => "VA",
        other => other,
    }
}
