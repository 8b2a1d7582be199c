//! COSEM date-time: twelve octets (DLMS UA 1000-1, 4.1.6.1).
//!
//! ```text
//!  year (2) │ month │ day │ weekday │ hour │ minute │ second │ hundredths │ deviation (2) │ status
//! ```
//!
//! The deviation is UTC minus local time in minutes; 8000 hex means that it is not specified.

use crate::time::{MeterTime, Zone};
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Octet of a part that is not specified.
const NOT_SPECIFIED: u8 = 0xFF;

/// Decodes a date-time; the rules of `zone` apply where the deviation is not specified. Returns `None` for a time that
/// does not exist or is not specified.
pub fn date_time(octets: &[u8], zone: &Zone) -> Option<MeterTime> {
    let [y1, y2, month, day, _, hour, minute, second, _, d1, d2, _] = *octets else {
        return None;
    };
    let part = |octet: u8| i8::try_from(octet).ok();
    // Some meters do not specify the second.
    let second = if second == NOT_SPECIFIED { 0 } else { second };
    let local = DateTime::new(
        i16::from_be_bytes([y1, y2]),
        part(month)?,
        part(day)?,
        part(hour)?,
        part(minute)?,
        part(second)?,
        0,
    )
    .ok()?;
    match i16::from_be_bytes([d1, d2]) {
        i16::MIN => MeterTime::in_zone(local, zone),
        deviation => {
            let offset = Offset::from_seconds(-60 * i32::from(deviation)).ok()?;
            MeterTime::from_local(local, offset)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER;

    #[test]
    fn the_deviation_or_the_zone_gives_the_offset() {
        let time = |hex: &str| {
            let octets = HEXUPPER.decode(hex.as_bytes()).unwrap();
            date_time(&octets, &Zone::default()).map(|time| time.to_string())
        };
        for (hex, printed) in [
            ("07E5091B01092F0F00FF8880", "2021-09-27T09:47:15+02:00"),
            ("07E3020401173416FF800000", "2019-02-04T23:52:22+01:00"),
            ("07E507050E0C0F2DFF8000FF", "2021-07-05T12:15:45+02:00"),
            ("07E507050E0C0FFFFF8000FF", "2021-07-05T12:15:00+02:00"),
        ] {
            assert_eq!(time(hex).unwrap(), printed);
        }
        for none in ["FFFFFFFFFFFFFFFFFF800000", "07E50D0101000000FF800000", "07E5", ""] {
            assert_eq!(time(none), None, "{none}");
        }
    }
}
