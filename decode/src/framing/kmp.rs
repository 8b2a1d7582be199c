//! Frames of the Kamstrup Meter Protocol (Kamstrup 5512-348, the data link layer).
//!
//! ```text
//!  80 (request) or 40 (answer) │ destination │ CID │ data │ CRC (2) │ 0D
//! ```
//!
//! Between the first and the last byte, 06, 0D, 1B, 40 and 80 are written as 1B and their complement.

use super::Cut;

const REQUEST: u8 = 0x80;
const ANSWER: u8 = 0x40;
const STOP: u8 = 0x0D;
const ESCAPE: u8 = 0x1B;
/// Bytes that may not stand within a frame.
const RESERVED: [u8; 5] = [0x06, STOP, ESCAPE, ANSWER, REQUEST];
/// Nothing longer is believed: eight registers have 100 octets.
const MAX_FRAME: usize = 1024;
/// The heat meter itself.
pub const HEAT_METER: u8 = 0x3F;

/// An answer whose check is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who answers.
    pub destination: u8,
    /// What was asked.
    pub command: u8,
    /// The answer.
    pub data: Vec<u8>,
}

/// Bytes that are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKmp {
    /// Not all of it is there.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// An escape before a byte that needs none.
    #[error("byte {0}: an escape of nothing")]
    Escape(usize),
    /// Not even a check.
    #[error("a frame of {0} bytes is too short")]
    Short(usize),
    /// It was changed on its way.
    #[error("the CRC is {stated:04X}, but should be {computed:04X}")]
    WrongCrc {
        /// As sent.
        stated: u16,
        /// As computed.
        computed: u16,
    },
}

impl Frame {
    /// Finds the first answer in `bytes`, behind whatever stands before it: heads echo what we have asked. Returns
    /// where it ends, too; nothing where none has begun.
    ///
    /// # Errors
    /// Where it is not whole, or changed; with the place where it ends.
    pub fn find(bytes: &[u8]) -> Option<(Result<Self, NoKmp>, usize)> {
        let start = bytes.iter().position(|byte| *byte == ANSWER)?;
        let rest = &bytes[start + 1..];
        let Some(stop) = rest.iter().take(MAX_FRAME).position(|byte| *byte == STOP) else {
            let cut = Cut {
                has: bytes.len() - start,
                needs: bytes.len() - start + 1,
            };
            return Some((Err(cut.into()), bytes.len().min(start + 1 + MAX_FRAME)));
        };
        let frame = unstuff(&rest[..stop], start + 1).and_then(|body| Self::checked(&body));
        Some((frame, start + 1 + stop + 1))
    }

    fn checked(body: &[u8]) -> Result<Self, NoKmp> {
        let Some((&[destination, command, ref data @ ..], check)) = body
            .split_last_chunk()
            .and_then(|(body, check)| Some((body, check)).filter(|(body, _)| body.len() >= 2))
        else {
            return Err(NoKmp::Short(body.len()));
        };
        let (stated, computed) = (u16::from_be_bytes(*check), crc(&body[..body.len() - 2]));
        if stated != computed {
            return Err(NoKmp::WrongCrc { stated, computed });
        }
        Ok(Frame {
            destination,
            command,
            data: data.to_vec(),
        })
    }
}

fn unstuff(bytes: &[u8], at: usize) -> Result<Vec<u8>, NoKmp> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().enumerate();
    while let Some((i, byte)) = rest.next() {
        match byte {
            &ESCAPE => {
                let (_, escaped) = rest.next().ok_or(NoKmp::Escape(at + i))?;
                if !RESERVED.contains(&!escaped) {
                    return Err(NoKmp::Escape(at + i));
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
    body.extend(crc(&body).to_be_bytes());
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

/// What is sent to the meter.
pub fn request(command: u8, data: &[u8]) -> Vec<u8> {
    frame(REQUEST, HEAT_METER, command, data)
}

/// What the meter sends: the other half of every test.
pub fn answer(command: u8, data: &[u8]) -> Vec<u8> {
    frame(ANSWER, HEAT_METER, command, data)
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing before and after.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 {
                crc << 1 ^ 0x1021
            } else {
                crc << 1
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;
    use proptest::prelude::*;

    #[test]
    fn the_documented_request_is_made() {
        assert_eq!(crc(b"123456789"), 0x31C3);
        assert_eq!(
            request(0x10, &[1, 0, 0x3C]),
            octets("803F1001003CB25F0D").unwrap()
        );
    }

    #[test]
    fn given_an_echo_then_the_answer_behind_it_is_found() {
        let bytes = [request(0x10, &[1, 0, 86]), answer(0x10, &[0, 86])].concat();
        let (frame, end) = Frame::find(&bytes).unwrap();
        assert_eq!((frame.unwrap().data, end), (vec![0, 86], bytes.len()));
    }

    #[test]
    fn given_a_false_escape_or_a_wrong_crc_then_that_is_told() {
        let find = |hex| Frame::find(&octets(hex).unwrap()).unwrap().0;
        assert_eq!(find("401B120D"), Err(NoKmp::Escape(1)));
        assert!(matches!(
            find("403F10FFFF0D"),
            Err(NoKmp::WrongCrc { stated: 0xFFFF, .. })
        ));
        assert_eq!(find("40FFFF0D"), Err(NoKmp::Short(2)));
        assert!(matches!(find("403F10"), Err(NoKmp::Cut(_))));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(data in prop::collection::vec(any::<u8>(), 0..200), command: u8) {
            let bytes = answer(command, &data);
            let (frame, end) = Frame::find(&bytes).unwrap();
            prop_assert_eq!(frame, Ok(Frame { destination: HEAT_METER, command, data }));
            prop_assert_eq!(end, bytes.len());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::find(&bytes);
        }
    }
}
