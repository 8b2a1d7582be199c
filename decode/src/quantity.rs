//! Numbers with their printed precision, and their units.

use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A decimal number as it was printed, without needless zeros in front: `000123.450` is `123.450`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(String);

impl Decimal {
    /// Reads digits with at most one point, perhaps negative. Nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(part) || digits.len() > 40 {
            return None;
        }
        let shown = digits.trim_start_matches('0');
        let zero = if shown.is_empty() || shown.starts_with('.') {
            "0"
        } else {
            ""
        };
        Some(Decimal(format!("{sign}{zero}{shown}")))
    }
}

impl Decimal {
    /// As a floating-point number, for sums and comparisons.
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// A thousandth of it: the point moves by three places, and no digit is lost.
    pub fn thousandth(&self) -> Self {
        let (sign, digits) = match self.0.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", &*self.0),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = format!("{whole:0>4}");
        let (thousands, rest) = whole.split_at(whole.len() - 3);
        Decimal(format!("{sign}{thousands}.{rest}{part}"))
    }
}

impl Decimal {
    /// `number` times ten to the `exponent`: digits are neither lost nor made up behind the point.
    pub fn scaled(number: i128, exponent: i8) -> Self {
        let sign = if number < 0 { "-" } else { "" };
        let digits = number.unsigned_abs().to_string();
        if exponent >= 0 {
            let zeros = if number == 0 {
                0
            } else {
                usize::from(exponent.unsigned_abs())
            };
            return Decimal(format!("{sign}{digits}{}", "0".repeat(zeros)));
        }
        let part = usize::from(exponent.unsigned_abs());
        let digits = format!("{digits:0>width$}", width = part + 1);
        let (whole, part) = digits.split_at(digits.len() - part);
        Decimal(format!("{sign}{whole}.{part}"))
    }
}

impl Serialize for Decimal {
    /// As a JSON number with all its digits.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let raw = serde_json::value::RawValue::from_string(self.0.clone()).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A number and its unit. Some meters count in Wh, W, var or dm3: those come in the thousandfold unit of the
/// others, with all their digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantity {
    /// The number.
    pub value: Decimal,
    /// As the meter writes it, in the customary case.
    pub unit: Cow<'static, str>,
}

impl Quantity {
    /// `123456.789*kWh`; a number alone gets `unit`.
    pub fn parse(text: &str, unit: &str) -> Option<Self> {
        let (number, written) = text.split_once('*').unwrap_or((text, unit));
        Some(Self::new(Decimal::parse(number.trim())?, written.trim()))
    }

    /// A number and its unit, which may become the thousandfold one.
    pub fn new(value: Decimal, unit: &str) -> Self {
        let unit = customary(unit);
        let thousandfold = match &*unit {
            "Wh" => "kWh",
            "W" => "kW",
            "varh" => "kvarh",
            "var" => "kvar",
            "VAh" => "kVAh",
            "VA" => "kVA",
            "dm3" => "m3",
            "MJ" => "GJ",
            _ => return Quantity { value, unit },
        };
        Quantity {
            value: value.thousandth(),
            unit: thousandfold.into(),
        }
    }
}

/// Makers do not agree on capital letters; the SI does.
fn customary(unit: &str) -> Cow<'static, str> {
    const UNITS: [&str; 19] = [
        "kWh", "Wh", "kW", "W", "kvarh", "varh", "kvar", "var", "kVAh", "VAh", "kVA", "VA", "V", "A", "Hz",
        "m3", "dm3", "GJ", "MJ",
    ];
    let known = UNITS.iter().find(|known| known.eq_ignore_ascii_case(unit));
    known.map_or_else(|| unit.to_owned().into(), |known| (*known).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (text, json) in [
            ("000123.450", "123.450"),
            ("00.000", "0.000"),
            ("0", "0"),
            ("-1.5", "-1.5"),
            ("001", "1"),
        ] {
            assert_eq!(
                serde_json::to_string(&Decimal::parse(text).unwrap()).unwrap(),
                json
            );
        }
        assert_eq!(Decimal::scaled(-5, -3).0, "-0.005");
        assert_eq!(Decimal::scaled(12, 2).0, "1200");
        assert_eq!(Decimal::scaled(0, 2).0, "0");
        for wrong in ["", ".", "1.", ".5", "1e5", "+1", "1.2.3", "--1", "NaN"] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_the_number_that_was_printed(whole in 0u64..1_000_000, part in 0u32..1000, digits in 1usize..4) {
            let part = format!("{part:03}")[..digits].to_owned();
            let decimal = Decimal::parse(&format!("{whole:09}.{part}")).unwrap();
            prop_assert_eq!(&decimal.0, &format!("{whole}.{part}"));
            let thousandth = format!("{}.{:03}{part}", whole / 1000, whole % 1000);
            prop_assert_eq!(decimal.thousandth().0, thousandth);
            let places = i8::try_from(digits).unwrap();
            let all = i128::from(whole) * 10i128.pow(digits as u32) + part.parse::<i128>().unwrap();
            prop_assert_eq!(Decimal::scaled(all, -places), decimal);
        }

        #[test]
        fn no_text_panics(any in ".{0,40}") {
            let _ = (Decimal::parse(&any), Quantity::parse(&any, ""));
        }
    }
}
