//! Numbers with the precision that the meter sent, and their units.

use crate::unit::Unit;
pub use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use std::fmt::Display;

/// Longest number that is parsed, in characters. A [`Decimal`] holds 28 digits; meters pad with zeros in front.
const MAX_CHARACTERS: usize = 40;

/// Parses digits with at most one decimal point and an optional minus sign.
///
/// Zeros behind the point are kept, zeros in front are not: `000123.450` is 123.450. Returns `None` for any other
/// notation (`+1`, `.5`, `1e3`), and for a number that a [`Decimal`] cannot hold exactly.
pub fn parse_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || text.len() > MAX_CHARACTERS {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

/// Returns the decimal that a binary floating-point number prints as.
///
/// Rust prints the shortest digits that identify the number, so an `f32` register of 230.1 gives 230.1 rather than
/// 230.10000610351562. Returns `None` for NaN, infinities and numbers that a [`Decimal`] cannot hold exactly.
pub fn from_float(number: impl Display) -> Option<Decimal> {
    parse_decimal(&number.to_string())
}

/// Returns `number` · 10^`exponent` with exactly its digits; `None` if a [`Decimal`] cannot hold it.
pub fn scaled(number: i128, exponent: i32) -> Option<Decimal> {
    shifted(Decimal::try_from_i128_with_scale(number, 0).ok()?, exponent)
}

/// Moves the decimal point of `number` by `exponent` places to the right without adding or losing a digit; `None` if a
/// [`Decimal`] cannot hold the result.
pub fn shifted(mut number: Decimal, exponent: i32) -> Option<Decimal> {
    let places = i64::from(number.scale()) - i64::from(exponent);
    if let Ok(places) = u32::try_from(places) {
        number.set_scale(places).ok()?;
        return Some(number);
    }
    number.set_scale(0).ok()?;
    if number.is_zero() {
        return Some(number);
    }
    let zeros = u32::try_from(places.unsigned_abs()).ok()?;
    let power = Decimal::try_from_i128_with_scale(10i128.checked_pow(zeros)?, 0).ok()?;
    number.checked_mul(power)
}

/// Returns the floating-point number nearest to `number`.
pub fn to_f64(number: &Decimal) -> f64 {
    // Decimal's own conversion divides, and may miss the nearest number by one place.
    number.to_string().parse().unwrap_or(f64::NAN)
}

/// Serializes a [`Decimal`] as a JSON number with all its digits, trailing zeros included.
///
/// # Errors
/// If the serializer fails.
pub fn serialize_decimal<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error;
    let raw = serde_json::value::RawValue::from_string(number.to_string()).map_err(S::Error::custom)?;
    raw.serialize(serializer)
}

/// A number and its unit.
///
/// Readings report energy and power in kWh and kW, volume in m3, voltage and current in V and A, whichever of these the meter
/// counts in: [`new`](Quantity::new) converts Wh, W, var, dm3, kV and the like without losing a digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantity {
    /// Value in [`unit`](Quantity::unit), with the digits that the meter sent.
    #[serde(serialize_with = "serialize_decimal")]
    pub value: Decimal,
    /// Unit of the value.
    pub unit: Unit,
}

impl Quantity {
    /// Returns a quantity in the unit in which readings report it.
    pub fn new(value: Decimal, unit: Unit) -> Self {
        let smaller = unit.reported_thousandth().zip(shifted(value, 3));
        match unit.thousandfold().zip(shifted(value, -3)).or(smaller) {
            Some((unit, value)) => Quantity { value, unit },
            None => Quantity { value, unit },
        }
    }

    /// Parses a value of a P1 telegram, `123456.789*kWh`; a number alone gets `default_unit`. Some meters leave out the star.
    pub fn from_p1(text: &str, default_unit: &Unit) -> Option<Self> {
        let (value, unit) = Self::as_sent(text, default_unit)?;
        Some(Self::new(value, unit))
    }

    /// Parses a value of a P1 telegram and leaves it in its unit.
    pub(crate) fn as_sent(text: &str, default_unit: &Unit) -> Option<(Decimal, Unit)> {
        if let Some((number, unit)) = text.split_once('*') {
            return Some((parse_decimal(number.trim())?, Unit::from_p1(unit)));
        }
        let text = text.trim();
        let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '-'));
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let number_value = parse_decimal(number)?;
        if unit.is_empty() {
            return Some((number_value, default_unit.clone()));
        }
        // Twelve digits and a W are a time stamp, and other text behind a number is no unit.
        let unit = Unit::from_p1(unit);
        let is_stamp = number.len() == 12 && !number.contains('.');
        let is_unit = !is_stamp && !matches!(unit, Unit::Other(_) | Unit::None);
        is_unit.then_some((number_value, unit))
    }

    /// Returns the value as the nearest floating-point number.
    pub fn to_f64(&self) -> f64 {
        to_f64(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(number: Decimal) -> String {
        let quantity = Quantity {
            value: number,
            unit: Unit::None,
        };
        let json = serde_json::to_string(&quantity).unwrap();
        json.strip_prefix("{\"value\":")
            .unwrap()
            .strip_suffix(",\"unit\":\"\"}")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (text, printed) in [
            ("000123.450", "123.450"),
            ("00.000", "0.000"),
            ("0", "0"),
            ("-1.5", "-1.5"),
            ("001", "1"),
            ("7922816251426433759354395033.5", "7922816251426433759354395033.5"),
            ("0000000000000000000000000000000000012.50", "12.50"),
        ] {
            assert_eq!(json(parse_decimal(text).unwrap()), printed);
        }
        for wrong in ["", ".", "1.", ".5", "1e5", "+1", "1.2.3", "--1", "NaN", "1_000"] {
            assert_eq!(parse_decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn powers_of_ten_move_the_point() {
        for (number, exponent, printed) in [
            (-5, -3, "-0.005"),
            (12, 2, "1200"),
            (0, 2, "0"),
            (0, -2, "0.00"),
            (7, 27, "7000000000000000000000000000"),
        ] {
            assert_eq!(json(scaled(number, exponent).unwrap()), printed);
        }
        let number = parse_decimal("1.50").unwrap();
        assert_eq!(json(shifted(number, 1).unwrap()), "15.0");
        assert_eq!(json(shifted(number, 3).unwrap()), "1500");
        assert_eq!(json(shifted(number, -2).unwrap()), "0.0150");
    }

    #[test]
    fn given_a_number_of_more_than_28_digits_then_there_is_none_instead_of_a_rounded_one() {
        assert_eq!(parse_decimal("79228162514264337593543950336"), None);
        assert_eq!(parse_decimal("0.00000000000000000000000000001"), None);
        assert_eq!(scaled(1, -29), None);
        assert_eq!(scaled(1, 29), None);
        assert_eq!(scaled(i128::MAX, 0), None);
        assert_eq!(shifted(Decimal::ONE, i32::MIN), None);
        assert_eq!(shifted(Decimal::ONE, i32::MAX), None);
    }

    #[test]
    fn floats_have_the_shortest_digits_that_tell_them_apart() {
        assert_eq!(json(from_float(230.1f32).unwrap()), "230.1");
        assert_eq!(json(from_float(-0.05f64).unwrap()), "-0.05");
        assert_eq!(json(from_float(1e10f32).unwrap()), "10000000000");
        for none in [f32::NAN, f32::INFINITY, 1e38, 1e-40] {
            assert_eq!(from_float(none), None, "{none}");
        }
    }

    #[test]
    fn given_a_thousandfold_unit_that_has_no_room_then_the_unit_is_kept() {
        let smallest = scaled(1, -28).unwrap();
        let quantity = Quantity::new(smallest, Unit::Wh);
        assert_eq!((quantity.value, quantity.unit), (smallest, Unit::Wh));
    }

    #[test]
    fn values_are_read_with_and_without_a_star_in_the_unit_of_readings() {
        let read = |text| Quantity::from_p1(text, &Unit::KWh).map(|read| (read.value.to_string(), read.unit));
        for (text, value, unit) in [
            ("000123.450*kWh", "123.450", Unit::KWh),
            ("000123.450kWh", "123.450", Unit::KWh),
            ("000123.450 kWh", "123.450", Unit::KWh),
            ("000123.450", "123.450", Unit::KWh),
            ("0000.242*kV", "242", Unit::V),
            ("0000.005*kA", "5", Unit::A),
            ("0000.049*kHz", "49", Unit::Hz),
            ("00058.418*m³", "58.418", Unit::CubicMeter),
        ] {
            assert_eq!(read(text), Some((value.into(), unit)), "{text}");
        }
        for none in ["101209113020W", "12 apples", "kWh", "*kWh"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_the_number_that_was_printed(whole in 0u64..1_000_000, part in 0u32..1000, digits in 1usize..4) {
            let part = format!("{part:03}")[..digits].to_owned();
            let decimal = parse_decimal(&format!("{whole:09}.{part}")).unwrap();
            prop_assert_eq!(json(decimal), format!("{whole}.{part}"));
            let thousandth = format!("{}.{:03}{part}", whole / 1000, whole % 1000);
            prop_assert_eq!(json(shifted(decimal, -3).unwrap()), thousandth);
            let places = i32::try_from(digits).unwrap();
            let all = i128::from(whole) * 10i128.pow(digits as u32) + part.parse::<i128>().unwrap();
            prop_assert_eq!(scaled(all, -places), Some(decimal));
        }

        #[test]
        fn the_digits_of_an_f32_give_that_f32_back(bits in any::<u32>()) {
            let number = f32::from_bits(bits);
            if let Some(decimal) = from_float(number) {
                prop_assert_eq!(json(decimal).parse::<f32>().unwrap(), number);
            }
        }

        #[test]
        fn a_shift_and_its_opposite_give_the_number_back(mantissa in any::<i64>(), scale in 0u32..10, by in -18i32..9) {
            let number = Decimal::try_from_i128_with_scale(mantissa.into(), scale).unwrap();
            let there = shifted(number, by).unwrap();
            prop_assert_eq!(shifted(there, -by).unwrap(), number);
        }

        #[test]
        fn no_text_panics(any in ".{0,50}") {
            let _ = (parse_decimal(&any), Quantity::from_p1(&any, &Unit::None));
        }
    }
}
