//! Answers of M-Bus meters: assembly of frames, and a listener for recorded ones.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::framing::mbus::{Frame, FrameError};
use metertap_decode::mbus::{Message, MessageError, Record};
use metertap_decode::mbus_report::report;
use metertap_decode::report::Report;

/// Longest frame in bytes, and as much before it.
const MAX_FRAME: usize = 261 + 256;
/// Records of one answer over all its frames; further ones are dropped.
const MAX_RECORDS: usize = 1024;
/// Frames of one answer whose bytes are kept.
const MAX_FRAMES: usize = 64;

/// Answer that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MbusError {
    /// Bytes that are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that is not an answer.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Assembles the frames of one answer.
#[derive(Debug, Default)]
pub struct Answers {
    pending: Option<Message>,
}

impl Answers {
    /// Adds a frame; returns the report once the answer is complete.
    ///
    /// # Errors
    /// Returns an error if the frame is not an answer; what was assembled is dropped.
    pub fn take(&mut self, information: u8, data: &[u8]) -> Result<Option<Report>, MessageError> {
        let next = Message::parse(information, data).inspect_err(|_| self.pending = None)?;
        let whole = match self.pending.take() {
            // A meter that ignores the frame count bit sends the same frame again and again, each with more to follow.
            Some(first) if first.number == next.number && repeats(&first.records, &next.records) => Message {
                more_follows: false,
                ..first
            },
            Some(mut first) if first.number == next.number => {
                first.records.extend(next.records);
                first.records.truncate(MAX_RECORDS);
                first.data.extend(next.data);
                first.data.truncate(MAX_FRAMES);
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

    /// Returns the report of an answer whose last frames did not come.
    pub fn take_unfinished(&mut self) -> Option<Report> {
        self.pending.take().map(|message| report(&message))
    }
}

/// Returns true if `next` are the last records of `before`.
fn repeats(before: &[Record], next: &[Record]) -> bool {
    !next.is_empty() && before.ends_with(next)
}

/// Decoder of recorded answers, or of those to another master.
#[derive(Default)]
pub struct Mbus {
    buffer: Vec<u8>,
    taken: u64,
    answers: Answers,
}

impl Mbus {
    fn search(&mut self, is_over: bool, emit: &mut dyn FnMut(DecodeEvent)) {
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
                            Ok(Some(report)) => emit(DecodeEvent::report(place, report)),
                            Ok(None) => {}
                            Err(error) => emit(DecodeEvent::error(place, MbusError::from(error))),
                        }
                    }
                    at += len;
                    continue;
                }
                Err(FrameError::Truncated(_)) if !is_over && buffer.len() - at <= MAX_FRAME => break,
                Err(cut @ FrameError::Truncated(_)) if !told_cut => {
                    told_cut = true;
                    emit(DecodeEvent::error(place, MbusError::from(cut)));
                }
                Err(wrong @ FrameError::WrongChecksum { len, .. }) => {
                    emit(DecodeEvent::error(place, MbusError::from(wrong)));
                    at += len;
                    continue;
                }
                // The stream begins with the start byte of a frame, so this was meant as one.
                Err(wrong @ FrameError::NoFrame { .. }) if buffer[at] == 0x68 && place == 0 => {
                    emit(DecodeEvent::error(place, MbusError::from(wrong)));
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
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        for part in bytes.chunks(MAX_FRAME) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, emit);
        }
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.search(true, emit);
        self.buffer.clear();
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
        if let Some(report) = self.answers.take_unfinished() {
            emit(DecodeEvent::report(self.taken, report));
        }
    }
}

impl From<MbusError> for DecodeError {
    fn from(error: MbusError) -> Self {
        let kind = match error {
            MbusError::Frame(FrameError::Truncated(_)) => "cut",
            MbusError::Frame(_) => "wrong_check",
            MbusError::Message(MessageError::Error(_)) => "meter_error",
            MbusError::Message(MessageError::Encrypted(_)) => "no_key",
            MbusError::Message(_) => "no_answer",
        };
        DecodeError {
            kind,
            severity: Severity::of_error(matches!(error, MbusError::Message(_))),
            about: None,
            text: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with this volume; more records follow.
    fn data(volume: u8) -> Vec<u8> {
        let header = [0x78, 0x56, 0x34, 0x12, 0x43, 0x04, 1, 7, 2, 0, 0, 0];
        [&header[..], &[0x04, 0x13, volume, 3, 0, 0, 0x1F]].concat()
    }

    #[test]
    fn given_a_meter_that_repeats_its_frame_then_its_records_are_taken_once() {
        let mut answers = Answers::default();
        assert_eq!(answers.take(0x72, &data(1)), Ok(None));
        assert_eq!(answers.take(0x72, &data(2)), Ok(None));
        let report = answers.take(0x72, &data(2)).unwrap().unwrap();
        let names: Vec<_> = report.reading.0.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["manufacturer", "medium", "volume", "volume_2", "status"]);
        assert_eq!(answers.take(0x72, &data(1)), Ok(None), "the next answer begins");
    }
}
