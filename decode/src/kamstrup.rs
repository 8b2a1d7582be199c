//! What Kamstrup's heat meters answer: type, serial number and registers (Kamstrup 5512-348, the application layer).
//!
//! ```text
//!  CID 01: type (2) │ software revision (2)
//!  CID 02: serial number (4)
//!  CID 10: register (2) │ unit │ length │ sign and exponent │ mantissa …, for each that the meter has
//! ```

use super::quantity::{Decimal, Quantity};
use super::report::{Fields, Value};
use std::borrow::Cow;

/// What kind of meter it is.
pub const GET_TYPE: u8 = 0x01;
/// Its number.
pub const GET_SERIAL: u8 = 0x02;
/// What it measures.
pub const GET_REGISTERS: u8 = 0x10;
/// Registers of one request, as other readers ask.
pub const MAX_REGISTERS: usize = 8;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Type and software revision, as hex.
    Type(String, String),
    /// The number.
    Serial(u32),
    /// Registers that the meter has, in its order.
    Registers(Vec<Register>),
}

/// A register and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its number.
    pub number: u16,
    /// The number of its unit.
    pub unit: u8,
    /// How much.
    pub value: Decimal,
}

/// Data that are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Not all of it is there.
    #[error("the answer to CID {command:02X} ends at byte {len}")]
    Short {
        /// What was asked.
        command: u8,
        /// Octets there.
        len: usize,
    },
    /// A number that nobody can hold.
    #[error("register {0} has a mantissa of {1} octets")]
    Mantissa(u16, u8),
    /// The meter does not have what was asked for.
    #[error("the meter has no such register")]
    Nothing,
    /// Not one of those that we ask for.
    #[error("an answer to CID {0:02X}, which we do not ask")]
    Command(u8),
}

impl Answer {
    /// Reads the data of an answer to `command`.
    ///
    /// # Errors
    /// Where they are none.
    pub fn parse(command: u8, data: &[u8]) -> Result<Self, NoAnswer> {
        let short = NoAnswer::Short {
            command,
            len: data.len(),
        };
        match (command, data) {
            (GET_TYPE, [t1, t2, r1, r2, ..]) => Ok(Answer::Type(
                format!("{t1:02X}{t2:02X}"),
                format!("{r1:02X}{r2:02X}"),
            )),
            (GET_SERIAL, [a, b, c, d, ..]) => Ok(Answer::Serial(u32::from_be_bytes([*a, *b, *c, *d]))),
            (GET_TYPE | GET_SERIAL, _) => Err(short),
            (GET_REGISTERS, []) => Err(NoAnswer::Nothing),
            (GET_REGISTERS, mut rest) => {
                let mut registers = Vec::new();
                while let Some((&[n1, n2, unit, len, exponent], after)) = rest.split_first_chunk() {
                    let number = u16::from_be_bytes([n1, n2]);
                    if len > 8 {
                        return Err(NoAnswer::Mantissa(number, len));
                    }
                    let mantissa = after.get(..len.into()).ok_or(short)?;
                    let value = decimal(mantissa, exponent);
                    registers.push(Register { number, unit, value });
                    rest = &after[len.into()..];
                }
                if rest.is_empty() {
                    Ok(Answer::Registers(registers))
                } else {
                    Err(short)
                }
            }
            (other, _) => Err(NoAnswer::Command(other)),
        }
    }
}

/// Bit 7: the sign of the number; bit 6: that of the exponent; the others: the exponent.
fn decimal(mantissa: &[u8], exponent: u8) -> Decimal {
    let number = mantissa
        .iter()
        .fold(0, |number, byte| number << 8 | i128::from(*byte));
    let number = if exponent & 0x80 != 0 { -number } else { number };
    let power = (exponent & 0x3F) as i8;
    Decimal::scaled(number, if exponent & 0x40 != 0 { -power } else { power })
}

impl Register {
    /// Name and value; times as they are written elsewhere.
    pub fn field(&self) -> (Cow<'static, str>, Value) {
        let name = NAMES.iter().find(|(number, _)| *number == self.number);
        let name = name.map_or_else(
            || format!("register_{}", self.number).into(),
            |(_, name)| Cow::Borrowed(*name),
        );
        let value = match self.unit {
            47 => self.clock(),
            48..=50 => self.date(),
            unit => Value::Quantity(Quantity::new(self.value.clone(), unit_name(unit))),
        };
        (name, value)
    }

    /// The digits two by two, of which the standard has `count`.
    fn pairs(&self, count: usize) -> Option<Vec<i8>> {
        let digits = serde_json::to_string(&self.value).ok()?;
        let digits = format!("{digits:0>count$}");
        let is_whole = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_whole
            .then(|| digits.as_bytes().chunks(2))?
            .map(|pair| std::str::from_utf8(pair).ok()?.parse().ok())
            .collect()
    }

    /// `hhmmss`; a number where there is no such time.
    fn clock(&self) -> Value {
        let pairs = self.pairs(6);
        let time = pairs.and_then(|pairs| jiff::civil::Time::new(pairs[0], pairs[1], pairs[2], 0).ok());
        time.map_or_else(|| self.number(), |time| Value::Text(time.to_string()))
    }

    /// `yymmdd`, `yyyymmdd`, `mmdd`; a number where there is no such day.
    fn date(&self) -> Value {
        let day = |year, month, day| jiff::civil::Date::new(year, month, day).ok();
        let text = match self.unit {
            48 => self
                .pairs(6)
                .and_then(|pairs| day(2000 + i16::from(pairs[0]), pairs[1], pairs[2]))
                .map(|day| day.to_string()),
            49 => self
                .pairs(8)
                .and_then(|pairs| {
                    day(
                        100 * i16::from(pairs[0]) + i16::from(pairs[1]),
                        pairs[2],
                        pairs[3],
                    )
                })
                .map(|day| day.to_string()),
            // Of every year; 2024 has all days.
            _ => self
                .pairs(4)
                .and_then(|pairs| day(2024, pairs[0], pairs[1]))
                .map(|day| day.strftime("--%m-%d").to_string()),
        };
        text.map_or_else(|| self.number(), Value::Text)
    }

    fn number(&self) -> Value {
        Value::Quantity(Quantity::new(self.value.clone(), ""))
    }
}

/// All of them as fields of a report.
pub fn fields(registers: &[Register]) -> Fields {
    let mut fields = Fields::default();
    for register in registers {
        let (name, value) = register.field();
        fields.put(name, value);
    }
    fields
}

/// The number of a register, by its name or its number.
pub fn register(name: &str) -> Option<u16> {
    let known = NAMES.iter().find(|(_, known)| *known == name);
    known.map(|(number, _)| *number).or_else(|| name.parse().ok())
}

/// What a meter of this model measures; nothing for a model that is not known.
pub fn model(name: &str) -> Option<&'static [u16]> {
    Some(match name {
        // One small meter: energy, volume, flow, power, temperatures.
        "302" => &[60, 63, 68, 74, 80, 86, 87, 89, 99, 1004],
        "402" => &[60, 63, 68, 74, 80, 86, 87, 89, 97, 110, 99, 1004],
        "403" | "603" => &[60, 63, 68, 72, 74, 80, 86, 87, 89, 97, 110, 99, 1004],
        "601" | "602" => &[
            60, 61, 62, 63, 68, 69, 72, 74, 75, 80, 86, 87, 88, 89, 97, 110, 99, 1004,
        ],
        "382" => &[
            1, 2, 1023, 1024, 1054, 1055, 1056, 1076, 1077, 1078, 1080, 1081, 1082, 1004,
        ],
        _ => return None,
    })
}

/// Models that [`model`] knows.
pub const MODELS: [&str; 7] = ["302", "402", "403", "601", "602", "603", "382"];

/// Kamstrup 5512-348, table of units.
fn unit_name(number: u8) -> &'static str {
    const UNITS: [&str; 46] = [
        "Wh", "kWh", "MWh", "GWh", "J", "kJ", "MJ", "GJ", "cal", "kcal", "Mcal", "Gcal", "varh", "kvarh",
        "Mvarh", "Gvarh", "VAh", "kVAh", "MVAh", "GVAh", "W", "kW", "MW", "GW", "var", "kvar", "Mvar",
        "Gvar", "VA", "kVA", "MVA", "GVA", "V", "A", "kV", "kA", "°C", "K", "l", "m3", "l/h", "m3/h",
        "m3·°C", "t", "t/h", "h",
    ];
    match number {
        1..=46 => UNITS[usize::from(number) - 1],
        52 => "bar",
        58 => "min",
        60 => "s",
        61 => "ms",
        62 => "d",
        _ => "",
    }
}

/// Registers by their names (PROTOCOLS-wired.md 4).
#[rustfmt::skip]
const NAMES: &[(u16, &str)] = &[
    (1, "energy_import_total"), (2, "energy_export_total"),
    (60, "heat_energy"), (61, "energy_e2"), (62, "energy_e6"), (63, "cooling_energy"),
    (64, "tariff_energy_2"), (65, "tariff_energy_3"),
    (68, "volume"), (69, "volume_2"), (72, "mass"), (73, "mass_2"), (74, "flow"), (75, "flow_2"),
    (80, "power"), (84, "input_a"), (85, "input_b"),
    (86, "flow_temperature"), (87, "return_temperature"), (88, "temperature_3"), (89, "temperature_difference"),
    (91, "pressure"), (92, "pressure_2"), (94, "energy_e4"), (95, "energy_e5"), (96, "energy_e7"),
    (97, "volume_temperature_1"), (98, "target_date"), (99, "info_code"), (110, "volume_temperature_2"),
    (112, "customer_number_high"), (113, "info_events"), (122, "temperature_4"),
    (123, "flow_max_year_date"), (124, "flow_max_year"), (125, "flow_min_year_date"), (126, "flow_min_year"),
    (127, "power_max_year_date"), (128, "power_max_year"), (129, "power_min_year_date"), (130, "power_min_year"),
    (138, "flow_max_month_date"), (139, "flow_max_month"), (140, "flow_min_month_date"), (141, "flow_min_month"),
    (142, "power_max_month_date"), (143, "power_max_month"), (144, "power_min_month_date"), (145, "power_min_month"),
    (146, "flow_temperature_avg_year"), (147, "return_temperature_avg_year"),
    (149, "flow_temperature_avg_month"), (150, "return_temperature_avg_month"),
    (152, "program_number"), (153, "configuration_1"), (154, "checksum"), (168, "configuration_2"),
    (175, "error_hours"), (239, "volume_high_resolution"), (266, "heat_energy_high_resolution"),
    (267, "cooling_energy_high_resolution"),
    (1001, "serial_number"), (1002, "clock"), (1003, "date"), (1004, "operating_hours"), (1005, "meter_type"),
    (1010, "customer_number"),
    (1023, "power_import"), (1024, "power_export"),
    (1054, "voltage_l1"), (1055, "voltage_l2"), (1056, "voltage_l3"),
    (1076, "current_l1"), (1077, "current_l2"), (1078, "current_l3"),
    (1080, "power_import_l1"), (1081, "power_import_l2"), (1082, "power_import_l3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn field(hex: &str) -> (String, String) {
        let Ok(Answer::Registers(registers)) = Answer::parse(GET_REGISTERS, &octets(hex).unwrap()) else {
            panic!("no registers");
        };
        let (name, value) = registers[0].field();
        (name.into_owned(), serde_json::to_string(&value).unwrap())
    }

    #[test]
    fn the_documented_numbers_are_read() {
        for (hex, value) in [
            ("003C0804C200003039", r#"{"value":-123.45,"unit":"GJ"}"#),
            ("003C02040305397FB1", r#"{"value":87654321000,"unit":"kWh"}"#),
            ("003C020103FF", r#"{"value":255000,"unit":"kWh"}"#),
            ("005625024219 84", r#"{"value":65.32,"unit":"°C"}"#),
            ("03EA2F04000001E208", r#""12:34:00""#),
            ("03EB3004000003D54D", r#""2025-12-13""#),
            ("03EB3004000003F6F3", r#"{"value":259827,"unit":""}"#),
        ] {
            assert_eq!(field(&hex.replace(' ', "")).1, value, "{hex}");
        }
        assert_eq!(field("0056250242FFFE").0, "flow_temperature");
        assert_eq!(field("7FFF250242FFFE").0, "register_32767");
    }

    #[test]
    fn no_register_has_two_names_and_every_model_has_registers_with_names() {
        let numbers: BTreeSet<u16> = NAMES.iter().map(|(number, _)| *number).collect();
        let names: BTreeSet<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        assert_eq!((numbers.len(), names.len()), (NAMES.len(), NAMES.len()));
        for name in MODELS {
            assert!(
                model(name).unwrap().iter().all(|number| numbers.contains(number)),
                "{name}"
            );
        }
        assert_eq!(
            (register("power"), register("80"), register("pwoer")),
            (Some(80), Some(80), None)
        );
    }

    proptest! {
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
