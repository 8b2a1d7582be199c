//! Decoder of records: for each value its quantity, unit, tariff and storage (EN 13757-3, 6).
//!
//! ```text
//!  DIF │ DIFE … │ VIF │ VIFE … │ data
//!
//!  DIF    7: extension follows   6: storage, lowest bit   5–4: function   3–0: format of the data
//!  DIFE   7: extension follows   6: subunit               5–4: tariff     3–0: storage
//! ```

use super::profile::{Base, Profile};
use super::types::{Function, MAX_EXTENSIONS, MAX_RECORDS, Record, RecordError, Value};
use super::value::{bcd, float, reversed_text, scaled, signed, time, unsigned};
use super::vif::{self, Encoding, Meaning};
use super::vife::Information;
use crate::unit::Unit;
use data_encoding::HEXUPPER;
use std::ops::Range;

/// Extension bit of DIF, DIFE, VIF and VIFE.
const EXTENSION: u8 = 0x80;
/// VIF of a unit in plain text.
const PLAIN_TEXT: u8 = 0x7C;
/// VIF after which everything is specific to the manufacturer.
const MANUFACTURER: u8 = 0x7F;

/// Decodes records to the end of the data and appends them to `found`; returns true if more records follow in another
/// frame.
///
/// # Errors
/// The first malformed record, after all records before it have been appended.
pub fn records(bytes: &[u8], found: &mut Vec<Record>) -> Result<bool, RecordError> {
    walk(bytes, |record, _| found.push(record))
}

/// Position of a record in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpan {
    /// DIF, DIFE, VIF and VIFE.
    pub header: Range<usize>,
    /// Value, with the length byte of variable data.
    pub data: Range<usize>,
}

/// Decodes records as [`records`] does, and passes each on with its position. A profile gives several records with one
/// position.
///
/// # Errors
/// The first malformed record, after all records before it have been passed on.
pub fn walk(bytes: &[u8], mut found: impl FnMut(Record, RecordSpan)) -> Result<bool, RecordError> {
    let mut reader = Reader { bytes, at: 0 };
    let mut count = 0;
    let mut before = Vec::new();
    while reader.at < bytes.len() {
        if count >= MAX_RECORDS {
            return Err(RecordError::TooMany(reader.at));
        }
        let start = reader.at;
        match reader.byte()? {
            // Idle filler.
            0x2F => {}
            // Data of the manufacturer up to the end; 1F: more records follow in the next frame.
            dif @ (0x0F | 0x1F) => {
                let rest = &bytes[reader.at..];
                if !rest.is_empty() {
                    let value = Value::Text(HEXUPPER.encode(rest));
                    let record = Record {
                        function: Function::ManufacturerSpecific,
                        ..Record::current("manufacturer_specific", Some(value), Unit::None)
                    };
                    let span = RecordSpan {
                        header: start..reader.at,
                        data: reader.at..bytes.len(),
                    };
                    found(record, span);
                }
                return Ok(dif == 0x1F);
            }
            // 3F to 6F are reserved, 7F is a request to a meter.
            dif if dif & 0x8F == 0x0F => return Err(RecordError::Reserved { at: start, dif }),
            dif => {
                let (record, header_end, profile) = reader.record(dif)?;
                let span = RecordSpan {
                    header: start..header_end,
                    data: header_end..reader.at,
                };
                let profile =
                    profile.and_then(|profile| profile.records(&record, &bytes[span.data.clone()], &before));
                before.extend(Base::of(&record));
                for record in profile.unwrap_or_else(|| vec![record]) {
                    count += 1;
                    found(record, span.clone());
                }
            }
        }
    }
    Ok(false)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let taken = self.bytes[self.at..]
            .get(..count)
            .ok_or(RecordError::Truncated(self.bytes.len()))?;
        self.at += count;
        Ok(taken)
    }

    /// Reads the extensions that follow the field `first`.
    fn extensions(&mut self, first: u8) -> Result<Vec<u8>, RecordError> {
        let mut extensions = Vec::new();
        let mut last = first;
        while last & EXTENSION != 0 {
            if extensions.len() == MAX_EXTENSIONS {
                return Err(RecordError::Extensions(self.at));
            }
            last = self.byte()?;
            extensions.push(last);
        }
        Ok(extensions)
    }

    /// Reads the record whose first byte was `dif`; returns it with the end of its header and the profile that it is.
    fn record(&mut self, dif: u8) -> Result<(Record, usize, Option<Profile>), RecordError> {
        let mut storage = u64::from(dif >> 6 & 1);
        let (mut tariff, mut subunit) = (0, 0);
        // Lowest bits first. Ten extensions fill 41 bits of storage, 20 of tariff and 10 of subunit.
        for (i, dife) in self.extensions(dif)?.into_iter().enumerate() {
            storage |= u64::from(dife & 0x0F) << (1 + 4 * i);
            tariff |= u32::from(dife >> 4 & 3) << (2 * i);
            subunit |= u32::from(dife >> 6 & 1) << i;
        }
        let Information {
            meaning,
            qualifiers,
            modifiers,
            profile,
            is_invalid,
        } = self.meaning()?;
        let header_end = self.at;
        let value = self.value(dif & 0x0F, &meaning)?.filter(|_| !is_invalid);
        let profile = profile.map(|order| Profile {
            meaning: meaning.clone(),
            order,
        });
        let record = Record {
            function: match dif >> 4 & 3 {
                0 => Function::Instantaneous,
                1 => Function::Maximum,
                2 => Function::Minimum,
                _ => Function::Error,
            },
            storage,
            tariff,
            subunit,
            qualifiers,
            modifiers: modifiers.iter().map(|vife| format!("{vife:02X}")).collect(),
            ..Record::current(meaning.quantity, value, meaning.unit)
        };
        Ok((record, header_end, profile))
    }

    /// Reads the value information.
    fn meaning(&mut self) -> Result<Information, RecordError> {
        let vif = self.byte()?;
        // A unit in plain text stands between VIF and VIFE, last letter first.
        let plain_text = match vif & !EXTENSION {
            PLAIN_TEXT => {
                let len = self.byte()?;
                Some(reversed_text(self.take(len.into())?))
            }
            _ => None,
        };
        let mut extensions = self.extensions(vif)?.into_iter();
        let mut meaning = match vif {
            // Tables of their own for the byte behind FB and FD, which always have an extension bit.
            0xFB => vif::extended_fb(extensions.next().unwrap_or_default() & !EXTENSION),
            0xFD => vif::extended_fd(extensions.next().unwrap_or_default() & !EXTENSION),
            _ => vif::primary(vif & !EXTENSION),
        };
        if let Some(text) = plain_text {
            meaning.unit = Unit::from_text(&text);
        }
        let mut information = Information::of(meaning);
        if vif & !EXTENSION == MANUFACTURER {
            information.modifiers.extend(extensions);
        } else {
            information.extend(extensions);
        }
        Ok(information)
    }

    /// Reads the data of a record, whose format is the low nibble of its DIF; `None` if there are none or they are invalid.
    fn value(&mut self, format: u8, meaning: &Meaning) -> Result<Option<Value>, RecordError> {
        let len = match format {
            // No data; selection for readout.
            0 | 8 => return Ok(None),
            1..=4 => usize::from(format),
            5 => 4,
            6 => 6,
            7 => 8,
            9..=0xB => usize::from(format - 8),
            0xC => 4,
            0xE => 6,
            _ => return self.variable(meaning),
        };
        let bytes = self.take(len)?;
        if meaning.encoding == Encoding::Time {
            return Ok(time(bytes).map(Value::Time));
        }
        let number = match format {
            5 => return Ok(float(bytes, meaning)),
            9..=0xE => bcd(bytes),
            // The lowest number of a type stands for a value that the meter does not have (EN 13757-3, annex A, type B).
            _ if !meaning.unit.is_none() && is_invalid(bytes) => None,
            _ if vif::is_unsigned(meaning.quantity) => Some(unsigned(bytes)),
            _ => Some(signed(bytes)),
        };
        Ok(number.map(|number| scaled(number, meaning)))
    }

    /// Reads variable data: a byte (LVAR) that states both format and length, and the data.
    fn variable(&mut self, meaning: &Meaning) -> Result<Option<Value>, RecordError> {
        let at = self.at;
        let length = self.byte()?;
        Ok(match length {
            0..=0xBF => {
                let text = reversed_text(self.take(length.into())?);
                Some(Value::Text(text.trim_matches(['\0', ' ']).to_owned()))
            }
            // Positive and negative BCD numbers.
            0xC0..=0xC9 => bcd(self.take((length - 0xC0).into())?).map(|number| scaled(number, meaning)),
            0xD0..=0xD9 => bcd(self.take((length - 0xD0).into())?).map(|number| scaled(-number, meaning)),
            // Binary numbers.
            0xE0..=0xF6 => {
                let len = match length {
                    0xE0..=0xEF => length - 0xE0,
                    0xF0..=0xF4 => 4 * (length - 0xEC),
                    0xF5 => 48,
                    _ => 64,
                };
                let bytes = self.take(len.into())?;
                match bytes.len() {
                    0..=8 => Some(scaled(signed(bytes), meaning)),
                    _ => {
                        let highest_first: Vec<u8> = bytes.iter().rev().copied().collect();
                        Some(Value::Text(HEXUPPER.encode(&highest_first)))
                    }
                }
            }
            _ => return Err(RecordError::Length { at, length }),
        })
    }
}

/// Returns true for the lowest two's complement number of two bytes or more; in one byte, it may be a temperature.
fn is_invalid(bytes: &[u8]) -> bool {
    matches!(bytes.split_last(), Some((0x80, rest)) if !rest.is_empty() && rest.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER_PERMISSIVE;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXUPPER_PERMISSIVE
            .decode(hex.replace(' ', "").as_bytes())
            .unwrap()
    }

    fn read(hex: &str) -> Result<Vec<Record>, RecordError> {
        let mut found = Vec::new();
        records(&bytes(hex), &mut found).map(|_| found)
    }

    /// Quantity, value as JSON, and unit of the first record.
    fn decoded(hex: &str) -> (&'static str, String, String) {
        let record = read(hex).unwrap().remove(0);
        let value = record
            .value
            .map_or_else(String::new, |value| serde_json::to_string(&value).unwrap());
        (record.quantity, value, record.unit.to_string())
    }

    #[test]
    fn every_format_of_data_is_read() {
        for (text, quantity, value, unit) in [
            ("04 06 9B0F0000", "energy", "3995000", "Wh"),
            ("0C 13 78563412", "volume", "12345.678", "m3"),
            ("0A 5A 4805", "flow_temperature", "54.8", "°C"),
            ("02 5E F6FF", "return_temperature", "-1.0", "°C"),
            ("0A 5A 48F5", "flow_temperature", "-54.8", "°C"),
            ("05 2B 0000C03F", "power", "1.5", "W"),
            ("05 FD48 9A196643", "voltage", "23.01", "V"),
            ("02 6C 5F1C", "date", "\"2010-12-31\"", ""),
            ("04 6D 1A2F6511", "datetime", "\"2011-01-05T15:26:00\"", ""),
            ("0D FD0B 06 353332445652", "parameter_set", "\"RVD235\"", ""),
            ("0D 78 C3 123456", "fabrication_number", "563412", ""),
            ("02 26 0100", "operating_time", "3600", "s"),
            ("02 FD48 0109", "voltage", "230.5", "V"),
            ("84 00 FB 01 01000000", "energy", "1000000", "Wh"),
            ("04 86 7D 01000000", "energy", "1000000", "Wh"),
            ("02 7C 03 726C77 0500", "user_defined", "5", "wlr"),
            ("01 FD6F 0C", "battery_time", "12", "a"),
            ("01 FD29 0C", "storage_interval", "12", "a"),
            ("01 FF01 0C", "manufacturer_specific", "12", ""),
        ] {
            assert_eq!(decoded(text), (quantity, value.into(), unit.into()), "{text}");
        }
        assert_eq!(decoded("0C 13 EEEEEEEE").1, "", "no value");
        assert_eq!(decoded("07 06 0000000000000080").1, "", "no value");
        assert_eq!(decoded("02 FD17 0080").1, "32768", "flags");
        assert_eq!(decoded("05 2B 0000C07F").1, "", "no number");
        let tiny = format!("04 86 {} 70 01000000", "F0".repeat(9));
        assert_eq!(decoded(&tiny).1, "\"1e-57\"", "beyond the range of a decimal");
    }

    #[test]
    fn storage_tariff_and_subunit_are_assembled_from_all_extensions() {
        let record = read("D4 53 10 06 00000000").unwrap_err();
        assert_eq!(record, RecordError::Truncated(8));
        let record = read("C4 93 41 06 00000000").unwrap().remove(0);
        assert_eq!(
            (record.storage, record.tariff, record.subunit),
            (1 | 3 << 1 | 1 << 5, 1, 2)
        );
        assert_eq!(read("14 06 00000000").unwrap()[0].function, Function::Maximum);
    }

    #[test]
    fn extensions_qualify_a_value_or_make_it_a_date() {
        for (text, qualifiers, value) in [
            ("04 83 3C 01000000", &["negative"][..], "1"),
            ("02 FDC9 FC 01 E600", &["l1"], "230"),
            ("02 FDD9 FF 03 0100", &["l3"], "0.001"),
            ("02 FDC9 FF 05 9001", &["ff05"], "400"),
            ("01 90 28 0B", &["per_input_pulse"], "0.000011"),
            ("02 AB 48 0100", &["upper_limit"], "1"),
            ("12 AB 6E 5F1C", &["date"], "\"2010-12-31\""),
            ("04 83 3B 01000000", &[], "1"),
        ] {
            let record = read(text).unwrap().remove(0);
            assert_eq!(record.qualifiers, qualifiers, "{text}");
            assert_eq!(serde_json::to_string(&record.value).unwrap(), value, "{text}");
        }
        assert_eq!(read("6F 00"), Err(RecordError::Reserved { at: 0, dif: 0x6F }));
    }

    #[test]
    fn malformed_records_are_refused_after_those_before_them() {
        let mut found = Vec::new();
        assert_eq!(
            records(&bytes("0413153100000B"), &mut found),
            Err(RecordError::Truncated(7))
        );
        assert_eq!(found.len(), 1);
        let many = format!("84{}0437180200", "84".repeat(11));
        assert!(matches!(read(&many), Err(RecordError::Extensions(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = records(&bytes, &mut Vec::new());
        }
    }
}
