//! Records byte for byte, for people who want to know what DIF and VIF a value came with.

use super::{Function, Record, Value, walk};
use data_encoding::HEXUPPER;

/// Part of a telegram.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// Layer: `link`, `ell`, `afl`, `transport`, `security`, `record`, `payload`, `value` or `problem`.
    pub layer: &'static str,
    /// Bytes in hexadecimal, decrypted; empty for what no single bytes hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bytes: String,
    /// Meaning.
    pub text: String,
}

/// Returns the parts of a sequence of records, with the records; up to the first that is malformed.
pub fn explain_records(bytes: &[u8]) -> (Vec<Part>, Vec<Record>) {
    let (mut parts, mut records) = (Vec::new(), Vec::new());
    let mut last = 0;
    // What is malformed is the decoder's to report.
    let _ = walk(bytes, |record, span| {
        // A profile gives several records with one position.
        let is_new = span.header.start >= last;
        last = span.data.end;
        let range = if is_new { span.header.start..last } else { 0..0 };
        parts.push(Part {
            layer: "record",
            bytes: HEXUPPER.encode(&bytes[range]),
            text: record_text(&record),
        });
        records.push(record);
    });
    (parts, records)
}

pub(crate) fn record_text(record: &Record) -> String {
    let mut text = record.quantity.to_owned();
    for qualifier in &record.qualifiers {
        text += &format!(" {qualifier}");
    }
    match record.function {
        Function::Instantaneous | Function::ManufacturerSpecific => {}
        Function::Maximum => text += " maximum",
        Function::Minimum => text += " minimum",
        Function::Error => text += " error",
    }
    for (name, number) in [
        ("storage", record.storage),
        ("tariff", record.tariff.into()),
        ("subunit", record.subunit.into()),
    ] {
        if number > 0 {
            text += &format!(" {name} {number}");
        }
    }
    text += ": ";
    text += &match &record.value {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Time(time)) => time.to_string(),
        Some(Value::Text(value)) => value.clone(),
        None => "no value".into(),
    };
    if !record.unit.is_none() {
        text += &format!(" {}", record.unit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_stands_with_its_dif_vif_and_value_up_to_a_malformed_one() {
        // Energy 1500 Wh; volume of storage 1, tariff 1; then a record that is cut off.
        let (parts, records) = explain_records(&[
            0x04, 0x03, 0xDC, 0x05, 0, 0, 0xC2, 0x10, 0x13, 0x10, 0x27, 0x04, 0x03,
        ]);
        let shown: Vec<(&str, &str)> = parts.iter().map(|part| (&*part.bytes, &*part.text)).collect();
        assert_eq!(
            shown,
            [
                ("0403DC050000", "energy: 1500 Wh"),
                ("C210131027", "volume storage 1 tariff 1: 10.000 m3"),
            ]
        );
        assert_eq!(records.len(), 2);
    }
}
