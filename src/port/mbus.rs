//! Answers of M-Bus meters: frames become reports.

use crate::port::{DecodeEvent, Listener};
use metertap_decode::framing::mbus::{Frame, MbusError};
use metertap_decode::mbus::{Message, MessageError, report};
use metertap_decode::report::Report;

/// Nothing longer is believed.
const MAX_FRAME: usize = 261 + 256;
/// Records of one meter, over all its frames.
const MAX_RECORDS: usize = 1024;

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// In its frame.
    #[error(transparent)]
    Frame(#[from] MbusError),
    /// In what it says.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Puts the frames of one answer together.
#[derive(Debug, Default)]
pub struct Answers {
    pending: Option<Message>,
}

impl Answers {
    /// Takes a frame; a report once the answer is whole.
    ///
    /// # Errors
    /// Where the frame is no answer.
    pub fn take(&mut self, information: u8, data: &[u8]) -> Result<Option<Report>, MessageError> {
        let next = Message::parse(information, data).inspect_err(|_| self.pending = None)?;
        let whole = match self.pending.take() {
            Some(mut first) if first.number == next.number => {
                first.records.extend(next.records);
                first.records.truncate(MAX_RECORDS);
                first.more_follows = next.more_follows;
                first
            }
            _ => next,
        };
        if whole.more_follows {
            self.pending = Some(whole);
            return Ok(None);
        }
        Ok(Some(report(&whole)))
    }

    /// What came of an answer that will not be finished.
    pub fn rest(&mut self) -> Option<Report> {
        self.pending.take().map(|message| report(&message))
    }
}

/// Hears answers that somebody else asked for, or that stand in a file.
#[derive(Default)]
pub struct Mbus {
    buffer: Vec<u8>,
    taken: u64,
    answers: Answers,
}

impl Mbus {
    fn search(&mut self, is_over: bool, tell: &mut dyn FnMut(DecodeEvent)) {
        let buffer = std::mem::take(&mut self.buffer);
        let first = self.taken - buffer.len() as u64;
        let (mut at, mut told_cut) = (0, false);
        while at < buffer.len() {
            let place = first + at as u64;
            match Frame::parse(&buffer[at..]) {
                Ok((frame, len)) => {
                    if let Frame::Long {
                        information, data, ..
                    } = frame
                    {
                        match self.answers.take(information, data) {
                            Ok(Some(report)) => tell(DecodeEvent::report(place, report)),
                            Ok(None) => {}
                            Err(error) => tell(DecodeEvent::trouble(place, Trouble::from(error))),
                        }
                    }
                    at += len;
                    continue;
                }
                Err(MbusError::Truncated(_)) if !is_over && buffer.len() - at <= MAX_FRAME => break,
                Err(cut @ MbusError::Truncated(_)) if !told_cut => {
                    told_cut = true;
                    tell(DecodeEvent::trouble(place, Trouble::from(cut)));
                }
                Err(wrong @ MbusError::WrongChecksum { len, .. }) => {
                    tell(DecodeEvent::trouble(place, Trouble::from(wrong)));
                    at += len;
                    continue;
                }
                // It looked like the beginning of a frame.
                Err(wrong @ MbusError::NoFrame { .. }) if buffer[at] == 0x68 && place == 0 => {
                    tell(DecodeEvent::trouble(place, Trouble::from(wrong)));
                }
                Err(_) => {}
            }
            at += 1;
        }
        self.buffer = buffer;
        self.buffer.drain(..at);
    }
}

impl Listener for Mbus {
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(DecodeEvent)) {
        for part in bytes.chunks(MAX_FRAME) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, tell);
        }
    }

    fn pause(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.search(true, tell);
        self.buffer.clear();
    }

    fn end(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.pause(tell);
        if let Some(report) = self.answers.rest() {
            tell(DecodeEvent::report(self.taken, report));
        }
    }
}

impl From<Trouble> for crate::port::Trouble {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble {
            Trouble::Frame(MbusError::Truncated(_)) => "cut",
            Trouble::Frame(_) => "wrong_check",
            Trouble::Message(MessageError::Error(_)) => "meter_error",
            Trouble::Message(MessageError::Encrypted(_)) => "no_key",
            Trouble::Message(_) => "no_answer",
        };
        crate::port::Trouble {
            kind,
            is_understood: matches!(trouble, Trouble::Message(_)),
            text: trouble.to_string(),
        }
    }
}
