//! Readings of sub-meters: gas, water, heat and electricity meters behind the main one.

use super::hex_text;
use super::telegram::Object;
use crate::quantity::Quantity;
use crate::report::{Fields, MeterId, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};
use crate::unit::Unit;

/// Returns the reading of a sub-meter; `None` for a channel without a counter.
pub(super) fn sub_meter(channel: u8, objects: &[&Object], main_id: &MeterId, zone: &Zone) -> Option<Report> {
    let group = |c, d| {
        let found = objects
            .iter()
            .find(move |object| (object.obis.c, object.obis.d) == (c, d));
        found.and_then(|object| object.groups.first())
    };
    let reading_type = group(24, 1)
        .and_then(|device_type| device_type.parse().ok())
        .map_or(ReadingType::Other, from_medium);
    let is_counter = |object: &&&Object| object.obis.c == 24 && matches!(object.obis.d, 2 | 3);
    let (counter, (time, quantity)) = objects
        .iter()
        .filter(is_counter)
        .find_map(|object| Some((*object, counter(object, reading_type, zone)?)))?;
    let mut reading = Fields::default();
    reading.put(
        counter_name(reading_type, &quantity.unit),
        Value::Quantity(quantity),
    );
    if counter.obis.e == 3 && reading_type == ReadingType::Gas {
        reading.put("not_temperature_compensated", Value::Count(1));
    }
    if let Some(valve) = group(24, 4).and_then(|valve| valve.parse().ok()) {
        reading.put("valve", Value::Count(valve));
    }
    let mut unknown = Fields::default();
    for object in objects.iter().filter(|object| !std::ptr::eq(**object, counter)) {
        match (object.obis.c, object.obis.d) {
            (24, 1 | 4) | (96, 1) => {}
            (24, 2 | 3) if register(object, reading_type, &mut reading).is_some() => {}
            _ => unknown.put(object.obis.to_string(), Value::Text(object.as_sent())),
        }
    }
    let id = group(96, 1)
        .map(|id| hex_text::decode_number(id))
        .filter(|id| !id.is_empty());
    Some(Report {
        time,
        channel: Some(channel),
        reading,
        unknown,
        ..Report::new(reading_type, id.unwrap_or_else(|| format!("{main_id}-{channel}")))
    })
}

/// Returns time and value of a counter; `None` if it has no value, or none with a unit.
fn counter(object: &Object, reading_type: ReadingType, zone: &Zone) -> Option<(Option<MeterTime>, Quantity)> {
    let groups = &object.groups[..];
    // DSMR 2.2 and 3: time, status, interval, number, code, unit, and the value on the next line.
    let (value, unit) = match (object.obis.d, groups) {
        (3, [_, _, _, _, _, unit, value]) => (*value, Unit::from_p1(unit)),
        (2, [_, value, ..]) => (*value, Unit::None),
        _ => return None,
    };
    let mut quantity = Quantity::from_p1(value, &unit)?;
    let time = MeterTime::from_p1(groups[0], zone).filter(MeterTime::is_set);
    // Channels to which no meter was ever connected send zero without a unit. Gas and water are counted in m3 (DSMR 5.0.2
    // P1, 6.12), so that a value with a time needs none.
    if quantity.unit.is_none() {
        let is_volume = matches!(
            reading_type,
            ReadingType::Gas | ReadingType::Water | ReadingType::WarmWater
        );
        if !is_volume || time.is_none() || quantity.value.is_zero() {
            return None;
        }
        quantity.unit = Unit::CubicMeter;
    }
    Some((time, quantity))
}

/// Returns the name of the counter of a sub-meter.
fn counter_name(reading_type: ReadingType, unit: &Unit) -> &'static str {
    match reading_type {
        ReadingType::Gas => "gas",
        ReadingType::Water => "water",
        ReadingType::WarmWater => "warm_water",
        // Some heat meters send the volume of their water first.
        ReadingType::Heat | ReadingType::Cooling if *unit == Unit::CubicMeter => "volume",
        ReadingType::Heat => "heat",
        ReadingType::Cooling => "cooling",
        ReadingType::Electricity => "energy_import_total",
        _ => "counter",
    }
}

/// Writes a further register of a sub-meter, in the unit that it sends; `None` if its unit does not tell its name, or if that
/// is taken.
fn register(object: &Object, reading_type: ReadingType, reading: &mut Fields) -> Option<()> {
    let [_, value] = object.groups[..] else {
        return None;
    };
    let (value, unit) = Quantity::as_sent(value, &Unit::None)?;
    if !matches!(reading_type, ReadingType::Heat | ReadingType::Cooling) {
        return None;
    }
    let names: &[&str] = match unit {
        Unit::CubicMeter => &["volume"],
        Unit::CubicMeterPerHour | Unit::LiterPerHour => &["volume_flow"],
        // The warmer pipe comes first in all known telegrams.
        Unit::Celsius => &["flow_temperature", "return_temperature"],
        Unit::Kelvin => &["temperature_difference"],
        Unit::W | Unit::KW => &["power"],
        Unit::Wh | Unit::KWh | Unit::MWh | Unit::MJ | Unit::GJ => &[counter_name(reading_type, &Unit::GJ)],
        _ => return None,
    };
    let name = names.iter().find(|name| reading.get(name).is_none())?;
    reading.put(*name, Value::Quantity(Quantity { value, unit }));
    Some(())
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
