//! General-glo-ciphering: AES-128-GCM around a telegram or an APDU (DLMS UA 1000-2, 9.2.4.8).
//!
//! ```text
//!  DB │ 08 │ system title (8) │ length (BER) │ security control │ counter (4) │ ciphertext │ tag (12)
//! ```
//!
//! The nonce is system title and counter; the additional data are the security control byte and the authentication key.
//! Without that key the tag cannot be verified, and the frame is decrypted as AES-CTR, which GCM is from block 2 on.

use crate::truncated::Truncated;
use aes::Aes128;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::HEXUPPER_PERMISSIVE;
use std::fmt;
use std::str::FromStr;

/// Tag of general-glo-ciphering, the first byte of a frame.
pub const GENERAL_GLO: u8 = 0xDB;
/// Tag of general-ded-ciphering, which uses a dedicated key.
const GENERAL_DED: u8 = 0xDC;
/// Bit of the security control byte: a tag follows the ciphertext.
const AUTHENTICATED: u8 = 0x10;
/// Bit of the security control byte: the payload is encrypted.
const ENCRYPTED: u8 = 0x20;
/// Bytes of a tag.
const TAG: usize = 12;
/// Longest payload in bytes; a telegram has 2 KiB at most.
pub const MAX_LEN: usize = 8192;

type Gcm = aes_gcm::AesGcm<Aes128, U12, U12>;
type Ctr = ctr::Ctr32BE<Aes128>;

/// AES key. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

/// Error for text that is not a key. The message does not repeat the text, which may be a mistyped key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a key of 32 hexadecimal digits, found {digits} of them among {chars} characters")]
pub struct KeyError {
    digits: usize,
    chars: usize,
}

impl FromStr for Key {
    type Err = KeyError;

    /// Parses 32 hexadecimal digits, and 34 if they begin with a security control byte of 30, as grid operators print
    /// authentication keys. Spaces, colons and dashes between them, and a leading `0x`, are accepted.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let text = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let is_separator = |letter: char| letter.is_whitespace() || matches!(letter, ':' | '-');
        let digits: String = text.chars().filter(|letter| !is_separator(*letter)).collect();
        let hex = match digits.len() {
            34 => digits.strip_prefix("30").unwrap_or(&digits),
            _ => &digits,
        };
        let error = KeyError {
            digits: digits.chars().filter(char::is_ascii_hexdigit).count(),
            chars: digits.chars().count(),
        };
        let key = HEXUPPER_PERMISSIVE.decode(hex.as_bytes()).ok();
        let key = key.and_then(|key| key.try_into().ok());
        key.map(Key).ok_or(error)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Key(bytes)
    }
}

impl Key {
    /// Returns the bytes of the key.
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Authentication key of every meter in Luxembourg, printed in the specification of its P1 port.
    const LUXEMBOURG: Key = Key([
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
    ]);
}

/// Keys of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Global unicast encryption key.
    pub encryption: Key,
    /// Authentication key. Without it, and if it is not Luxembourg's, only the plaintext shows whether the encryption key
    /// is right.
    pub authentication: Option<Key>,
}

/// Ciphered frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphered {
    /// System title of the sender: three letters of the maker, and a number.
    pub system_title: [u8; 8],
    /// Security control byte.
    pub security_control: u8,
    /// Frame counter (invocation counter); under one key it never decreases.
    pub counter: u32,
    /// Ciphertext, and the tag if there is one.
    payload: Vec<u8>,
}

/// Error for bytes that cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// The frame is incomplete.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The byte at this position is not that of a ciphered frame.
    #[error("byte {0} is not that of a ciphered frame")]
    NoFrame(usize),
    /// The tag does not match.
    #[error("the tag is wrong: a wrong key or authentication key, or the frame was changed on its way")]
    BadTag,
}

impl Ciphered {
    /// Parses the frame at the beginning of `bytes` and returns it with its length.
    ///
    /// # Errors
    /// [`Truncated`](CipherError::Truncated) if more bytes may complete the frame, [`NoFrame`](CipherError::NoFrame) with the
    /// position of the first byte that does not fit.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), CipherError> {
        let head = bytes.get(..2).ok_or_else(|| Truncated::new(bytes, 11))?;
        if !matches!(head[0], GENERAL_GLO | GENERAL_DED) {
            return Err(CipherError::NoFrame(0));
        }
        if head[1] != 8 {
            return Err(CipherError::NoFrame(1));
        }
        Self::parse_from(bytes, 1)
    }

    /// Parses a frame without the tag DB at the beginning of `bytes`, whose system title may be empty; returns it with its
    /// length. Meters of Stoen in Poland send such a frame behind a plain identification.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_untagged(bytes: &[u8]) -> Result<(Self, usize), CipherError> {
        match bytes.first() {
            None => Err(Truncated::new(bytes, 1).into()),
            Some(0 | 8) => Self::parse_from(bytes, 0),
            Some(_) => Err(CipherError::NoFrame(0)),
        }
    }

    /// Parses a frame from the length of its system title on, which is at `from`.
    fn parse_from(bytes: &[u8], from: usize) -> Result<(Self, usize), CipherError> {
        let cut = |needs| Truncated::new(bytes, needs);
        let title_len = usize::from(*bytes.get(from).ok_or_else(|| cut(from + 1))?);
        let length_at = from + 1 + title_len;
        let head = bytes.get(..=length_at).ok_or_else(|| cut(length_at + 1))?;
        let (len, at) = match head[length_at] {
            direct @ 0..=0x7F => (usize::from(direct), length_at + 1),
            0x81 => (
                usize::from(*bytes.get(length_at + 1).ok_or_else(|| cut(length_at + 2))?),
                length_at + 2,
            ),
            0x82 => {
                let octets = bytes
                    .get(length_at + 1..length_at + 3)
                    .ok_or_else(|| cut(length_at + 3))?;
                (
                    usize::from(u16::from_be_bytes([octets[0], octets[1]])),
                    length_at + 3,
                )
            }
            _ => return Err(CipherError::NoFrame(length_at)),
        };
        if !(5..=MAX_LEN).contains(&len) {
            return Err(CipherError::NoFrame(length_at));
        }
        let body = bytes.get(at..at + len).ok_or_else(|| cut(at + len))?;
        let security_control = body[0];
        if security_control & ENCRYPTED == 0 || (security_control & AUTHENTICATED != 0 && len < 5 + TAG) {
            return Err(CipherError::NoFrame(at));
        }
        // An empty title counts as zeros in the nonce.
        let mut system_title = [0; 8];
        system_title[..title_len].copy_from_slice(&head[from + 1..length_at]);
        let ciphered = Ciphered {
            system_title,
            security_control,
            counter: u32::from_be_bytes([body[1], body[2], body[3], body[4]]),
            payload: body[5..].to_vec(),
        };
        Ok((ciphered, at + len))
    }

    /// Returns true if the frame has a tag.
    pub fn has_tag(&self) -> bool {
        self.security_control & AUTHENTICATED != 0
    }

    /// Returns the payload as sent, with and without the bytes of a tag. It is plaintext in logs of programs that decrypt
    /// frames in place before they print them.
    pub fn as_logged(&self) -> [&[u8]; 2] {
        let without_tag = self.payload.len().saturating_sub(TAG);
        [&self.payload, &self.payload[..without_tag]]
    }

    /// Returns the plaintext.
    ///
    /// # Errors
    /// [`CipherError::BadTag`] if there are an authentication key and a tag, and they do not match. A frame without a tag,
    /// or keys without an authentication key, are decrypted unchecked: a wrong key then gives random bytes.
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

    /// Returns a frame of `text`, with a tag if there is an authentication key. Encoder for tests and simulators.
    ///
    /// # Errors
    /// [`CipherError::NoFrame`] if the text is longer than a frame can state.
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

/// Encrypts or decrypts as GCM does, without its tag.
fn keystream(system_title: [u8; 8], counter: u32, key: &Key, text: &mut [u8]) {
    // GCM's block counter starts at 1 for the tag; the text begins with block 2.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn given_a_key_then_it_is_never_printed() {
        let keys = Keys {
            encryption: key("000102030405060708090A0B0C0D0E0F"),
            authentication: Some(key("30D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF")),
        };
        assert_eq!(
            format!("{keys:?}"),
            "Keys { encryption: Key(…), authentication: Some(Key(…)) }"
        );
        let error = "00112233secret".parse::<Key>().unwrap_err().to_string();
        assert!(!error.contains("0011") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn given_a_wrong_key_then_the_tag_tells_if_it_can_be_verified() {
        let (right, wrong) = (key(&"01".repeat(16)), key(&"02".repeat(16)));
        let frame = Ciphered::encrypt(*b"ABC\0\0\0\0\x01", 7, b"text", &right, Some(&wrong)).unwrap();
        let (frame, _) = Ciphered::parse(&frame).unwrap();
        let decrypt = |encryption: &Key, authentication: Option<&Key>| {
            frame.decrypt(&Keys {
                encryption: encryption.clone(),
                authentication: authentication.cloned(),
            })
        };
        assert_eq!(decrypt(&right, Some(&wrong)), Ok(b"text".to_vec()));
        assert_eq!(decrypt(&right, None), Ok(b"text".to_vec()));
        assert_eq!(decrypt(&right, Some(&right)), Err(CipherError::BadTag));
        assert_eq!(decrypt(&wrong, Some(&wrong)), Err(CipherError::BadTag));
        assert_ne!(decrypt(&wrong, None), Ok(b"text".to_vec()));
    }

    #[test]
    fn keys_are_read_as_operators_print_them() {
        let plain = key("000102030405060708090A0B0C0D0E0F");
        for text in [
            "0x000102030405060708090a0b0c0d0e0f",
            "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F",
            "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F",
            " 00010203-04050607-08090A0B-0C0D0E0F\n",
        ] {
            assert!(key(text) == plain, "{text}");
        }
        assert!("0x0001".parse::<Key>().is_err());
    }

    #[test]
    fn a_frame_without_its_tag_and_title_is_read() {
        let right = key(&"01".repeat(16));
        let tagged = Ciphered::encrypt([0; 8], 7, b"text", &right, None).unwrap();
        // Tag and length of the title, and the title, are left out.
        let untagged = [&[0], &tagged[10..]].concat();
        let (frame, len) = Ciphered::parse_untagged(&untagged).unwrap();
        assert_eq!((frame.counter, len), (7, untagged.len()));
        let keys = Keys {
            encryption: right,
            authentication: None,
        };
        assert_eq!(frame.decrypt(&keys), Ok(b"text".to_vec()));
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(
            text in prop::collection::vec(any::<u8>(), 0..600), counter: u32, title: [u8; 8], key: [u8; 16], has_tag: bool,
        ) {
            let keys = Keys { encryption: Key(key), authentication: has_tag.then_some(Key([7; 16])) };
            let bytes =
                Ciphered::encrypt(title, counter, &text, &keys.encryption, keys.authentication.as_ref()).unwrap();
            let (frame, len) = Ciphered::parse(&bytes).unwrap();
            prop_assert_eq!((frame.system_title, frame.counter, len), (title, counter, bytes.len()));
            prop_assert_eq!(frame.decrypt(&keys), Ok(text));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Ciphered::parse(&bytes);
            let _ = Ciphered::parse_untagged(&bytes);
            let _ = Ciphered::parse_untagged(&[&[0, 0x82, 0, 40, 0x30], &bytes[..]].concat());
            let _ = Ciphered::parse(&[&[GENERAL_GLO, 8], &bytes[..]].concat());
        }
    }
}
