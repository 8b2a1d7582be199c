//! `[wire.dlms]`: what a meter leaves out that no table knows yet.

use metertap_decode::dlms::{ListEntry, ListMapping, ReportOptions, Scales, ValueType};
use metertap_decode::obis::Obis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A meter as its owner describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Values in their order, where they have no codes: `u32 1-0:1.7.0`, `u16 1-0:32.7.0 -1` (the power of ten), `text`.
    #[serde(default)]
    list: Vec<String>,
    /// Power of ten of energies that tell none; likewise those below.
    energy: Option<i8>,
    /// Of currents.
    current: Option<i8>,
    /// Of voltages.
    voltage: Option<i8>,
    /// Of power factors.
    power_factor: Option<i8>,
    /// Names for codes.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl Dialect {
    /// As the decoder wants it.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn settings(&self) -> Result<ReportOptions, String> {
        let told = [self.energy, self.current, self.voltage, self.power_factor];
        if let Some(exponent) = told
            .iter()
            .flatten()
            .find(|exponent| !(-9..=9).contains(*exponent))
        {
            return Err(format!(
                "dlms: {exponent} is no power of ten that a meter uses (-9 to 9)"
            ));
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
            "dlms.list: `{value}` is no value: write u32 1-0:1.7.0, u16 1-0:32.7.0 -1, or text alone for one that does not matter"
        )));
        let slots: Vec<_> = slots.collect::<Result<_, String>>()?;
        Ok(ReportOptions {
            lists: if slots.is_empty() {
                Vec::new()
            } else {
                vec![ListMapping::new(slots)]
            },
            scales: told.iter().any(Option::is_some).then_some(scales),
            names: names.collect::<Result<_, String>>()?,
            ..ReportOptions::default()
        })
    }
}

/// A kind of value, perhaps a code, perhaps a power of ten.
fn slot(text: &str) -> Option<ListEntry> {
    let mut words = text.split_whitespace();
    let value_type = match words.next()? {
        "text" => ValueType::Text,
        "clock" => ValueType::DateTime,
        "number" => ValueType::Integer,
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
        let dialect: Dialect = toml::from_str(
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
    fn what_is_no_description_is_refused_by_name() {
        for (text, says) in [
            ("list = [\"u64 1-0:1.7.0\"]", "`u64 1-0:1.7.0` is no value"),
            ("list = [\"u32 1.7.0\"]", "`u32 1.7.0` is no value"),
            ("voltage = -20", "-20 is no power of ten"),
            ("names = { \"1.7.0\" = \"x\" }", "`1.7.0` is not an OBIS code"),
        ] {
            let dialect: Dialect = toml::from_str(text).unwrap();
            let told = dialect.settings().err().unwrap();
            assert!(told.contains(says), "{told}");
        }
    }
}
