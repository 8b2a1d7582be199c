//! `[wire.dlms]`: description of a DLMS list that metertap does not know.

use metertap_decode::dlms::{GivenScales, ListEntry, ListMapping, ReportOptions, ValueType};
use metertap_decode::obis::Obis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Section as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSection {
    /// Values of a list without codes, in their order: `u32 1-0:1.7.0`, `u16 1-0:32.7.0 -1` (the power of ten), or a type alone for one to skip. Types: `u8` to `u64`, `i8` to `i64`, `number`, `float`, `enum`, `bool`, `text`, `octets`, `clock`, `any`. Default: none.
    #[serde(default)]
    list: Vec<String>,
    /// Power of ten of energies whose message has none. Default: by manufacturer.
    energy: Option<i8>,
    /// Power of ten of currents. Default: by manufacturer.
    current: Option<i8>,
    /// Power of ten of voltages. Default: by manufacturer.
    voltage: Option<i8>,
    /// Power of ten of powers. Default: 0.
    power: Option<i8>,
    /// Power of ten of power factors. Default: by manufacturer.
    power_factor: Option<i8>,
    /// Names for OBIS codes. Default: those of docs/fields.md.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl ListSection {
    /// Converts the description for the decoder.
    ///
    /// # Errors
    /// Returns the first mistake.
    pub fn settings(&self) -> Result<ReportOptions, String> {
        let given = [
            self.energy,
            self.current,
            self.voltage,
            self.power,
            self.power_factor,
        ];
        if let Some(exponent) = given
            .iter()
            .flatten()
            .find(|exponent| !(-9..=9).contains(*exponent))
        {
            return Err(format!("dlms: invalid power of ten {exponent}: expected -9 to 9"));
        }
        let scales = GivenScales {
            energy: self.energy,
            current: self.current,
            voltage: self.voltage,
            power: self.power,
            factor: self.power_factor,
        };
        let names = self.names.iter().map(|(code, name)| {
            let code = code
                .parse::<Obis>()
                .map_err(|error| format!("dlms.names: {error}"))?;
            Ok((code, name.clone()))
        });
        let entries = self.list.iter().map(|value| entry(value).ok_or_else(|| format!(
            "dlms.list: invalid value `{value}`: expected u32 1-0:1.7.0, u16 1-0:32.7.0 -1, or a type (u8 to u64, i8 to i64, number, float, enum, bool, text, octets, clock, any) alone for a value to skip"
        )));
        let entries: Vec<_> = entries.collect::<Result<_, String>>()?;
        Ok(ReportOptions {
            lists: if entries.is_empty() {
                Vec::new()
            } else {
                vec![ListMapping::new(entries)]
            },
            scales,
            names: names.collect::<Result<_, String>>()?,
            ..ReportOptions::default()
        })
    }
}

/// Parses the type of a value, its OBIS code if there is one, and its power of ten if there is one.
fn entry(text: &str) -> Option<ListEntry> {
    let mut words = text.split_whitespace();
    let value_type = match words.next()? {
        "text" => ValueType::Text,
        "clock" => ValueType::DateTime,
        "number" => ValueType::Integer,
        "octets" => ValueType::Octets,
        "float" => ValueType::Float,
        "enum" => ValueType::Enumeration,
        "bool" => ValueType::Boolean,
        "any" => ValueType::Any,
        "u64" | "i64" => ValueType::Bits64,
        "u8" | "i8" => ValueType::Bits8,
        "u16" | "i16" => ValueType::Bits16,
        "u32" | "i32" => ValueType::Bits32,
        _ => return None,
    };
    let obis = match words.next() {
        None => None,
        Some(code) => Some(Obis {
            b: 0,
            ..code.parse().ok()?
        }),
    };
    let exponent = words.next().map_or(Some(0), |power| power.parse().ok())?;
    (words.next().is_none() && (-9..=9).contains(&exponent)).then_some(ListEntry {
        value_type,
        obis,
        exponent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_described_list_then_its_values_have_names_and_units() {
        let dialect: ListSection = toml::from_str(
            "list = [\"text 0-0:96.1.0\", \"u32 1-0:1.7.0\", \"u16 1-0:32.7.0 -1\", \"u8\"]\nnames = { \"1-0:1.7.0\" = \"draw\" }\n",
        )
        .unwrap();
        let message = [
            &[0x0F, 0, 0, 0, 0, 0, 0x02, 4, 0x09, 2][..],
            b"M1",
            &[0x06, 0, 0, 0x01, 0xF4, 0x12, 0x09, 0x0A, 0x11, 1],
        ]
        .concat();
        let notification = metertap_decode::dlms::Notification::parse(&message).unwrap();
        let report = metertap_decode::dlms::report(&notification, None, &dialect.settings().unwrap());
        assert_eq!(report.id.as_str(), "M1");
        assert_eq!(
            serde_json::to_string(&report.reading).unwrap(),
            r#"{"equipment_id":"M1","draw":{"value":0.500,"unit":"kW"},"voltage_l1":{"value":231.4,"unit":"V"}}"#
        );
    }

    #[test]
    fn given_a_list_of_every_type_then_each_value_has_its_entry() {
        let dialect: ListSection = toml::from_str(
            r#"list = ["clock", "octets", "enum 0-0:96.3.10", "bool", "float 1-0:32.7.0", "u64 1-0:1.8.0", "any", "text 0-0:96.1.0"]
energy = -1"#,
        )
        .unwrap();
        let values: [&[u8]; 8] = [
            &[0x09, 12, 0x07, 0xE9, 3, 11, 2, 13, 27, 47, 0xFF, 0x80, 0, 0],
            &[0x09, 2, 1, 2],
            &[0x16, 1],
            &[0x03, 1],
            &[0x17, 0x43, 0x66, 0x19, 0x9A],
            &[0x15, 0, 0, 0, 0, 0, 0, 0x03, 0xE8],
            &[0x00],
            b"\x09\x02M1",
        ];
        let message = [&[0x0F, 0, 0, 0, 0, 0, 0x02, 8], &values.concat()[..]].concat();
        let notification = metertap_decode::dlms::Notification::parse(&message).unwrap();
        let report = metertap_decode::dlms::report(&notification, None, &dialect.settings().unwrap());
        assert_eq!(
            serde_json::to_string(&report.reading).unwrap(),
            r#"{"switch_electricity":1,"voltage_l1":{"value":230.1,"unit":"V"},"energy_import_total":{"value":1.000,"unit":"kWh"},"equipment_id":"M1"}"#
        );
    }

    #[test]
    fn given_an_invalid_description_then_the_error_names_it() {
        for (text, says) in [
            ("list = [\"u128 1-0:1.7.0\"]", "invalid value `u128 1-0:1.7.0`"),
            ("list = [\"u32 1.7.0\"]", "invalid value `u32 1.7.0`"),
            ("voltage = -20", "invalid power of ten -20"),
            ("names = { \"1.7.0\" = \"x\" }", "`1.7.0` is not an OBIS code"),
        ] {
            let dialect: ListSection = toml::from_str(text).unwrap();
            let error = dialect.settings().err().unwrap();
            assert!(error.contains(says), "{error}");
        }
    }
}
