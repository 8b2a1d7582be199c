//! Frames of the wired M-Bus (EN 13757-2).
//!
//! ```text
//!  68 │ L │ L │ 68 │ C │ A │ CI │ data │ checksum │ 16        L counts C to the last of the data
//!  10 │ C │ A │ checksum │ 16
//!  E5
//! ```

use crate::truncated::Truncated;

const LONG: u8 = 0x68;
const SHORT: u8 = 0x10;
const END: u8 = 0x16;
/// Acknowledgment, a frame of one byte.
pub const ACK: u8 = 0xE5;

/// Frame whose checksum matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Frame with data; a control frame if these are empty.
    Long {
        /// C field: function.
        control: u8,
        /// A field: primary address of the slave.
        address: u8,
        /// CI field: kind of the data.
        information: u8,
        /// Data.
        data: &'a [u8],
    },
    /// Frame without data.
    Short {
        /// C field: function.
        control: u8,
        /// A field: primary address of the slave.
        address: u8,
    },
    /// Acknowledgment.
    Ack,
}

/// Error for bytes that are not an M-Bus frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is incomplete.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The bytes do not begin or end like a frame.
    #[error("not an M-Bus frame: byte {at} is {byte:02X}")]
    NoFrame {
        /// Position of the first byte that does not fit.
        at: usize,
        /// Value of that byte.
        byte: u8,
    },
    /// The checksum does not match.
    #[error("the checksum of an M-Bus frame is {stated:02X}, but should be {computed:02X}")]
    WrongChecksum {
        /// Checksum as sent.
        stated: u8,
        /// Checksum as computed.
        computed: u8,
        /// Length of the frame.
        len: usize,
    },
}

impl<'a> Frame<'a> {
    /// Parses the frame at the beginning of `bytes` and returns it with its length.
    ///
    /// # Errors
    /// [`Truncated`](FrameError::Truncated) if more bytes may complete the frame, [`NoFrame`](FrameError::NoFrame) if there is
    /// none, [`WrongChecksum`](FrameError::WrongChecksum) if the checksum does not match.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        match bytes.first() {
            None => Err(Truncated::new(bytes, 1).into()),
            Some(&ACK) => Ok((Frame::Ack, 1)),
            Some(&SHORT) => Self::short(bytes),
            Some(&LONG) => Self::long(bytes),
            Some(&byte) => Err(FrameError::NoFrame { at: 0, byte }),
        }
    }

    fn short(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let frame = bytes.get(..5).ok_or(Truncated::new(bytes, 5))?;
        expect(frame, 4, END)?;
        check(&frame[1..3], frame[3], 5)?;
        let short = Frame::Short {
            control: frame[1],
            address: frame[2],
        };
        Ok((short, 5))
    }

    fn long(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let head = bytes.get(..4).ok_or(Truncated::new(bytes, 4))?;
        expect(head, 2, head[1])?;
        expect(head, 3, LONG)?;
        let stated = usize::from(head[1]);
        let body = |len: usize| -> Result<(Self, usize), FrameError> {
            let total = len + 6;
            let frame = bytes.get(..total).ok_or(Truncated::new(bytes, total))?;
            expect(frame, total - 1, END)?;
            let body = &frame[4..total - 2];
            check(body, frame[total - 2], total)?;
            let [control, address, information, data @ ..] = body else {
                return Err(FrameError::NoFrame { at: 1, byte: head[1] });
            };
            let long = Frame::Long {
                control: *control,
                address: *address,
                information: *information,
                data,
            };
            Ok((long, total))
        };
        // Sagemcom's T210-D sends lengths of 256 and more modulo 256. Where the stated length leads to no frame, the longer
        // one is tried, and waited for; stop byte and checksum must both match, so noise is not taken for such a frame.
        let is_wrong = |error: &FrameError| matches!(error, FrameError::NoFrame { .. });
        match body(stated) {
            Err(wrong) if stated < 3 || is_wrong(&wrong) => match body(stated + 256) {
                Err(error) if !matches!(error, FrameError::Truncated(_)) => Err(wrong),
                longer => longer,
            },
            other => other,
        }
    }
}

fn expect(bytes: &[u8], at: usize, byte: u8) -> Result<(), FrameError> {
    match bytes.get(at) {
        Some(is) if *is == byte => Ok(()),
        Some(is) => Err(FrameError::NoFrame { at, byte: *is }),
        None => Err(Truncated::new(bytes, at + 1).into()),
    }
}

fn check(body: &[u8], stated: u8, len: usize) -> Result<(), FrameError> {
    let computed = checksum(body);
    if stated == computed {
        return Ok(());
    }
    Err(FrameError::WrongChecksum {
        stated,
        computed,
        len,
    })
}

/// Returns the sum of all bytes modulo 256.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Returns a frame without data.
pub fn short(control: u8, address: u8) -> [u8; 5] {
    [SHORT, control, address, control.wrapping_add(address), END]
}

/// Returns a frame with data, of which there may be 252 bytes.
pub fn long(control: u8, address: u8, information: u8, data: &[u8]) -> Vec<u8> {
    let body: Vec<u8> = [control, address, information]
        .into_iter()
        .chain(data.iter().copied())
        .collect();
    let len = body.len() as u8;
    let mut frame = vec![LONG, len, len, LONG];
    frame.extend(&body);
    frame.extend([checksum(&body), END]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_length_of_257_sent_as_1_then_the_frame_is_found() {
        // The longest that L can say is 255: data of 254 octets make L 257.
        let frame = long(0x53, 0xFF, 0, &[7; 254]);
        assert_eq!(frame[..4], [0x68, 1, 1, 0x68]);
        let (Frame::Long { data, .. }, len) = Frame::parse(&frame).unwrap() else {
            panic!("no long frame");
        };
        assert_eq!((data.len(), len), (254, 263));
    }

    #[test]
    fn given_a_long_frame_of_which_the_end_is_yet_to_come_then_it_is_waited_for() {
        // L 261, sent as 5.
        let mut frame = long(0x53, 0xFF, 0, &[7; 258]);
        frame[1..3].fill(5);
        for cut in 0..frame.len() {
            let result = Frame::parse(&frame[..cut]);
            assert!(
                matches!(result, Err(FrameError::Truncated(_))),
                "{cut}: {result:?}"
            );
        }
        assert!(matches!(Frame::parse(&frame), Ok((Frame::Long { .. }, 267))));
    }

    #[test]
    fn given_a_wrong_checksum_or_end_then_the_frame_is_refused() {
        let mut frame = long(8, 1, 0x72, b"data");
        frame[8] ^= 1;
        assert!(matches!(
            Frame::parse(&frame),
            Err(FrameError::WrongChecksum { .. })
        ));
        let mut frame = short(0x40, 1);
        frame[4] = 0;
        assert_eq!(Frame::parse(&frame), Err(FrameError::NoFrame { at: 4, byte: 0 }));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(data in prop::collection::vec(any::<u8>(), 0..252), control: u8, address: u8) {
            let frame = long(control, address, 0x72, &data);
            let read = Frame::parse(&frame);
            prop_assert_eq!(read, Ok((Frame::Long { control, address, information: 0x72, data: &data }, frame.len())));
            let frame = short(control, address);
            prop_assert_eq!(Frame::parse(&frame), Ok((Frame::Short { control, address }, 5)));
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), len: u8) {
            let _ = Frame::parse(&bytes);
            bytes.splice(0..0, [LONG, len, len, LONG]);
            let _ = Frame::parse(&bytes);
        }
    }
}
