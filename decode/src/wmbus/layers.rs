//! Layers between the address and the records: extended link layer, authentication and fragmentation layer, transport
//! layer (EN 13757-4, 13757-7).
//!
//! ```text
//!  DLL │ ELL? (8C 8D 8E 8F) │ NWL? (81) │ AFL? (90) │ TPL (72 7A 78, 73 7B 79, others) │ records
//! ```
//!
//! Each begins with a CI byte and has a known length; the next one follows.

use super::address::Address;

/// Extended link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ell {
    /// CI byte: 8C, 8D, 8E or 8F for layers I to IV.
    pub information: u8,
    /// Communication control. Bit 4: a repeater has sent the telegram.
    pub control: u8,
    /// Access number: counts telegrams.
    pub access_number: u8,
    /// Receiver, in layers III and IV.
    pub receiver: Option<Address>,
    /// Session number, in layers II and IV: session, minutes and method of encryption.
    pub session: Option<[u8; 4]>,
}

/// Methods of encryption of a session.
const NOT_ENCRYPTED: u32 = 0;
const AES_CTR: u32 = 1;

impl Ell {
    /// Reads the layer that begins at `bytes`, without the payload CRC of layers II and IV; returns it with its length.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let [information, control, access_number, rest @ ..] = bytes else {
            return None;
        };
        let (has_receiver, has_session) = match information {
            0x8C => (false, false),
            0x8D => (false, true),
            0x8E => (true, false),
            0x8F => (true, true),
            _ => return None,
        };
        let (receiver, rest) = match rest.split_first_chunk::<8>() {
            Some((receiver, rest)) if has_receiver => (Some(Address::from_link(receiver)), rest),
            None if has_receiver => return None,
            _ => (None, rest),
        };
        let session = has_session.then(|| rest.first_chunk::<4>().copied());
        let session = match session {
            Some(None) => return None,
            Some(session) => session,
            None => None,
        };
        let len = 3 + if has_receiver { 8 } else { 0 } + if has_session { 4 } else { 0 };
        let ell = Ell {
            information: *information,
            control: *control,
            access_number: *access_number,
            receiver,
            session,
        };
        Some((ell, len))
    }

    /// Returns how what follows is encrypted: `Ok(true)` by AES-CTR, `Ok(false)` not at all, and the number of any other
    /// method.
    pub(super) fn is_encrypted(&self) -> Result<bool, u8> {
        match self.session.map(|session| u32::from_le_bytes(session) >> 29) {
            None | Some(NOT_ENCRYPTED) => Ok(false),
            Some(AES_CTR) => Ok(true),
            Some(other) => Err(other as u8),
        }
    }

    /// Returns the counter block of the first 16 bytes.
    pub(super) fn counter_block(&self, radio: &Address) -> [u8; 16] {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&radio.to_link());
        // A repeater sets bits 4 and 1 of a telegram that was encrypted without them.
        block[8] = self.control & !0x12;
        block[9..13].copy_from_slice(&self.session.unwrap_or_default());
        block
    }

    /// Returns true if a repeater has sent the telegram.
    pub fn is_repeated(&self) -> bool {
        self.control & 0x10 != 0
    }
}

/// Authentication and fragmentation layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Afl {
    /// Fragmentation control: number of the fragment and which fields follow.
    pub fragment: u16,
    /// Message control: which fields the MAC covers, and its length.
    pub message_control: Option<u8>,
    /// Number of the key.
    pub key_information: Option<[u8; 2]>,
    /// Message counter, as sent.
    pub counter: Option<[u8; 4]>,
    /// Message authentication code; empty if there is none.
    pub mac: Vec<u8>,
    /// Length of a fragmented message, as sent.
    pub message_length: Option<[u8; 2]>,
}

impl Afl {
    /// Reads the layer that begins at `bytes`, which are `90 │ length │ …`; returns it with its length.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let [0x90, len, rest @ ..] = bytes else {
            return None;
        };
        let mut fields = Fields(rest.get(..usize::from(*len))?);
        let fragment = u16::from_le_bytes(fields.take()?);
        let has = |bit: u8| fragment >> bit & 1 != 0;
        let message_control = if has(13) {
            Some(fields.take::<1>()?[0])
        } else {
            None
        };
        let key_information = if has(9) { Some(fields.take()?) } else { None };
        let counter = if has(11) { Some(fields.take()?) } else { None };
        let mac = if has(10) {
            let len = mac_len(message_control.unwrap_or_default());
            fields.take_slice(len)?.to_vec()
        } else {
            Vec::new()
        };
        let message_length = if has(12) { Some(fields.take()?) } else { None };
        let afl = Afl {
            fragment,
            message_control,
            key_information,
            counter,
            mac,
            message_length,
        };
        Some((afl, 2 + usize::from(*len)))
    }

    /// Returns true if the message has further fragments, in other telegrams.
    pub fn more_follows(&self) -> bool {
        self.fragment >> 14 & 1 != 0
    }
}

/// Returns the bytes of a MAC by the low nibble of the message control.
pub(super) fn mac_len(message_control: u8) -> usize {
    match message_control & 0x0F {
        3 => 2,
        4 => 4,
        5 => 8,
        6 | 8 => 12,
        7 => 16,
        _ => 0,
    }
}

/// Bytes that are taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn take_slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Kind of what follows the header of the transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Records.
    Records,
    /// Compact frame: values alone.
    Compact,
    /// Something that only the manufacturer understands, or that is not from a meter.
    Other,
}

/// Transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tpl {
    /// CI byte.
    pub information: u8,
    /// Address of the meter, in a long header.
    pub meter: Option<Address>,
    /// Access number; `None` without a header.
    pub access_number: Option<u8>,
    /// Status byte; 0 without a header.
    pub status: u8,
    /// Configuration word: security mode in bits 8 to 12; 0 without a header.
    pub configuration: u16,
    /// Byte behind the configuration word in mode 7: key derivation in bits 4 and 5.
    pub extension: Option<u8>,
}

impl Tpl {
    /// Returns a layer without a header, of which nothing but its CI byte is known; 0 if not even that.
    pub(super) fn bare(information: u8) -> Self {
        Tpl {
            information,
            meter: None,
            access_number: None,
            status: 0,
            configuration: 0,
            extension: None,
        }
    }

    /// Reads the layer that begins at `bytes`; returns it with its length. Any CI byte begins one.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let [information, rest @ ..] = bytes else {
            return None;
        };
        let (meter, header, len) = match information {
            0x72 | 0x73 => {
                let (meter, rest) = rest.split_first_chunk::<8>()?;
                (Some(Address::from_header(meter)), rest.first_chunk::<4>()?, 13)
            }
            0x7A | 0x7B => (None, rest.first_chunk::<4>()?, 5),
            _ => return Some((Tpl::bare(*information), 1)),
        };
        let &[access_number, status, low, high] = header;
        let mut tpl = Tpl {
            information: *information,
            meter,
            access_number: Some(access_number),
            status,
            configuration: u16::from_le_bytes([low, high]),
            extension: None,
        };
        if tpl.mode() != 7 {
            return Some((tpl, len));
        }
        tpl.extension = Some(*bytes.get(len)?);
        Some((tpl, len + 1))
    }

    /// Returns the security mode.
    pub fn mode(&self) -> u8 {
        (self.configuration >> 8 & 0x1F) as u8
    }

    /// Returns what follows.
    pub fn content(&self) -> Content {
        match self.information {
            0x72 | 0x78 | 0x7A => Content::Records,
            0x73 | 0x79 | 0x7B => Content::Compact,
            _ => Content::Other,
        }
    }

    /// Returns how many of `len` bytes are encrypted in modes 5 and 7.
    pub(super) fn encrypted_len(&self, len: usize) -> usize {
        let whole = len / 16;
        let blocks = match usize::from(self.configuration >> 4 & 0x0F) {
            0 | 15 => whole,
            stated => stated.min(whole),
        };
        16 * blocks
    }

    /// Returns the names of the bits of the status byte that are set: those of the standard, and `manufacturer_20` and the
    /// like for the bits that only the manufacturer knows.
    pub fn status_names(&self) -> Vec<String> {
        crate::mbus::status_names(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layers_have_the_lengths_of_their_kind() {
        let bytes = [
            0x8F, 0x20, 7, 0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 1, 7, 1, 2, 3, 0x20, 0xFF,
        ];
        let (ell, len) = Ell::parse(&bytes).unwrap();
        assert_eq!((len, ell.session), (15, Some([1, 2, 3, 0x20])));
        assert_eq!(ell.receiver.unwrap().number(), "12345678");
        assert_eq!(ell.is_encrypted(), Ok(true));
        for (information, expected) in [(0x8C, 3), (0x8D, 7), (0x8E, 11)] {
            let bytes = [&[information], &bytes[1..]].concat();
            assert_eq!(Ell::parse(&bytes).unwrap().1, expected);
            assert_eq!(Ell::parse(&bytes[..expected - 1]), None);
        }
        let afl = [
            0x90, 0x0F, 0x00, 0x2C, 0x25, 1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8, 8, 0x7A,
        ];
        let (afl, len) = Afl::parse(&afl).unwrap();
        assert_eq!((len, afl.counter, afl.mac.len()), (17, Some([1, 2, 3, 4]), 8));
        assert!(!afl.more_follows());
    }

    #[test]
    fn the_bits_of_the_status_have_names() {
        let (tpl, _) = Tpl::parse(&[0x7A, 1, 0x2C, 0, 0]).unwrap();
        assert_eq!(
            tpl.status_names(),
            ["low_power", "permanent_error", "manufacturer_20"]
        );
    }

    #[test]
    fn encrypted_blocks_are_never_more_than_there_are() {
        let tpl =
            |configuration: u16| Tpl::parse(&[&[0x7A, 1, 0][..], &configuration.to_le_bytes()].concat());
        for (configuration, len, expected) in [
            (0x0520, 40, 32),
            (0x0520, 20, 16),
            (0x0500, 40, 32),
            (0x05F0, 64, 64),
        ] {
            assert_eq!(tpl(configuration).unwrap().0.encrypted_len(len), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(information: u8, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for first in [0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x72, 0x7A, information] {
                let bytes = [&[first], &bytes[..]].concat();
                let _ = (Ell::parse(&bytes), Afl::parse(&bytes), Tpl::parse(&bytes));
            }
        }
    }
}
