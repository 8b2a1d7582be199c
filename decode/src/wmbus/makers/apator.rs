//! Apator: water meters AT-WMBUS-16-2 ("162"), NA-1, 08 and 172, and the heat cost allocator E-ITN.
//!
//! Lengths and positions are those of the drivers of wmbusmeters, verified on telegrams of 162, NA-1 and E-ITN.

use super::payload::{Context, Decoded, date, flags, unsigned, value};
use crate::mbus::{Record, Value};
use crate::quantity::{Decimal, shifted};
use crate::time::MeterTime;
use crate::unit::Unit;
use crate::wmbus::crypto::cbc_decrypt;
use crate::wmbus::security::{Candidate, Scheme, Security, candidate, mode_5_iv, undecrypted};
use jiff::ToSpan;
use jiff::civil::{DateTime, date as civil_date};

const NA_1: Scheme = Scheme::Manufacturer("Apator NA-1");

/// Decodes the payload of a telegram without ordinary records.
pub(super) fn payload(context: &Context) -> Option<Decoded> {
    let payload = context.payload;
    match (
        context.meter.version,
        context.meter.device_type,
        context.tpl.information,
    ) {
        (0x05, 0x06 | 0x07, 0x72 | 0x7A) => tags(payload).map(Decoded::from),
        (0x14, 0x07, 0xA0 | 0xA1) => na_1(context),
        // A0 │ …, or A0 │ A0 │ …
        (0x04, 0x08, 0xA0) => {
            let payload = payload
                .strip_prefix(&[0xA0])
                .filter(|rest| rest.len() >= ALLOCATOR);
            allocator(payload.unwrap_or(context.payload)).map(Decoded::from)
        }
        (0x04, 0x08, 0xB6) => {
            // B6 │ n │ n bytes │ A0 │ …
            let rest = payload.get(1 + usize::from(*payload.first()?)..)?;
            let (&information, rest) = rest.split_first()?;
            (information == 0xA0).then(|| allocator(rest).map(Decoded::from))?
        }
        // One count is a third of a litre, and of a cubic metre.
        (0x03, 0x03, _) | (0x0F, 0x0F, _) => thirds(payload, 3, -3).map(Decoded::from),
        (0x04, 0x11, _) => thirds(payload, 3, 0).map(Decoded::from),
        _ => None,
    }
}

/// Decodes a volume in thirds of 10^`exponent` m³, with as many digits behind the point of one.
fn thirds(payload: &[u8], digits: u32, exponent: i32) -> Option<Vec<Record>> {
    let counts = Decimal::try_from_i128_with_scale(unsigned(payload.get(..4)?), 0).ok()?;
    let volume = shifted((counts / Decimal::from(3)).round_dp(digits), exponent)?;
    Some(vec![Record::current(
        "volume",
        Some(Value::Number(volume)),
        Unit::CubicMeter,
    )])
}

/// Decodes NA-1: access number, status, and a block of AES-128-CBC with the initialization vector of mode 5.
///
/// ```text
///  2F │ volume (4) │ seconds since 2000 (4) │ age and difference of an earlier volume (5) │ alarms │ earlier alarms
/// ```
///
/// The key is proved by the first byte and by the meter's clock, whose year must be 2010 to 2069.
fn na_1(context: &Context) -> Option<Decoded> {
    let (&[access_number, status], rest) = context.payload.split_first_chunk()?;
    let (block, _) = rest.split_first_chunk::<16>()?;
    let has_key = context.keys.find(context.meter, context.radio).is_some();
    let refused = Decoded {
        security: Some(undecrypted(NA_1, has_key)),
        ..Decoded::default()
    };
    let Some(Candidate { key, origin }) = candidate(context.keys, context.meter, context.radio) else {
        return Some(refused);
    };
    let mut plain = *block;
    cbc_decrypt(&key, &mode_5_iv(context.meter, access_number), &mut plain);
    let [
        mark,
        v1,
        v2,
        v3,
        v4,
        t1,
        t2,
        t3,
        t4,
        age,
        meta,
        d1,
        d2,
        d3,
        alarms,
        earlier_alarms,
    ] = plain;
    let clock = since_2000(u32::from_le_bytes([t1, t2, t3, t4]));
    let Some(clock) = clock.filter(|clock| mark == 0x2F && (2010..2070).contains(&clock.year())) else {
        return Some(refused);
    };
    let raw = u32::from_le_bytes([v1, v2, v3, v4]);
    // Litres times ten to this power.
    let exponent = (raw >> 4 & 3) as i32 - 3;
    let volume = i128::from(raw >> 8) * 16 + i128::from(raw & 0x0F);
    let difference = i128::from(u32::from_le_bytes([d1, d2, d3, 0])) * 4 + i128::from(meta & 3);
    let hours = i64::from(meta >> 2) * 256 + i64::from(age);
    let earlier = clock.checked_sub(hours.hours()).ok();
    let datetime = |storage, time: Option<DateTime>| Record {
        storage,
        ..Record::current(
            "datetime",
            time.map(|time| Value::Time(MeterTime::DateTime(time))),
            Unit::None,
        )
    };
    let mut records = vec![
        value("volume", 0, volume, exponent, Unit::CubicMeter),
        datetime(0, Some(clock)),
    ];
    if difference <= volume {
        records.push(value(
            "volume",
            1,
            volume - difference,
            exponent,
            Unit::CubicMeter,
        ));
        records.push(datetime(1, earlier));
        records.push(Record {
            storage: 1,
            ..value("age", 0, i128::from(hours) * 3600, 0, Unit::Second)
        });
    }
    records.push(flags("state", status.into(), &NA_1_STATE));
    records.push(flags("alarms", alarms.into(), &NA_1_ALARMS));
    records.push(Record {
        storage: 1,
        ..flags("alarms", earlier_alarms.into(), &NA_1_ALARMS)
    });
    Some(Decoded {
        records,
        security: Some(Security::Decrypted(NA_1, origin)),
    })
}

/// The byte in front of the encrypted block.
const NA_1_STATE: [(u32, &str); 8] = [
    (0x01, "summer_time"),
    (0x02, "historical_indication"),
    (0x04, "max_speed_exceeded"),
    (0x08, "device_access_error"),
    (0x10, "two_way_com_block"),
    (0x20, "install_frame"),
    (0x40, "wrong_temperature"),
    (0x80, "service_event"),
];

const NA_1_ALARMS: [(u32, &str); 8] = [
    (0x80, "minimum_flow"),
    (0x40, "maximum_flow"),
    (0x20, "reverse_flow"),
    (0x10, "measurement_unchanged"),
    (0x08, "leak"),
    (0x04, "device_disconnected"),
    (0x02, "magnetic_field"),
    (0x01, "battery_low"),
];

fn since_2000(seconds: u32) -> Option<DateTime> {
    civil_date(2000, 1, 1)
        .at(0, 0, 0, 0)
        .checked_add(i64::from(seconds).seconds())
        .ok()
}

/// Bytes of the payload of E-ITN.
const ALLOCATOR: usize = 15;

/// Decodes E-ITN.
///
/// ```text
///  beginning of the season (1) │ ? (2) │ units of the last season (2) │ date on which the seal was broken (2)
///  │ units (2) │ date (2) │ temperatures (2, 2)
/// ```
///
/// The date of the seal is 0 while it is whole. Of the season's beginning only day and month are sent.
fn allocator(bytes: &[u8]) -> Option<Vec<Record>> {
    let bytes: &[u8; ALLOCATOR] = bytes.first_chunk()?;
    let [_, _, _, before @ .., t1, t2, t3, t4] = bytes;
    let [b1, b2, s1, s2, n1, n2, d1, d2] = before;
    let day = |quantity, low: u8, high: u8| {
        let day = u16::from_le_bytes([low, high]);
        let year = 2000 + (day >> 9 & 0x1F);
        date(quantity, 0, year, (day >> 5 & 0x0F) as u8, (day & 0x1F) as u8)
    };
    let is_broken = [*s1, *s2] != [0, 0];
    let temperature = |low: u8, high: u8| {
        shifted(
            Decimal::from(u16::from_le_bytes([low, high])) / Decimal::from(256),
            0,
        )
    };
    let degrees = |qualifier: &'static str, low, high| Record {
        qualifiers: vec![qualifier.into()],
        ..Record::current(
            "room_temperature",
            temperature(low, high).map(Value::Number),
            Unit::Celsius,
        )
    };
    let mut records = vec![
        value("heat_cost_units", 0, unsigned(&[*n1, *n2]), 0, Unit::None),
        value("heat_cost_units", 1, unsigned(&[*b1, *b2]), 0, Unit::None),
        day("date", *d1, *d2),
        degrees("average_before", *t1, *t2),
        degrees("average", *t3, *t4),
        flags("alarms", is_broken.into(), &[(1, "seal_broken")]),
    ];
    if is_broken {
        records.push(day("seal_broken_date", *s1, *s2));
    }
    Some(records)
}

/// Decodes 162: a byte 0F or 80 behind the fillers, seven bytes, then tags with values, of which 10 is the volume in litres.
///
/// A tag of unknown length ends the search: whatever follows cannot be found.
fn tags(payload: &[u8]) -> Option<Vec<Record>> {
    let begin = payload.iter().position(|byte| *byte != 0x2F)?;
    let (0x0F | 0x80, tail) = payload.get(begin..)?.split_first()? else {
        return None;
    };
    let mut rest = tail.get(7..)?;
    while let [tag, values @ ..] = rest {
        let len = tag_len(*tag)?;
        if *tag == 0x10 {
            let litres = unsigned(values.get(..4)?);
            return Some(vec![value("volume", 0, litres, -3, Unit::CubicMeter)]);
        }
        rest = values.get(len..)?;
    }
    None
}

/// Returns the bytes of the value of a tag.
fn tag_len(tag: u8) -> Option<usize> {
    Some(match tag {
        // Filler.
        0xFF => 0,
        0xA2 | 0xA5 | 0xA9 | 0xAF => 1,
        0x11 | 0x41 | 0x43 | 0xA7 | 0xA8 | 0xAA..=0xAD | 0xB4 => 2,
        0x01 | 0x44 | 0xA6 | 0xB6..=0xBF | 0xC0..=0xC7 | 0xD0 | 0xD3 => 3,
        0x00 | 0x10 | 0x42 | 0xA0 | 0xA1 | 0xA4 | 0xF0 => 4,
        0xB0 => 5,
        0x40 | 0x8B | 0x8C => 6,
        0x8E | 0xA3 => 7,
        0xB1 | 0xB3 => 8,
        0x8A => 9,
        0x80..=0x84 | 0x86 | 0x87 => 10,
        0x85 | 0x88 | 0x8F => 11,
        0xB2 | 0xB5 => 16,
        // History of n months and the current one.
        0x71..=0x7C => 1 + 4 * (usize::from(tag & 0x0F) + 1),
        _ => return None,
    })
}
