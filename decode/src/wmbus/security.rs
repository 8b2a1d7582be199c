//! Decryption of the layers, and what it proved.

use super::address::Address;
use super::crypto::{cbc_decrypt, cmac, ctr};
use super::keys::{DefaultKey, KeyRing, default_key};
use super::layers::{Afl, Ell, Tpl};
use super::link::CRC;
use crate::cipher::Key;
use std::fmt;

/// How a telegram is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// AES-CTR of the extended link layer; its payload CRC proves the key.
    LinkLayer,
    /// Security mode of the transport layer. Modes 5 and 7 are AES-CBC; two bytes 2F prove the key, and a MAC in mode 7.
    Mode(u8),
    /// Scheme of a manufacturer.
    Manufacturer(&'static str),
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::LinkLayer => f.write_str("AES-CTR of the link layer"),
            Scheme::Mode(mode) => write!(f, "security mode {mode}"),
            Scheme::Manufacturer(name) => f.write_str(name),
        }
    }
}

/// Key that decrypted a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The key that was given for the meter.
    Given,
    /// A key that its manufacturer delivers meters with, by name.
    Default(&'static str),
}

/// Secrecy and origin of a telegram, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Sent in plain text.
    #[default]
    Plain,
    /// Announced as encrypted, but plain: another program has decrypted it before it was logged.
    DecryptedBefore(Scheme),
    /// Decrypted, and the key is proved right.
    Decrypted(Scheme, KeyOrigin),
    /// Decrypted, but the text does not begin as expected. Its records can be read, so the key may be right.
    Unproved(Scheme),
    /// Encrypted, and there is no key for the meter.
    NoKey(Scheme),
    /// Encrypted with another key.
    WrongKey(Scheme),
    /// In plain text although there is a key for the meter: anybody could have sent it.
    PlainRefused,
    /// Encrypted in a way that is not supported.
    Unsupported(Scheme),
}

impl Security {
    /// Returns true if values of the telegram may be used.
    pub fn is_readable(&self) -> bool {
        matches!(
            self,
            Security::Plain | Security::DecryptedBefore(_) | Security::Decrypted(..) | Security::Unproved(_)
        )
    }

    /// Returns a word for the status, as it stands in JSON: `plain`, `no_key`, ….
    pub fn name(&self) -> &'static str {
        match self {
            Security::Plain => "plain",
            Security::DecryptedBefore(_) => "decrypted_before",
            Security::Decrypted(_, KeyOrigin::Given) => "decrypted",
            Security::Decrypted(_, KeyOrigin::Default(_)) => "default_key",
            Security::Unproved(_) => "unexpected_text",
            Security::NoKey(_) => "no_key",
            Security::WrongKey(_) => "wrong_key",
            Security::PlainRefused => "plain_text_refused",
            Security::Unsupported(_) => "unsupported",
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Security::Plain => f.write_str("plain text"),
            Security::DecryptedBefore(scheme) => write!(f, "{scheme}, decrypted before it was logged"),
            Security::Decrypted(scheme, KeyOrigin::Given) => write!(f, "{scheme}, decrypted with the given key"),
            Security::Decrypted(scheme, KeyOrigin::Default(name)) => write!(f, "{scheme}, decrypted with {name}"),
            Security::Unproved(scheme) => write!(
                f,
                "{scheme}, decrypted, but the text does not begin with 2F2F as expected: its records can be read, so the \
                 key is probably right"
            ),
            Security::NoKey(scheme) => write!(f, "encrypted ({scheme}), and there is no key for the meter"),
            Security::WrongKey(scheme) => {
                write!(f, "encrypted ({scheme}), and the key of the meter is not the right one")
            }
            Security::PlainRefused => {
                f.write_str("refused: it is in plain text although there is a key for the meter, so anybody could have sent it")
            }
            Security::Unsupported(scheme) => write!(f, "encrypted ({scheme}), which is not supported"),
        }
    }
}

/// Key to try, and where it is from.
pub(super) struct Candidate {
    pub key: Key,
    pub origin: KeyOrigin,
}

/// Returns the key of a meter: the given one, or else that of its manufacturer.
pub(super) fn candidate(keys: &KeyRing, meter: &Address, radio: &Address) -> Option<Candidate> {
    if let Some(key) = keys.find(meter, radio) {
        return Some(Candidate {
            key: key.clone(),
            origin: KeyOrigin::Given,
        });
    }
    // The radio may be of another maker than the meter.
    let default = default_key(meter).or_else(|| default_key(radio));
    default.map(|default: &DefaultKey| Candidate {
        key: default.key(),
        origin: KeyOrigin::Default(default.name),
    })
}

/// Returns the result for a text that was found plain though it is announced as encrypted.
pub(super) fn plain(scheme: Scheme, has_key: bool) -> Security {
    if has_key {
        Security::PlainRefused
    } else {
        Security::DecryptedBefore(scheme)
    }
}

/// Returns what was not decrypted, by whether a key had been given.
pub(super) fn undecrypted(scheme: Scheme, has_key: bool) -> Security {
    if has_key {
        Security::WrongKey(scheme)
    } else {
        Security::NoKey(scheme)
    }
}

/// Decrypts what follows the extended link layer, in place. `bytes` begin with the payload CRC.
pub(super) fn decrypt_link(ell: &Ell, radio: &Address, keys: &KeyRing, bytes: &mut [u8]) -> Security {
    let scheme = Scheme::LinkLayer;
    let has_key = keys.find(radio, radio).is_some();
    if let Some(Candidate { key, origin }) = candidate(keys, radio, radio) {
        let mut text = bytes.to_vec();
        ctr(&key, &ell.counter_block(radio), &mut text);
        if has_right_crc(&text) {
            bytes.copy_from_slice(&text);
            return Security::Decrypted(scheme, origin);
        }
    }
    if has_right_crc(bytes) {
        return plain(scheme, has_key);
    }
    undecrypted(scheme, has_key)
}

/// Returns true if the payload CRC, which is low byte first, matches.
fn has_right_crc(bytes: &[u8]) -> bool {
    let payload = bytes.split_first_chunk::<2>();
    payload.is_some_and(|(crc, payload)| u16::from_le_bytes(*crc) == CRC.checksum(payload))
}

/// Transport layer with everything that its decryption needs.
pub(super) struct Envelope<'a> {
    pub tpl: &'a Tpl,
    pub afl: Option<&'a Afl>,
    /// Address of the meter.
    pub meter: &'a Address,
    pub radio: &'a Address,
    /// Everything from the CI byte of the transport layer on: what the MAC covers.
    pub authenticated: &'a [u8],
}

impl Envelope<'_> {
    /// Decrypts the payload in place, as far as it is encrypted.
    pub fn decrypt(&self, keys: &KeyRing, payload: &mut [u8]) -> Security {
        let mode = self.tpl.mode();
        let scheme = Scheme::Mode(mode);
        let has_key = keys.find(self.meter, self.radio).is_some();
        if mode == 0 || payload.is_empty() {
            return if has_key {
                Security::PlainRefused
            } else {
                Security::Plain
            };
        }
        if !matches!(mode, 5 | 7) {
            return Security::Unsupported(scheme);
        }
        let encrypted = self.tpl.encrypted_len(payload.len());
        if encrypted == 0 {
            return plain(scheme, has_key);
        }
        let mut unproved = None;
        if let Some(Candidate { key, origin }) = candidate(keys, self.meter, self.radio) {
            let opened = match mode {
                5 => Some((
                    key,
                    mode_5_iv(self.meter, self.tpl.access_number.unwrap_or_default()),
                )),
                _ => self.message_key(&key).map(|key| (key, [0; 16])),
            };
            if let Some((key, iv)) = opened {
                let mut text = payload.to_vec();
                cbc_decrypt(&key, &iv, &mut text[..encrypted]);
                if text.starts_with(&[0x2F, 0x2F]) {
                    payload.copy_from_slice(&text);
                    return Security::Decrypted(scheme, origin);
                }
                unproved = Some(text).filter(|_| origin == KeyOrigin::Given);
            }
        }
        // After the key: one ciphertext in 65 536 begins like plain text.
        if payload.starts_with(&[0x2F, 0x2F]) {
            return plain(scheme, has_key);
        }
        match unproved {
            Some(text) if looks_like_records(&text) => {
                payload.copy_from_slice(&text);
                Security::Unproved(scheme)
            }
            _ => undecrypted(scheme, has_key),
        }
    }

    /// Verifies the MAC and derives the key of a message in mode 7; `None` if the MAC does not match, or MAC or counter
    /// are missing.
    fn message_key(&self, key: &Key) -> Option<Key> {
        let afl = self.afl?;
        let counter = afl.counter?;
        let derive = |constant| derive(key, constant, counter, self.meter);
        let length = afl.message_length.unwrap_or_default();
        let length = if afl.message_length.is_some() {
            &length[..]
        } else {
            &[]
        };
        let control = [afl.message_control.unwrap_or_default()];
        let mac = cmac(
            &derive(MAC_FROM_METER),
            &[&control, &counter, length, self.authenticated],
        );
        // Without a MAC anybody could have made the message from parts of others.
        if afl.mac.is_empty() || !mac.starts_with(&afl.mac) {
            return None;
        }
        Some(derive(ENCRYPTION_FROM_METER))
    }
}

/// Constants of the key derivation, from meter to receiver.
pub(super) const ENCRYPTION_FROM_METER: u8 = 0;
pub(super) const MAC_FROM_METER: u8 = 1;

/// Derives the key of one message from the master key (OMS volume 2, 9.6: KDF A).
pub(super) fn derive(key: &Key, constant: u8, counter: [u8; 4], meter: &Address) -> Key {
    cmac(key, &[&[constant], &counter, &meter.identification, &[7; 7]]).into()
}

/// Returns the initialization vector of mode 5.
pub(super) fn mode_5_iv(meter: &Address, access_number: u8) -> [u8; 16] {
    let mut iv = [access_number; 16];
    iv[..8].copy_from_slice(&meter.to_link());
    iv
}

/// Returns true if the text is nothing but records that the tables know. Random bytes rarely are.
fn looks_like_records(text: &[u8]) -> bool {
    let (mut known, mut unknown) = (0, 0);
    let end = crate::mbus::walk(text, |record, _| {
        let is_known =
            !matches!(record.quantity, "reserved" | "manufacturer_specific") && record.modifiers.is_empty();
        if is_known && record.value.is_some() {
            known += 1;
        } else {
            unknown += 1;
        }
    });
    end.is_ok() && known >= 3 && unknown == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_does_not_look_like_records_and_records_do() {
        let records = [0x04, 0x13, 1, 0, 0, 0, 0x02, 0x5A, 1, 0, 0x02, 0x5E, 1, 0];
        assert!(looks_like_records(&records));
        assert!(!looks_like_records(&records[..10]), "too few");
        // A generator of fixed numbers stands for wrong keys: 48 bytes each.
        let mut state: u64 = 1;
        let looking = (0..2000).filter(|_| {
            let text: Vec<u8> = (0..48)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            looks_like_records(&text)
        });
        assert!(looking.count() < 20, "less than one in a hundred");
    }
}
