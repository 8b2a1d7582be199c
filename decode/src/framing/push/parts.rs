//! Segments and blocks become messages.

use super::{BLOCK, LLC, MAX_MESSAGE, PushError};
use crate::framing::hdlc;

/// Parts of a message that is not whole yet.
#[derive(Debug, Default)]
pub struct Parts {
    /// Of HDLC frames or M-Bus frames.
    segments: Vec<u8>,
    /// Whose, or which number is next.
    open: Option<Open>,
    /// Of blocks.
    blocks: Vec<u8>,
    /// The number of the next block.
    block: u16,
}

#[derive(Debug, PartialEq, Eq)]
enum Open {
    Hdlc(Vec<u8>),
    Mbus(u8),
}

/// A message, if this was its last part.
type Whole = Result<Option<Vec<u8>>, PushError>;

impl Parts {
    /// Whether more should have come.
    pub fn is_open(&self) -> bool {
        self.open.is_some() || !self.blocks.is_empty()
    }

    /// What came of a message in HDLC segments is worthless without the rest: they have no numbers.
    pub fn break_off(&mut self) {
        if matches!(self.open, Some(Open::Hdlc(_))) {
            self.open = None;
            self.segments.clear();
        }
    }

    /// A frame of HDLC.
    pub fn segment(&mut self, frame: &hdlc::Frame) -> Whole {
        let (is_first, part) = match frame.information.strip_prefix(&LLC) {
            Some(part) => (true, part),
            // Blocks after the first one come without, and so do messages of some meters.
            None => {
                let begins = matches!(frame.information.first(), Some(&BLOCK | 0x0F | 0xDB | 0xDC));
                (begins && self.open.is_none(), frame.information)
            }
        };
        if !is_first && self.open != Some(Open::Hdlc(frame.addresses.to_vec())) {
            return Err(PushError::Gap);
        }
        self.add(is_first, part)?;
        if frame.is_segmented {
            self.open = Some(Open::Hdlc(frame.addresses.to_vec()));
            return Ok(None);
        }
        self.close()
    }

    /// A frame of the M-Bus with this CI.
    pub fn mbus(&mut self, information: u8, part: &[u8]) -> Whole {
        let number = information & 0x0F;
        // A message of one segment may have any number.
        let is_first = number == 0;
        if !is_first && self.open != Some(Open::Mbus(number)) {
            self.open = None;
            return Err(PushError::Gap);
        }
        self.add(is_first, part)?;
        if information & 0x10 == 0 {
            self.open = Some(Open::Mbus((number + 1) & 0x0F));
            return Ok(None);
        }
        self.close()
    }

    fn add(&mut self, is_first: bool, part: &[u8]) -> Result<(), PushError> {
        if is_first {
            self.segments.clear();
        }
        if self.segments.len() + part.len() > MAX_MESSAGE {
            self.open = None;
            return Err(PushError::TooLong);
        }
        self.segments.extend_from_slice(part);
        Ok(())
    }

    fn close(&mut self) -> Whole {
        self.open = None;
        let message = std::mem::take(&mut self.segments);
        self.whole(message)
    }

    /// A message, or a block of one.
    pub fn whole(&mut self, message: Vec<u8>) -> Whole {
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
        if number == 1 {
            self.blocks.clear();
        } else if number != self.block || self.blocks.is_empty() {
            self.blocks.clear();
            return Err(PushError::Gap);
        }
        let part = part.ok_or(PushError::Gap)?;
        if self.blocks.len() + part.len() > MAX_MESSAGE {
            return Err(PushError::TooLong);
        }
        self.blocks.extend_from_slice(part);
        self.block = number.wrapping_add(1);
        if control & 0x80 == 0 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.blocks)))
    }
}
