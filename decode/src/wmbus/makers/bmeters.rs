//! BMeters: Hydrodigit behind ordinary records, and RFM-TX1.

use super::payload::{Context, Decoded, date, flags, two_digits, unsigned, value};
use crate::mbus::{Record, Value};
use crate::time::MeterTime;
use crate::unit::Unit;
use crate::wmbus::security::{KeyOrigin, Scheme, Security};
use jiff::civil::Date;

const RFM_TX1: Scheme = Scheme::Manufacturer("BMeters RFM-TX1");

/// Decodes the tail of Hydrodigit, whose first byte says what follows.
///
/// ```text
///  contents │ 0: battery │ 1: kind of fraud, date (3) │ 7: date of a leak (3) │ 2: backflow (4) │ 4: volumes at the ends of months (12 × 3)
/// ```
pub(super) fn tail(context: &Context, tail: &[u8]) -> Option<Vec<Record>> {
    if !matches!(context.meter.version, 0x13 | 0x15 | 0x17) {
        return None;
    }
    let (&contents, mut rest) = tail.split_first()?;
    let mut take = |bit: u8, len: usize| {
        if contents & 1 << bit == 0 {
            return None;
        }
        let (taken, others) = rest.split_at_checked(len)?;
        rest = others;
        Some(taken)
    };
    let mut records = vec![flags("contents", contents.into(), &CONTENTS)];
    if let Some(&[level]) = take(0, 1) {
        let tenths = BATTERY[usize::from(level & 0x0F)];
        records.push(value("battery_voltage", 0, tenths, -2, Unit::V));
    }
    if let Some(&[kind, year, month, day]) = take(1, 4) {
        records.push(flags("fraud", kind.into(), &FRAUD));
        records.extend(bcd_date("fraud_date", year, month & 0x0F, day));
    }
    if let Some(&[year, month, day]) = take(7, 3) {
        records.extend(bcd_date("leak_date", year, month, day));
    }
    if let Some(litres) = take(2, 4) {
        let backflow = value("volume", 0, unsigned(litres), -3, Unit::CubicMeter);
        records.push(Record {
            qualifiers: vec!["negative".into()],
            ..backflow
        });
    }
    if let Some(months) = take(4, 36) {
        for (month, volume) in MONTHS.into_iter().zip(months.chunks_exact(3)) {
            // FF FF FF: the module was not there yet.
            if volume != [0xFF; 3] {
                records.push(Record {
                    qualifiers: vec![month.into()],
                    ..value("volume", 0, unsigned(volume), -2, Unit::CubicMeter)
                });
            }
        }
    }
    Some(records)
}

fn bcd_date(quantity: &'static str, year: u8, month: u8, day: u8) -> Option<Record> {
    Some(date(
        quantity,
        0,
        2000 + u16::from(two_digits(year)?),
        two_digits(month)?,
        two_digits(day)?,
    ))
}

const CONTENTS: [(u32, &str); 5] = [
    (0x01, "battery_voltage"),
    (0x02, "fraud_date"),
    (0x04, "backflow"),
    (0x10, "monthly_data"),
    (0x80, "leak_date"),
];

const FRAUD: [(u32, &str); 3] = [
    (0x80, "magnetic_fraud_attempt"),
    (0x40, "sensor_fraud_attempt"),
    (0x20, "module_removed"),
];

/// Voltages of the battery's 16 levels, in hundredths of a volt.
const BATTERY: [i128; 16] = [
    370, 190, 210, 220, 230, 240, 250, 265, 280, 290, 305, 320, 335, 350, 370, 370,
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Decodes RFM-TX1, whose volume is hidden with a byte of the header and a table.
///
/// ```text
///  ? (2) │ volume (4, hidden) │ ? (7) │ second, minute, hour, day, month, year (BCD) │ …
/// ```
pub(super) fn payload(context: &Context) -> Option<Decoded> {
    // Mode 16: the manufacturer's own.
    if context.meter.version != 5 || context.tpl.mode() != 0x10 {
        return None;
    }
    let key = context.tpl.access_number?;
    let hidden: &[u8; 4] = context.payload.get(2..)?.first_chunk()?;
    let row = TABLE[usize::from(key & 0x0F)];
    let mut litres = 0;
    for (byte, mask) in hidden.iter().zip(row).rev() {
        litres = 100 * litres + i128::from(two_digits(byte ^ key ^ mask)?);
    }
    let mut records = vec![value("volume", 0, litres, -3, Unit::CubicMeter)];
    if let Some(clock) = context.payload.get(13..19) {
        let digits: Option<Vec<i8>> = clock
            .iter()
            .map(|byte| two_digits(*byte).map(|digits| digits as i8))
            .collect();
        if let Some([second, minute, hour, day, month, year]) = digits.as_deref() {
            let date = Date::new(2000 + i16::from(*year), *month, *day).ok();
            let time = date.and_then(|date| {
                let time = jiff::civil::Time::new(*hour, *minute, *second, 0).ok()?;
                Some(Value::Time(MeterTime::DateTime(date.to_datetime(time))))
            });
            records.push(Record::current("datetime", time, Unit::None));
        }
    }
    // Anybody can undo it: that is no more than plain text.
    Some(Decoded {
        records,
        security: Some(Security::Decrypted(RFM_TX1, KeyOrigin::Default("BMeters' table"))),
    })
}

/// Masks of the four bytes of the volume, by the low nibble of the access number.
const TABLE: [[u8; 4]; 16] = [
    [122, 16, 26, 10],
    [112, 19, 34, 19],
    [185, 11, 142, 153],
    [121, 7, 74, 22],
    [7, 154, 203, 105],
    [50, 161, 57, 14],
    [156, 126, 96, 153],
    [180, 196, 128, 163],
    [10, 206, 25, 3],
    [240, 5, 165, 134],
    [22, 152, 17, 94],
    [12, 201, 125, 162],
    [74, 72, 228, 31],
    [119, 46, 138, 232],
    [189, 120, 87, 140],
    [57, 111, 40, 5],
];
