//! SML transport protocol, version 1 (BSI TR-03109-1, annex IV, "Smart Message Language"; DIN EN 62056-5-3-8, chapter 8).
//!
//! ```text
//!  1B 1B 1B 1B 01 01 01 01 │ messages │ 00 … │ 1B 1B 1B 1B 1A │ n │ CRC (2)
//!  └ start                   └ file     └ n fill bytes (0 to 3)
//! ```
//!
//! 1B 1B 1B 1B within the file is sent twice. The CRC is CRC-16/X-25, low byte first, over everything in front of it, escapes
//! included.

use crate::truncated::Truncated;

const START: [u8; 8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
const ESCAPE: [u8; 4] = [0x1B; 4];
const END: u8 = 0x1A;
/// Longest frame in bytes. Meters send up to about 700; a gateway with several meters, a few thousand.
const MAX_FRAME: usize = 16_384;

static X25: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);

/// SML file whose CRC matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of the start sequence in the stream.
    pub at: u64,
    /// Messages, without escapes and fill bytes.
    pub file: Vec<u8>,
}

/// Error for bytes that begin as a frame, but are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The line paused, or another frame began, within the frame.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// An escape introduces something other than an end, a start or an escaped escape.
    #[error("expected an end (1A) behind an escape of an SML frame, found {0:02X}")]
    Escape(u8),
    /// The frame does not end.
    #[error("an SML frame without an end in {MAX_FRAME} bytes")]
    TooLong,
    /// More than three fill bytes, or more than there are bytes.
    #[error("{0} fill bytes in an SML frame: expected at most 3")]
    Fill(u8),
    /// The CRC does not match.
    #[error("wrong CRC of an SML frame: expected {computed:04X}, found {stated:04X}")]
    WrongCrc {
        /// CRC as sent.
        stated: u16,
        /// CRC as computed.
        computed: u16,
    },
}

/// Finds frames in a stream. Holds one unfinished frame of at most 16 KiB.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of the unfinished frame as sent, from its start sequence on; empty between frames.
    raw: Vec<u8>,
    /// Its file without escapes, up to the last whole byte.
    file: Vec<u8>,
    /// Bytes of an escape that is not complete: four 1B, and what follows them.
    escape: Vec<u8>,
    /// Last eight bytes, in which a start sequence is looked for.
    last: [u8; 8],
    /// Bytes taken so far.
    taken: u64,
}

impl Framer {
    /// Takes `bytes` and passes every frame, and every failed one with the position of its start, to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(u64, Result<Frame, FrameError>)) {
        for &byte in bytes {
            self.take(byte, &mut found);
        }
    }

    /// Ends an unfinished frame at a pause on the line or the end of a file.
    pub fn pause(&mut self, mut found: impl FnMut(u64, Result<Frame, FrameError>)) {
        if !self.raw.is_empty() {
            // The end sequence is missing at least.
            let truncated = Truncated::new(
                &self.raw,
                self.raw.len() + ESCAPE.len() + 4 - self.escape.len().min(7),
            );
            self.give_up(truncated.into(), &mut found);
        }
        self.last = [0; 8];
    }

    fn take(&mut self, byte: u8, found: &mut impl FnMut(u64, Result<Frame, FrameError>)) {
        self.taken += 1;
        self.last.rotate_left(1);
        self.last[7] = byte;
        if self.raw.is_empty() {
            if self.last == START {
                self.raw.extend(START);
            }
            return;
        }
        self.raw.push(byte);
        self.escape.push(byte);
        match &self.escape[..] {
            // Fewer than four 1B, then another byte: data.
            [escape @ .., other] if escape.len() < 4 && *other != 0x1B => self.file.append(&mut self.escape),
            [0x1B, 0x1B, 0x1B, 0x1B, rest @ ..] => match rest {
                _ if is_unfinished(rest) => {}
                [0x1B, 0x1B, 0x1B, 0x1B] => {
                    self.file.extend(ESCAPE);
                    self.escape.clear();
                }
                [1, 1, 1, 1] => {
                    let sent = self.raw.len() - START.len();
                    let truncated = Truncated::new(&self.raw[..sent], sent + 8);
                    self.give_up(truncated.into(), found);
                    self.raw.extend(START);
                }
                &[END, fill, low, high] => self.end(fill, u16::from_le_bytes([low, high]), found),
                rest => {
                    let wrong = rest.last().copied().unwrap_or_default();
                    self.give_up(FrameError::Escape(wrong), found);
                    // The start of the next frame may overlap what was taken for an escape.
                    if self.last == START {
                        self.raw.extend(START);
                    }
                }
            },
            _ => {}
        }
        if self.raw.len() > MAX_FRAME {
            self.give_up(FrameError::TooLong, found);
        }
    }

    fn end(&mut self, fill: u8, stated: u16, found: &mut impl FnMut(u64, Result<Frame, FrameError>)) {
        let computed = X25.checksum(&self.raw[..self.raw.len() - 2]);
        if stated != computed {
            return self.give_up(FrameError::WrongCrc { stated, computed }, found);
        }
        let Some(len) = self.file.len().checked_sub(fill.into()).filter(|_| fill < 4) else {
            return self.give_up(FrameError::Fill(fill), found);
        };
        let at = self.taken - self.raw.len() as u64;
        let mut file = std::mem::take(&mut self.file);
        file.truncate(len);
        self.clear();
        found(at, Ok(Frame { at, file }));
    }

    /// Reports the unfinished frame as failed.
    fn give_up(&mut self, error: FrameError, found: &mut impl FnMut(u64, Result<Frame, FrameError>)) {
        let at = self.taken - self.raw.len() as u64;
        self.clear();
        found(at, Err(error));
    }

    fn clear(&mut self) {
        self.raw.clear();
        self.file.clear();
        self.escape.clear();
    }
}

/// Returns true if more bytes may complete what follows an escape.
fn is_unfinished(rest: &[u8]) -> bool {
    let is_end = rest.first() == Some(&END);
    rest.len() < 4 && (is_end || ESCAPE.starts_with(rest) || START[4..].starts_with(rest))
}

/// Returns the frame of a file, which ends with 00 as every message does. Encoder for tests and simulators.
pub fn seal(file: &[u8]) -> Vec<u8> {
    let mut bytes = START.to_vec();
    let mut run = 0;
    for &byte in file {
        bytes.push(byte);
        run = if byte == 0x1B { run + 1 } else { 0 };
        if run == ESCAPE.len() {
            bytes.extend(ESCAPE);
            run = 0;
        }
    }
    let fill = (4 - bytes.len() % 4) % 4;
    bytes.extend(std::iter::repeat_n(0, fill));
    bytes.extend(ESCAPE);
    bytes.extend([END, fill as u8]);
    bytes.extend(X25.checksum(&bytes).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_parts(parts: &[&[u8]]) -> (Vec<Frame>, Vec<(u64, FrameError)>) {
        let (mut framer, mut frames, mut errors) = (Framer::default(), Vec::new(), Vec::new());
        let mut collect = |at, result: Result<Frame, FrameError>| match result {
            Ok(frame) => frames.push(frame),
            Err(error) => errors.push((at, error)),
        };
        parts.iter().for_each(|part| framer.push(part, &mut collect));
        framer.pause(&mut collect);
        (frames, errors)
    }

    #[test]
    fn the_crc_is_crc_16_x_25() {
        assert_eq!(X25.checksum(b"123456789"), 0x906E);
    }

    #[test]
    fn given_noise_and_a_frame_that_breaks_off_then_the_next_one_is_found() {
        let one = seal(&[0x76, 5, 1, 2, 3]);
        let noise = [0x1B, 0x1B, 0x00, 0x1B];
        let (frames, errors) = of_parts(&[&noise, &one[..14], &one, &noise, &one, &one[..9]]);
        let ats: Vec<u64> = frames.iter().map(|frame| frame.at).collect();
        assert_eq!(ats, [18, 18 + one.len() as u64 + 4]);
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].0, 4);
        assert!(matches!(errors[0].1, FrameError::Truncated(_)));
    }

    #[test]
    fn given_an_escape_that_begins_a_byte_early_then_the_next_frame_is_found() {
        let one = seal(&[0x76, 5, 1, 2, 3]);
        let (frames, errors) = of_parts(&[&one[..10], &[0x1B], &one]);
        assert_eq!((frames.len(), errors.len()), (1, 1));
    }

    #[test]
    fn given_a_frame_without_an_end_then_it_is_given_up() {
        let mut bytes = START.to_vec();
        bytes.resize(MAX_FRAME + 100, 0x55);
        let (frames, errors) = of_parts(&[&bytes]);
        assert_eq!((frames, errors), (vec![], vec![(0, FrameError::TooLong)]));
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_found_in_any_pieces(
            mut file in prop::collection::vec(prop_oneof![Just(0x1Bu8), Just(0), any::<u8>()], 0..200),
            cut in 0usize..300,
        ) {
            // The last message of a file ends with 00.
            file.push(0);
            let bytes = [seal(&file), seal(&file)].concat();
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let (frames, errors) = of_parts(&[a, b]);
            prop_assert_eq!(errors, vec![]);
            prop_assert_eq!(frames.len(), 2);
            prop_assert!(frames.iter().all(|frame| frame.file == file));
        }

        #[test]
        fn a_flipped_bit_or_a_cut_gives_no_frame(file in prop::collection::vec(any::<u8>(), 1..100), at in any::<usize>(), bit in 0u8..8) {
            let sealed = seal(&file);
            let mut flipped = sealed.clone();
            flipped[at % sealed.len()] ^= 1 << bit;
            prop_assert_eq!(of_parts(&[&flipped]).0, vec![]);
            prop_assert_eq!(of_parts(&[&sealed[..at % sealed.len()]]).0, vec![]);
        }

        #[test]
        fn no_bytes_panic_or_grow(numbers in prop::collection::vec(any::<u16>(), 0..20_000)) {
            // A quarter each: the bytes of escapes, starts and ends, and any bytes. (A choice of strategies for each byte costs half a minute.)
            let byte = |number: &u16| match number >> 14 {
                0 => 0x1B,
                1 => 1,
                2 => END,
                _ => *number as u8,
            };
            let bytes: Vec<u8> = numbers.iter().map(byte).collect();
            let mut framer = Framer::default();
            framer.push(&START, |_, _| ());
            framer.push(&bytes, |_, _| ());
            prop_assert!(framer.raw.len() <= MAX_FRAME);
        }
    }
}
