//! IEC 62056-21 readouts, and a listener for recorded ones.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::framing::iec::{Readout, ReadoutError};
use metertap_decode::iec;
use metertap_decode::report::Report;
use metertap_decode::time::Zone;

/// Longest readout in bytes.
pub const MAX_READOUT: usize = 40_000;

/// Readout that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IecError {
    /// Bytes that are not a readout.
    #[error(transparent)]
    Readout(#[from] ReadoutError),
    /// No data set in it.
    #[error("a readout without a value")]
    Empty,
}

/// Returns the report of a readout.
///
/// # Errors
/// [`IecError::Empty`] if it holds no data set.
pub fn report(readout: &Readout, zone: &Zone) -> Result<Report, IecError> {
    if iec::data_sets(&readout.data).is_empty() {
        return Err(IecError::Empty);
    }
    Ok(iec::report(readout, zone))
}

/// Decoder of recorded readouts, or of those to another reader.
#[derive(Default)]
pub struct Iec {
    buffer: Vec<u8>,
    taken: u64,
    zone: Zone,
}

impl Iec {
    /// Creates a decoder for a meter in this time zone.
    pub fn new(zone: Zone) -> Self {
        Iec {
            zone,
            ..Iec::default()
        }
    }

    fn search(&mut self, is_over: bool, emit: &mut dyn FnMut(DecodeEvent)) {
        let mut at = 0;
        while let Some((readout, start, end)) = Readout::find(&self.buffer[at..]) {
            let may_continue = match &readout {
                Ok(readout) => !readout.has_check && at + end == self.buffer.len(),
                Err(error) => matches!(error, ReadoutError::Truncated(_)),
            };
            if may_continue && !is_over {
                break;
            }
            let place = self.taken - (self.buffer.len() - at - start) as u64;
            let report = readout
                .map_err(IecError::from)
                .and_then(|readout| report(&readout, &self.zone));
            emit(match report {
                Ok(report) => DecodeEvent::report(place, report),
                Err(error) => DecodeEvent::error(place, error),
            });
            at += end;
        }
        self.buffer.drain(..at);
    }
}

impl Listener for Iec {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        for part in bytes.chunks(4096) {
            self.buffer.extend_from_slice(part);
            self.taken += part.len() as u64;
            self.search(false, emit);
            // Noise without an identification is dropped, except a beginning of one at its end.
            if Readout::find(&self.buffer).is_none() || self.buffer.len() > MAX_READOUT {
                let kept = self.buffer.len().min(4);
                self.buffer.drain(..self.buffer.len() - kept);
            }
        }
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.search(true, emit);
        self.buffer.clear();
    }
}

impl From<IecError> for DecodeError {
    fn from(error: IecError) -> Self {
        let kind = match error {
            IecError::Readout(ReadoutError::Truncated(_)) => "cut",
            IecError::Readout(_) => "wrong_check",
            IecError::Empty => "empty",
        };
        DecodeError {
            kind,
            severity: Severity::of_error(error == IecError::Empty),
            about: None,
            text: error.to_string(),
        }
    }
}
