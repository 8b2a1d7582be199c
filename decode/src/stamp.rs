//! Times of a meter's clock, which shows local time.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;
use std::str::FromStr;

/// Where a meter stands: its clock shows local time.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Winter time against UTC.
    standard: Offset,
    /// For times that do not say whether they are summer or winter.
    rules: Option<TimeZone>,
}

/// A name that no zone has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: write it as in Europe/Amsterdam")]
pub struct NoZone(String);

impl FromStr for Zone {
    type Err = NoZone;

    fn from_str(name: &str) -> Result<Self, NoZone> {
        let rules = TimeZone::get(name).map_err(|_| NoZone(name.into()))?;
        // The smaller offset of a winter and a summer day; Dublin calls its summer time the standard one.
        let offsets = [1, 7].map(|month| {
            let noon = date(2026, month, 1).at(12, 0, 0, 0);
            rules
                .to_ambiguous_timestamp(noon)
                .compatible()
                .map(|at| rules.to_offset(at))
        });
        let standard = offsets.into_iter().flatten().min();
        Ok(Zone {
            standard: standard.ok_or_else(|| NoZone(name.into()))?,
            rules: Some(rules),
        })
    }
}

impl Default for Zone {
    /// Central Europe.
    fn default() -> Self {
        "Europe/Amsterdam".parse().unwrap_or(Zone {
            standard: Offset::constant(1),
            rules: None,
        })
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
            "" => return Self::local(local, zone),
            _ => return None,
        };
        Some(Self::at(local, offset))
    }

    /// A local time that tells its offset.
    pub fn at(local: DateTime, offset: Offset) -> Self {
        let sign = if offset.seconds() < 0 { '-' } else { '+' };
        let minutes = offset.seconds().abs() / 60;
        Stamp(format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60))
    }

    /// A time of our own clock, to the millisecond.
    pub fn utc(time: Timestamp) -> Self {
        Stamp(format!("{time:.3}"))
    }

    /// A local time that does not; the rules of the zone decide.
    pub fn local(local: DateTime, zone: &Zone) -> Option<Self> {
        let offset = match &zone.rules {
            Some(rules) => {
                let at = rules.to_ambiguous_timestamp(local).compatible().ok()?;
                rules.to_offset(at)
            }
            None => zone.standard,
        };
        Some(Self::at(local, offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn the_zone_says_what_winter_is() {
        let stamp = |zone: &str, text| Stamp::parse(text, &zone.parse().unwrap()).unwrap().0;
        assert_eq!(
            stamp("Europe/Dublin", "260115120000W"),
            "2026-01-15T12:00:00+00:00"
        );
        assert_eq!(
            stamp("Europe/Dublin", "260715120000S"),
            "2026-07-15T12:00:00+01:00"
        );
        assert_eq!(
            stamp("Europe/Helsinki", "260115120000"),
            "2026-01-15T12:00:00+02:00"
        );
        assert_eq!(
            stamp("America/St_Johns", "260115120000W"),
            "2026-01-15T12:00:00-03:30"
        );
        let told = "Europe/Amsterdma".parse::<Zone>().unwrap_err().to_string();
        assert!(told.contains("`Europe/Amsterdma`"), "{told}");
    }

    proptest! {
        #[test]
        fn no_text_panics(any in ".{0,40}") {
            let _ = Stamp::parse(&any, &Zone::default());
        }
    }
}
