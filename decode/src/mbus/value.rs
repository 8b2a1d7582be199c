//! Data of M-Bus records: numbers and times, lowest byte first (EN 13757-3, annex A and B).

use super::types::Value;
use super::vif::Meaning;
use crate::quantity::{self, Decimal};
use crate::time::MeterTime;
use jiff::civil::{Date, Time};

/// Returns a number in the unit of its meaning.
pub fn scaled(number: i128, meaning: &Meaning) -> Value {
    let number = number * i128::from(meaning.factor);
    match quantity::scaled(number, meaning.exponent) {
        Some(number) => Value::Number(number),
        // Corrections can add up to powers of ten that no decimal holds.
        None => Value::Text(format!("{number}e{}", meaning.exponent)),
    }
}

/// Decodes a two's complement number of at most eight bytes.
pub fn signed(bytes: &[u8]) -> i128 {
    let unsigned = bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | i128::from(*byte));
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    if is_negative {
        unsigned - (1 << (8 * bytes.len()))
    } else {
        unsigned
    }
}

/// Decodes decimal digits (type A), of which F in the highest place is a minus sign. Returns `None` for any other digit
/// above 9: meters send these for a value that they do not know.
pub fn bcd(bytes: &[u8]) -> Option<i128> {
    let digits = bytes.iter().rev().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let (mut number, mut sign) = (0, 1);
    for (i, digit) in digits.enumerate() {
        match digit {
            0..=9 => number = 10 * number + i128::from(digit),
            0xF if i == 0 => sign = -1,
            _ => return None,
        }
    }
    Some(sign * number)
}

/// Decodes a number of single precision (type H), in the unit of its meaning; `None` for NaN and infinities.
pub fn float(bytes: &[u8], meaning: &Meaning) -> Option<Value> {
    let number = f32::from_le_bytes(bytes.try_into().ok()?);
    if !number.is_finite() {
        return None;
    }
    let scaled = quantity::from_float(number)
        .and_then(|number| number.checked_mul(Decimal::from(meaning.factor)))
        .and_then(|number| quantity::shifted(number, meaning.exponent));
    Some(match scaled {
        Some(number) => Value::Number(number),
        None if meaning.factor == 1 => Value::Text(format!("{number}e{}", meaning.exponent)),
        None => Value::Text(format!("{number}*{}e{}", meaning.factor, meaning.exponent)),
    })
}

/// Decodes Latin-1 text, which is sent last letter first.
pub fn reversed_text(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// Decodes times of types F (4 bytes), G (2), I (6) and J (3). Returns `None` for a time that does not exist or that the
/// meter marks as invalid.
pub fn time(bytes: &[u8]) -> Option<MeterTime> {
    let date = |low: u8, high: u8| {
        let year = i16::from(low >> 5) | i16::from(high >> 4) << 3;
        // Two digits: 81 to 99 are years of the twentieth century; 127 stands for every year.
        let year = match year {
            0..=80 => 2000 + year,
            81..=99 => 1900 + year,
            _ => return None,
        };
        Date::new(year, (high & 0x0F) as i8, (low & 0x1F) as i8).ok()
    };
    let clock = |second: u8, minute: u8, hour: u8| {
        Time::new(
            (hour & 0x1F) as i8,
            (minute & 0x3F) as i8,
            (second & 0x3F) as i8,
            0,
        )
        .ok()
    };
    // Bit 7 of the minute: the time is invalid.
    let date_time = |second, minute: u8, hour, low, high| {
        let time = clock(second, minute, hour).filter(|_| minute & 0x80 == 0)?;
        Some(MeterTime::DateTime(date(low, high)?.to_datetime(time)))
    };
    match *bytes {
        [low, high] => date(low, high).map(MeterTime::Date),
        [second, minute, hour] => clock(second, minute, hour).map(MeterTime::Time),
        [minute, hour, low, high] => date_time(0, minute, hour, low, high),
        [second, minute, hour, low, high, _] => date_time(second, minute, hour, low, high),
        _ => None,
    }
}

/// Returns the identification number as it is printed on the meter.
pub(crate) fn number([n1, n2, n3, n4]: [u8; 4]) -> String {
    format!("{n4:02X}{n3:02X}{n2:02X}{n1:02X}")
}
