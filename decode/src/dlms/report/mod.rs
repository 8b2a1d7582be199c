//! Report of a notification: names, units and times of its values.

mod number;
mod scale_memory;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use scale_memory::ScaleMemory;

use super::clock::date_time;
use super::data::Data;
use super::list_mapping::ListMapping;
use super::notification::Notification;
use super::objects::{Object, Objects};
use super::scales::GivenScales;
use crate::obis::Obis;
use crate::report::{MeterId, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};
use number::{is_lesser_number, is_number_code, lone_number, printed_title};
use writer::Writer;

/// Properties of a meter that its messages do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Time zone of the meter.
    pub zone: Zone,
    /// Lists without codes that the user describes; they take precedence over the built-in ones.
    pub lists: Vec<ListMapping>,
    /// Powers of ten where the meter sends none; those that are not given are detected.
    pub scales: GivenScales,
    /// Names that the user gives to codes.
    pub names: Vec<(Obis, String)>,
}

/// Returns the report of a notification. `system_title` is that of the frame in which it was encrypted.
///
/// The id is the equipment id or logical device name, else a number that stands alone, else the system title, else empty.
pub fn report(notification: &Notification, system_title: Option<[u8; 8]>, options: &ReportOptions) -> Report {
    report_with(notification, system_title, options, &mut ScaleMemory::default())
}

/// Returns the report of a notification, as [`report`] does, with the powers of ten that its meter's earlier messages fit.
pub fn report_with(
    notification: &Notification,
    system_title: Option<[u8; 8]>,
    options: &ReportOptions,
    memory: &mut ScaleMemory,
) -> Report {
    let objects = Objects::from_data(&notification.data);
    // Positions of a list mean something only if every value of the message stands without a code. A message with codes also
    // has such values (list version, clock, number of the meter), but they are no list: types and number of a few leftovers
    // match a built-in list too easily.
    let list = match objects.coded.is_empty() {
        true => ListMapping::find(&objects.bare, &options.lists),
        false => None,
    };
    // The powers of ten of a described list are certain.
    let built_in = list.filter(|list| !options.lists.contains(list));
    let listed = built_in.map(|list| list.objects(&objects.bare));
    let measured = listed.as_ref().unwrap_or(&objects);
    let scales = memory.scales(measured, built_in, &options.scales);
    let is_number = |object: &Object| is_number_code(object.obis) && !is_lesser_number(object.obis);
    let has_number = objects.coded.iter().any(is_number);
    let mut writer = Writer::new(options, scales, has_number);
    for object in &objects.coded {
        writer.object(object);
    }
    memory.unknown_list = None;
    let lone_number = if objects.coded.is_empty() {
        writer.list(&objects.bare, list, built_in.is_some());
        memory.unknown_list = list.is_none().then_some(objects.bare.len());
        None
    } else {
        // Texts beside coded values are list version, clock and number; others are values.
        for (position, value) in objects.bare.iter().enumerate() {
            if !matches!(value, Data::Octets(_) | Data::Text(_) | Data::DateTime(_)) {
                writer.keep(position.to_string(), value);
            }
        }
        lone_number(&objects.bare)
    };
    let (reading, unknown) = writer.finish();
    let time = match reading.get("timestamp") {
        Some(Value::Time(time)) => Some(*time),
        _ => date_time(&notification.date_time, &options.zone).filter(MeterTime::is_set),
    };
    if let Some(at) = time.and_then(|time| time.timestamp()) {
        memory.check_energy(measured, at, &scales, &options.scales);
    }
    let named = ["equipment_id", "logical_device_name"]
        .iter()
        .find_map(|name| match reading.get(name) {
            Some(Value::Text(id)) if !id.is_empty() => Some(id.clone()),
            _ => None,
        });
    let id = named
        .or(lone_number)
        .or(system_title.map(printed_title))
        .map_or_else(MeterId::default, MeterId::from);
    Report {
        time,
        reading,
        unknown,
        ..Report::new(ReadingType::Dlms, id)
    }
}
