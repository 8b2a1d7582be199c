//! Records: what is measured, for which tariff and time, and how much (EN 13757-3, 6).
//!
//! ```text
//!  DIF │ DIFE … │ VIF │ VIFE … │ data
//!  DIF: more? │ storage, lowest bit │ function (2) │ kind of data (4)
//! DIFE: more? │ sub-unit │ tariff (2) │ storage (4)
//! ```

use super::value::{bcd, float, scaled, signed, time};
use super::vif::{self, Meaning};
use crate::hex::Hex;
use crate::quantity::Decimal;
use serde::Serialize;

/// Extensions of one field; the standard allows ten.
const MAX_EXTENSIONS: usize = 10;
/// Records of one message.
const MAX_RECORDS: usize = 256;
const MORE: u8 = 0x80;

/// Of what the value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// As it is.
    #[default]
    Instantaneous,
    /// The highest.
    Maximum,
    /// The lowest.
    Minimum,
    /// While something was wrong.
    Error,
    /// Only the maker knows.
    ManufacturerSpecific,
}

/// How data are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As their kind says.
    Number,
    /// As a date, or a date with time.
    Time,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(Decimal),
    /// Text, a time, or octets in hex.
    Text(String),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What is measured.
    pub quantity: String,
    /// How much; nothing where the record is empty or invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Normalised.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Of what.
    pub function: Function,
    /// 0: now; others are earlier ones.
    pub storage: u64,
    /// 0: all.
    pub tariff: u32,
    /// Part of the meter.
    pub subunit: u32,
    /// Extensions that say more, in hex.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<String>,
}

/// Data that are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// The data end within one.
    #[error("the data end at byte {0}, within a record")]
    Cut(usize),
    /// More than the standard allows.
    #[error("byte {0}: more than {MAX_EXTENSIONS} extensions")]
    Extensions(usize),
    /// More than any meter has.
    #[error("byte {0}: more than {MAX_RECORDS} records")]
    TooMany(usize),
    /// There is no such length of text.
    #[error("byte {at}: {length:02X} is no length of variable data")]
    Length {
        /// Where.
        at: usize,
        /// What stands there.
        length: u8,
    },
}

/// Reads records up to the end of the data; true where more of them follow in another frame.
///
/// # Errors
/// What is wrong, after the records before it have been told.
pub fn records(bytes: &[u8], found: &mut Vec<Record>) -> Result<bool, NoRecord> {
    let mut reader = Reader { bytes, at: 0 };
    while reader.at < bytes.len() {
        if found.len() >= MAX_RECORDS {
            return Err(NoRecord::TooMany(reader.at));
        }
        match reader.byte()? {
            // A filler.
            0x2F => {}
            dif @ (0x0F | 0x1F) => {
                let rest = &bytes[reader.at..];
                if !rest.is_empty() {
                    found.push(Record::manufacturer_specific(rest));
                }
                return Ok(dif == 0x1F);
            }
            dif => {
                let record = reader.record(dif)?;
                found.push(record);
            }
        }
    }
    Ok(false)
}

impl Record {
    fn manufacturer_specific(bytes: &[u8]) -> Self {
        Record {
            quantity: "manufacturer_specific".into(),
            value: Some(Value::Text(Hex(bytes).to_string())),
            unit: String::new(),
            function: Function::ManufacturerSpecific,
            storage: 0,
            tariff: 0,
            subunit: 0,
            modifiers: Vec::new(),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, NoRecord> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], NoRecord> {
        let taken = self.bytes[self.at..]
            .get(..count)
            .ok_or(NoRecord::Cut(self.bytes.len()))?;
        self.at += count;
        Ok(taken)
    }

    /// Extensions that follow `first`, if it says so.
    fn extensions(&mut self, first: u8) -> Result<Vec<u8>, NoRecord> {
        let mut extensions = Vec::new();
        let mut last = first;
        while last & MORE != 0 {
            if extensions.len() == MAX_EXTENSIONS {
                return Err(NoRecord::Extensions(self.at));
            }
            last = self.byte()?;
            extensions.push(last);
        }
        Ok(extensions)
    }

    fn record(&mut self, dif: u8) -> Result<Record, NoRecord> {
        let mut storage = u64::from(dif >> 6 & 1);
        let (mut tariff, mut subunit) = (0, 0);
        for (i, dife) in self.extensions(dif)?.into_iter().enumerate() {
            storage |= u64::from(dife & 0x0F) << (1 + 4 * i);
            tariff |= u32::from(dife >> 4 & 3) << (2 * i);
            subunit |= u32::from(dife >> 6 & 1) << i;
        }
        let (meaning, text, modifiers) = self.meaning()?;
        let value = self.value(dif & 0x0F, meaning)?;
        Ok(Record {
            quantity: meaning.quantity.into(),
            value,
            unit: text.unwrap_or_else(|| meaning.unit.into()),
            function: match dif >> 4 & 3 {
                0 => Function::Instantaneous,
                1 => Function::Maximum,
                2 => Function::Minimum,
                _ => Function::Error,
            },
            storage,
            tariff,
            subunit,
            modifiers: modifiers.iter().map(|vife| format!("{vife:02X}")).collect(),
        })
    }

    /// What the value information fields say; a unit in plain text; the extensions that were not understood.
    fn meaning(&mut self) -> Result<(Meaning, Option<String>, Vec<u8>), NoRecord> {
        let vif = self.byte()?;
        // The unit as text, last letter first, stands in front of the extensions.
        let text = match vif & !MORE {
            0x7C => {
                let len = self.byte()?;
                let letters = self.take(len.into())?;
                Some(letters.iter().rev().map(|letter| char::from(*letter)).collect())
            }
            _ => None,
        };
        let mut extensions = self.extensions(vif)?;
        let mut meaning = match vif {
            0xFB | 0xFD if !extensions.is_empty() => {
                let field = extensions.remove(0) & !MORE;
                if vif == 0xFB {
                    vif::first(field)
                } else {
                    vif::second(field)
                }
            }
            _ => match vif & !MORE {
                0x7C => Meaning {
                    quantity: "user_defined",
                    ..vif::primary(0x7B)
                },
                0x7F => Meaning {
                    quantity: "manufacturer_specific",
                    ..vif::primary(0x7B)
                },
                field => vif::primary(field),
            },
        };
        let is_foreign = vif & !MORE == 0x7F;
        let mut modifiers = Vec::new();
        let mut rest = extensions.into_iter();
        while let Some(vife) = rest.next() {
            match vife & !MORE {
                _ if is_foreign => modifiers.push(vife),
                // Behind this one only the maker knows what is meant.
                0x7F => {
                    modifiers.push(vife);
                    modifiers.extend(rest.by_ref());
                }
                correction @ 0x70..=0x77 => meaning.exponent += (correction & 7) as i8 - 6,
                0x7D => meaning.exponent += 3,
                _ => modifiers.push(vife),
            }
        }
        Ok((meaning, text, modifiers))
    }

    fn value(&mut self, kind: u8, meaning: Meaning) -> Result<Option<Value>, NoRecord> {
        let len = match kind {
            0 | 8 => return Ok(None),
            1..=4 => usize::from(kind),
            5 => 4,
            6 => 6,
            7 => 8,
            9..=0xB => usize::from(kind - 8),
            0xC => 4,
            0xE => 6,
            _ => return self.variable(meaning),
        };
        let bytes = self.take(len)?;
        if meaning.encoding == Encoding::Time {
            return Ok(time(bytes).map(Value::Text));
        }
        let number = match kind {
            5 => return Ok(float(bytes, meaning)),
            9..=0xE => bcd(bytes),
            _ => Some(signed(bytes)),
        };
        Ok(number.map(|number| scaled(number, meaning)))
    }

    /// A length that also says what follows.
    fn variable(&mut self, meaning: Meaning) -> Result<Option<Value>, NoRecord> {
        let at = self.at;
        let length = self.byte()?;
        Ok(match length {
            0..=0xBF => {
                let letters = self.take(length.into())?;
                let text: String = letters.iter().rev().map(|letter| char::from(*letter)).collect();
                Some(Value::Text(text.trim_matches(['\0', ' ']).to_owned()))
            }
            0xC0..=0xC9 => bcd(self.take((length - 0xC0).into())?).map(|number| scaled(number, meaning)),
            0xD0..=0xD9 => bcd(self.take((length - 0xD0).into())?).map(|number| scaled(-number, meaning)),
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
                        Some(Value::Text(Hex(&highest_first).to_string()))
                    }
                }
            }
            _ => return Err(NoRecord::Length { at, length }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Record>, NoRecord> {
        let mut found = Vec::new();
        records(&octets(&text.replace(' ', "")).unwrap(), &mut found).map(|_| found)
    }

    /// Quantity, value and unit.
    fn said(text: &str) -> (String, String, String) {
        let record = read(text).unwrap().remove(0);
        let value = record
            .value
            .map_or_else(String::new, |value| serde_json::to_string(&value).unwrap());
        (record.quantity, value, record.unit)
    }

    #[test]
    fn every_kind_of_data_is_read() {
        for (text, quantity, value, unit) in [
            ("04 06 9B0F0000", "energy", "3995000", "Wh"),
            ("0C 13 78563412", "volume", "12345.678", "m3"),
            ("0A 5A 4805", "flow_temperature", "54.8", "°C"),
            ("02 5E F6FF", "return_temperature", "-1.0", "°C"),
            ("0A 5A 48F5", "flow_temperature", "-54.8", "°C"),
            ("05 2B 0000C03F", "power", "1.500000", "W"),
            ("02 6C 5F1C", "date", "\"2010-12-31\"", ""),
            ("04 6D 1A2F6511", "datetime", "\"2011-01-05T15:26:00\"", ""),
            ("0D FD0B 06 353332445652", "parameter_set", "\"RVD235\"", ""),
            ("0D 78 C3 123456", "fabrication_number", "563412", ""),
            ("02 26 0100", "operating_time", "3600", "s"),
            ("02 FD48 0109", "voltage", "230.5", "V"),
            ("84 00 FB 01 01000000", "energy", "1000000", "Wh"),
            ("04 86 7D 01000000", "energy", "1000000", "Wh"),
            ("02 7C 03 726C77 0500", "user_defined", "5", "wlr"),
        ] {
            assert_eq!(said(text), (quantity.into(), value.into(), unit.into()), "{text}");
        }
        assert_eq!(said("0C 13 EEEEEEEE").1, "", "no value");
    }

    #[test]
    fn storage_tariff_and_sub_unit_are_put_together() {
        let record = read("D4 53 10 06 00000000").unwrap_err();
        assert_eq!(record, NoRecord::Cut(8));
        let record = read("C4 93 41 06 00000000").unwrap().remove(0);
        assert_eq!(
            (record.storage, record.tariff, record.subunit),
            (1 | 3 << 1 | 1 << 5, 1, 2)
        );
        assert_eq!(read("14 06 00000000").unwrap()[0].function, Function::Maximum);
    }

    #[test]
    fn what_breaks_off_or_goes_on_for_ever_is_refused_after_what_came_before() {
        let mut found = Vec::new();
        let bytes = octets("0413153100000B").unwrap();
        assert_eq!(records(&bytes, &mut found), Err(NoRecord::Cut(7)));
        assert_eq!(found.len(), 1);
        let many = format!("84{}0437180200", "84".repeat(11));
        assert!(matches!(read(&many), Err(NoRecord::Extensions(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = records(&bytes, &mut Vec::new());
        }
    }
}
