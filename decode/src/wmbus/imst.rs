//! Frames of IMST's iM871A and iM170A: a USB stick that passes telegrams on in binary (WMBus HCI).
//!
//! ```text
//!  A5 │ flags, endpoint │ message │ length │ payload │ time (4)? │ level (1)? │ CRC (2)?
//!
//!  flags    7: CRC   6: level   5: time        endpoint   3–0: 2 for the radio
//!  payload  of message 3: the telegram without CRCs and without its length byte, which is that of the frame
//! ```
//!
//! The CRC (X.25, lowest byte first) covers everything from the flags on.

use crc::{CRC_16_IBM_SDLC, Crc};

/// First byte of a frame.
pub const START: u8 = 0xA5;
/// Bytes in front of the payload.
const HEAD: usize = 4;
const RADIO: u8 = 2;
const TELEGRAM: u8 = 3;
const HAS_TIME: u8 = 0x20;
const HAS_LEVEL: u8 = 0x40;
const HAS_CRC: u8 = 0x80;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);

/// Error for a frame that is not as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of an IMST stick: expected CRC {stated:04X}, computed {computed:04X}")]
pub struct WrongCrc {
    /// CRC in the frame.
    pub stated: u16,
    /// CRC of its bytes.
    pub computed: u16,
}

/// Returns the number of bytes of the frame that begins at `bytes`; `None` as long as its length has not come.
pub fn len(bytes: &[u8]) -> Option<usize> {
    let &[_, flags, _, payload] = bytes.first_chunk()?;
    let field = |flag: u8, len: usize| if flags & flag != 0 { len } else { 0 };
    Some(HEAD + usize::from(payload) + field(HAS_TIME, 4) + field(HAS_LEVEL, 1) + field(HAS_CRC, 2))
}

/// Returns the telegram in a whole frame; `None` for frames with anything else, such as answers to commands.
///
/// # Errors
/// As [`WrongCrc`] describes.
pub fn telegram(frame: &[u8]) -> Result<Option<Vec<u8>>, WrongCrc> {
    let Some(&[_, flags, message, payload]) = frame.first_chunk() else {
        return Ok(None);
    };
    if let Some((covered, crc)) = frame[1..].split_last_chunk().filter(|_| flags & HAS_CRC != 0) {
        let (stated, computed) = (u16::from_le_bytes(*crc), CRC.checksum(covered));
        if stated != computed {
            return Err(WrongCrc { stated, computed });
        }
    }
    let is_telegram = flags & 0x0F == RADIO && message == TELEGRAM;
    let bytes = frame
        .get(HEAD..HEAD + usize::from(payload))
        .filter(|_| is_telegram);
    Ok(bytes.map(|bytes| [&[payload], bytes].concat()))
}

/// Returns the frame in which a stick passes a telegram without CRCs on. Encoder for tests.
pub fn frame(telegram: &[u8], has_crc: bool) -> Option<Vec<u8>> {
    let (&len, bytes) = telegram.split_first()?;
    let flags = RADIO | HAS_LEVEL | if has_crc { HAS_CRC } else { 0 };
    // The level.
    let mut frame = [&[START, flags, TELEGRAM, len], bytes, &[100]].concat();
    if has_crc {
        frame.extend(CRC.checksum(&frame[1..]).to_le_bytes());
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYTES: [u8; 5] = [4, 0x44, 1, 2, 3];

    #[test]
    fn a_telegram_comes_out_as_it_was_received() {
        for has_crc in [true, false] {
            let frame = frame(&BYTES, has_crc).unwrap();
            assert_eq!(len(&frame[..3]), None);
            assert_eq!(len(&frame), Some(frame.len()));
            assert_eq!(telegram(&frame), Ok(Some(BYTES.to_vec())));
        }
        let answer = [START, 0x01, 0x02, 0];
        assert_eq!((len(&answer), telegram(&answer)), (Some(4), Ok(None)));
    }

    #[test]
    fn a_changed_bit_is_noticed() {
        let frame = frame(&BYTES, true).unwrap();
        for bit in 32..8 * frame.len() {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(telegram(&changed).is_err(), "{bit}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (len(&bytes), telegram(&bytes));
        }
    }
}
