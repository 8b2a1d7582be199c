//! Answers of a Kamstrup meter: frames become reports.

use crate::port::{DecodeEvent, Listener};
use metertap_decode::framing::kmp::{Frame, KmpError};
use metertap_decode::kamstrup::{Answer, AnswerError, fields};
use metertap_decode::report::{Fields, ReadingType, Report, Value};

/// Nothing longer is waited for.
const MAX_BUFFER: usize = 4096;

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// In its frame.
    #[error(transparent)]
    Frame(#[from] KmpError),
    /// In what it says.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// A report of the meter `id`.
pub fn report(id: String, reading: Fields) -> Report {
    Report {
        reading,
        ..Report::new(ReadingType::Kmp, id)
    }
}

/// Hears answers that somebody else asked for, or that stand in a file.
#[derive(Default)]
pub struct Kmp {
    buffer: Vec<u8>,
    taken: u64,
    id: String,
}

impl Kmp {
    fn search(&mut self, is_over: bool, tell: &mut dyn FnMut(DecodeEvent)) {
        let mut at = 0;
        while let Some((frame, len)) = Frame::find(&self.buffer[at..]) {
            if matches!(frame, Err(KmpError::Truncated(_))) && !is_over && self.buffer.len() <= MAX_BUFFER {
                break;
            }
            let place = self.taken - (self.buffer.len() - at) as u64;
            let said = match frame.map_err(Trouble::from).and_then(|frame| self.read(&frame)) {
                Ok(report) => DecodeEvent::report(place, report),
                Err(trouble) => DecodeEvent::trouble(place, trouble),
            };
            tell(said);
            at += len;
        }
        self.buffer.drain(..at);
    }

    fn read(&mut self, frame: &Frame) -> Result<Report, Trouble> {
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
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(DecodeEvent)) {
        for part in bytes.chunks(MAX_BUFFER) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, tell);
            if Frame::find(&self.buffer).is_none() {
                self.buffer.clear();
            }
        }
    }

    fn pause(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.search(true, tell);
        self.buffer.clear();
    }
}

impl From<Trouble> for crate::port::Trouble {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble {
            Trouble::Frame(KmpError::Truncated(_)) => "cut",
            Trouble::Frame(_) => "wrong_check",
            Trouble::Answer(AnswerError::NoRegister) => "no_register",
            Trouble::Answer(_) => "no_answer",
        };
        crate::port::Trouble {
            kind,
            is_understood: matches!(trouble, Trouble::Answer(_)),
            text: trouble.to_string(),
        }
    }
}
