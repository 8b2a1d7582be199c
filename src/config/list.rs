//! `[wire.dlms]`: description of a DLMS list that metertap does not know.

use metertap_decode::dlms::{List, Scales, Settings, Shape};
use metertap_decode::obis::Obis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Section as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListSection {
    /// Values of a list without codes, in their order: `u32 1-0:1.7.0`, `u16 1-0:32.7.0 -1` (the power of ten), or `text` for one to skip. Default: none.
    #[serde(default)]
    list: Vec<String>,
    /// Power of ten of energies whose message has none. Default: by manufacturer.
    energy: Option<i8>,
    /// Power of ten of currents. Default: by manufacturer.
    current: Option<i8>,
    /// Power of ten of voltages. Default: by manufacturer.
    voltage: Option<i8>,
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
    pub fn settings(&self) -> Result<Settings, String> {
        let given = [self.energy, self.current, self.voltage, self.power_factor];
        if let Some(exponent) = given
            .iter()
            .flatten()
            .find(|exponent| !(-9..=9).contains(*exponent))
        {
            return Err(format!("dlms: invalid power of ten {exponent}: expected -9 to 9"));
        }
        let default = Scales::default();
        let scales = Scales {
            energy: self.energy.unwrap_or(default.energy),
            current: self.current.unwrap_or(default.current),
            voltage: self.voltage.unwrap_or(default.voltage),
            factor: self.power_factor.unwrap_or(default.factor),
        };
        let names = self.names.iter().map(|(code, name)| {
            let code = code
                .parse::<Obis>()
                .map_err(|error| format!("dlms.names: {error}"))?;
            Ok((code, name.clone()))
        });
        let slots = self.list.iter().map(|value| slot(value).ok_or_else(|| format!(
            "dlms.list: invalid value `{value}`: expected u32 1-0:1.7.0, u16 1-0:32.7.0 -1, or text alone for a value to skip"
        )));
        let slots: Vec<_> = slots.collect::<Result<_, String>>()?;
        Ok(Settings {
            lists: if slots.is_empty() {
                Vec::new()
            } else {
                vec![List::new(slots)]
            },
            scales: given.iter().any(Option::is_some).then_some(scales),
            names: names.collect::<Result<_, String>>()?,
            ..Settings::default()
        })
    }
}

/// Parses the type of a value, its OBIS code if there is one, and its power of ten if there is one.
fn slot(text: &str) -> Option<(Shape, [u8; 4], i8)> {
    let mut words = text.split_whitespace();
    let shape = match words.next()? {
        "text" => Shape::Text,
        "clock" => Shape::Clock,
        "number" => Shape::Number,
        "u8" | "i8" => Shape::Byte,
        "u16" | "i16" => Shape::Word,
        "u32" | "i32" => Shape::Long,
        _ => return None,
    };
    let code = match words.next() {
        None => [0; 4],
        Some(code) => {
            let code: Obis = code.parse().ok()?;
            [code.a, code.c, code.d, code.e]
        }
    };
    let exponent = words.next().map_or(Some(0), |power| power.parse().ok())?;
    (words.next().is_none() && (-9..=9).contains(&exponent)).then_some((shape, code, exponent))
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
        assert_eq!(report.id, "M1");
        assert_eq!(
            serde_json::to_string(&report.reading).unwrap(),
            r#"{"equipment_id":"M1","draw":{"value":0.500,"unit":"kW"},"voltage_l1":{"value":231.4,"unit":"V"}}"#
        );
    }

    #[test]
    fn given_an_invalid_description_then_the_error_names_it() {
        for (text, says) in [
            ("list = [\"u64 1-0:1.7.0\"]", "invalid value `u64 1-0:1.7.0`"),
            ("list = [\"u32 1.7.0\"]", "invalid value `u32 1.7.0`"),
            ("voltage = -20", "invalid power of ten -20"),
            ("names = { \"1.7.0\" = \"x\" }", "`1.7.0` is no OBIS code"),
        ] {
            let dialect: ListSection = toml::from_str(text).unwrap();
            let error = dialect.settings().err().unwrap();
            assert!(error.contains(says), "{error}");
        }
    }
}
