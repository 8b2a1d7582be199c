//! Techem: heat cost allocators, water and heat meters, smoke detectors with CI A0 to A2.
//!
//! ```text
//!  ? │ date of the set day (2) │ value at the set day │ date (2) │ value since then │ …
//!
//!  date of the set day   0–4 day   5–8 month   9–14 year
//!  date                  4–8 day   9–12 month; the year is the one in which it follows the set day
//! ```
//!
//! Positions, verified on telegrams of each kind, are those of the drivers of wmbusmeters.

use super::payload::{Context, date, unsigned, value};
use crate::mbus::Record;
use crate::unit::Unit;
use crate::wmbus::address::Address;

/// Returns the medium of the device types that are Techem's own.
pub(super) fn medium(meter: &Address) -> Option<&'static str> {
    if !meter.is_of("TCH") {
        return None;
    }
    Some(match meter.device_type {
        0x80 => "heat_cost_allocator",
        0x43 | 0x45 | 0xC3 => "heat",
        0x62 => "warm_water",
        0x72 => "water",
        0xF0 => "smoke_detector",
        _ => return None,
    })
}

/// Decodes the payload of a telegram without ordinary records.
pub(super) fn payload(context: &Context) -> Option<Vec<Record>> {
    if !matches!(context.tpl.information, 0xA0..=0xB7) {
        return None;
    }
    let bytes = context.payload;
    match (context.meter.version, context.meter.device_type) {
        (version @ (0x69 | 0x94), 0x80) => allocator(bytes, version),
        (0x50, 0x72) => radio_3a(bytes),
        (0x74 | 0x70 | 0x95, 0x62 | 0x72) => water(bytes, context.meter.version == 0x74),
        (0x22 | 0x39 | 0x45, 0x04 | 0x43 | 0xC3) => heat(bytes),
        (0x27, 0x04 | 0xC3) => megajoules(bytes),
        (0x76, 0xF0) => smoke(bytes),
        _ => None,
    }
}

/// Returns year, month and day of a set day.
fn set_day(bytes: &[u8]) -> Option<(u16, u8, u8)> {
    let date = u16::from_le_bytes(*bytes.get(1..)?.first_chunk()?);
    Some((
        2000 + (date >> 9 & 0x3F),
        (date >> 5 & 0x0F) as u8,
        (date & 0x1F) as u8,
    ))
}

/// Returns the date of the current value, which follows the set day within a year. Zero stands for the first day, and for
/// the last month.
fn today(bytes: &[u8], (year, month, day): (u16, u8, u8)) -> Option<(u16, u8, u8)> {
    let date = u16::from_le_bytes(*bytes.get(5..)?.first_chunk()?);
    let (now_month, now_day) = ((date >> 9 & 0x0F) as u8, (date >> 4 & 0x1F) as u8);
    let now = (if now_month == 0 { 12 } else { now_month }, now_day.max(1));
    let year = if now > (month, day) { year } else { year + 1 };
    Some((year, now.0, now.1))
}

fn dates(bytes: &[u8]) -> Option<Vec<Record>> {
    let set = set_day(bytes)?;
    let now = today(bytes, set)?;
    Some(vec![
        date("date", 0, now.0, now.1, now.2),
        date("date", 1, set.0, set.1, set.2),
    ])
}

/// Decodes an allocator. The first byte is the form of the payload: 0F has a byte more before the temperatures than 01 and 11.
fn allocator(bytes: &[u8], version: u8) -> Option<Vec<Record>> {
    let temperatures = match (bytes.first()?, version) {
        (0x0F, _) => 10,
        (0x01 | 0x11, _) | (_, 0x69) => 9,
        _ => 10,
    };
    let mut records = vec![
        value("heat_cost_units", 0, unsigned(bytes.get(7..9)?), 0, Unit::None),
        value("heat_cost_units", 1, unsigned(bytes.get(3..5)?), 0, Unit::None),
    ];
    records.extend(dates(bytes)?);
    if let Some([r1, r2, h1, h2]) = bytes.get(temperatures..temperatures + 4) {
        records.push(value(
            "room_temperature",
            0,
            unsigned(&[*r1, *r2]),
            -2,
            Unit::Celsius,
        ));
        records.push(value(
            "radiator_temperature",
            0,
            unsigned(&[*h1, *h2]),
            -2,
            Unit::Celsius,
        ));
    }
    Some(records)
}

fn water(bytes: &[u8], has_dates: bool) -> Option<Vec<Record>> {
    let (before, since) = (unsigned(bytes.get(3..5)?), unsigned(bytes.get(7..9)?));
    let mut records = sums("volume", before, since, -1, &Unit::CubicMeter);
    if has_dates {
        records.extend(dates(bytes)?);
    }
    Some(records)
}

/// Decodes the older radio 3: what was consumed in each half of a month, and the total.
///
/// ```text
///  ? (2) │ date (2, as of a set day) │ total (3) │ 12 × (?, first half, second half)        this month first
/// ```
///
/// Until the 15th the newest pair is the first half of this month and the second half of the last one.
fn radio_3a(bytes: &[u8]) -> Option<Vec<Record>> {
    let (year, month, day) = set_day(bytes.get(1..)?)?;
    let mut records = vec![
        value("volume", 0, unsigned(bytes.get(4..7)?), -1, Unit::CubicMeter),
        date("date", 0, year, month, day),
    ];
    let halves: Vec<i128> = bytes[7..]
        .chunks_exact(3)
        .take(12)
        .flat_map(|chunk| [i128::from(chunk[1]), i128::from(chunk[2])])
        .collect();
    // The newest month is half over, or nearly over.
    let newest = halves.len().min(if day <= 15 { 1 } else { 2 });
    let (this_month, earlier) = halves.split_at(newest);
    let months = std::iter::once(this_month).filter(|halves| !halves.is_empty());
    let months = months.chain(earlier.chunks_exact(2));
    for (ago, halves) in (0..12).zip(months) {
        let used = |qualifier: &'static str| Record {
            qualifiers: vec![qualifier.into()],
            ..value("volume", 0, halves.iter().sum(), -1, Unit::CubicMeter)
        };
        if ago == 0 {
            records.push(used("this_month"));
        }
        let month = (usize::from(month) + 11 - ago) % 12;
        records.push(used(IN_MONTH[month]));
    }
    Some(records)
}

const IN_MONTH: [&str; 12] = [
    "in_january",
    "in_february",
    "in_march",
    "in_april",
    "in_may",
    "in_june",
    "in_july",
    "in_august",
    "in_september",
    "in_october",
    "in_november",
    "in_december",
];

fn heat(bytes: &[u8]) -> Option<Vec<Record>> {
    let (before, since) = (unsigned(bytes.get(3..6)?), unsigned(bytes.get(7..10)?));
    // In kWh.
    Some(sums("energy", before, since, 3, &Unit::Wh))
}

fn megajoules(bytes: &[u8]) -> Option<Vec<Record>> {
    let (before, since) = (unsigned(bytes.get(3..5)?), unsigned(bytes.get(7..9)?));
    Some(sums("energy", before, since, 6, &Unit::J))
}

/// Returns total, value at the set day and value since then.
fn sums(quantity: &'static str, before: i128, since: i128, exponent: i32, unit: &Unit) -> Vec<Record> {
    let record = |storage, number| value(quantity, storage, number, exponent, unit.clone());
    let since_set_day = Record {
        qualifiers: vec!["since_set_day".into()],
        ..record(0, since)
    };
    vec![record(0, before + since), record(1, before), since_set_day]
}

fn smoke(bytes: &[u8]) -> Option<Vec<Record>> {
    let (year, month, day) = set_day(bytes)?;
    let is_alarm = i128::from(bytes.first()? & 1);
    Some(vec![
        value("smoke_alarm", 0, is_alarm, 0, Unit::None),
        value("error_flags", 0, i128::from(*bytes.first()?), 0, Unit::None),
        date("date", 1, year, month, day),
    ])
}
