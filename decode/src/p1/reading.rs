//! What a telegram says: the meter's own reading, and one of each sub-meter.

use super::telegram::{Object, Telegram};
use super::text::text;
use crate::fields::{Kind, field};
use crate::quantity::Quantity;
use crate::report::{Failure, Fields, Peak, ReadingType, Report, Value};
use crate::stamp::{Stamp, Zone};

/// A failure that lasted 2^31 - 1 s is KAIFA's filler.
const FILLER_S: u64 = (1 << 31) - 1;
/// Entries of a log; the standard has 10 failures and 13 months.
const MAX_ENTRIES: usize = 32;

/// All readings of a telegram, that of the meter itself first.
pub fn readings(telegram: &Telegram, zone: &Zone) -> Vec<Report> {
    let mut main = Report {
        time: None,
        id: telegram.identification.to_owned(),
        sort: ReadingType::P1,
        channel: None,
        reading: Fields::default(),
        unknown: Fields::default(),
        message: None,
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
        match field(obis).map(|field| (field, value(object, field.kind, field.unit, zone))) {
            Some((_, Some(value @ Value::Registers { .. }))) => {
                main.reading.put("month_end_registers", value)
            }
            Some((field, Some(value))) => main.reading.put(field.name, value),
            // A known code without a value, `()`, says that there is none.
            Some(_) if object.groups.iter().all(|group| group.is_empty()) => {}
            _ => keep(object, &mut main.unknown),
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
    let mut subs = Vec::new();
    for (channel, objects) in channels {
        match sub_meter(channel, &objects, &main.id, zone) {
            Some(sub) => subs.push(sub),
            // A switch, or a meter that is gone.
            None => objects.iter().for_each(|object| keep(object, &mut main.unknown)),
        }
    }
    std::iter::once(main).chain(subs).collect()
}

/// By its code, as it stands.
fn keep(object: &Object, unknown: &mut Fields) {
    unknown.put(object.obis.to_string(), Value::Text(object.groups.join(")(")));
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
        Kind::History if is_count(first) => Some(Value::Peaks(peaks(groups, unit, zone))),
        Kind::History => registers(groups, zone),
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

/// Of entries: two digits at most, where a time has thirteen.
fn is_count(group: &str) -> bool {
    (1..=2).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit())
}

/// Belgium: `(n)(1-0:1.6.0)(1-0:1.6.0)` and n triples.
fn peaks(groups: &[&str], unit: &str, zone: &Zone) -> Vec<Peak> {
    let triples = groups.get(3..).unwrap_or_default().chunks_exact(3);
    let peaks = triples.take(MAX_ENTRIES).filter_map(|triple| {
        Some(Peak {
            month_end: Stamp::parse(triple[0], zone)?,
            occurred: Stamp::parse(triple[1], zone)?,
            quantity: Quantity::parse(triple[2], unit)?,
        })
    });
    peaks.collect()
}

/// Hungary: `(end of the month)` and the registers as they were then. One that cannot be read spoils their order.
fn registers(groups: &[&str], zone: &Zone) -> Option<Value> {
    let (end, registers) = groups.split_first()?;
    let registers = registers.iter().take(MAX_ENTRIES);
    Some(Value::Registers {
        timestamp: Stamp::parse(end, zone)?,
        registers: registers
            .map(|group| Quantity::parse(group, ""))
            .collect::<Option<_>>()?,
    })
}

/// A sub-meter; nothing for a channel without a counter.
fn sub_meter(channel: u8, objects: &[&Object], main_id: &str, zone: &Zone) -> Option<Report> {
    let group = |c, d| {
        let found = objects
            .iter()
            .find(move |object| (object.obis.c, object.obis.d) == (c, d));
        found.and_then(|object| object.groups.first())
    };
    let sort = group(24, 1)
        .and_then(|device_type| device_type.parse().ok())
        .map_or(ReadingType::Other, sort_of);
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
    let name = match sort {
        ReadingType::Gas => "gas",
        ReadingType::Water => "water",
        ReadingType::WarmWater => "warm_water",
        ReadingType::Heat => "heat",
        ReadingType::Cooling => "cooling",
        ReadingType::Electricity => "energy_import_total",
        _ => "counter",
    };
    let mut reading = Fields::default();
    reading.put(name, Value::Quantity(quantity));
    if counter.obis.e == 3 {
        reading.put("not_temperature_compensated", Value::Count(1));
    }
    if let Some(valve) = group(24, 4).and_then(|valve| valve.parse().ok()) {
        reading.put("valve", Value::Count(valve));
    }
    let mut unknown = Fields::default();
    for object in objects {
        let is_known = matches!((object.obis.c, object.obis.d), (24, 1..=4) | (96, 1));
        if !is_known {
            keep(object, &mut unknown);
        }
    }
    let id = group(96, 1).map(|id| text(id)).filter(|id| !id.is_empty());
    Some(Report {
        time,
        id: id.unwrap_or_else(|| format!("{main_id}-{channel}")),
        sort,
        channel: Some(channel),
        reading,
        unknown,
        message: None,
    })
}

/// By the medium that it tells (EN 13757-3).
fn sort_of(device_type: u8) -> ReadingType {
    match device_type {
        2 => ReadingType::Electricity,
        3 => ReadingType::Gas,
        4 | 12 | 13 => ReadingType::Heat,
        6 | 21 => ReadingType::WarmWater,
        7 => ReadingType::Water,
        10 | 11 => ReadingType::Cooling,
        _ => ReadingType::Other,
    }
}
