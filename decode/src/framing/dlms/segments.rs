//! Reassembly of messages from segments and blocks.

use super::{BLOCK, LLC, MAX_MESSAGE, PushError};
use crate::framing::hdlc;

/// Reassembles one message at a time. Blocks are carried in segments, so both may be unfinished.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Payload of the segments so far.
    segments: Vec<u8>,
    /// Segment that must come next; `None` if no message is unfinished.
    expected: Option<Expected>,
    /// Payload of the blocks so far.
    blocks: Vec<u8>,
    /// Number of the block that must come next, if `blocks` is not empty.
    next_block: u16,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// HDLC segment with these addresses. HDLC segments have no numbers.
    Hdlc(Vec<u8>),
    /// M-Bus segment with this number.
    Mbus(u8),
}

/// The message, if the last part of it has come.
type Reassembled = Result<Option<Vec<u8>>, PushError>;

impl Reassembler {
    /// Returns true if a message is unfinished.
    pub fn is_within(&self) -> bool {
        self.expected.is_some() || !self.blocks.is_empty()
    }

    /// Discards an unfinished message in HDLC segments after anything but a segment: since they have no numbers, a lost
    /// one would go unnoticed.
    pub fn interrupt(&mut self) {
        if matches!(self.expected, Some(Expected::Hdlc(_))) {
            self.expected = None;
            self.segments.clear();
        }
    }

    /// Takes an HDLC frame.
    pub fn hdlc(&mut self, frame: &hdlc::Frame) -> Reassembled {
        let (is_first, segment) = match frame.information.strip_prefix(&LLC) {
            Some(segment) => (true, segment),
            // Some meters, and all blocks but the first, come without LLC header. Inside an unfinished message the same
            // bytes may be data.
            None => {
                let begins = matches!(frame.information.first(), Some(&BLOCK | 0x0F | 0xDB | 0xDC));
                (begins && self.expected.is_none(), frame.information)
            }
        };
        let expected = Some(Expected::Hdlc(frame.addresses.to_vec()));
        if !is_first && self.expected != expected {
            return Err(PushError::Gap);
        }
        self.append(is_first, segment)?;
        if frame.is_segmented {
            self.expected = expected;
            return Ok(None);
        }
        self.finish()
    }

    /// Takes an M-Bus frame with this CI field. Number 0 begins a message; any other must follow its predecessor.
    pub fn mbus(&mut self, information: u8, segment: &[u8]) -> Reassembled {
        let number = information & 0x0F;
        let is_first = number == 0;
        if !is_first && self.expected != Some(Expected::Mbus(number)) {
            self.expected = None;
            return Err(PushError::Gap);
        }
        self.append(is_first, segment)?;
        let is_last = information & 0x10 != 0;
        if !is_last {
            self.expected = Some(Expected::Mbus((number + 1) & 0x0F));
            return Ok(None);
        }
        self.finish()
    }

    fn append(&mut self, is_first: bool, segment: &[u8]) -> Result<(), PushError> {
        if is_first {
            self.segments.clear();
        }
        if self.segments.len() + segment.len() > MAX_MESSAGE {
            self.expected = None;
            return Err(PushError::TooLong);
        }
        self.segments.extend_from_slice(segment);
        Ok(())
    }

    fn finish(&mut self) -> Reassembled {
        self.expected = None;
        let message = std::mem::take(&mut self.segments);
        self.message(message)
    }

    /// Takes a message whose segments are complete: a block of a larger one, or the message itself.
    pub fn message(&mut self, message: Vec<u8>) -> Reassembled {
        let [BLOCK, control, high, low, _, _, rest @ ..] = &message[..] else {
            return Ok((!message.is_empty()).then_some(message));
        };
        let number = u16::from_be_bytes([*high, *low]);
        let part = match rest {
            [len @ 0..=0x7F, part @ ..] => part.get(..usize::from(*len)),
            [0x81, len, part @ ..] => part.get(..usize::from(*len)),
            [0x82, high, low, part @ ..] => part.get(..usize::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        };
        // Block 1 begins a message; any other must follow its predecessor.
        if number == 1 {
            self.blocks.clear();
        } else if number != self.next_block || self.blocks.is_empty() {
            self.blocks.clear();
            return Err(PushError::Gap);
        }
        let part = part.ok_or(PushError::Gap)?;
        if self.blocks.len() + part.len() > MAX_MESSAGE {
            return Err(PushError::TooLong);
        }
        self.blocks.extend_from_slice(part);
        self.next_block = number.wrapping_add(1);
        let is_last = control & 0x80 != 0;
        Ok(is_last.then(|| std::mem::take(&mut self.blocks)))
    }
}
