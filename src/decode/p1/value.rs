//! Values as they stand in brackets: numbers with their printed precision, times, texts in hex.

use crate::decode::hex::octets;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};

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
    pub unit: String,
}

impl Quantity {
    /// `123456.789*kWh`; a number alone gets `unit`.
    pub fn parse(text: &str, unit: &str) -> Option<Self> {
        let (number, written) = text.split_once('*').unwrap_or((text, unit));
        let value = Decimal::parse(number.trim())?;
        let unit = customary(written.trim());
        let thousandfold = match &*unit {
            "Wh" => "kWh",
            "W" => "kW",
            "varh" => "kvarh",
            "var" => "kvar",
            "VAh" => "kVAh",
            "VA" => "kVA",
            "dm3" => "m3",
            "MJ" => "GJ",
            _ => return Some(Quantity { value, unit }),
        };
        Some(Quantity {
            value: value.thousandth(),
            unit: thousandfold.into(),
        })
    }
}

/// Makers do not agree on capital letters; the SI does.
fn customary(unit: &str) -> String {
    const UNITS: [&str; 19] = [
        "kWh", "Wh", "kW", "W", "kvarh", "varh", "kvar", "var", "kVAh", "VAh", "kVA", "VA", "V", "A", "Hz",
        "m3", "dm3", "GJ", "MJ",
    ];
    let known = UNITS.iter().find(|known| known.eq_ignore_ascii_case(unit));
    known.map_or_else(|| unit.to_owned(), |known| (*known).to_owned())
}

/// Where a meter stands: its clock shows local time.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Winter time against UTC.
    standard: Offset,
    /// For times that do not say whether they are summer or winter.
    rules: Option<TimeZone>,
}

impl Default for Zone {
    /// Central Europe.
    fn default() -> Self {
        Zone {
            standard: Offset::constant(1),
            rules: TimeZone::get("Europe/Amsterdam").ok(),
        }
    }
}

/// A time of a meter, as RFC 3339 with its offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Stamp(pub String);

impl Stamp {
    /// `YYMMDDhhmmssX`, X = S(ummer) or W(inter), or without X where the rules of the zone decide. Nothing where
    /// there is no such time: meters send `632525252525S`.
    pub fn parse(text: &str, zone: &Zone) -> Option<Self> {
        let digits = text.get(..12)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let two = |at: usize| digits[at..at + 2].parse::<i8>().ok();
        let local = DateTime::new(
            2000 + i16::from(two(0)?),
            two(2)?,
            two(4)?,
            two(6)?,
            two(8)?,
            two(10)?,
            0,
        )
        .ok()?;
        let offset = match &text[12..] {
            // The letter settles the hour that occurs twice; rules would not.
            "S" => Offset::from_seconds(zone.standard.seconds() + 3600).ok()?,
            "W" => zone.standard,
            "" => match &zone.rules {
                Some(rules) => rules
                    .to_ambiguous_timestamp(local)
                    .compatible()
                    .ok()
                    .map(|at| rules.to_offset(at))?,
                None => zone.standard,
            },
            _ => return None,
        };
        let hours = offset.seconds() / 3600;
        let minutes = offset.seconds().abs() / 60 % 60;
        Some(Stamp(format!("{local}{hours:+03}:{minutes:02}")))
    }
}

/// Hex of readable text as that text; everything else as it stands.
pub fn text(group: &str) -> String {
    let is_readable = |byte: &u8| (0x20..0x7F).contains(byte) || *byte >= 0xA0;
    match octets(group) {
        Some(bytes) if bytes.iter().all(is_readable) => bytes.into_iter().map(char::from).collect(),
        _ => group.to_owned(),
    }
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
        for wrong in ["", ".", "1.", ".5", "1e5", "+1", "1.2.3", "--1", "NaN"] {
            assert_eq!(Decimal::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_letter_settles_the_hour_that_occurs_twice() {
        let stamp = |text| Stamp::parse(text, &Zone::default()).map(|stamp| stamp.0);
        assert_eq!(stamp("251026023000S").unwrap(), "2025-10-26T02:30:00+02:00");
        assert_eq!(stamp("251026023000W").unwrap(), "2025-10-26T02:30:00+01:00");
        assert_eq!(stamp("120517020000").unwrap(), "2012-05-17T02:00:00+02:00");
        for wrong in [
            "632525252525S",
            "101209113020X",
            "1012091130",
            "10120911302éW",
            "",
        ] {
            assert_eq!(stamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_are_read_where_they_are_hex_of_letters() {
        assert_eq!(text("4B384547"), "K8EG");
        assert_eq!(text("serienummer"), "serienummer");
        assert_eq!(text("012"), "012");
        assert_eq!(text(""), "");
        assert_eq!(text("0001"), "0001", "not readable");
    }

    proptest! {
        #[test]
        fn a_number_is_the_number_that_was_printed(whole in 0u64..1_000_000, part in 0u32..1000, digits in 1usize..4) {
            let part = format!("{part:03}")[..digits].to_owned();
            let decimal = Decimal::parse(&format!("{whole:09}.{part}")).unwrap();
            prop_assert_eq!(&decimal.0, &format!("{whole}.{part}"));
            let thousandth = format!("{}.{:03}{part}", whole / 1000, whole % 1000);
            prop_assert_eq!(decimal.thousandth().0, thousandth);
        }

        #[test]
        fn no_text_panics(any in ".{0,40}") {
            let _ = (Decimal::parse(&any), Quantity::parse(&any, ""), Stamp::parse(&any, &Zone::default()), text(&any));
        }
    }
}
