//! Framer of pushed messages.

use super::segments::Reassembler;
use super::{BLOCK, LLC, MAX_MESSAGE, PushError};
use crate::cipher::{CipherError, Ciphered};
use crate::framing::hdlc;
use crate::framing::mbus;

/// Bytes of a truncated frame from which it is reported; fewer are taken for noise.
const MIN_REPORTED: usize = 8;
/// Opening and closing flag of HDLC.
const FLAG: u8 = 0x7E;
/// CI fields below this one number the segments of a pushed message; others announce the answer of a polled meter.
const MAX_SEGMENT_CI: u8 = 0x20;

/// Finds pushed messages in a stream. Holds at most 16 KiB of unfinished frames and as much of unfinished messages.
#[derive(Debug)]
pub struct DlmsFramer {
    buffer: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    /// True where a bare message may begin: at the beginning of the stream, after a pause, and directly behind another
    /// message. Elsewhere its first byte may be any data.
    may_begin_bare: bool,
    reassembler: Reassembler,
}

/// Classification of bytes by their beginning.
enum Beginning {
    /// Frame of this length, and the message that it completes, if any.
    Frame(usize, Option<Result<Vec<u8>, PushError>>),
    /// Beginning of a frame that more bytes may complete.
    Truncated(PushError),
    /// Anything else.
    Noise,
}

impl Default for DlmsFramer {
    fn default() -> Self {
        Self::new()
    }
}

impl DlmsFramer {
    /// Returns a framer at the beginning of a stream.
    pub fn new() -> Self {
        DlmsFramer {
            buffer: Vec::new(),
            taken: 0,
            may_begin_bare: true,
            reassembler: Reassembler::default(),
        }
    }

    /// Takes `bytes` and passes every message that they complete, or the error that costs one, to `found`, with the
    /// position of the last frame of the message.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        for part in bytes.chunks(MAX_MESSAGE) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, &mut found);
        }
    }

    /// Ends the unfinished message at a pause on the line or the end of a file. A bare message without a length ends here;
    /// anything else is passed to `found` as an error.
    pub fn pause(&mut self, mut found: impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        self.search(true, &mut found);
        self.buffer.clear();
        self.may_begin_bare = true;
        if self.reassembler.is_within() {
            found(self.taken, Err(PushError::Gap));
        }
        self.reassembler = Reassembler::default();
    }

    fn search(&mut self, is_end: bool, found: &mut impl FnMut(u64, Result<Vec<u8>, PushError>)) {
        let buffer = std::mem::take(&mut self.buffer);
        let first = self.taken - buffer.len() as u64;
        let (mut at, mut has_reported) = (0, false);
        while at < buffer.len() {
            let rest = &buffer[at..];
            match self.classify(rest, is_end) {
                Beginning::Frame(len, message) => {
                    if let Some(message) = message {
                        found(first + at as u64, message);
                    }
                    at += len;
                    continue;
                }
                // Keep the rest for the next call. Bounded: beyond MAX_MESSAGE it is taken for noise.
                Beginning::Truncated(_) if !is_end && rest.len() <= MAX_MESSAGE => break,
                // Once per search: the bytes of one truncated frame may contain the beginnings of others.
                Beginning::Truncated(error) if rest.len() >= MIN_REPORTED && !has_reported => {
                    found(first + at as u64, Err(error));
                    has_reported = true;
                }
                Beginning::Truncated(_) | Beginning::Noise => {}
            }
            // Any number of flags may stand between segments; any other byte may be what is left of a lost one.
            if buffer[at] != FLAG {
                self.reassembler.interrupt();
            }
            self.may_begin_bare = false;
            at += 1;
        }
        self.buffer = buffer;
        self.buffer.drain(..at);
    }

    fn classify(&mut self, bytes: &[u8], is_end: bool) -> Beginning {
        match bytes[0] {
            FLAG => self.hdlc(bytes),
            0x68 | 0x10 => self.mbus(bytes),
            0xDB | 0xDC | 0x0F | BLOCK | 0xE6 if self.may_begin_bare => self.bare(bytes, is_end),
            _ => Beginning::Noise,
        }
    }

    fn hdlc(&mut self, bytes: &[u8]) -> Beginning {
        match hdlc::Frame::parse(bytes) {
            Ok((frame, len)) => Beginning::Frame(len, self.reassembler.hdlc(&frame).transpose()),
            Err(error @ hdlc::FrameError::WrongCheck { len, .. }) => {
                self.reassembler.interrupt();
                Beginning::Frame(len, Some(Err(error.into())))
            }
            Err(error @ hdlc::FrameError::Truncated(_)) => Beginning::Truncated(error.into()),
            Err(hdlc::FrameError::NoFrame) => Beginning::Noise,
        }
    }

    fn mbus(&mut self, bytes: &[u8]) -> Beginning {
        match mbus::Frame::parse(bytes) {
            Ok((
                mbus::Frame::Long {
                    information, data, ..
                },
                len,
            )) => {
                let message = match data {
                    // Two bytes of source and destination access point stand before the segment.
                    [_, _, segment @ ..] if information < MAX_SEGMENT_CI => {
                        self.reassembler.mbus(information, segment)
                    }
                    _ => Err(PushError::Polled(information)),
                };
                Beginning::Frame(len, message.transpose())
            }
            Ok((_, len)) => Beginning::Frame(len, None),
            Err(error @ mbus::FrameError::WrongChecksum { len, .. }) => {
                Beginning::Frame(len, Some(Err(error.into())))
            }
            Err(error @ mbus::FrameError::Truncated(_)) => Beginning::Truncated(error.into()),
            Err(mbus::FrameError::NoFrame { .. }) => Beginning::Noise,
        }
    }

    /// Classifies a bare message. A ciphered one states its length; only a pause tells where a plain one ends.
    fn bare(&mut self, bytes: &[u8], is_end: bool) -> Beginning {
        match bytes[0] {
            0xDB | 0xDC => match Ciphered::parse(bytes) {
                Ok((_, len)) => Beginning::Frame(len, Some(Ok(bytes[..len].to_vec()))),
                Err(error @ CipherError::Truncated(_)) => Beginning::Truncated(error.into()),
                Err(_) => Beginning::Noise,
            },
            _ if !is_end && bytes.len() < MAX_MESSAGE => Beginning::Truncated(PushError::Gap),
            _ => {
                let message = bytes.strip_prefix(&LLC).unwrap_or(bytes).to_vec();
                Beginning::Frame(bytes.len(), self.reassembler.message(message).transpose())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{block_segments, hdlc_segments, mbus_segments};
    use super::*;
    use proptest::prelude::*;

    fn found(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<PushError>) {
        let (mut framer, mut messages, mut errors) = (DlmsFramer::new(), Vec::new(), Vec::new());
        let mut take = |_, found: Result<Vec<u8>, PushError>| match found {
            Ok(message) => messages.push(message),
            Err(error) => errors.push(error),
        };
        for part in parts {
            framer.push(part, &mut take);
        }
        framer.pause(&mut take);
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
        assert!(errors.len() == 1 && errors[0].is_truncated(), "{errors:?}");
    }

    #[test]
    fn given_an_answer_of_a_polled_meter_then_it_is_reported_as_such() {
        let (messages, errors) = found(&[&mbus::long(8, 1, 0x72, &[0; 12])]);
        assert_eq!((messages.len(), errors), (0, vec![PushError::Polled(0x72)]));
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
                // Segments have four-bit numbers.
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
            let mut framer = DlmsFramer::new();
            framer.push(&bytes, |_, _| ());
            prop_assert!(framer.buffer.len() <= MAX_MESSAGE + 1);
        }
    }
}
