//! Numbers and times as M-Bus meters write them, lowest octet first.

use super::record::Value;
use super::vif::Meaning;
use crate::quantity::Decimal;

/// A number in the unit of its meaning.
pub fn scaled(number: i128, meaning: Meaning) -> Value {
    Value::Number(Decimal::scaled(
        number * i128::from(meaning.factor),
        meaning.exponent,
    ))
}

/// Lowest octet first.
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

/// Decimal digits, lowest octet first; F in front says "negative". Nothing where another digit is none: meters say
/// so that they know no value.
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

pub fn float(bytes: &[u8], meaning: Meaning) -> Option<Value> {
    let number = f32::from_le_bytes(bytes.try_into().ok()?);
    let number = f64::from(number) * f64::from(meaning.factor) * 10f64.powi(meaning.exponent.into());
    // As many digits as a float has; no number where there is none.
    Decimal::parse(&format!("{number:.6}")).map(Value::Number)
}

/// Types F (32 bits), G (16), I (48) and J (24) of EN 13757-3, annex A. Nothing where there is no such time.
pub fn time(bytes: &[u8]) -> Option<String> {
    let day = |low: u8, high: u8| {
        let year = i16::from(low >> 5) | i16::from(high >> 4) << 3;
        // Years of one century: 81 and later belong to the last one.
        let year = if year > 80 { 1900 + year } else { 2000 + year };
        jiff::civil::Date::new(year, (high & 0x0F) as i8, (low & 0x1F) as i8).ok()
    };
    let clock = |second: u8, minute: u8, hour: u8| {
        jiff::civil::Time::new(hour as i8, minute as i8, second as i8, 0).ok()
    };
    match *bytes {
        [low, high] => Some(day(low, high)?.to_string()),
        [second, minute, hour] => Some(clock(second & 0x3F, minute & 0x3F, hour & 0x1F)?.to_string()),
        [minute, hour, low, high] if minute & 0x80 == 0 => {
            let time = clock(0, minute & 0x3F, hour & 0x1F)?;
            Some(day(low, high)?.to_datetime(time).to_string())
        }
        [second, minute, hour, low, high, _] if minute & 0x80 == 0 => {
            let time = clock(second & 0x3F, minute & 0x3F, hour & 0x1F)?;
            Some(day(low, high)?.to_datetime(time).to_string())
        }
        _ => None,
    }
}
