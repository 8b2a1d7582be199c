//! Identifiers: numbers of devices, versions and the like, which nobody adds up. They are texts, so that zeros in front and
//! hexadecimal digits stay as they are printed.

use crate::mbus::{Record, Value};

/// Turns the number of a record that identifies something into its digits; leaves any other record as it is.
pub(super) fn as_identifier(record: Record, header: &[u8], data: &[u8]) -> Record {
    let is_identifier = matches!(
        record.quantity,
        "fabrication_number"
            | "identification"
            | "parameter_set"
            | "model_version"
            | "hardware_version"
            | "firmware_version"
            | "software_version"
    );
    let format = header.first().map(|dif| dif & 0x0F);
    let Some(format @ (1..=4 | 6 | 7 | 9..=0xC | 0xE)) = format.filter(|_| is_identifier) else {
        return record;
    };
    let highest_first: Vec<u8> = data.iter().rev().copied().collect();
    let text = match letters(&highest_first) {
        Some(letters) if format < 9 => letters,
        _ => data_encoding::HEXUPPER.encode(&highest_first),
    };
    let is_missing = data.iter().all(|byte| *byte == 0xFF);
    Record {
        value: Some(Value::Text(text)).filter(|_| !is_missing),
        ..record
    }
}

/// Returns text of printable letters behind any zero bytes; `None` for anything else.
fn letters(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let text = &bytes[..=end];
    let is_text = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    is_text.then(|| text.iter().map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mbus::walk;

    #[test]
    fn identifiers_keep_their_digits() {
        for (bytes, expected) in [
            (&[0x0B, 0xFD, 0x0F, 0x07, 0x01, 0x01][..], "010107"),
            (&[0x02, 0xFD, 0x0B, 0x20, 0x11], "1120"),
            (&[0x01, 0xFD, 0x0C, 0x0B], "0B"),
            (&[0x02, 0xFD, 0x0F, b'L', b'+'], "+L"),
            (&[0x0C, 0x78, 0x99, 0x86, 0x01, 0xFF], "FF018699"),
            (&[0x04, 0xFD, 0x0F, 0, 0, 0, 0], "00000000"),
        ] {
            let mut found = None;
            walk(bytes, |record, span| {
                found = Some(as_identifier(record, &bytes[span.header], &bytes[span.data]));
            })
            .unwrap();
            assert_eq!(found.unwrap().value, Some(Value::Text(expected.into())));
        }
    }

    #[test]
    fn quantities_stay_numbers() {
        let record = Record::current("volume", None, crate::unit::Unit::CubicMeter);
        assert_eq!(
            as_identifier(record.clone(), &[0x04, 0x13], &[1, 0, 0, 0]),
            record
        );
    }
}
