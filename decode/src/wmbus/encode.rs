//! Encoder of telegrams: the other half of the tests, and of simulators.

use super::address::Address;
use super::crypto::{cbc_encrypt, cmac, ctr};
use super::layers::Ell;
use super::link::CRC;
use super::security::{ENCRYPTION_FROM_METER, MAC_FROM_METER, derive, mode_5_iv};
use crate::cipher::Key;

/// C field of what meters send unasked.
const SND_NR: u8 = 0x44;
/// Message control of the authentication layer: a counter, and a MAC of 8 bytes.
const MESSAGE_CONTROL: u8 = 0x25;
/// Bytes of the MAC.
const MAC: usize = 8;

/// Protection of a telegram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Plain text.
    #[default]
    None,
    /// Extended link layer II with AES-CTR.
    LinkLayer {
        /// Key of the meter.
        key: Key,
        /// Session number without the method: 29 bits.
        session: u32,
    },
    /// Security mode 5.
    Mode5 {
        /// Key of the meter.
        key: Key,
    },
    /// Security mode 7, with an authentication layer.
    Mode7 {
        /// Master key of the meter.
        key: Key,
        /// Message counter.
        counter: u32,
    },
}

/// Telegram to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Address of the radio.
    pub radio: Address,
    /// Address of the meter, if it is not that of the radio: then there is a long header.
    pub meter: Option<Address>,
    /// Access number.
    pub access_number: u8,
    /// Status byte.
    pub status: u8,
    /// Protection.
    pub protection: Protection,
}

impl Sender {
    /// Returns a telegram without CRCs that carries these records; `None` if they are too long for one.
    pub fn telegram(&self, records: &[u8]) -> Option<Vec<u8>> {
        match &self.protection {
            Protection::None => self.link(&self.transport(0, None, records)),
            Protection::LinkLayer { key, session } => {
                self.link(&self.link_layer(*key.bytes(), *session, records))
            }
            Protection::Mode5 { key } => {
                let meter = self.meter.unwrap_or(self.radio);
                let mut text = padded(records);
                cbc_encrypt(key, &mode_5_iv(&meter, self.access_number), &mut text);
                self.link(&self.transport(configuration(5, text.len()), None, &text))
            }
            Protection::Mode7 { key, counter } => {
                let meter = self.meter.unwrap_or(self.radio);
                let counter = counter.to_le_bytes();
                let mut text = padded(records);
                cbc_encrypt(
                    &derive(key, ENCRYPTION_FROM_METER, counter, &meter),
                    &[0; 16],
                    &mut text,
                );
                let transport = self.transport(configuration(7, text.len()), Some(0x10), &text);
                let mac = cmac(
                    &derive(key, MAC_FROM_METER, counter, &meter),
                    &[&[MESSAGE_CONTROL], &counter, &transport],
                );
                // FCL 2C00: message control, counter and MAC follow.
                let mut bytes = vec![0x90, 0x0F, 0x00, 0x2C, MESSAGE_CONTROL];
                bytes.extend(counter);
                bytes.extend(&mac[..MAC]);
                bytes.extend(transport);
                self.link(&bytes)
            }
        }
    }

    /// Returns a telegram with a payload of the manufacturer's own behind this CI byte; `None` if it is too long.
    pub fn manufacturer(&self, information: u8, payload: &[u8]) -> Option<Vec<u8>> {
        self.link(&[&[information], payload].concat())
    }

    /// Returns a telegram with a compact frame of these records; `None` if it is too long.
    pub fn compact(&self, records: &[u8]) -> Option<Vec<u8>> {
        let (mut headers, mut values) = (Vec::new(), Vec::new());
        crate::mbus::walk(records, |_, span| {
            headers.extend_from_slice(&records[span.header]);
            values.extend_from_slice(&records[span.data]);
        })
        .ok()?;
        let mut bytes = vec![0x79];
        bytes.extend(CRC.checksum(&headers).to_le_bytes());
        bytes.extend(CRC.checksum(records).to_le_bytes());
        bytes.extend(values);
        self.link(&bytes)
    }

    fn link(&self, rest: &[u8]) -> Option<Vec<u8>> {
        let mut telegram = vec![u8::try_from(9 + rest.len()).ok()?, SND_NR];
        telegram.extend(self.radio.to_link());
        telegram.extend(rest);
        Some(telegram)
    }

    fn transport(&self, configuration: u16, extension: Option<u8>, payload: &[u8]) -> Vec<u8> {
        let mut bytes = match &self.meter {
            Some(meter) => [&[0x72], &meter.to_header()[..]].concat(),
            None => vec![0x7A],
        };
        bytes.extend([self.access_number, self.status]);
        bytes.extend(configuration.to_le_bytes());
        bytes.extend(extension);
        bytes.extend(payload);
        bytes
    }

    fn link_layer(&self, key: [u8; 16], session: u32, records: &[u8]) -> Vec<u8> {
        // The highest three bits are the method: AES-CTR.
        let session = (session & 0x1FFF_FFFF | 1 << 29).to_le_bytes();
        let ell = Ell {
            information: 0x8D,
            control: 0x20,
            access_number: self.access_number,
            receiver: None,
            session: Some(session),
        };
        let payload = self.transport(0, None, records);
        let mut text = CRC.checksum(&payload).to_le_bytes().to_vec();
        text.extend(payload);
        ctr(&key.into(), &ell.counter_block(&self.radio), &mut text);
        let mut bytes = vec![ell.information, ell.control, ell.access_number];
        bytes.extend(session);
        bytes.extend(text);
        bytes
    }
}

/// Returns records between two bytes 2F, which prove the key, and as many as fill the last block.
fn padded(records: &[u8]) -> Vec<u8> {
    let mut text = vec![0x2F, 0x2F];
    text.extend(records);
    text.resize(text.len().next_multiple_of(16), 0x2F);
    text
}

/// Returns a configuration word; 15 blocks stand for all there are.
fn configuration(mode: u16, len: usize) -> u16 {
    let blocks = u16::try_from(len / 16).unwrap_or(u16::MAX).min(15);
    mode << 8 | blocks << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wmbus::{Decoder, KeyOrigin, KeyRing, Scheme, Security, format_a, format_b, report};
    use proptest::prelude::*;

    fn address(number: u32) -> Address {
        Address {
            manufacturer: 0x0443,
            identification: number.to_le_bytes(),
            version: 1,
            device_type: 7,
        }
    }

    fn sender(protection: Protection) -> Sender {
        Sender {
            radio: address(0x1234_5678),
            meter: None,
            access_number: 42,
            status: 0,
            protection,
        }
    }

    fn key(byte: u8) -> Key {
        Key::from([byte; 16])
    }

    fn protections(byte: u8) -> Vec<(Protection, Scheme)> {
        let key = key(byte);
        vec![
            (
                Protection::LinkLayer {
                    key: key.clone(),
                    session: 0x0123_4567,
                },
                Scheme::LinkLayer,
            ),
            (Protection::Mode5 { key: key.clone() }, Scheme::Mode(5)),
            (Protection::Mode7 { key, counter: 77 }, Scheme::Mode(7)),
        ]
    }

    /// Volume of 1.234 m3.
    const RECORDS: [u8; 6] = [0x04, 0x13, 0xD2, 0x04, 0, 0];

    fn volume(bytes: &[u8], keys: &KeyRing) -> (Security, Option<String>) {
        let telegram = Decoder::default().decode(bytes, keys).unwrap();
        let report = report(&telegram);
        let volume = report.reading.get("volume").and_then(|value| value.quantity());
        (telegram.security, volume.map(|volume| volume.value.to_string()))
    }

    #[test]
    fn given_the_right_key_then_it_is_proved_and_values_are_there() {
        let mut keys = KeyRing::default();
        keys.insert("12345678", key(9));
        for (protection, scheme) in protections(9) {
            let telegram = sender(protection).telegram(&RECORDS).unwrap();
            let expected = (
                Security::Decrypted(scheme, KeyOrigin::Given),
                Some("1.234".into()),
            );
            assert_eq!(volume(&telegram, &keys), expected);
            assert_eq!(volume(&format_a(&telegram), &keys), expected);
            assert_eq!(volume(&format_b(&telegram).unwrap(), &keys), expected);
        }
    }

    #[test]
    fn no_key_and_wrong_key_are_told_apart() {
        let mut wrong = KeyRing::default();
        wrong.set_any(key(8));
        for (protection, scheme) in protections(9) {
            let telegram = sender(protection).telegram(&RECORDS).unwrap();
            assert_eq!(
                volume(&telegram, &KeyRing::default()),
                (Security::NoKey(scheme), None)
            );
            assert_eq!(volume(&telegram, &wrong), (Security::WrongKey(scheme), None));
        }
    }

    #[test]
    fn given_a_key_then_plain_text_is_refused() {
        let mut keys = KeyRing::default();
        let plain = sender(Protection::None).telegram(&RECORDS).unwrap();
        assert_eq!(volume(&plain, &keys), (Security::Plain, Some("1.234".into())));
        keys.insert("12345678", key(9));
        assert_eq!(volume(&plain, &keys), (Security::PlainRefused, None));
        // Announced as encrypted, but plain: as other programs log it.
        let mut logged = sender(Protection::None)
            .telegram(&[&[0x2F, 0x2F], &RECORDS[..]].concat())
            .unwrap();
        logged[14] = 5;
        assert_eq!(volume(&logged, &keys), (Security::PlainRefused, None));
        let keys = KeyRing::default();
        let expected = (Security::DecryptedBefore(Scheme::Mode(5)), Some("1.234".into()));
        assert_eq!(volume(&logged, &keys), expected);
    }

    #[test]
    fn given_a_text_that_begins_otherwise_then_its_records_are_read_and_marked() {
        let key = key(9);
        let mut text = [&RECORDS[..], &[0x02, 0x5A, 1, 0, 0x02, 0x5E, 1, 0, 0x2F, 0x2F]].concat();
        let sender = sender(Protection::None);
        cbc_encrypt(&key, &mode_5_iv(&sender.radio, 42), &mut text);
        let telegram = sender.link(&sender.transport(0x0510, None, &text)).unwrap();
        let mut keys = KeyRing::default();
        keys.insert("12345678", key);
        let expected = (Security::Unproved(Scheme::Mode(5)), Some("1.234".into()));
        assert_eq!(volume(&telegram, &keys), expected);
    }

    #[test]
    fn the_unencrypted_rest_of_a_telegram_is_read_too() {
        let key = key(9);
        let sender = sender(Protection::Mode5 { key: key.clone() });
        let mut telegram = sender.telegram(&[]).unwrap();
        telegram.extend(RECORDS);
        telegram[0] += 6;
        let mut keys = KeyRing::default();
        keys.insert("12345678", key);
        assert_eq!(volume(&telegram, &keys).1, Some("1.234".into()));
    }

    #[test]
    fn given_a_radio_of_its_own_then_both_numbers_find_the_key_and_the_meter_is_that_of_the_header() {
        let key = key(9);
        for protection in [
            Protection::Mode5 { key: key.clone() },
            Protection::Mode7 {
                key: key.clone(),
                counter: 1,
            },
        ] {
            let sender = Sender {
                meter: Some(address(0x8765_4321)),
                ..sender(protection)
            };
            let telegram = sender.telegram(&RECORDS).unwrap();
            for number in ["87654321", "12345678"] {
                let mut keys = KeyRing::default();
                keys.insert(number, key.clone());
                let telegram = Decoder::default().decode(&telegram, &keys).unwrap();
                let report = report(&telegram);
                assert_eq!(report.id, "87654321");
                let radio = report
                    .reading
                    .get("radio_id")
                    .map(|value| serde_json::to_string(value).unwrap());
                assert_eq!(radio.as_deref(), Some("\"12345678\""));
                assert!(report.reading.get("volume").is_some());
            }
        }
    }

    #[test]
    fn given_a_changed_bit_of_mode_7_then_the_mac_refuses_it() {
        let key = key(9);
        let telegram = sender(Protection::Mode7 {
            key: key.clone(),
            counter: 5,
        })
        .telegram(&RECORDS)
        .unwrap();
        let mut keys = KeyRing::default();
        keys.set_any(key);
        // From the message control on, every bit counts.
        for bit in 8 * 14..8 * telegram.len() {
            let mut changed = telegram.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let values = Decoder::default()
                .decode(&changed, &keys)
                .map(|telegram| telegram.records);
            assert!(values.is_err() || values == Ok(Vec::new()), "bit {bit}");
        }
    }

    #[test]
    fn a_full_frame_teaches_the_compact_ones() {
        let kamstrup = Sender {
            radio: Address {
                manufacturer: 0x2C2D,
                ..address(0x1234_5678)
            },
            ..sender(Protection::None)
        };
        let records = [&RECORDS[..], &[0x02, 0x5A, 0xD7, 0, 0x01, 0x67, 9]].concat();
        let (full, compact) = (
            kamstrup.telegram(&records).unwrap(),
            kamstrup.compact(&records).unwrap(),
        );
        let (mut decoder, keys) = (Decoder::default(), KeyRing::default());
        let before = decoder.decode(&compact, &keys).unwrap();
        assert!(before.records.is_empty() && before.problem.is_some());
        assert!(decoder.decode(&full, &keys).unwrap().has_taught);
        let after = decoder.decode(&compact, &keys).unwrap();
        assert_eq!((after.records.len(), after.problem), (3, None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(litres in 0u32..100_000_000, which in 0usize..3, number in any::<u32>(), access_number: u8) {
            let records = [&[0x04, 0x13], &litres.to_le_bytes()[..]].concat();
            let protection = protections(3).swap_remove(which).0;
            let sender = Sender { radio: address(number), access_number, ..sender(protection) };
            let mut keys = KeyRing::default();
            keys.set_any(key(3));
            // With CRCs: one telegram in 65 536 without them looks as if it were cut off.
            let frame = format_a(&sender.telegram(&records).unwrap());
            let expected = format!("{}.{:03}", litres / 1000, litres % 1000);
            prop_assert_eq!(volume(&frame, &keys).1, Some(expected));
        }

        #[test]
        fn a_telegram_that_is_cut_or_changed_never_panics_and_gives_no_value_by_link_layer_encryption(
            at: usize, bit in 0u8..8,
        ) {
            let mut keys = KeyRing::default();
            keys.set_any(key(3));
            for (protection, scheme) in protections(3) {
                let telegram = sender(protection).telegram(&RECORDS).unwrap();
                let at = at % telegram.len();
                prop_assert!(Decoder::default().decode(&telegram[..at], &keys).is_err());
                let mut changed = telegram.clone();
                changed[at] ^= 1 << bit;
                if let Ok(decoded) = Decoder::default().decode(&changed, &keys) {
                    // C is not protected; of the communication control, neither are the bits of a repeater.
                    if scheme == Scheme::LinkLayer && at > 11 && at != 12 {
                        prop_assert!(decoded.records.is_empty());
                    }
                }
            }
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 11..300), information in prop::sample::select(vec![
            0x72u8, 0x7A, 0x78, 0x79, 0x7B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x81, 0x86, 0xA0, 0xA1, 0xA2, 0xB6,
        ]), maker in prop::sample::select(vec![
            0x0601u16, 0x0614, 0x1525, 0x1EE6, 0x26A7, 0x08D7, 0x09B4, 0x09B0, 0x11A5, 0x2324, 0x4C30, 0x5068, 0x2C2D, 0x4493, 0x6A49, 0x3265,
        ]), kind in prop::sample::select(vec![
            (0x05u8, 0x07u8), (0x14, 7), (4, 8), (0x0F, 3), (4, 0x11), (0x69, 0x80), (0x94, 0x80), (0x74, 0x62), (0x45, 0x43),
            (0x27, 4), (0x76, 0xF0), (0x13, 7), (0x0B, 0x16), (0, 8), (0x50, 0x72), (0x0C, 0x1A), (0x3C, 7), (0x85, 8),
        ]), has_key: bool) {
            let len = bytes.len().min(256);
            bytes.truncate(len);
            bytes[0] = u8::try_from(len - 1).unwrap();
            bytes[1] = 0x44;
            bytes[2..4].copy_from_slice(&maker.to_le_bytes());
            (bytes[8], bytes[9], bytes[10]) = (kind.0, kind.1, information);
            let mut keys = KeyRing::default();
            if has_key {
                keys.set_any(key(3));
            }
            let mut decoder = Decoder::default();
            if let Ok(telegram) = decoder.decode(&bytes, &keys) {
                let _ = (report(&telegram), crate::wmbus::explain(&telegram));
            }
        }
    }
}
