//! Extensions of value information fields (EN 13757-3, tables 15 and 16): what they make of a value.
//!
//! A value keeps the plain name of its quantity only if every extension is known to leave its meaning as it is. Any other
//! becomes part of the name, so that a limit, a duration or a correction is never taken for the value itself.

use super::profile::Order;
use super::vif::{Encoding, Meaning, duration};
use crate::unit::Unit;
use std::borrow::Cow;

/// Extension bit.
const EXTENSION: u8 = 0x80;
/// Extension after which everything is specific to the manufacturer.
const MANUFACTURER: u8 = 0x7F;

/// Value information: what a value means.
pub struct Information {
    pub meaning: Meaning,
    pub qualifiers: Vec<Cow<'static, str>>,
    /// Extensions that are not understood.
    pub modifiers: Vec<u8>,
    /// The data are a profile, with values in this order.
    pub profile: Option<Order>,
    /// The meter says that the value is missing or wrong.
    pub is_invalid: bool,
}

impl Information {
    /// Returns the information of a field without extensions.
    pub fn of(meaning: Meaning) -> Self {
        Information {
            meaning,
            qualifiers: Vec::new(),
            modifiers: Vec::new(),
            profile: None,
            is_invalid: false,
        }
    }

    /// Applies combinable extensions and those behind FC.
    pub fn extend(&mut self, mut extensions: impl Iterator<Item = u8>) {
        while let Some(vife) = extensions.next() {
            match vife & !EXTENSION {
                // Everything behind FF belongs to the manufacturer. By custom, 1 to 3 are the phases of electricity meters.
                MANUFACTURER => {
                    let rest: Vec<u8> = extensions.by_ref().collect();
                    let is_electric = is_electric(&self.meaning.unit);
                    if let Some(first) = rest.first() {
                        let phase = of_fc(*first).filter(|_| is_electric && matches!(first, 1..=3));
                        self.qualifiers
                            .push(phase.map_or_else(|| format!("ff{first:02x}").into(), Cow::Borrowed));
                    }
                    self.modifiers.push(vife);
                    self.modifiers.extend(rest);
                }
                // FC: the next extension is from a table of its own.
                0x7C if vife & EXTENSION != 0 => {
                    let next = extensions.next().unwrap_or_default();
                    match of_fc(next & !EXTENSION) {
                        Some(name) => self.qualifiers.push(name.into()),
                        None => self.unknown(&[vife, next]),
                    }
                }
                known => self.combine(known, vife),
            }
        }
    }

    fn combine(&mut self, known: u8, vife: u8) {
        match known {
            // No error; the ordinary register of positive contributions; content as the standard says.
            0x00 | 0x1D | 0x3B => {}
            // Errors: too many or unknown fields, no data, overflow, underflow, wrong data, premature end.
            0x01..=0x0C | 0x15..=0x18 | 0x1C => self.is_invalid = true,
            0x12 => self.qualifiers.push("average".into()),
            0x13 => self.profile = Some(Order::Backwards),
            0x1E => self.profile = Some(Order::Forwards),
            0x1F => self.profile = Some(Order::LastFirst),
            // Rates, such as litres per pulse of an input.
            0x20..=0x38 => self.qualifiers.push(PER[usize::from(known - 0x20)].into()),
            0x39 => self.qualify_date("start_date"),
            0x3A => self.qualifiers.push("uncorrected".into()),
            0x3C => self.qualifiers.push("negative".into()),
            0x3E => self.qualifiers.push("at_base_conditions".into()),
            0x40 => self.qualifiers.push("lower_limit".into()),
            0x48 => self.qualifiers.push("upper_limit".into()),
            0x41 | 0x49 => self.count(if known == 0x41 {
                "below_limit"
            } else {
                "above_limit"
            }),
            // Date of a limit's crossing, or of the value itself.
            0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E | 0x6F => {
                self.qualify_date("date");
            }
            0x50..=0x57 => self.last(known, "below_limit_duration"),
            0x58..=0x5F => self.last(known, "above_limit_duration"),
            0x60..=0x67 => self.last(known, "duration"),
            0x68 => self.qualifiers.push("below_limit".into()),
            0x6C => self.qualifiers.push("above_limit".into()),
            0x69 => self.qualifiers.push("leakage".into()),
            0x6D => self.qualifiers.push("overflow".into()),
            correction @ 0x70..=0x77 => self.meaning.exponent += i32::from(correction & 7) - 6,
            // A number to be added to the value, in its unit.
            correction @ 0x78..=0x7B => {
                self.meaning.exponent += i32::from(correction & 3) - 3;
                self.qualifiers.push("correction".into());
            }
            0x7D => self.meaning.exponent += 3,
            0x7E => self.qualifiers.push("future".into()),
            _ => self.unknown(&[vife]),
        }
    }

    /// Names a value by extensions that are not understood: whatever it is, it is not the plain value.
    fn unknown(&mut self, extensions: &[u8]) {
        let name: String = extensions.iter().map(|vife| format!("{vife:02x}")).collect();
        self.qualifiers.push(format!("vife_{name}").into());
        self.modifiers.extend(extensions);
    }

    /// The value is a number of times.
    fn count(&mut self, qualifier: &'static str) {
        self.qualifiers.push(qualifier.into());
        self.qualifiers.push("count".into());
        (self.meaning.unit, self.meaning.exponent, self.meaning.factor) = (Unit::None, 0, 1);
    }

    /// The value is the time for which something has lasted.
    fn last(&mut self, vife: u8, qualifier: &'static str) {
        self.qualifiers.push(qualifier.into());
        self.meaning = duration(self.meaning.quantity, vife);
    }

    fn qualify_date(&mut self, qualifier: &'static str) {
        self.qualifiers.push(qualifier.into());
        self.meaning.encoding = Encoding::Time;
        self.meaning.unit = Unit::None;
    }
}

/// Qualifiers of the extensions 20 to 38.
const PER: [&str; 25] = [
    "per_second",
    "per_minute",
    "per_hour",
    "per_day",
    "per_week",
    "per_month",
    "per_year",
    "per_revolution",
    "per_input_pulse",
    "per_input_pulse",
    "per_output_pulse",
    "per_output_pulse",
    "per_liter",
    "per_m3",
    "per_kg",
    "per_kelvin",
    "per_kwh",
    "per_gj",
    "per_kw",
    "per_kelvin_liter",
    "per_volt",
    "per_ampere",
    "times_second",
    "times_second_per_volt",
    "times_second_per_ampere",
];

/// Returns true for units that an electricity meter alone has.
fn is_electric(unit: &Unit) -> bool {
    matches!(
        unit,
        Unit::Wh | Unit::W | Unit::Varh | Unit::Var | Unit::VAh | Unit::VA | Unit::V | Unit::A
    )
}

/// Returns the phase or quadrant of an extension behind FC.
fn of_fc(extension: u8) -> Option<&'static str> {
    Some(match extension {
        1 => "l1",
        2 => "l2",
        3 => "l3",
        4 => "n",
        5 => "l1_l2",
        6 => "l2_l3",
        7 => "l3_l1",
        8 => "q1",
        9 => "q2",
        0x0A => "q3",
        0x0B => "q4",
        0x0C => "net",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::mbus::{Record, records};

    fn read(bytes: &[u8]) -> Record {
        let mut found = Vec::new();
        records(bytes, &mut found).unwrap();
        found.remove(0)
    }

    fn shown(record: &Record) -> String {
        let value = record
            .value
            .as_ref()
            .map_or_else(String::new, |value| serde_json::to_string(value).unwrap());
        format!("{} {value} {}", record.qualifiers.join("_"), record.unit)
    }

    #[test]
    fn given_an_extension_then_the_value_is_named_by_what_it_is() {
        for (vife, expected) in [
            (0x12, "average 0.005 m3"),
            (0x1D, " 0.005 m3"),
            (0x30, "per_kwh 0.005 m3"),
            (0x3E, "at_base_conditions 0.005 m3"),
            (0x41, "below_limit_count 5 "),
            (0x49, "above_limit_count 5 "),
            (0x5A, "above_limit_duration 18000 s"),
            (0x65, "duration 300 s"),
            (0x69, "leakage 0.005 m3"),
            (0x7A, "correction 0.0005 m3"),
            (0x7E, "future 0.005 m3"),
            (0x3D, "vife_3d 0.005 m3"),
        ] {
            assert_eq!(shown(&read(&[0x02, 0x93, vife, 5, 0])), expected, "{vife:02X}");
        }
        assert_eq!(
            shown(&read(&[0x02, 0x93, 0xFC, 0x50, 5, 0])),
            "vife_fc50 0.005 m3"
        );
        assert_eq!(shown(&read(&[0x02, 0x83, 0xFC, 0x08, 5, 0])), "q1 5 Wh");
    }

    #[test]
    fn given_an_extension_that_says_that_there_is_no_value_then_there_is_none() {
        for vife in [0x15, 0x16, 0x17, 0x18, 0x04] {
            assert_eq!(read(&[0x02, 0x93, vife, 5, 0]).value, None, "{vife:02X}");
        }
        assert!(read(&[0x02, 0x93, 0x00, 5, 0]).value.is_some());
    }

    #[test]
    fn error_flags_are_bits_and_never_negative() {
        let record = read(&[0x02, 0xFD, 0x17, 0xFF, 0xFF]);
        assert_eq!(shown(&record), " 65535 ");
    }
}
