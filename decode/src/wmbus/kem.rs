//! Kamstrup's KEM files: XML with the keys of meters, encrypted with a password.
//!
//! ```text
//!  <EncryptedData …><CipherData><CipherValue>base64</CipherValue>…
//!        │ AES-128-CBC; key and initialization vector are the password, zeros behind it
//!        ▼
//!  <MetersInOrder><Meter><SerialNo>…</SerialNo><DEK>32 digits</DEK>…          older files
//!  <Devices><Device><SerialNumber>…</SerialNumber>…<Value>32 digits</Value>…  newer ones
//! ```
//!
//! The format is that of XML Encryption (W3C, 2002) and of `utils/kem-import.py` of wmbusmeters. A file may lie in a ZIP archive;
//! unpack it first.

use super::crypto::cbc_decrypt;
use crate::cipher::Key;
use data_encoding::BASE64;

/// Most bytes of a file: enough for [`MAX_METERS`].
pub const MAX_LEN: usize = 16 << 20;
/// Most meters of a file.
pub const MAX_METERS: usize = 10_000;
/// Longest password in bytes.
const MAX_PASSWORD: usize = 16;

/// Meter of a KEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KemMeter {
    /// Serial number: the identification in telegrams, eight digits.
    pub serial_number: String,
    /// Number that the customer gave it; empty if there is none.
    pub meter_number: String,
    /// Name of the model, such as `MC21`; empty if there is none.
    pub model: String,
    /// Key.
    pub key: Key,
}

/// Error for a file that is not a KEM file, or a wrong password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// The file is a ZIP archive.
    #[error("this is a ZIP archive: unpack the .kem file in it first")]
    Zip,
    /// The file is too long.
    #[error("expected a KEM file of at most {MAX_LEN} bytes, found {0}")]
    TooLong(usize),
    /// There is neither encrypted data nor a list of meters.
    #[error("expected XML with an element CipherValue, found none: this is no KEM file")]
    NoKem,
    /// The encrypted data are not base64, or no whole blocks.
    #[error("the element CipherValue is not base64 of whole AES blocks: the file is damaged")]
    Damaged,
    /// The password is too long.
    #[error("expected a password of at most {MAX_PASSWORD} bytes, found {0}")]
    LongPassword(usize),
    /// The decrypted text is no list of meters.
    #[error("the password is wrong: the decrypted text is no list of meters")]
    WrongPassword,
    /// A meter of the list has no serial number or no key.
    #[error("meter {0} of the file has no serial number or no key of 32 digits")]
    Meter(usize),
    /// The list is too long.
    #[error("expected at most {MAX_METERS} meters, found more")]
    TooMany,
}

/// Returns the meters of a KEM file. The password is as a rule the customer number of the order.
///
/// # Errors
/// As [`KemError`] describes.
pub fn meters(file: &[u8], password: &str) -> Result<Vec<KemMeter>, KemError> {
    if file.starts_with(b"PK\x03\x04") {
        return Err(KemError::Zip);
    }
    if file.len() > MAX_LEN {
        return Err(KemError::TooLong(file.len()));
    }
    let text = String::from_utf8_lossy(file);
    let plain = match element(&text, "CipherValue") {
        Some((value, _)) => decrypt(value, password)?,
        // Files that another program has decrypted.
        None if is_list(&text) => text.into_owned(),
        None => return Err(KemError::NoKem),
    };
    if !is_list(&plain) {
        return Err(KemError::WrongPassword);
    }
    let (item, serial_number, number, model, key) = if element(&plain, "MetersInOrder").is_some() {
        ("Meter", "SerialNo", "MeterNo", "MeterName", "DEK")
    } else {
        (
            "Device",
            "SerialNumber",
            "CustomerDeviceNumber",
            "ShortName",
            "Value",
        )
    };
    let mut meters = Vec::new();
    let mut rest = &*plain;
    while let Some((meter, behind)) = element(rest, item) {
        if meters.len() >= MAX_METERS {
            return Err(KemError::TooMany);
        }
        let text = |name| element(meter, name).map(|(text, _)| text.trim().to_owned());
        let read = || {
            let serial_number = text(serial_number).filter(|number| !number.is_empty())?;
            Some(KemMeter {
                serial_number,
                meter_number: text(number).unwrap_or_default(),
                model: text(model).unwrap_or_default(),
                key: text(key)?.parse().ok()?,
            })
        };
        meters.push(read().ok_or(KemError::Meter(meters.len() + 1))?);
        rest = behind;
    }
    Ok(meters)
}

fn is_list(text: &str) -> bool {
    ["MetersInOrder", "Devices"]
        .iter()
        .any(|name| element(text, name).is_some())
}

fn decrypt(value: &str, password: &str) -> Result<String, KemError> {
    let mut key = [0; MAX_PASSWORD];
    let password = password.as_bytes();
    key.get_mut(..password.len())
        .ok_or(KemError::LongPassword(password.len()))?
        .copy_from_slice(password);
    let base64: Vec<u8> = value.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut text = BASE64.decode(&base64).map_err(|_| KemError::Damaged)?;
    if text.is_empty() || text.len() % MAX_PASSWORD != 0 {
        return Err(KemError::Damaged);
    }
    cbc_decrypt(&key.into(), &key, &mut text);
    // Padding, whose last byte states its length.
    while text.last().is_some_and(|byte| *byte <= 16) {
        text.pop();
    }
    String::from_utf8(text).map_err(|_| KemError::WrongPassword)
}

/// Returns the content of the first element of this name, whatever its namespace, and what follows the element. Elements of
/// a KEM file are not nested in others of their name.
fn element<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find('<')? + 1..];
        let tag = &rest[..rest.find('>')?];
        let full_name = tag.split_whitespace().next().unwrap_or_default();
        let local = full_name.rsplit(':').next().unwrap_or_default();
        if local != name || tag.ends_with('/') {
            continue;
        }
        let content = &rest[tag.len() + 1..];
        let end = format!("</{full_name}>");
        let at = content.find(&end)?;
        return Some((&content[..at], &content[at + end.len()..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wmbus::crypto::cbc_encrypt;
    use proptest::prelude::*;

    const OLD: &str = "<?xml version=\"1.0\"?><MetersInOrder orderid=\"1\"><Meter><MeterName>MC21</MeterName>\
        <MeterNo>77</MeterNo><SerialNo>12345678</SerialNo><DEK>000102030405060708090A0B0C0D0E0F</DEK></Meter></MetersInOrder>";
    const NEW: &str = "<Devices><Device><ShortName>MC403</ShortName><SerialNumber>87654321</SerialNumber>\
        <Keys><Key><Value>0F0E0D0C0B0A09080706050403020100</Value></Key></Keys></Device></Devices>";

    fn kem(plain: &str, password: &str) -> Vec<u8> {
        let mut key = [0; 16];
        key[..password.len()].copy_from_slice(password.as_bytes());
        let mut text = plain.as_bytes().to_vec();
        let padding = 16 - text.len() % 16;
        text.resize(text.len() + padding, padding as u8);
        cbc_encrypt(&key.into(), &key, &mut text);
        let value = BASE64.encode(&text);
        format!(
            "<?xml version=\"1.0\"?><xenc:EncryptedData xmlns:xenc=\"x\"><xenc:CipherData><xenc:CipherValue>\n{value}\n\
             </xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
        )
        .into_bytes()
    }

    #[test]
    fn both_kinds_of_files_are_read() {
        let read = meters(&kem(OLD, "12345"), "12345").unwrap();
        assert_eq!(
            (read.len(), &*read[0].serial_number, &*read[0].model),
            (1, "12345678", "MC21")
        );
        assert!(read[0].key == "000102030405060708090A0B0C0D0E0F".parse().unwrap());
        let read = meters(&kem(NEW, "a password of 16"), "a password of 16").unwrap();
        assert_eq!(
            (&*read[0].serial_number, &*read[0].meter_number),
            ("87654321", "")
        );
        assert_eq!(
            meters(NEW.as_bytes(), "").unwrap(),
            read,
            "decrypted by another program"
        );
    }

    #[test]
    fn what_cannot_be_read_has_a_reason() {
        let file = kem(OLD, "12345");
        assert_eq!(meters(&file, "12346"), Err(KemError::WrongPassword));
        assert_eq!(meters(&file, &"1".repeat(17)), Err(KemError::LongPassword(17)));
        assert_eq!(meters(b"PK\x03\x04...", ""), Err(KemError::Zip));
        assert_eq!(meters(b"<html></html>", ""), Err(KemError::NoKem));
        assert_eq!(
            meters(b"<CipherValue>AAA=</CipherValue>", ""),
            Err(KemError::Damaged)
        );
        let without_key = OLD.replace("DEK", "KED");
        assert_eq!(meters(&kem(&without_key, "1"), "1"), Err(KemError::Meter(1)));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "[<>/A-Za-z: ]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = meters(text.as_bytes(), "x");
            let _ = meters(&bytes, "x");
            let _ = meters(format!("<Devices><Device>{text}</Device></Devices>").as_bytes(), "x");
        }
    }
}
