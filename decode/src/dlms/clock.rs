//! COSEM's date with time: twelve octets.
//!
//! ```text
//!  year (2) │ month │ day │ weekday │ hour │ minute │ second │ hundredths │ deviation (2) │ status
//! ```
//!
//! The deviation is UTC minus local time, in minutes; 0x8000 says that it is not told.

use crate::stamp::{Stamp, Zone};
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The time that `octets` tell; nothing where they tell none, or one that does not exist.
pub fn clock(octets: &[u8], zone: &Zone) -> Option<Stamp> {
    let [y1, y2, month, day, _, hour, minute, second, _, d1, d2, _] = *octets else {
        return None;
    };
    let small = |octet: u8| i8::try_from(octet).ok();
    // Some meters leave the second open.
    let second = if second == 0xFF { 0 } else { small(second)? };
    let local = DateTime::new(
        i16::from_be_bytes([y1, y2]),
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        second,
        0,
    )
    .ok()?;
    match i16::from_be_bytes([d1, d2]) {
        i16::MIN => Stamp::local(local, zone),
        deviation => {
            let offset = Offset::from_seconds(-60 * i32::from(deviation)).ok()?;
            Some(Stamp::at(local, offset))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;

    #[test]
    fn the_deviation_or_the_zone_gives_the_offset() {
        let clock = |hex| clock(&octets(hex).unwrap(), &Zone::default()).map(|stamp| stamp.0);
        assert_eq!(
            clock("07E5091B01092F0F00FF8880").unwrap(),
            "2021-09-27T09:47:15+02:00"
        );
        assert_eq!(
            clock("07E3020401173416FF800000").unwrap(),
            "2019-02-04T23:52:22+01:00"
        );
        assert_eq!(
            clock("07E507050E0C0F2DFF8000FF").unwrap(),
            "2021-07-05T12:15:45+02:00"
        );
        for none in ["FFFFFFFFFFFFFFFFFF800000", "07E50D0101000000FF800000", "07E5", ""] {
            assert_eq!(clock(none), None, "{none}");
        }
    }
}
