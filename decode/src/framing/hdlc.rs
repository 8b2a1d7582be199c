//! HDLC frames of format type 3, in which meters push DLMS messages (IEC 62056-46).
//!
//! ```text
//!  7E │ A, segmentation bit, length (11 bits) │ dst 1–4 │ src 1–4 │ control │ HCS (2) │ information │ FCS (2) │ 7E
//! ```
//!
//! Frames are not stuffed, so they are found by their length. HCS and FCS are CRC-16/X-25, low byte first; a frame without
//! information has no HCS.

use crate::truncated::Truncated;

static X25: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);

const FLAG: u8 = 0x7E;
/// Bit of the last byte of an address.
const LAST: u8 = 1;

/// Frame whose checks match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Destination and source address.
    pub addresses: &'a [u8],
    /// True if more segments of the message follow.
    pub is_segmented: bool,
    /// Payload.
    pub information: &'a [u8],
}

/// Error for bytes that are not an HDLC frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is incomplete.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The bytes do not begin or end like a frame.
    #[error("not an HDLC frame")]
    NoFrame,
    /// The bytes begin and end like a frame, but a check does not match.
    #[error("the {which} of an HDLC frame is {stated:04X}, but should be {computed:04X}")]
    WrongCheck {
        /// Name of the check, HCS or FCS.
        which: &'static str,
        /// Check as sent.
        stated: u16,
        /// Check as computed.
        computed: u16,
        /// Length of the frame without its closing flag.
        len: usize,
    },
}

impl<'a> Frame<'a> {
    /// Parses the frame at the beginning of `bytes` and returns it with its length. The length does not include the closing
    /// flag, which may open the next frame.
    ///
    /// # Errors
    /// [`Truncated`](FrameError::Truncated) if more bytes may complete the frame, [`NoFrame`](FrameError::NoFrame) if there is
    /// none, [`WrongCheck`](FrameError::WrongCheck) if a check does not match.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let needs = |len| Truncated::new(bytes, len);
        let head = bytes.get(..3).ok_or(needs(3))?;
        if head[0] != FLAG || head[1] & 0xF0 != 0xA0 {
            return Err(FrameError::NoFrame);
        }
        let len = usize::from(head[1] & 7) << 8 | usize::from(head[2]);
        // Format, two addresses, control and FCS.
        if len < 7 {
            return Err(FrameError::NoFrame);
        }
        let end = 1 + len;
        let frame = bytes.get(1..end).ok_or(needs(end + 1))?;
        if *bytes.get(end).ok_or(needs(end + 1))? != FLAG {
            return Err(FrameError::NoFrame);
        }
        let body = check("FCS", frame, end)?;
        let first = 2 + address(&body[2..]).ok_or(FrameError::NoFrame)?;
        let second = first + address(&body[first..]).ok_or(FrameError::NoFrame)?;
        let information = match body.len().checked_sub(second + 1) {
            None => return Err(FrameError::NoFrame),
            Some(0) => &body[..0],
            Some(_) => {
                let head = body.get(..second + 3).ok_or(FrameError::NoFrame)?;
                check("HCS", head, end)?;
                &body[second + 3..]
            }
        };
        let frame = Frame {
            addresses: &body[2..second],
            is_segmented: head[1] & 8 != 0,
            information,
        };
        Ok((frame, end))
    }
}

/// Returns the length of the address at the beginning of `bytes`.
fn address(bytes: &[u8]) -> Option<usize> {
    let last = bytes.iter().take(4).position(|byte| byte & LAST != 0)?;
    Some(last + 1)
}

/// Returns `bytes` without the check at their end if it matches.
fn check<'a>(which: &'static str, bytes: &'a [u8], len: usize) -> Result<&'a [u8], FrameError> {
    let (body, check) = bytes.split_last_chunk().ok_or(FrameError::NoFrame)?;
    let (stated, computed) = (u16::from_le_bytes(*check), X25.checksum(body));
    if stated == computed {
        return Ok(body);
    }
    Err(FrameError::WrongCheck {
        which,
        stated,
        computed,
        len,
    })
}

/// Returns frames that carry `message` in segments of at most `max_len` bytes. Encoder for tests and simulators.
pub fn segments(message: &[u8], max_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = message.chunks(max_len.clamp(1, 2000)).peekable();
    while let Some(part) = parts.next() {
        let more = if parts.peek().is_some() { 8 } else { 0 };
        // Format, addresses 0x41 and 0x0883, control, two checks.
        let len = 2 + 1 + 2 + 1 + 2 + part.len() + 2;
        let mut frame = vec![0xA0 | more | (len >> 8) as u8, len as u8, 0x41, 0x08, 0x83, 0x13];
        frame.extend(X25.checksum(&frame).to_le_bytes());
        frame.extend(part);
        frame.extend(X25.checksum(&frame).to_le_bytes());
        out.push(FLAG);
        out.extend(frame);
        out.push(FLAG);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_is_crc_16_x_25() {
        assert_eq!(X25.checksum(b"123456789"), 0x906E);
    }

    #[test]
    fn given_a_flipped_bit_then_the_check_tells() {
        let mut bytes = segments(b"\x7e within", 100);
        assert_eq!(Frame::parse(&bytes).unwrap().0.information, b"\x7e within");
        bytes[12] ^= 4;
        assert!(matches!(
            Frame::parse(&bytes),
            Err(FrameError::WrongCheck { which: "FCS", .. })
        ));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(message in prop::collection::vec(any::<u8>(), 1..600), most in 1usize..300) {
            let bytes = segments(&message, most);
            let (mut at, mut read) = (0, Vec::<u8>::new());
            while at < bytes.len() {
                let (frame, len) = Frame::parse(&bytes[at..]).unwrap();
                read.extend(frame.information);
                prop_assert_eq!(frame.is_segmented, read.len() < message.len());
                at += len + 1;
            }
            prop_assert_eq!(read, message);
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0u8..40) {
            let _ = Frame::parse(&bytes);
            bytes.splice(0..0, [FLAG, 0xA0, len]);
            let _ = Frame::parse(&bytes);
        }
    }
}
