//! Header of an answer: identification, manufacturer, medium, status (EN 13757-3, 5).

use super::fixed;
use super::records::records;
use super::types::{Message, MessageError};
use super::value::number;

impl Message {
    /// Decodes the data of a long frame with this CI field.
    ///
    /// # Errors
    /// - [`Error`](MessageError::Error) if the meter reports an error,
    /// - [`Unknown`](MessageError::Unknown) if the CI field is not 70, 72 or 73,
    /// - [`Short`](MessageError::Short) if the header is incomplete,
    /// - [`Encrypted`](MessageError::Encrypted) if the header announces encryption and no record can be decoded,
    /// - [`Record`](MessageError::Record) if a record is malformed.
    pub fn parse(information: u8, data: &[u8]) -> Result<Self, MessageError> {
        match information {
            0x70 => Err(MessageError::Error(application_error(data.first().copied()))),
            0x72 => variable(data),
            0x73 => fixed::parse(data),
            other => Err(MessageError::Unknown(other)),
        }
    }
}

/// Decodes the variable data structure.
fn variable(data: &[u8]) -> Result<Message, MessageError> {
    let short = MessageError::Short(data.len());
    let (&header, rest) = data.split_first_chunk::<12>().ok_or(short)?;
    let [
        n1,
        n2,
        n3,
        n4,
        m1,
        m2,
        version,
        medium,
        access_number,
        status,
        _,
        mode,
    ] = header;
    let mut found = Vec::new();
    // Old meters use the bits of the encryption mode for other things: data that decode are not encrypted.
    let more_follows = match records(rest, &mut found) {
        Ok(more_follows) => more_follows,
        Err(_) if matches!(mode & 0x1F, 4 | 5 | 7) && found.is_empty() => {
            return Err(MessageError::Encrypted(mode & 0x1F));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Message {
        number: number([n1, n2, n3, n4]),
        manufacturer: manufacturer(u16::from_le_bytes([m1, m2])),
        version,
        device_type: medium,
        medium: self::medium(medium),
        access_number,
        status,
        records: found,
        data: vec![rest.to_vec()],
        more_follows,
    })
}

/// Decodes the three letters of a manufacturer, five bits each with A = 1; empty if they are no letters.
pub(crate) fn manufacturer(code: u16) -> String {
    let letters = [code >> 10, code >> 5, code].map(|letter| (letter & 0x1F) as u8 + b'@');
    let is_name = letters.iter().all(u8::is_ascii_uppercase);
    if is_name {
        letters.into_iter().map(char::from).collect()
    } else {
        String::new()
    }
}

/// Returns the medium of a variable structure (EN 13757-3, table 6; EN 13757-7 for devices that are no meters).
pub(crate) fn medium(code: u8) -> &'static str {
    match code {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 => "heat",
        0x05 => "steam",
        0x06 => "warm_water",
        0x07 => "water",
        0x08 => "heat_cost_allocator",
        0x09 => "compressed_air",
        0x0A | 0x0B => "cooling",
        0x0C => "heat",
        0x0D => "heat_and_cooling",
        0x0E => "bus",
        0x14 => "calorific_value",
        0x15 => "hot_water",
        0x16 => "cold_water",
        0x17 => "dual_water",
        0x18 => "pressure",
        0x19 => "converter",
        0x1A => "smoke_detector",
        0x1B => "room_sensor",
        0x1C => "gas_detector",
        0x1D => "sensor",
        0x20 => "breaker",
        0x21 => "valve",
        0x25 => "display",
        0x28 => "waste_water",
        0x29 => "garbage",
        0x2A => "carbon_dioxide",
        0x31 => "gateway",
        0x32 | 0x33 => "repeater",
        0x36 | 0x37 => "radio_converter",
        _ => "unknown",
    }
}

/// Returns the meaning of an application error (EN 13757-3, 6.6).
fn application_error(code: Option<u8>) -> &'static str {
    match code {
        Some(1) => "unimplemented CI field",
        Some(2) => "buffer too long, truncated",
        Some(3) => "too many records",
        Some(4) => "premature end of record",
        Some(5) => "more than 10 DIFE",
        Some(6) => "more than 10 VIFE",
        Some(8) => "application busy",
        Some(9) => "too many readouts",
        _ => "an unspecified error",
    }
}

/// Returns the names of the bits of a status byte that are set (EN 13757-3, 5.6): those of the standard, and `manufacturer_20` and the
/// like for the bits that only the manufacturer knows.
pub(crate) fn status_names(status: u8) -> Vec<String> {
    let mut names: Vec<String> = match status & 3 {
        1 => vec!["busy".into()],
        2 => vec!["application_error".into()],
        3 => vec!["abnormal_condition".into()],
        _ => Vec::new(),
    };
    for (bit, name) in [
        (4, "low_power"),
        (8, "permanent_error"),
        (0x10, "temporary_error"),
    ] {
        if status & bit != 0 {
            names.push(name.into());
        }
    }
    if status & 0xE0 != 0 {
        names.push(format!("manufacturer_{:02x}", status & 0xE0));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Number 12345678, manufacturer ABC, version 1, water, access number 2, status 0, mode, and a volume of 1.000 m3.
    fn answer(mode: u8) -> Vec<u8> {
        let header = [0x78, 0x56, 0x34, 0x12, 0x43, 0x04, 1, 7, 2, 0, 0, mode];
        [&header[..], &[0x04, 0x13, 0xE8, 0x03, 0, 0]].concat()
    }

    #[test]
    fn the_header_is_read() {
        let message = Message::parse(0x72, &answer(0)).unwrap();
        assert_eq!(
            (message.number.as_str(), message.manufacturer.as_str()),
            ("12345678", "ABC")
        );
        assert_eq!(
            (message.medium, message.access_number, message.records.len()),
            ("water", 2, 1)
        );
    }

    #[test]
    fn data_that_decode_are_not_encrypted_whatever_the_mode_says() {
        assert_eq!(Message::parse(0x72, &answer(5)).unwrap().records.len(), 1);
        let mut encrypted = answer(5);
        encrypted.truncate(15);
        assert_eq!(Message::parse(0x72, &encrypted), Err(MessageError::Encrypted(5)));
    }

    #[test]
    fn an_error_of_the_meter_is_reported_as_such() {
        let busy = Message::parse(0x70, &[8]);
        assert_eq!(busy, Err(MessageError::Error("application busy")));
        assert_eq!(Message::parse(0x78, &[]), Err(MessageError::Unknown(0x78)));
        assert_eq!(Message::parse(0x72, &[0; 11]), Err(MessageError::Short(11)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(information: u8, data in prop::collection::vec(any::<u8>(), 0..300)) {
            for information in [0x70, 0x72, 0x73, information] {
                let _ = Message::parse(information, &data);
            }
        }
    }
}
