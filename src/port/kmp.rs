//! Answers of a Kamstrup meter, and a listener for recorded ones.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::framing::kmp::{Frame, FrameError};
use metertap_decode::kamstrup::{Answer, AnswerError, fields};
use metertap_decode::report::{Fields, ReadingType, Report, Value};

/// Bytes that are looked at together.
const PART: usize = 4096;

/// Answer that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KmpError {
    /// Bytes that are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that is not an answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Returns the report of the meter with serial number `id`.
pub fn report(id: String, reading: Fields) -> Report {
    Report {
        reading,
        ..Report::new(ReadingType::Kmp, id)
    }
}

/// Decoder of recorded answers, or of those to another master.
#[derive(Default)]
pub struct Kmp {
    buffer: Vec<u8>,
    taken: u64,
    id: String,
}

impl Kmp {
    fn search(&mut self, is_over: bool, emit: &mut dyn FnMut(DecodeEvent)) {
        let mut at = 0;
        loop {
            let Some((frame, range)) = Frame::find(&self.buffer[at..]) else {
                // Noise.
                at = self.buffer.len();
                break;
            };
            // Bounded: a frame may be truncated only up to the longest one.
            if matches!(frame, Err(FrameError::Truncated(_))) && !is_over {
                at += range.start;
                break;
            }
            let place = self.taken - (self.buffer.len() - at - range.start) as u64;
            let event = match frame.map_err(KmpError::from).and_then(|frame| self.read(&frame)) {
                Ok(report) => DecodeEvent::report(place, report),
                Err(error) => DecodeEvent::error(place, error),
            };
            emit(event);
            at += range.end;
        }
        self.buffer.drain(..at);
    }

    fn read(&mut self, frame: &Frame) -> Result<Report, KmpError> {
        let mut reading = Fields::default();
        match Answer::parse(frame.command, &frame.data)? {
            Answer::Type(kind, revision) => {
                reading.put("meter_type", Value::Text(kind));
                reading.put("software_revision", Value::Text(revision));
            }
            Answer::Serial(number) => {
                self.id = number.to_string();
                reading.put("serial_number", Value::Text(self.id.clone()));
            }
            Answer::Registers(registers) => reading = fields(&registers),
        }
        Ok(report(self.id.clone(), reading))
    }
}

impl Listener for Kmp {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        for part in bytes.chunks(PART) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, emit);
        }
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.search(true, emit);
        self.buffer.clear();
    }
}

impl From<KmpError> for DecodeError {
    fn from(error: KmpError) -> Self {
        let kind = match error {
            KmpError::Frame(FrameError::Truncated(_)) => "cut",
            KmpError::Frame(_) => "wrong_check",
            KmpError::Answer(AnswerError::NoRegister) => "no_register",
            KmpError::Answer(_) => "no_answer",
        };
        DecodeError {
            kind,
            severity: Severity::of_error(matches!(error, KmpError::Answer(_))),
            about: None,
            text: error.to_string(),
        }
    }
}
