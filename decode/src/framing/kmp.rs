//! Frames of the Kamstrup Meter Protocol (Kamstrup 5512-447, sections 3.1 and 3.2).
//!
//! ```text
//!  80 (request) or 40 (answer) │ destination │ CID │ data │ CRC (2) │ 0D
//! ```
//!
//! Between the first and the last byte, 06, 0D, 1B, 40 and 80 are stuffed: sent as 1B and their complement. The CRC is
//! CRC-16/XMODEM, high byte first, over everything between start byte and CRC before stuffing.

use crate::truncated::Truncated;
use std::ops::Range;

static XMODEM: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);

const REQUEST: u8 = 0x80;
const ANSWER: u8 = 0x40;
const STOP: u8 = 0x0D;
const ESCAPE: u8 = 0x1B;
/// Bytes that are stuffed.
const RESERVED: [u8; 5] = [0x06, STOP, ESCAPE, ANSWER, REQUEST];
/// Most bytes behind the start byte; an answer with eight registers has 100.
const MAX_FRAME: usize = 1024;
/// Destination address of the heat meter itself, as opposed to its modules.
pub const HEAT_METER: u8 = 0x3F;

/// Answer whose CRC matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Address of the part that answers.
    pub destination: u8,
    /// Command (CID) that is answered.
    pub command: u8,
    /// Data of the answer.
    pub data: Vec<u8>,
}

/// Error for bytes that are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is incomplete.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The byte behind an escape, at this place of the frame, is none of those that are stuffed.
    #[error("byte {0}: an escape of a byte that needs none")]
    Escape(usize),
    /// No stop byte.
    #[error("no stop byte in {MAX_FRAME} bytes")]
    Endless,
    /// The frame has no room for address, command and CRC.
    #[error("a frame of {0} bytes is too short")]
    Short(usize),
    /// The CRC does not match.
    #[error("the CRC is {stated:04X}, but should be {computed:04X}")]
    WrongCrc {
        /// CRC as sent.
        stated: u16,
        /// CRC as computed.
        computed: u16,
    },
}

impl Frame {
    /// Finds the first answer in `bytes` behind noise and the echo of the request, and returns it with its place. Returns `None`
    /// if no answer has begun.
    ///
    /// # Errors
    /// [`Truncated`](FrameError::Truncated) if more bytes may complete the answer, else any other [`FrameError`].
    pub fn find(bytes: &[u8]) -> Option<(Result<Self, FrameError>, Range<usize>)> {
        let start = bytes.iter().position(|byte| *byte == ANSWER)?;
        let bytes = &bytes[start..];
        let longest = &bytes[1..bytes.len().min(1 + MAX_FRAME)];
        let (frame, len) = match longest.iter().position(|byte| *byte == STOP) {
            Some(stop) => {
                let frame = unstuff(&longest[..stop]).and_then(|body| Self::checked(&body));
                (frame, 1 + stop + 1)
            }
            None if longest.len() == MAX_FRAME => (Err(FrameError::Endless), 1 + MAX_FRAME),
            // The length is unknown; at least the stop byte is missing.
            None => (Err(Truncated::new(bytes, bytes.len() + 1).into()), bytes.len()),
        };
        Some((frame, start..start + len))
    }

    fn checked(body: &[u8]) -> Result<Self, FrameError> {
        let Some((&[destination, command, ref data @ ..], check)) = body
            .split_last_chunk()
            .and_then(|(body, check)| Some((body, check)).filter(|(body, _)| body.len() >= 2))
        else {
            return Err(FrameError::Short(body.len()));
        };
        let (stated, computed) = (
            u16::from_be_bytes(*check),
            XMODEM.checksum(&body[..body.len() - 2]),
        );
        if stated != computed {
            return Err(FrameError::WrongCrc { stated, computed });
        }
        Ok(Frame {
            destination,
            command,
            data: data.to_vec(),
        })
    }
}

/// Removes the stuffing of the bytes behind the start byte.
fn unstuff(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().enumerate();
    while let Some((i, byte)) = rest.next() {
        match byte {
            &ESCAPE => {
                let (_, escaped) = rest.next().ok_or(FrameError::Escape(1 + i))?;
                if !RESERVED.contains(&!escaped) {
                    return Err(FrameError::Escape(1 + i));
                }
                plain.push(!escaped);
            }
            byte => plain.push(*byte),
        }
    }
    Ok(plain)
}

fn frame(start: u8, destination: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![destination, command];
    body.extend(data);
    body.extend(XMODEM.checksum(&body).to_be_bytes());
    let mut frame = vec![start];
    for byte in body {
        if RESERVED.contains(&byte) {
            frame.extend([ESCAPE, !byte]);
        } else {
            frame.push(byte);
        }
    }
    frame.push(STOP);
    frame
}

/// Returns a request to the meter.
pub fn request(command: u8, data: &[u8]) -> Vec<u8> {
    frame(REQUEST, HEAT_METER, command, data)
}

/// Returns an answer of the meter. Encoder for tests and simulators.
pub fn answer(command: u8, data: &[u8]) -> Vec<u8> {
    frame(ANSWER, HEAT_METER, command, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXUPPER;
    use proptest::prelude::*;

    #[test]
    fn the_documented_request_is_made() {
        assert_eq!(XMODEM.checksum(b"123456789"), 0x31C3);
        let frame = request(0x10, &[1, 0, 0x3C]);
        assert_eq!(HEXUPPER.encode(&frame), "803F1001003CB25F0D");
    }

    #[test]
    fn given_an_echo_then_the_answer_behind_it_is_found() {
        let echo = request(0x10, &[1, 0, 86]);
        let bytes = [&echo[..], &answer(0x10, &[0, 86])].concat();
        let (frame, range) = Frame::find(&bytes).unwrap();
        assert_eq!(
            (frame.unwrap().data, range),
            (vec![0, 86], echo.len()..bytes.len())
        );
    }

    #[test]
    fn given_a_false_escape_or_a_wrong_crc_then_the_answer_is_refused() {
        let find = |hex: &str| Frame::find(&HEXUPPER.decode(hex.as_bytes()).unwrap()).unwrap().0;
        assert_eq!(find("401B120D"), Err(FrameError::Escape(1)));
        assert!(matches!(
            find("403F10FFFF0D"),
            Err(FrameError::WrongCrc { stated: 0xFFFF, .. })
        ));
        assert_eq!(find("40FFFF0D"), Err(FrameError::Short(2)));
        assert!(matches!(find("403F10"), Err(FrameError::Truncated(_))));
        assert_eq!(
            find(&format!("40{}0D", "3F".repeat(MAX_FRAME))),
            Err(FrameError::Endless)
        );
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(data in prop::collection::vec(any::<u8>(), 0..200), command: u8) {
            let bytes = answer(command, &data);
            let (frame, range) = Frame::find(&bytes).unwrap();
            prop_assert_eq!(frame, Ok(Frame { destination: HEAT_METER, command, data }));
            prop_assert_eq!(range, 0..bytes.len());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::find(&bytes);
        }
    }
}
