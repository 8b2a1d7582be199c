//! General-glo-ciphering: AES-128-GCM around a telegram or an APDU (DLMS UA 1000-2, 9.2.4.8).
//!
//! ```text
//!  DB │ 08 │ system title (8) │ length (BER) │ security control │ counter (4) │ ciphertext │ tag (12)
//! ```
//!
//! The nonce is system title and counter, the additional data are the security control byte and the
//! authentication key. Without that key the tag cannot be checked; GCM then is AES-CTR from block 2 on.

use super::hex::octets;
use aes::Aes128;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};
use std::fmt;
use std::str::FromStr;

/// The first byte.
pub const GENERAL_GLO: u8 = 0xDB;
/// The same with a dedicated key.
const GENERAL_DED: u8 = 0xDC;
/// Bit of the security control byte: the tag is there.
const AUTHENTICATED: u8 = 0x10;
/// Bit of the security control byte: encrypted.
const ENCRYPTED: u8 = 0x20;
/// Octets of a tag.
const TAG: usize = 12;
/// Nothing longer is believed: a telegram has 2 KiB at most.
pub const MAX_LEN: usize = 8192;

type Gcm = aes_gcm::AesGcm<Aes128, U12, U12>;
type Ctr = ctr::Ctr32BE<Aes128>;

/// A key of 16 octets. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

/// Text that is no key. What was there instead is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 hexadecimal digits; this has {digits} of them among {chars} characters")]
pub struct NoKey {
    digits: usize,
    chars: usize,
}

impl FromStr for Key {
    type Err = NoKey;

    /// 32 hexadecimal digits; 34 where somebody put the security control byte, 30, in front.
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let digits = text.trim();
        let hex = match digits.len() {
            34 => digits.strip_prefix("30").unwrap_or(digits),
            _ => digits,
        };
        let wrong = NoKey {
            digits: digits.chars().filter(char::is_ascii_hexdigit).count(),
            chars: digits.chars().count(),
        };
        let key = octets(hex).and_then(|key| key.try_into().ok());
        key.map(Key).ok_or(wrong)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// The authentication key that Luxembourg prints in its specification, for every meter.
    const LUXEMBOURG: Key = Key([
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
    ]);
}

/// What is needed to read a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The global unicast encryption key.
    pub encryption: Key,
    /// The authentication key; without it, and if it is not Luxembourg's, nothing tells a wrong key but the
    /// plaintext.
    pub authentication: Option<Key>,
}

/// A ciphered frame, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphered {
    /// Who sent it: three letters of the maker, and a number.
    pub system_title: [u8; 8],
    /// What was done to it.
    pub security_control: u8,
    /// Counts frames; never goes back under one key.
    pub counter: u32,
    /// Ciphertext, and the tag where there is one.
    payload: Vec<u8>,
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// Not all of it is there.
    #[error("cut off: {has} of {needs} bytes")]
    Cut {
        /// Bytes there.
        has: usize,
        /// Bytes needed.
        needs: usize,
    },
    /// The bytes are no header of a ciphered frame.
    #[error("byte {0} is not as it is in a ciphered frame")]
    NoFrame(usize),
    /// The tag does not fit.
    #[error("the tag is wrong: a wrong key or authentication key, or the frame was changed on its way")]
    BadTag,
}

impl Ciphered {
    /// Takes the frame at the start of `bytes`; returns its length as well.
    ///
    /// # Errors
    /// Where it is none, or not all of it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), CipherError> {
        let cut = |needs| CipherError::Cut {
            has: bytes.len(),
            needs,
        };
        let head = bytes.get(..11).ok_or(cut(11))?;
        if !matches!(head[0], GENERAL_GLO | GENERAL_DED) {
            return Err(CipherError::NoFrame(0));
        }
        if head[1] != 8 {
            return Err(CipherError::NoFrame(1));
        }
        let (len, at) = match head[10] {
            direct @ 0..=0x7F => (usize::from(direct), 11),
            0x81 => (usize::from(*bytes.get(11).ok_or(cut(12))?), 12),
            0x82 => {
                let octets = bytes.get(11..13).ok_or(cut(13))?;
                (usize::from(u16::from_be_bytes([octets[0], octets[1]])), 13)
            }
            _ => return Err(CipherError::NoFrame(10)),
        };
        if !(5..=MAX_LEN).contains(&len) {
            return Err(CipherError::NoFrame(10));
        }
        let body = bytes.get(at..at + len).ok_or(cut(at + len))?;
        let security_control = body[0];
        if security_control & ENCRYPTED == 0 || (security_control & AUTHENTICATED != 0 && len < 5 + TAG) {
            return Err(CipherError::NoFrame(at));
        }
        let mut system_title = [0; 8];
        system_title.copy_from_slice(&head[2..10]);
        let ciphered = Ciphered {
            system_title,
            security_control,
            counter: u32::from_be_bytes([body[1], body[2], body[3], body[4]]),
            payload: body[5..].to_vec(),
        };
        Ok((ciphered, at + len))
    }

    /// Whether there is a tag.
    pub fn has_tag(&self) -> bool {
        self.security_control & AUTHENTICATED != 0
    }

    /// What is said to be encrypted, with and without its last octets that may be a tag: some programs log frames
    /// after they have decrypted them in place.
    pub fn as_logged(&self) -> [&[u8]; 2] {
        let without_tag = self.payload.len().saturating_sub(TAG);
        [&self.payload, &self.payload[..without_tag]]
    }

    /// The plaintext.
    ///
    /// # Errors
    /// [`CipherError::BadTag`] where there is an authentication key and a tag, and it does not fit.
    pub fn decrypt(&self, keys: &Keys) -> Result<Vec<u8>, CipherError> {
        let (text, tag) = self
            .payload
            .split_at(self.payload.len() - if self.has_tag() { TAG } else { 0 });
        let Ok(tag) = tag.try_into() else {
            return Ok(self.unchecked(text, &keys.encryption));
        };
        match &keys.authentication {
            Some(key) => self.checked(text, tag, &keys.encryption, key),
            None => self
                .checked(text, tag, &keys.encryption, &Key::LUXEMBOURG)
                .or_else(|_| Ok(self.unchecked(text, &keys.encryption))),
        }
    }

    fn checked(
        &self,
        text: &[u8],
        tag: &[u8; TAG],
        key: &Key,
        authentication: &Key,
    ) -> Result<Vec<u8>, CipherError> {
        let mut text = text.to_vec();
        let nonce = nonce(self.system_title, self.counter);
        let data = additional(self.security_control, authentication);
        Gcm::new(&key.0.into())
            .decrypt_inout_detached(&nonce.into(), &data, text.as_mut_slice().into(), tag.into())
            .map_err(|_| CipherError::BadTag)?;
        Ok(text)
    }

    fn unchecked(&self, text: &[u8], key: &Key) -> Vec<u8> {
        let mut text = text.to_vec();
        keystream(self.system_title, self.counter, key, &mut text);
        text
    }

    /// Makes a frame, with a tag if there is an authentication key: the other half of every test.
    ///
    /// # Errors
    /// [`CipherError::NoFrame`] where the text is too long.
    pub fn encrypt(
        system_title: [u8; 8],
        counter: u32,
        text: &[u8],
        key: &Key,
        authentication: Option<&Key>,
    ) -> Result<Vec<u8>, CipherError> {
        let mut ciphertext = text.to_vec();
        let (control, tag) = match authentication {
            None => {
                keystream(system_title, counter, key, &mut ciphertext);
                (ENCRYPTED, Vec::new())
            }
            Some(authentication) => {
                let control = AUTHENTICATED | ENCRYPTED;
                let tag = Gcm::new(&key.0.into())
                    .encrypt_inout_detached(
                        &nonce(system_title, counter).into(),
                        &additional(control, authentication),
                        ciphertext.as_mut_slice().into(),
                    )
                    .map_err(|_| CipherError::NoFrame(0))?;
                (control, tag.to_vec())
            }
        };
        let len = u16::try_from(5 + text.len() + tag.len()).map_err(|_| CipherError::NoFrame(10))?;
        let mut frame = vec![GENERAL_GLO, 8];
        frame.extend(system_title);
        frame.push(0x82);
        frame.extend(len.to_be_bytes());
        frame.push(control);
        frame.extend(counter.to_be_bytes());
        frame.extend(ciphertext);
        frame.extend(tag);
        Ok(frame)
    }
}

/// What GCM encrypts with, without its tag.
fn keystream(system_title: [u8; 8], counter: u32, key: &Key, text: &mut [u8]) {
    // GCM's own counter starts at 1, for the tag; the text begins at 2.
    let mut block = [0; 16];
    block[..12].copy_from_slice(&nonce(system_title, counter));
    block[15] = 2;
    Ctr::new(&key.0.into(), &block.into()).apply_keystream(text);
}

fn nonce(system_title: [u8; 8], counter: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&system_title);
    nonce[8..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

fn additional(security_control: u8, key: &Key) -> [u8; 17] {
    let mut data = [security_control; 17];
    data[1..].copy_from_slice(&key.0);
    data
}
