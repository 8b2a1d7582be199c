//! Listener for SML files, which German electricity meters send.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::framing::sml::{Frame, FrameError, Framer};
use metertap_decode::sml::{Message, MessageError, messages, report};

/// File that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmlError {
    /// Bytes that are not a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that does not hold messages.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// No value in it.
    #[error("an SML file without a value")]
    Empty,
}

/// Decoder of one port.
#[derive(Default)]
pub struct Sml {
    framer: Framer,
}

impl Listener for Sml {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        self.framer.push(bytes, |at, frame| decode(at, frame, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.framer.pause(|at, frame| decode(at, frame, emit));
    }
}

/// Emits a report of each list in a file: a gateway sends those of several meters.
fn decode(at: u64, frame: Result<Frame, FrameError>, emit: &mut dyn FnMut(DecodeEvent)) {
    let messages = frame
        .map_err(SmlError::from)
        .and_then(|frame| messages(&frame.file).map_err(SmlError::from));
    let messages = match messages {
        Ok(messages) => messages,
        Err(error) => return emit(DecodeEvent::error(at, error)),
    };
    let mut is_empty = true;
    for message in &messages {
        let Message::List(list) = message else {
            continue;
        };
        let report = report(list);
        if report.reading.is_empty() && report.unknown.is_empty() {
            continue;
        }
        is_empty = false;
        emit(DecodeEvent::report(at, report));
    }
    if is_empty {
        emit(DecodeEvent::error(at, SmlError::Empty));
    }
}

impl From<SmlError> for DecodeError {
    fn from(error: SmlError) -> Self {
        let kind = match error {
            SmlError::Frame(FrameError::Truncated(_)) => "cut",
            SmlError::Frame(_) => "wrong_check",
            SmlError::Message(_) => "no_message",
            SmlError::Empty => "empty",
        };
        DecodeError {
            kind,
            severity: Severity::of_error(matches!(error, SmlError::Message(_) | SmlError::Empty)),
            about: None,
            text: error.to_string(),
        }
    }
}
