//! Readings of a telegram: one of the meter itself, and one of each sub-meter.

use super::hex_text;
use super::telegram::{Object, Telegram};
use crate::fields::{FieldKind, field};
use crate::quantity::Quantity;
use crate::report::{Failure, Fields, MeterId, Peak, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};
use crate::unit::Unit;

/// Duration of a failure with which Kaifa meters fill unused entries of the log: 2^31 − 1 s.
const FILLER_S: u64 = (1 << 31) - 1;
/// Most entries read of a log; the standards have 10 failures and 13 months.
const MAX_ENTRIES: usize = 32;

/// Returns all readings of a telegram, that of the meter itself first, then those of sub-meters by channel.
///
/// The id of the meter is its equipment id or logical device name, else the identification line. `zone` is where the
/// meter stands.
pub fn readings(telegram: &Telegram, zone: &Zone) -> Vec<Report> {
    let mut main = Report::new(ReadingType::P1, telegram.identification);
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
        match field(obis).map(|field| (value(object, field.kind, &field.unit, zone), field)) {
            // Hungary's registers use the code of Belgium's peaks.
            Some((Some(value @ Value::Registers { .. }), _)) => {
                main.reading.put("month_end_registers", value);
            }
            Some((Some(value), field)) => main.reading.put(field.name, value),
            // Empty brackets mean that the meter has no value for this code.
            Some(_) if object.groups.iter().all(|group| group.is_empty()) => {}
            _ => keep(object, &mut main.unknown),
        }
    }
    if let Some(Value::Time(time)) = main.reading.get("timestamp") {
        main.time = Some(*time);
    }
    for name in ["equipment_id", "logical_device_name"] {
        if let Some(Value::Text(id)) = main.reading.get(name) {
            if !id.is_empty() {
                main.id = id.as_str().into();
                break;
            }
        }
    }
    channels.sort_by_key(|(channel, _)| *channel);
    let mut subs = Vec::new();
    for (channel, objects) in channels {
        match sub_meter(channel, &objects, &main.id, zone) {
            Some(sub) => subs.push(sub),
            // The channel of a switch, or of a meter that was removed.
            None => objects.iter().for_each(|object| keep(object, &mut main.unknown)),
        }
    }
    std::iter::once(main).chain(subs).collect()
}

/// Keeps an object by its code, as sent.
fn keep(object: &Object, unknown: &mut Fields) {
    unknown.put(object.obis.to_string(), Value::Text(object.groups.join(")(")));
}

/// Decodes the groups of an object; `None` if they are empty or not of this kind.
fn value(object: &Object, kind: FieldKind, unit: &Unit, zone: &Zone) -> Option<Value> {
    let groups = &object.groups[..];
    let first = *groups.first()?;
    match kind {
        FieldKind::Quantity => Quantity::from_p1(first, unit).map(Value::Quantity),
        FieldKind::Demand => Some(Value::Demand {
            timestamp: MeterTime::from_p1(first, zone)?,
            quantity: Quantity::from_p1(groups.get(1)?, unit)?,
        }),
        FieldKind::Count => first.parse().ok().map(Value::Count),
        FieldKind::Time => MeterTime::from_p1(first, zone).map(Value::Time),
        FieldKind::HexText => Some(Value::Text(hex_text::decode(first))),
        FieldKind::Text => Some(Value::Text(first.to_owned())),
        FieldKind::FailureLog => Some(Value::Failures(failures(groups, zone))),
        FieldKind::History if is_count(first) => Some(Value::Peaks(peaks(groups, unit, zone))),
        FieldKind::History => registers(groups, zone),
    }
}

/// Decodes `(n)(0-0:96.7.19)` and n pairs of end and duration. Malformed pairs are left out.
fn failures(groups: &[&str], zone: &Zone) -> Vec<Failure> {
    let pairs = groups.get(2..).unwrap_or_default().chunks_exact(2);
    pairs
        .take(MAX_ENTRIES)
        .filter_map(|pair| {
            let duration_s = pair[1].strip_suffix("*s").unwrap_or(pair[1]).parse().ok()?;
            let end = MeterTime::from_p1(pair[0], zone)?;
            (duration_s != FILLER_S).then_some(Failure { end, duration_s })
        })
        .collect()
}

/// Returns true for a number of entries, which has one or two digits; a time has twelve.
fn is_count(group: &str) -> bool {
    (1..=2).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit())
}

/// Decodes Belgium's peaks: `(n)(1-0:1.6.0)(1-0:1.6.0)` and n triples.
fn peaks(groups: &[&str], unit: &Unit, zone: &Zone) -> Vec<Peak> {
    let triples = groups.get(3..).unwrap_or_default().chunks_exact(3);
    let peaks = triples.take(MAX_ENTRIES).filter_map(|triple| {
        Some(Peak {
            month_end: MeterTime::from_p1(triple[0], zone)?,
            occurred: MeterTime::from_p1(triple[1], zone)?,
            quantity: Quantity::from_p1(triple[2], unit)?,
        })
    });
    peaks.collect()
}

/// Decodes Hungary's registers: `(end of the month)` and their values at that time. They are told apart by position
/// alone, so one malformed value makes all of them worthless.
fn registers(groups: &[&str], zone: &Zone) -> Option<Value> {
    let (end, registers) = groups.split_first()?;
    let registers = registers.iter().take(MAX_ENTRIES);
    Some(Value::Registers {
        timestamp: MeterTime::from_p1(end, zone)?,
        registers: registers
            .map(|group| Quantity::from_p1(group, &Unit::None))
            .collect::<Option<_>>()?,
    })
}

/// Returns the reading of a sub-meter; `None` for a channel without a counter.
fn sub_meter(channel: u8, objects: &[&Object], main_id: &MeterId, zone: &Zone) -> Option<Report> {
    let group = |c, d| {
        let found = objects
            .iter()
            .find(move |object| (object.obis.c, object.obis.d) == (c, d));
        found.and_then(|object| object.groups.first())
    };
    let reading_type = group(24, 1)
        .and_then(|device_type| device_type.parse().ok())
        .map_or(ReadingType::Other, from_medium);
    let counter = objects
        .iter()
        .find(|object| object.obis.c == 24 && matches!(object.obis.d, 2 | 3))?;
    let groups = &counter.groups[..];
    // DSMR 2.2 and 3: time, status, interval, number, code, unit, and the value on the next line.
    let (value, unit) = match (counter.obis.d, groups) {
        (3, [_, _, _, _, _, unit, value]) => (*value, Unit::from_p1(unit)),
        (2, [_, value, ..]) => (*value, Unit::None),
        _ => return None,
    };
    let quantity = Quantity::from_p1(value, &unit)?;
    let time = MeterTime::from_p1(groups[0], zone);
    // Channels to which no meter was ever connected send zero without a unit.
    if quantity.unit.is_none() {
        return None;
    }
    let name = match reading_type {
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
    let id = group(96, 1)
        .map(|id| hex_text::decode(id))
        .filter(|id| !id.is_empty());
    Some(Report {
        time,
        channel: Some(channel),
        reading,
        unknown,
        ..Report::new(reading_type, id.unwrap_or_else(|| format!("{main_id}-{channel}")))
    })
}

/// Returns the type of a sub-meter by the medium that it sends (EN 13757-3, device type identification).
fn from_medium(device_type: u8) -> ReadingType {
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
