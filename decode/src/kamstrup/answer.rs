//! Decoder of answers (Kamstrup 5512-447, sections 4.2, 4.4 and 6.2).

use super::registers::{name, unit};
use crate::quantity::{Decimal, Quantity, scaled};
use crate::report::{Fields, Value};
use crate::time::MeterTime;
use jiff::civil::{Date, Time};
use std::borrow::Cow;

/// Command (CID): type of the meter.
pub const GET_TYPE: u8 = 0x01;
/// Command (CID): serial number.
pub const GET_SERIAL: u8 = 0x02;
/// Command (CID): values of registers.
pub const GET_REGISTERS: u8 = 0x10;
/// Most registers of one request.
pub const MAX_REGISTERS: usize = 8;

/// Answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Type and software revision, in hexadecimal.
    Type(String, String),
    /// Serial number.
    Serial(u32),
    /// Registers in the order of the meter. Those that it does not have are missing.
    Registers(Vec<Register>),
}

/// Register and its value: mantissa · 10^exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Number of the register (RID).
    pub number: u16,
    /// Number of the unit.
    pub unit: u8,
    /// Mantissa with its sign.
    pub mantissa: i128,
    /// Power of ten, −63 to 63.
    pub exponent: i32,
}

/// Error for data that are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The data are incomplete.
    #[error("the answer to CID {command:02X} ends at byte {len}")]
    Truncated {
        /// Command that was answered.
        command: u8,
        /// Bytes of data.
        len: usize,
    },
    /// A mantissa has more than eight bytes.
    #[error("register {0} has a mantissa of {1} bytes")]
    Mantissa(u16, u8),
    /// The meter has none of the requested registers.
    #[error("the meter has no such register")]
    NoRegister,
    /// The command is none of those that are decoded.
    #[error("an answer to CID {0:02X}, which is never requested")]
    Command(u8),
}

impl Answer {
    /// Decodes the data of an answer to `command`.
    ///
    /// # Errors
    /// [`Truncated`](AnswerError::Truncated) if data are missing, [`Mantissa`](AnswerError::Mantissa) if one is longer than
    /// eight bytes, [`NoRegister`](AnswerError::NoRegister) if there is no register at all, and
    /// [`Command`](AnswerError::Command) for any other command.
    pub fn parse(command: u8, data: &[u8]) -> Result<Self, AnswerError> {
        let truncated = AnswerError::Truncated {
            command,
            len: data.len(),
        };
        match (command, data) {
            (GET_TYPE, [t1, t2, r1, r2, ..]) => Ok(Answer::Type(
                format!("{t1:02X}{t2:02X}"),
                format!("{r1:02X}{r2:02X}"),
            )),
            (GET_SERIAL, [a, b, c, d, ..]) => Ok(Answer::Serial(u32::from_be_bytes([*a, *b, *c, *d]))),
            (GET_TYPE | GET_SERIAL, _) => Err(truncated),
            (GET_REGISTERS, []) => Err(AnswerError::NoRegister),
            (GET_REGISTERS, mut rest) => {
                let mut registers = Vec::new();
                while let Some((&[n1, n2, unit, len, sign_exponent], after)) = rest.split_first_chunk() {
                    let number = u16::from_be_bytes([n1, n2]);
                    if len > 8 {
                        return Err(AnswerError::Mantissa(number, len));
                    }
                    let mantissa = after.get(..len.into()).ok_or(truncated)?;
                    registers.push(Register::new(number, unit, mantissa, sign_exponent));
                    rest = &after[len.into()..];
                }
                if rest.is_empty() {
                    Ok(Answer::Registers(registers))
                } else {
                    Err(truncated)
                }
            }
            (other, _) => Err(AnswerError::Command(other)),
        }
    }
}

impl Register {
    /// `sign_exponent`, bit 7: sign of the number; bit 6: sign of the exponent; bits 5–0: exponent.
    fn new(number: u16, unit: u8, mantissa: &[u8], sign_exponent: u8) -> Self {
        let mantissa = mantissa
            .iter()
            .fold(0, |number, byte| number << 8 | i128::from(*byte));
        let exponent = i32::from(sign_exponent & 0x3F);
        Register {
            number,
            unit,
            mantissa: if sign_exponent & 0x80 != 0 {
                -mantissa
            } else {
                mantissa
            },
            exponent: if sign_exponent & 0x40 != 0 {
                -exponent
            } else {
                exponent
            },
        }
    }

    /// Returns the value; `None` if a [`Decimal`] cannot hold it.
    pub fn value(&self) -> Option<Decimal> {
        scaled(self.mantissa, self.exponent)
    }

    /// Returns name and value. Dates and times of day, which are sent as decimal numbers, become such; one that does not
    /// exist stays a number.
    pub fn field(&self) -> (Cow<'static, str>, Value) {
        let name = name(self.number);
        let name = name.map_or_else(|| format!("register_{}", self.number).into(), Cow::Borrowed);
        let value = match self.unit {
            47 => self.time().map(|time| Value::Time(MeterTime::Time(time))),
            48 | 49 => self.date().map(|date| Value::Time(MeterTime::Date(date))),
            50 => self.day_of_year().map(Value::Text),
            _ => None,
        };
        (name, value.unwrap_or_else(|| self.quantity()))
    }

    fn quantity(&self) -> Value {
        match self.value() {
            Some(value) => Value::Quantity(Quantity::new(value, unit(self.unit))),
            None => Value::Text(format!("{}e{}", self.mantissa, self.exponent)),
        }
    }

    /// Returns the decimal digits in pairs, padded with zeros to `count` digits; `None` if there are more.
    fn pairs(&self, count: usize) -> Option<Vec<i8>> {
        let digits = format!("{:0>count$}", self.value()?.to_string());
        let is_whole = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_whole
            .then(|| digits.as_bytes().chunks(2))?
            .map(|pair| std::str::from_utf8(pair).ok()?.parse().ok())
            .collect()
    }

    /// Decodes `hhmmss`.
    fn time(&self) -> Option<Time> {
        let pairs = self.pairs(6)?;
        Time::new(pairs[0], pairs[1], pairs[2], 0).ok()
    }

    /// Decodes `yymmdd` (unit 48) or `yyyymmdd` (unit 49).
    fn date(&self) -> Option<Date> {
        let (year, month, day) = if self.unit == 48 {
            let pairs = self.pairs(6)?;
            (2000 + i16::from(pairs[0]), pairs[1], pairs[2])
        } else {
            let pairs = self.pairs(8)?;
            (
                100 * i16::from(pairs[0]) + i16::from(pairs[1]),
                pairs[2],
                pairs[3],
            )
        };
        Date::new(year, month, day).ok()
    }

    /// Decodes `mmdd`, a day of every year, as `--mm-dd` (ISO 8601).
    fn day_of_year(&self) -> Option<String> {
        let pairs = self.pairs(4)?;
        // A leap year has every day.
        let day = Date::new(2024, pairs[0], pairs[1]).ok()?;
        Some(day.strftime("--%m-%d").to_string())
    }
}

/// Returns registers as fields of a report.
pub fn fields(registers: &[Register]) -> Fields {
    let mut fields = Fields::default();
    for register in registers {
        let (name, value) = register.field();
        fields.put(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER;
    use proptest::prelude::*;

    fn field(hex: &str) -> (String, String) {
        let data = HEXUPPER.decode(hex.replace(' ', "").as_bytes()).unwrap();
        let Ok(Answer::Registers(registers)) = Answer::parse(GET_REGISTERS, &data) else {
            panic!("no registers");
        };
        let (name, value) = registers[0].field();
        (name.into_owned(), serde_json::to_string(&value).unwrap())
    }

    #[test]
    fn the_documented_numbers_are_read() {
        for (hex, value) in [
            ("003C 08 04 C2 00003039", r#"{"value":-123.45,"unit":"GJ"}"#),
            ("003C 02 04 03 05397FB1", r#"{"value":87654321000,"unit":"kWh"}"#),
            ("003C 02 01 03 FF", r#"{"value":255000,"unit":"kWh"}"#),
            ("0056 25 02 42 1984", r#"{"value":65.32,"unit":"°C"}"#),
            ("03EA 2F 04 00 0001E208", r#""12:34:00""#),
            ("03EB 30 04 00 0003D54D", r#""2025-12-13""#),
            ("03EB 30 04 00 0003F6F3", r#"{"value":259827,"unit":""}"#),
            ("03EB 31 04 00 0135024D", r#""2025-12-13""#),
            ("0062 32 04 00 00000338", r#""--08-24""#),
            ("003C 02 01 3F 05", r#""5e63""#),
        ] {
            assert_eq!(field(hex).1, value, "{hex}");
        }
        assert_eq!(field("0056 25 02 42 FFFE").0, "flow_temperature");
        assert_eq!(field("7FFF 25 02 42 FFFE").0, "register_32767");
    }

    #[test]
    fn incomplete_answers_are_refused() {
        let truncated = |command, len| Err(AnswerError::Truncated { command, len });
        assert_eq!(Answer::parse(GET_TYPE, &[0, 1, 2]), truncated(GET_TYPE, 3));
        assert_eq!(
            Answer::parse(GET_REGISTERS, &[0, 60, 2, 4, 0, 1]),
            truncated(GET_REGISTERS, 6)
        );
        assert_eq!(
            Answer::parse(GET_REGISTERS, &[0, 60, 2, 9, 0]),
            Err(AnswerError::Mantissa(60, 9))
        );
        assert_eq!(Answer::parse(GET_REGISTERS, &[]), Err(AnswerError::NoRegister));
        assert_eq!(Answer::parse(9, &[]), Err(AnswerError::Command(9)));
    }

    proptest! {
        #[test]
        fn every_number_is_its_mantissa_and_exponent(mantissa: u32, negative: bool, exponent in -18i8..18) {
            let sign_exponent = exponent.unsigned_abs() | u8::from(negative) << 7 | u8::from(exponent < 0) << 6;
            let register = Register::new(60, 2, &mantissa.to_be_bytes(), sign_exponent);
            let signed = if negative { -i128::from(mantissa) } else { mantissa.into() };
            prop_assert_eq!((register.mantissa, register.exponent), (signed, exponent.into()));
            prop_assert_eq!(register.value(), scaled(signed, exponent.into()));
        }

        #[test]
        fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..200), command: u8) {
            for command in [GET_TYPE, GET_SERIAL, GET_REGISTERS, command] {
                if let Ok(Answer::Registers(registers)) = Answer::parse(command, &data) {
                    let _ = serde_json::to_string(&fields(&registers)).unwrap();
                }
            }
        }
    }
}
