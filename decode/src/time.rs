//! Times of a meter's clock, which shows local time.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Years that a clock which was set can show. No meter of these protocols is older, and none will be in use later.
const SET_YEARS: std::ops::Range<i16> = 2005..2070;

/// Time zone of a meter: turns the local time of its clock into an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Offset of standard ("winter") time from UTC.
    standard: Offset,
    /// Rules for times that do not say whether they are standard or summer time.
    rules: Option<TimeZone>,
}

/// Error for a name that the time zone database does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: expected a name such as Europe/Amsterdam")]
pub struct ZoneError(String);

impl FromStr for Zone {
    type Err = ZoneError;

    /// Looks up an IANA name such as `Europe/Amsterdam`.
    fn from_str(name: &str) -> Result<Self, ZoneError> {
        let rules = TimeZone::get(name).map_err(|_| ZoneError(name.into()))?;
        // The smaller offset of a winter and a summer day. The database's own flag will not do: Dublin calls its summer
        // time the standard one.
        let offsets = [1, 7].map(|month| {
            let noon = date(2026, month, 1).at(12, 0, 0, 0);
            rules
                .to_ambiguous_timestamp(noon)
                .compatible()
                .map(|at| rules.to_offset(at))
        });
        let standard = offsets.into_iter().flatten().min();
        Ok(Zone {
            standard: standard.ok_or_else(|| ZoneError(name.into()))?,
            rules: Some(rules),
        })
    }
}

impl Default for Zone {
    /// Returns Central European time.
    fn default() -> Self {
        "Europe/Amsterdam".parse().unwrap_or(Zone {
            standard: Offset::constant(1),
            rules: None,
        })
    }
}

/// Time of a meter, printed in the forms of ISO 8601 and RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterTime {
    /// Instant, and the offset of the meter's clock: `2025-10-26T02:30:00+02:00`.
    Zoned {
        /// Instant.
        at: Timestamp,
        /// Offset of local time from UTC.
        offset: Offset,
    },
    /// Instant of the receiving computer's clock, to the millisecond: `2025-10-26T00:30:00.000Z`.
    Utc(Timestamp),
    /// Local date and time of a meter that does not send its offset: `2025-10-26T02:30:00`.
    DateTime(DateTime),
    /// Date: `2025-10-26`.
    Date(Date),
    /// Time of day: `02:30:00`.
    Time(Time),
}

impl MeterTime {
    /// Parses a time stamp of P1, `YYMMDDhhmmss` and a letter: S for summer time, W for winter time. A year of four digits and
    /// separators are accepted, too: NES meters send `20240111 09:35:00`.
    ///
    /// Without a letter, the rules of `zone` decide. Returns `None` for a time that does not exist; meters without a set
    /// clock send `632525252525S`.
    pub fn from_p1(text: &str, zone: &Zone) -> Option<Self> {
        let (stamp, letter) = match text.strip_suffix(['S', 'W']) {
            Some(stamp) => (stamp, &text[stamp.len()..]),
            None => (text, ""),
        };
        let digits = stamp_digits(stamp)?;
        let (century, rest) = match digits.len() {
            12 => (20, &digits[..]),
            14 => (pair(&digits, 0)?, &digits[2..]),
            _ => return None,
        };
        let year = 100 * i16::from(century) + i16::from(pair(rest, 0)?);
        let part = |at| pair(rest, at);
        let local = DateTime::new(year, part(2)?, part(4)?, part(6)?, part(8)?, part(10)?, 0).ok()?;
        // In the hour that occurs twice, only the letter tells which one it is.
        match letter {
            "S" => Self::from_local(local, Offset::from_seconds(zone.standard.seconds() + 3600).ok()?),
            "W" => Self::from_local(local, zone.standard),
            _ => Self::in_zone(local, zone),
        }
    }

    /// Returns true if the clock was set: meters that never were, or that lost their time, count from the beginning of 2000
    /// or of 1970, which two digits print as 2070.
    pub fn is_set(&self) -> bool {
        let year = match self {
            MeterTime::Zoned { at, offset } => offset.to_datetime(*at).year(),
            MeterTime::Utc(at) => Offset::UTC.to_datetime(*at).year(),
            MeterTime::DateTime(local) => local.year(),
            MeterTime::Date(date) => date.year(),
            MeterTime::Time(_) => return true,
        };
        SET_YEARS.contains(&year)
    }

    /// Returns a local time with a known offset; `None` beyond the range of [`Timestamp`].
    pub fn from_local(local: DateTime, offset: Offset) -> Option<Self> {
        let at = offset.to_timestamp(local).ok()?;
        Some(MeterTime::Zoned { at, offset })
    }

    /// Returns a local time whose offset follows from the rules of `zone`: in the hour that occurs twice, the first.
    pub fn in_zone(local: DateTime, zone: &Zone) -> Option<Self> {
        let offset = match &zone.rules {
            Some(rules) => {
                let at = rules.to_ambiguous_timestamp(local).compatible().ok()?;
                rules.to_offset(at)
            }
            None => zone.standard,
        };
        Self::from_local(local, offset)
    }

    /// Returns the instant, if the offset is known.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            MeterTime::Zoned { at, .. } | MeterTime::Utc(at) => Some(*at),
            MeterTime::DateTime(_) | MeterTime::Date(_) | MeterTime::Time(_) => None,
        }
    }
}

/// Returns the digits of a stamp whose separators are those of dates and times; `None` if it has any other character.
fn stamp_digits(stamp: &str) -> Option<String> {
    let is_stamp =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'/' | b'.' | b':' | b'T');
    let digits = || stamp.chars().filter(char::is_ascii_digit).collect();
    stamp.bytes().all(is_stamp).then(digits)
}

/// Returns the number that the two digits at `at` print.
fn pair(digits: &str, at: usize) -> Option<i8> {
    digits.get(at..at + 2)?.parse().ok()
}

impl fmt::Display for MeterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MeterTime::Zoned { at, offset } => {
                let sign = if offset.is_negative() { '-' } else { '+' };
                let minutes = offset.seconds().abs() / 60;
                let local = offset.to_datetime(*at);
                write!(f, "{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            MeterTime::Utc(at) => write!(f, "{at:.3}"),
            MeterTime::DateTime(local) => write!(f, "{local}"),
            MeterTime::Date(date) => write!(f, "{date}"),
            MeterTime::Time(time) => write!(f, "{time}"),
        }
    }
}

impl Serialize for MeterTime {
    /// Serializes the printed form.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_letter_settles_the_hour_that_occurs_twice() {
        let time = |text| MeterTime::from_p1(text, &Zone::default()).map(|time| time.to_string());
        assert_eq!(time("251026023000S").unwrap(), "2025-10-26T02:30:00+02:00");
        assert_eq!(time("251026023000W").unwrap(), "2025-10-26T02:30:00+01:00");
        assert_eq!(time("120517020000").unwrap(), "2012-05-17T02:00:00+02:00");
        for wrong in [
            "632525252525S",
            "101209113020X",
            "1012091130",
            "10120911302éW",
            "",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_year_of_four_digits_and_separators_are_read() {
        let time = |text| MeterTime::from_p1(text, &Zone::default()).map(|time| time.to_string());
        assert_eq!(time("20240111 09:35:00").unwrap(), "2024-01-11T09:35:00+01:00");
        assert_eq!(time("24-07-11 09:35:00").unwrap(), "2024-07-11T09:35:00+02:00");
        for wrong in [
            "20240111 09:35",
            "2024;01;11 09:35:00",
            "20241311 09:35:00",
            "240111093500w",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clock_at_its_beginning_was_never_set() {
        let is_set = |text| MeterTime::from_p1(text, &Zone::default()).unwrap().is_set();
        for (text, expected) in [
            ("000101010000W", false),
            ("000103120000W", false),
            ("700101010000W", false),
            ("101209113020W", true),
            ("260115120000W", true),
        ] {
            assert_eq!(is_set(text), expected, "{text}");
        }
    }

    #[test]
    fn the_zone_says_what_winter_is() {
        let time = |zone: &str, text| {
            let zone = zone.parse().unwrap();
            MeterTime::from_p1(text, &zone).unwrap().to_string()
        };
        for (zone, text, printed) in [
            ("Europe/Dublin", "260115120000W", "2026-01-15T12:00:00+00:00"),
            ("Europe/Dublin", "260715120000S", "2026-07-15T12:00:00+01:00"),
            ("Europe/Helsinki", "260115120000", "2026-01-15T12:00:00+02:00"),
            ("America/St_Johns", "260115120000W", "2026-01-15T12:00:00-03:30"),
        ] {
            assert_eq!(time(zone, text), printed);
        }
        let error = "Europe/Amsterdma".parse::<Zone>().unwrap_err().to_string();
        assert!(error.contains("`Europe/Amsterdma`"), "{error}");
    }

    #[test]
    fn every_kind_of_time_is_printed_in_its_form() {
        let at: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        assert_eq!(MeterTime::Utc(at).to_string(), "2026-01-15T12:00:00.000Z");
        let local = date(2026, 1, 15).at(12, 0, 0, 0);
        assert_eq!(MeterTime::DateTime(local).to_string(), "2026-01-15T12:00:00");
        assert_eq!(MeterTime::Date(local.date()).to_string(), "2026-01-15");
        assert_eq!(MeterTime::Time(local.time()).to_string(), "12:00:00");
        let zoned = MeterTime::from_local(local, Offset::constant(-5)).unwrap();
        assert_eq!(zoned.timestamp(), Some("2026-01-15T17:00:00Z".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_printed_time_is_the_same_instant(second in 946_684_800i64..4_102_444_800, hours in -12i8..=14) {
            let at = Timestamp::from_second(second).unwrap();
            let time = MeterTime::Zoned { at, offset: Offset::constant(hours) };
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), at);
        }

        #[test]
        fn no_text_panics(any in ".{0,40}") {
            let _ = MeterTime::from_p1(&any, &Zone::default());
        }
    }
}
