//! Link layer: frame formats A and B, with and without their CRCs (EN 13757-4, 12).
//!
//! ```text
//!  A   L C M M A A A A A A │ CRC │ up to 16 bytes │ CRC │ …       L counts no CRC
//!  B   L C M M A A A A A A …  up to 126 bytes │ CRC │ … │ CRC     L counts the CRCs
//! ```
//!
//! Receivers hand telegrams on without CRCs and with L as in format A; so does [`strip`].

use super::address::Address;

/// CRC of every block: 0x3D65, complemented; sent high byte first.
pub(super) static CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_EN_13757);

/// Bytes of the first block of format A: L, C, and the address.
pub const HEADER: usize = 10;
/// Most bytes of any other block of format A.
const BLOCK: usize = 16;
/// Bytes of a CRC.
const CRC_LEN: usize = 2;
/// Most bytes of the first block of format B, with its CRC.
const FIRST_B: usize = 128;

/// Form in which a telegram was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Without CRCs, as receivers hand it on.
    Bare,
    /// Format A with its CRCs.
    A,
    /// Format B with its CRCs.
    B,
}

/// Error for bytes that are not a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The telegram is cut off.
    #[error("the telegram is cut off: its length field states {stated} bytes, {found} are there")]
    Truncated {
        /// Bytes by the length field.
        stated: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The length field leaves no room for an address.
    #[error("expected a length field of at least {HEADER}, found {0}")]
    TooShort(u8),
    /// The telegram begins as a frame of the wired M-Bus.
    #[error("this is a frame of the wired M-Bus: `metertap decode mbus` decodes it")]
    Wired,
    /// A CRC of format A does not match.
    #[error("the CRC of block {block} is {stated:04X}, but should be {computed:04X}")]
    WrongCrc {
        /// Block, counted from 1.
        block: usize,
        /// CRC as sent.
        stated: u16,
        /// CRC as computed.
        computed: u16,
    },
}

/// Header of the link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// C field: 44 for what a meter sends unasked, 46 for installation.
    pub control: u8,
    /// Address of the radio, which need not be that of the meter.
    pub address: Address,
}

/// Removes the CRCs of a telegram, whichever format it has. Returns the telegram, in which L counts no CRC, and the form in
/// which it was given.
///
/// Bytes behind the end are dropped: some receivers append the signal level.
///
/// # Errors
/// As [`LinkError`] describes. Without CRCs, a changed byte is not noticed.
pub fn strip(bytes: &[u8]) -> Result<(Vec<u8>, Format), LinkError> {
    let Some(&length) = bytes.first() else {
        return Err(LinkError::Truncated { stated: 1, found: 0 });
    };
    if matches!(bytes, [0x68, second, third, 0x68, ..] if second == third) {
        return Err(LinkError::Wired);
    }
    if usize::from(length) < HEADER {
        return Err(LinkError::TooShort(length));
    }
    let stated = usize::from(length) + 1;
    let with_a = len_a(length);
    let crc_at = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    // One telegram without CRCs in 65 536 looks as if it had one behind the address. If it is as long as it says, the second
    // block decides; a short one is refused as cut off.
    let second = bytes.get(HEADER + CRC_LEN..HEADER + BLOCK + 2 * CRC_LEN);
    let is_bare = bytes.len() == stated && second.is_some_and(|block| checked(block).is_none());
    let is_a = !is_bare && crc_at(HEADER).is_some_and(|crc| crc == CRC.checksum(&bytes[..HEADER]));
    if is_a || bytes.len() == with_a {
        if bytes.len() < with_a {
            return Err(LinkError::Truncated {
                stated: with_a,
                found: bytes.len(),
            });
        }
        return Ok((strip_a(&bytes[..with_a])?, Format::A));
    }
    if bytes.len() < stated {
        return Err(LinkError::Truncated {
            stated,
            found: bytes.len(),
        });
    }
    let bytes = &bytes[..stated];
    match strip_b(bytes) {
        Some(telegram) => Ok((telegram, Format::B)),
        None => Ok((bytes.to_vec(), Format::Bare)),
    }
}

/// Returns the bytes of format A with its CRCs.
fn len_a(length: u8) -> usize {
    let data = usize::from(length) + 1 - HEADER;
    usize::from(length) + 1 + CRC_LEN * (1 + data.div_ceil(BLOCK))
}

fn strip_a(bytes: &[u8]) -> Result<Vec<u8>, LinkError> {
    let (header, rest) = bytes.split_at(HEADER + CRC_LEN);
    let blocks = std::iter::once(header).chain(rest.chunks(BLOCK + CRC_LEN));
    let mut telegram = Vec::with_capacity(bytes.len());
    for (i, block) in blocks.enumerate() {
        let (data, crc) = block.split_at(block.len().saturating_sub(CRC_LEN));
        let stated = crc.iter().fold(0, |crc, byte| crc << 8 | u16::from(*byte));
        let computed = CRC.checksum(data);
        if stated != computed {
            return Err(LinkError::WrongCrc {
                block: i + 1,
                stated,
                computed,
            });
        }
        telegram.extend_from_slice(data);
    }
    Ok(telegram)
}

/// Returns the telegram if the bytes are one of format B. A telegram without CRCs is taken for one in 65 536 cases.
fn strip_b(bytes: &[u8]) -> Option<Vec<u8>> {
    let (first, second) = bytes.split_at(bytes.len().min(FIRST_B));
    let mut telegram = checked(first)?.to_vec();
    if !second.is_empty() {
        telegram.extend_from_slice(checked(second)?);
    }
    if telegram.len() <= HEADER {
        return None;
    }
    telegram[0] = u8::try_from(telegram.len() - 1).ok()?;
    Some(telegram)
}

/// Returns a block without its CRC if that matches.
fn checked(block: &[u8]) -> Option<&[u8]> {
    let (data, crc) = block.split_last_chunk::<CRC_LEN>()?;
    (u16::from_be_bytes(*crc) == CRC.checksum(data)).then_some(data)
}

impl Link {
    /// Parses the header of a telegram without CRCs; `None` if it is too short.
    pub fn parse(telegram: &[u8]) -> Option<Self> {
        let [_, control, address @ ..] = telegram else {
            return None;
        };
        Some(Link {
            control: *control,
            address: Address::from_link(address.first_chunk()?),
        })
    }
}

/// Returns a telegram without CRCs in format A. Encoder for tests and simulators.
pub fn format_a(telegram: &[u8]) -> Vec<u8> {
    let (header, rest) = telegram.split_at(telegram.len().min(HEADER));
    let blocks = std::iter::once(header).chain(rest.chunks(BLOCK));
    blocks.flat_map(with_crc).collect()
}

/// Returns a telegram without CRCs in format B, whose L is larger by the CRCs. Encoder for tests and simulators.
///
/// Returns `None` if L has no room for the CRCs.
pub fn format_b(telegram: &[u8]) -> Option<Vec<u8>> {
    let first = FIRST_B - CRC_LEN;
    let crcs = if telegram.len() > first { 2 } else { 1 };
    let mut telegram = telegram.to_vec();
    *telegram.first_mut()? = u8::try_from(telegram.len() - 1 + crcs * CRC_LEN).ok()?;
    let (first, second) = telegram.split_at(telegram.len().min(first));
    let mut frame = with_crc(first);
    if !second.is_empty() {
        frame.extend(with_crc(second));
    }
    Some(frame)
}

fn with_crc(block: &[u8]) -> Vec<u8> {
    let mut block = block.to_vec();
    block.extend(CRC.checksum(&block).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn telegram(data: &[u8]) -> Vec<u8> {
        let header = [0, 0x44, 0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 1, 7];
        let mut telegram = [&header, data].concat();
        telegram[0] = u8::try_from(telegram.len() - 1).unwrap();
        telegram
    }

    #[test]
    fn the_crc_is_that_of_the_standard() {
        assert_eq!(CRC.checksum(b"123456789"), 0xC2B7);
    }

    #[test]
    fn given_bytes_behind_the_end_then_they_are_dropped() {
        let telegram = telegram(&[0x78, 0x2F]);
        let longer = [&telegram[..], &[0xC4]].concat();
        assert_eq!(strip(&longer), Ok((telegram.clone(), Format::Bare)));
        let longer = [&format_a(&telegram)[..], &[0xC4]].concat();
        assert_eq!(strip(&longer), Ok((telegram, Format::A)));
    }

    #[test]
    fn a_telegram_with_bytes_like_the_first_crc_is_told_from_format_a_by_the_second() {
        let mut telegram = telegram(&[0; 30]);
        let crc = format_a(&telegram)[HEADER..HEADER + CRC_LEN].to_vec();
        telegram[HEADER..HEADER + CRC_LEN].copy_from_slice(&crc);
        assert_eq!(strip(&telegram), Ok((telegram.clone(), Format::Bare)));
        let frame = format_a(&telegram);
        assert_eq!(strip(&frame), Ok((telegram.clone(), Format::A)));
        let cut = strip(&frame[..telegram.len()]);
        assert!(matches!(cut, Err(LinkError::Truncated { .. })), "{cut:?}");
    }

    #[test]
    fn what_is_no_telegram_is_refused_with_a_reason() {
        assert_eq!(strip(&[]), Err(LinkError::Truncated { stated: 1, found: 0 }));
        assert_eq!(strip(&[9; 40]), Err(LinkError::TooShort(9)));
        assert_eq!(strip(&[0x68, 3, 3, 0x68, 8, 1, 0x72]), Err(LinkError::Wired));
        let mut frame = format_a(&telegram(&[7; 30]));
        frame[20] ^= 1;
        assert!(matches!(strip(&frame), Err(LinkError::WrongCrc { block: 2, .. })));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(data in prop::collection::vec(any::<u8>(), 1..240)) {
            let telegram = telegram(&data);
            // A short one with bytes that happen to be the CRC of the first block is taken for format A.
            prop_assume!(telegram.len() >= 30 || telegram.get(10..12) != format_a(&telegram).get(10..12));
            prop_assert_eq!(strip(&format_a(&telegram)), Ok((telegram.clone(), Format::A)));
            prop_assert_eq!(strip(&format_b(&telegram).unwrap()), Ok((telegram.clone(), Format::B)));
            prop_assert_eq!(strip(&telegram), Ok((telegram, Format::Bare)));
        }

        #[test]
        fn a_flipped_bit_of_format_a_is_noticed(data in prop::collection::vec(any::<u8>(), 1..200), at: usize, bit in 0u8..8) {
            let telegram = telegram(&data);
            let mut frame = format_a(&telegram);
            // Flips of L change the length, and with it the format.
            let at = 1 + at % (frame.len() - 1);
            frame[at] ^= 1 << bit;
            prop_assert!(strip(&frame).is_err());
        }

        // With one byte of data, the first 11 bytes are a whole telegram without CRCs.
        #[test]
        fn a_frame_of_format_a_that_is_cut_is_refused(data in prop::collection::vec(any::<u8>(), 2..200), at: usize) {
            let frame = format_a(&telegram(&data));
            prop_assert!(strip(&frame[..at % frame.len()]).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..320)) {
            if let Ok((telegram, _)) = strip(&bytes) {
                prop_assert!(Link::parse(&telegram).is_some());
            }
        }
    }
}
