//! HDLC frames of type 3, as meters push them (IEC 62056-46): found by their length, since nothing is stuffed.
//!
//! ```text
//!  7E │ A, segmented?, length (11 bits) │ dst 1–4 │ src 1–4 │ control │ HCS (2) │ information │ FCS (2) │ 7E
//! ```
//!
//! HCS and FCS are CRC-16/X-25, low byte first; a frame without information has no HCS.

use super::Cut;

const FLAG: u8 = 0x7E;
/// An address byte with this bit ends the address.
const LAST: u8 = 1;

/// A frame whose checks are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who it is for and who sent it.
    pub addresses: &'a [u8],
    /// More of the same message follows.
    pub is_segmented: bool,
    /// What it carries.
    pub information: &'a [u8],
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHdlc {
    /// Not all of it is there.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// It does not begin or end as a frame does.
    #[error("is no HDLC frame")]
    NoFrame,
    /// It has begun and ended as a frame does, but was changed on its way.
    #[error("the {which} of an HDLC frame is {stated:04X}, but should be {computed:04X}")]
    WrongCheck {
        /// HCS or FCS.
        which: &'static str,
        /// As sent.
        stated: u16,
        /// As computed.
        computed: u16,
        /// Of the frame.
        len: usize,
    },
}

impl<'a> Frame<'a> {
    /// Takes the frame at the start of `bytes`; returns its length, too. The closing flag is not part of it, since
    /// it may open the next one.
    ///
    /// # Errors
    /// Where it is none, not all of it, or changed.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), NoHdlc> {
        let needs = |len| Cut::needs(bytes, len);
        let head = bytes.get(..3).ok_or(needs(3))?;
        if head[0] != FLAG || head[1] & 0xF0 != 0xA0 {
            return Err(NoHdlc::NoFrame);
        }
        let len = usize::from(head[1] & 7) << 8 | usize::from(head[2]);
        // Format, two addresses, control and FCS.
        if len < 7 {
            return Err(NoHdlc::NoFrame);
        }
        let end = 1 + len;
        let frame = bytes.get(1..end).ok_or(needs(end + 1))?;
        if *bytes.get(end).ok_or(needs(end + 1))? != FLAG {
            return Err(NoHdlc::NoFrame);
        }
        let body = check("FCS", frame, end)?;
        let first = 2 + address(&body[2..]).ok_or(NoHdlc::NoFrame)?;
        let second = first + address(&body[first..]).ok_or(NoHdlc::NoFrame)?;
        let information = match body.len().checked_sub(second + 1) {
            None => return Err(NoHdlc::NoFrame),
            Some(0) => &body[..0],
            Some(_) => {
                let head = body.get(..second + 3).ok_or(NoHdlc::NoFrame)?;
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

/// Bytes of the address at the start.
fn address(bytes: &[u8]) -> Option<usize> {
    let last = bytes.iter().take(4).position(|byte| byte & LAST != 0)?;
    Some(last + 1)
}

/// What stands before the last two bytes, if those are its CRC.
fn check<'a>(which: &'static str, bytes: &'a [u8], len: usize) -> Result<&'a [u8], NoHdlc> {
    let (body, check) = bytes.split_last_chunk().ok_or(NoHdlc::NoFrame)?;
    let (stated, computed) = (u16::from_le_bytes(*check), crc(body));
    if stated == computed {
        return Ok(body);
    }
    Err(NoHdlc::WrongCheck {
        which,
        stated,
        computed,
        len,
    })
}

/// CRC-16/X-25: polynomial 0x1021 reflected, all ones before and after.
pub fn crc(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xFFFF, |mut crc, byte| {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 };
        }
        crc
    })
}

/// Frames of at most `most` bytes of information each that carry `message`: the other half of every test.
pub fn segments(message: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = message.chunks(most.clamp(1, 2000)).peekable();
    while let Some(part) = parts.next() {
        let more = if parts.peek().is_some() { 8 } else { 0 };
        // Format, addresses 0x41 and 0x0883, control, two checks.
        let len = 2 + 1 + 2 + 1 + 2 + part.len() + 2;
        let mut frame = vec![0xA0 | more | (len >> 8) as u8, len as u8, 0x41, 0x08, 0x83, 0x13];
        frame.extend(crc(&frame).to_le_bytes());
        frame.extend(part);
        frame.extend(crc(&frame).to_le_bytes());
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
    fn the_check_value_of_crc_16_x_25() {
        assert_eq!(crc(b"123456789"), 0x906E);
    }

    #[test]
    fn given_a_flipped_bit_then_the_check_tells() {
        let mut bytes = segments(b"\x7e within", 100);
        assert_eq!(Frame::parse(&bytes).unwrap().0.information, b"\x7e within");
        bytes[12] ^= 4;
        assert!(matches!(
            Frame::parse(&bytes),
            Err(NoHdlc::WrongCheck { which: "FCS", .. })
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
