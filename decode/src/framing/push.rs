//! What meters push: messages in HDLC frames, in M-Bus frames, in blocks, or bare. Which it is shows by itself.
//!
//! ```text
//!  7E A… │ E6 E7 00 │ message │ 7E          HDLC, perhaps in segments
//!  68 L L 68 │ 53 FF CI │ 01 67 │ message   M-Bus; CI: bits 0–3 number of the segment, bit 4 the last
//!  E0 │ control │ block (2) │ … │ part      general block transfer, within any of them
//!  DB …  0F …                               bare, after a pause
//! ```

mod parts;

use super::hdlc::{self, NoHdlc};
use super::mbus::{self, NoMbus};
use crate::cipher::{CipherError, Ciphered};
use parts::Parts;

/// Nothing longer is believed; the longest known message has 900 octets.
const MAX_MESSAGE: usize = 8192;
/// A frame of which less is there has hardly begun.
const BEGUN: usize = 8;
/// In front of the first part of a message in HDLC frames.
const LLC: [u8; 3] = [0xE6, 0xE7, 0x00];
/// First byte of a block.
const BLOCK: u8 = 0xE0;

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// In an HDLC frame.
    #[error(transparent)]
    Hdlc(#[from] NoHdlc),
    /// In an M-Bus frame.
    #[error(transparent)]
    Mbus(#[from] NoMbus),
    /// In a bare message.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// Its parts do not follow one another.
    #[error("a part of the message is missing")]
    Gap,
    /// Longer than any message.
    #[error("a message of more than {MAX_MESSAGE} bytes")]
    TooLong,
    /// It is no push.
    #[error("an M-Bus frame with CI {0:02X}: the answer of a meter that is asked, not one that pushes")]
    Asked(u8),
}

impl PushError {
    /// Whether there is less of it than there should be.
    pub fn is_cut(&self) -> bool {
        matches!(
            self,
            PushError::Hdlc(NoHdlc::Cut(_))
                | PushError::Mbus(NoMbus::Cut(_))
                | PushError::Cipher(CipherError::Cut { .. })
                | PushError::Gap
        )
    }
}

/// Collects bytes until a message is whole; bounded, whatever comes.
#[derive(Debug, Default)]
pub struct Push {
    buffer: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    /// A bare message may begin: after a pause, and after another one.
    fresh: bool,
    parts: Parts,
}

/// What stands at the start of some bytes.
enum Start {
    /// A frame of so many bytes; what it completes, if anything.
    Frame(usize, Option<Result<Vec<u8>, PushError>>),
    /// Something that has begun.
    Cut(PushError),
    /// Nothing.
    Noise,
}

impl Push {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Push {
            fresh: true,
            ..Push::default()
        }
    }

    /// Takes `bytes`, and hands whole messages, or why there are none, to `found`, with the place where their last
    /// frame begins.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        for part in bytes.chunks(MAX_MESSAGE) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, &mut found);
        }
    }

    /// A pause on the line, or the end of a file: what has begun will not be finished.
    pub fn pause(&mut self, mut found: impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        self.search(true, &mut found);
        self.buffer.clear();
        self.fresh = true;
        if self.parts.is_open() {
            found(self.taken, Err(PushError::Gap));
        }
        self.parts = Parts::default();
    }

    fn search(&mut self, is_over: bool, found: &mut impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        let buffer = std::mem::take(&mut self.buffer);
        let first = self.taken - buffer.len() as u64;
        let (mut at, mut told_cut) = (0, false);
        while at < buffer.len() {
            let rest = &buffer[at..];
            match self.start(rest, is_over) {
                Start::Frame(len, message) => {
                    if let Some(message) = message {
                        found(first + at as u64, message);
                    }
                    at += len;
                    continue;
                }
                Start::Cut(_) if !is_over && rest.len() <= MAX_MESSAGE => break,
                Start::Cut(error) if rest.len() >= BEGUN && !told_cut => {
                    found(first + at as u64, Err(error));
                    told_cut = true;
                }
                Start::Cut(_) | Start::Noise => {}
            }
            // Flags may stand between frames; anything else may have been a part of the message.
            if buffer[at] != 0x7E {
                self.parts.break_off();
            }
            self.fresh = false;
            at += 1;
        }
        self.buffer = buffer;
        self.buffer.drain(..at);
    }

    fn start(&mut self, bytes: &[u8], is_over: bool) -> Start {
        match bytes[0] {
            0x7E => self.hdlc(bytes),
            0x68 | 0x10 => self.mbus(bytes),
            0xDB | 0xDC | 0x0F | BLOCK | 0xE6 if self.fresh => self.bare(bytes, is_over),
            _ => Start::Noise,
        }
    }

    fn hdlc(&mut self, bytes: &[u8]) -> Start {
        match hdlc::Frame::parse(bytes) {
            Ok((frame, len)) => Start::Frame(len, self.parts.segment(&frame).transpose()),
            Err(wrong @ NoHdlc::WrongCheck { len, .. }) => {
                self.parts.break_off();
                Start::Frame(len, Some(Err(wrong.into())))
            }
            Err(cut @ NoHdlc::Cut(_)) => Start::Cut(cut.into()),
            Err(NoHdlc::NoFrame) => Start::Noise,
        }
    }

    fn mbus(&mut self, bytes: &[u8]) -> Start {
        match mbus::Frame::parse(bytes) {
            Ok((
                mbus::Frame::Long {
                    information, data, ..
                },
                len,
            )) => {
                let message = match data {
                    // Source and destination say nothing.
                    [_, _, part @ ..] if information < 0x20 => self.parts.mbus(information, part),
                    _ => Err(PushError::Asked(information)),
                };
                Start::Frame(len, message.transpose())
            }
            Ok((_, len)) => Start::Frame(len, None),
            Err(wrong @ NoMbus::WrongChecksum { len, .. }) => Start::Frame(len, Some(Err(wrong.into()))),
            Err(cut @ NoMbus::Cut(_)) => Start::Cut(cut.into()),
            Err(NoMbus::NoFrame { .. }) => Start::Noise,
        }
    }

    /// A message without a frame: only a pause tells where a plain one ends.
    fn bare(&mut self, bytes: &[u8], is_over: bool) -> Start {
        match bytes[0] {
            0xDB | 0xDC => match Ciphered::parse(bytes) {
                Ok((_, len)) => Start::Frame(len, Some(Ok(bytes[..len].to_vec()))),
                Err(cut @ CipherError::Cut { .. }) => Start::Cut(cut.into()),
                Err(_) => Start::Noise,
            },
            _ if !is_over && bytes.len() < MAX_MESSAGE => Start::Cut(PushError::Gap),
            _ => {
                let message = bytes.strip_prefix(&LLC).unwrap_or(bytes).to_vec();
                Start::Frame(bytes.len(), self.parts.whole(message).transpose())
            }
        }
    }
}

/// M-Bus frames with at most `most` bytes of `message` each: the other half of every test.
pub fn mbus_segments(message: &[u8], most: usize) -> Vec<u8> {
    let parts: Vec<&[u8]> = message.chunks(most.clamp(1, 254)).collect();
    let mut out = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let last = if number + 1 == parts.len() { 0x10 } else { 0 };
        let data = [&[0x01, 0x67], *part].concat();
        out.extend(mbus::long(0x53, 0xFF, (number as u8 & 0x0F) | last, &data));
    }
    out
}

/// A message in HDLC frames, with the header that it has there.
pub fn hdlc_segments(message: &[u8], most: usize) -> Vec<u8> {
    hdlc::segments(&[&LLC, message].concat(), most)
}

/// A message in blocks, each in an HDLC frame.
pub fn block_segments(message: &[u8], most: usize) -> Vec<u8> {
    let parts: Vec<&[u8]> = message.chunks(most.clamp(1, 127)).collect();
    let mut out = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let last = if i + 1 == parts.len() { 0x80 } else { 0 };
        let mut block = vec![BLOCK, 0x40 | last];
        block.extend((i as u16 + 1).to_be_bytes());
        block.extend([0, 0, part.len() as u8]);
        block.extend(*part);
        let frame = if i == 0 {
            [&LLC, &block[..]].concat()
        } else {
            block
        };
        out.extend(hdlc::segments(&frame, 2000));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<PushError>) {
        let (mut push, mut messages, mut errors) = (Push::new(), Vec::new(), Vec::new());
        let mut take = |_, found: Result<Vec<u8>, PushError>| match found {
            Ok(message) => messages.push(message),
            Err(error) => errors.push(error),
        };
        for part in parts {
            push.push(part, &mut take);
        }
        push.pause(&mut take);
        (messages, errors)
    }

    #[test]
    fn given_a_lost_segment_then_the_message_is_dropped_and_the_next_one_is_whole() {
        let message: Vec<u8> = (0..=255).cycle().take(600).map(|byte: u8| byte | 0x80).collect();
        let frames = mbus_segments(&message, 240);
        let (first, rest) = frames.split_at(248);
        let (_, third) = rest.split_at(248);
        let (messages, errors) = found(&[first, third, &frames]);
        assert_eq!((messages, errors), (vec![message], vec![PushError::Gap]));
    }

    #[test]
    fn given_noise_and_a_cut_frame_then_the_others_are_found() {
        let one = hdlc_segments(b"\x0fone", 100);
        let (messages, errors) = found(&[
            b"\x7e\x7e\xa0noise",
            &one,
            b"\x10\x40\x01\x41\x16",
            &one,
            &one[..9],
        ]);
        assert_eq!(messages, [b"\x0fone", b"\x0fone"]);
        assert!(errors.len() == 1 && errors[0].is_cut(), "{errors:?}");
    }

    #[test]
    fn given_an_answer_of_a_polled_meter_then_that_is_said() {
        let (messages, errors) = found(&[&mbus::long(8, 1, 0x72, &[0; 12])]);
        assert_eq!((messages.len(), errors), (0, vec![PushError::Asked(0x72)]));
    }

    proptest! {
        #[test]
        fn any_carrier_in_any_pieces_gives_the_message(
            message in prop::collection::vec(any::<u8>(), 1..900), most in 5usize..250, carrier in 0..3,
            cuts in prop::collection::vec(0usize..1500, 0..6),
        ) {
            let message = [&[0x0F], &message[..]].concat();
            let bytes = match carrier {
                0 => hdlc_segments(&message, most),
                // There are sixteen numbers only.
                1 => mbus_segments(&message, most.max(80)),
                _ => block_segments(&message, most),
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(found(&parts), (vec![message], vec![]));
        }

        #[test]
        fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut push = Push::new();
            push.push(&bytes, |_, _| ());
            prop_assert!(push.buffer.len() <= MAX_MESSAGE + 1);
        }
    }
}
